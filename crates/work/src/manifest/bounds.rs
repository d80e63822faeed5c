//! How large a manifest and its parts may be. What is larger is a problem of the manifest.

/// Bytes of a manifest.
pub const MAX_MANIFEST_BYTES: usize = 1 << 20;
/// Problems that are shown; the rest are left out.
pub const MAX_PROBLEMS: usize = 100;
/// Problems of one SQL text that are told.
pub const MAX_SQL_PROBLEMS: usize = 10;
/// Bytes of one SQL text.
pub const MAX_SQL_BYTES: usize = 64 << 10;
/// Statements of one key.
pub const MAX_STATEMENTS: usize = 16;
/// Letters of a name: with what is put before it, it is still a name of PostgreSQL.
pub const MAX_NAME: usize = 48;
/// Bytes of any other text.
pub const MAX_TEXT: usize = 1_000;
/// Bytes of an action's settings as JSON.
pub const MAX_SETTINGS_BYTES: usize = 32 << 10;

/// Bindings of a manifest.
pub const MAX_BINDINGS: usize = 200;
/// Hooks of a manifest.
pub const MAX_HOOKS: usize = 100;
/// Schedules of a manifest.
pub const MAX_SCHEDULES: usize = 200;
/// Meters of a manifest.
pub const MAX_METERS: usize = 50;
/// Tables with sealed columns.
pub const MAX_SEALED_TABLES: usize = 100;
/// Sealed columns of one table, and patterns of a meter.
pub const MAX_NAMES: usize = 50;
/// Steps of a flow.
pub const MAX_STEPS: usize = 100;
/// Steps that run at the same time.
pub const MAX_PARALLEL: usize = 32;
/// Secrets that a hook accepts at the same time: more than one while they are changed.
pub const MAX_SECRETS: usize = 4;

/// Attempts of a job.
pub const MAX_ATTEMPTS: u32 = 100;
/// Jobs that are taken at once.
pub const MAX_BATCH: u32 = 500;
/// Jobs of one key that run at the same time.
pub const MAX_CONCURRENCY: u32 = 10_000;
/// Jobs of one key in one period.
pub const MAX_RATE: u32 = 1_000_000;
/// Missed runs of a schedule that are caught up.
pub const MAX_CATCH_UP: u32 = 1_000;
/// The highest priority.
pub const MAX_PRIORITY: u8 = 9;
