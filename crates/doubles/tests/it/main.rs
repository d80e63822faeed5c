//! The doubles as their clients see them.

mod mailbox;
