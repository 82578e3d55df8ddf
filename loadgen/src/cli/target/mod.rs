//! `authbench target`: tries a target file out, or drafts one from what a browser recorded.

mod check;
mod draft;
mod from_har;
mod har;
mod login;
mod mask;

use clap::{Args, Subcommand};

use crate::error::Result;

/// Flags of `authbench target`.
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Try one login and one journey, and show each exchange with secrets masked
    Check(check::CheckArgs),
    /// Draft a target file from a HAR file, what a browser recorded of a login
    FromHar(from_har::FromHarArgs),
}

/// Runs the verb.
///
/// # Errors
/// Whatever ended it.
pub(super) fn target(args: &TargetArgs) -> Result<()> {
    match &args.verb {
        Verb::Check(args) => check::check(args),
        Verb::FromHar(args) => from_har::from_har(args),
    }
}
