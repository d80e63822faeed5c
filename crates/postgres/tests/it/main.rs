//! Against a real PostgreSQL: the one in `PLINTH_PG_BIN`, else in `.postgres/bin`.

mod auth_login;
mod cluster;
mod context;
mod external;
mod migrate;
mod platform;
mod projects;
mod sealed;
mod sealing;
mod signing_keys;
mod support;
mod traps;
