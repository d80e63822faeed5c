//! Tests on a real PostgreSQL, a real mail server and a real identity provider.

mod external;
mod mail;
