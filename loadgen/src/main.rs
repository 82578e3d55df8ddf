//! `authbench`: what session-based and token-based authentication cost as users grow.
//!
//! This file is the one door through which the process ends.

use std::process::ExitCode;

use clap::Parser as _;
use loadgen::cli::{self, Cli};

/// Both sides run on the same allocator, and the server can tell allocated bytes from resident
/// ones.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match cli::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
