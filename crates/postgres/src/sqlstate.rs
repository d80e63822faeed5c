//! The SQLSTATEs that Plinth's code decides by (PostgreSQL, Appendix A "PostgreSQL Error Codes").

/// The server rejected the password or the role does not exist.
pub const INVALID_PASSWORD: &str = "28P01";
/// No `pg_hba.conf` entry lets this connection in.
pub const INVALID_AUTHORIZATION: &str = "28000";
/// The database does not exist.
pub const INVALID_CATALOG_NAME: &str = "3D000";
/// The caller may not do this.
pub const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// A relation named in the statement does not exist.
pub const UNDEFINED_TABLE: &str = "42P01";
/// A function named in the statement does not exist.
pub const UNDEFINED_FUNCTION: &str = "42883";
/// A role or other object named in the statement does not exist.
pub const UNDEFINED_OBJECT: &str = "42704";
/// A column named in the statement does not exist.
pub const UNDEFINED_COLUMN: &str = "42703";
/// A schema named in the statement does not exist.
pub const INVALID_SCHEMA_NAME: &str = "3F000";
/// The statement does not parse.
pub const SYNTAX_ERROR: &str = "42601";
/// A database of this name exists.
pub const DUPLICATE_DATABASE: &str = "42P04";
/// A role or other object of this name exists.
pub const DUPLICATE_OBJECT: &str = "42710";
/// A unique index already holds the key.
pub const UNIQUE_VIOLATION: &str = "23505";
/// A foreign key has no partner, or is still referred to.
pub const FOREIGN_KEY_VIOLATION: &str = "23503";
/// A NOT NULL column got none.
pub const NOT_NULL_VIOLATION: &str = "23502";
/// A CHECK constraint refused the row.
pub const CHECK_VIOLATION: &str = "23514";
/// A lock was not to be had within `lock_timeout`, or with `nowait`.
pub const LOCK_NOT_AVAILABLE: &str = "55P03";
/// The object is in use, for instance a database with connections.
pub const OBJECT_IN_USE: &str = "55006";
/// The statement was cancelled; `statement_timeout` reports itself this way.
pub const QUERY_CANCELED: &str = "57014";
/// The backend was told to end, by an administrator or a shutdown.
pub const ADMIN_SHUTDOWN: &str = "57P01";
/// Another backend crashed and all were reset.
pub const CRASH_SHUTDOWN: &str = "57P02";
/// The server is starting up, shutting down or recovering.
pub const CANNOT_CONNECT_NOW: &str = "57P03";
/// The database was dropped under the connection.
pub const DATABASE_DROPPED: &str = "57P04";
/// `max_connections` is reached.
pub const TOO_MANY_CONNECTIONS: &str = "53300";
/// The transaction could not be serialised; trying again may work.
pub const SERIALIZATION_FAILURE: &str = "40001";
/// The transaction was chosen as the victim of a deadlock.
pub const DEADLOCK_DETECTED: &str = "40P01";
/// A write in a read-only transaction.
pub const READ_ONLY_SQL_TRANSACTION: &str = "25006";
/// A command that cannot run inside a transaction block.
pub const ACTIVE_SQL_TRANSACTION: &str = "25001";
/// `raise exception` without a code of its own.
pub const RAISE_EXCEPTION: &str = "P0001";
/// A cached plan no longer fits the relation it reads.
pub const FEATURE_NOT_SUPPORTED: &str = "0A000";
