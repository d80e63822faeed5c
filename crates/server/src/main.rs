//! The binary `plinth`; everything is in the library.

use std::process::ExitCode;

use clap::Parser;

/// The system's allocator keeps what a burst of requests took; this one gives it back, and is faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plinth_server::commands::run(plinth_server::cli::Cli::parse())
}
