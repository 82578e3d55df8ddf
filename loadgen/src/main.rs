//! `authbench`: what session-based and token-based authentication cost as users grow.
//!
//! This file is the one door through which the process ends.

use std::process::ExitCode;

use loadgen::cli;

/// Both sides run on the same allocator, and the server can tell allocated bytes from resident
/// ones.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
