//! `authbench completions` and `authbench man`: what a shell and `man` want to know, made out of
//! the command line itself.

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{output, serve};
use crate::error::{Error, Result};

/// Flags of `authbench completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Print those of this shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Flags of `authbench man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Print the page of this verb, such as `run` or `target check` [default: that of authbench]
    #[arg(value_name = "VERB")]
    verb: Vec<String>,
}

/// Prints the completions of a shell.
///
/// # Errors
/// `Io` when stdout does not take them.
pub(super) fn completions(args: &CompletionsArgs, command: Command) -> Result<()> {
    let mut command = with_arms(command);
    let (name, mut script) = (command.get_name().to_string(), Vec::new());
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    output::document(&String::from_utf8_lossy(&script))
}

/// The command with the names of the arms wherever one is asked for. The command line itself takes
/// variants (`ARM+FLAG=VALUE`) too, which no list holds.
fn with_arms(command: Command) -> Command {
    let is_arm = |arg: &&Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|name| matches!(name.as_str(), "ARM" | "A,B"))
    };
    let ids: Vec<_> = command.get_arguments().filter(is_arm).map(|a| a.get_id().clone()).collect();
    let arms = || PossibleValuesParser::new(serve::arms().iter().map(|info| info.arm));
    let command =
        ids.into_iter().fold(command, |all, id| all.mut_arg(id, |arg| arg.value_parser(arms())));
    command.mut_subcommands(with_arms)
}

/// The command without its verbs `help`, which have no page.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

/// Prints a manual page.
///
/// # Errors
/// `Config` when there is no such verb.
pub(super) fn man(args: &ManArgs, command: Command) -> Result<()> {
    let mut command = without_help(command);
    // So that every verb knows the whole command by which it is called.
    command.build();
    let mut found = command;
    for name in &args.verb {
        found = match found.find_subcommand(name) {
            Some(verb) => verb.clone(),
            None => return Err(unknown(name, &found)),
        };
    }
    let mut page = Vec::new();
    let version = concat!("authbench ", env!("CARGO_PKG_VERSION"));
    let made = Man::new(found).source(version).render(&mut page);
    made.map_err(|e| Error::Bug(format!("the page cannot be written: {e}")))?;
    output::document(&String::from_utf8_lossy(&page))
}

fn unknown(name: &str, command: &Command) -> Error {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let names: Vec<_> = verbs.map(Command::get_name).collect();
    let whole = command.get_bin_name().unwrap_or("authbench");
    if names.is_empty() {
        return Error::Config(format!(
            "expected nothing behind `{whole}`, which has no verbs, found `{name}`; leave it out"
        ));
    }
    let expected = format!("to be a verb of `{whole}` ({})", names.join(", "));
    Error::flag("VERB", expected, format!("`{name}`"))
}
