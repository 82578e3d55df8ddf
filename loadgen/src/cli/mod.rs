//! The command line: a verb a file, flags lowered to validated values before anything is started.
//! Data goes to stdout, everything else to stderr. No verb ends the process: an error travels to
//! `main.rs`, which turns it into the exit code.

mod agent;
mod attack;
mod campaign;
mod collect;
mod compare;
mod doctor;
mod output;
mod place;
mod plan;
mod report;
mod run;
mod schema;
mod schemes;
mod serve;
mod shared;
mod shell;
mod signals;
mod soak;
mod target;
mod trust;
mod watch;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::{Error, Result};

/// Measure what session-based and token-based authentication cost as users grow.
///
/// Start with `authbench campaign quick`: it starts matching servers on this machine, drives them
/// and leaves a comparison report.
#[derive(Debug, Parser)]
#[command(name = "authbench", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a campaign and write its report
    Campaign(campaign::CampaignArgs),
    /// Print what a campaign would run, how long it takes, and which effects it could find
    Plan(plan::PlanArgs),
    /// Run a load against a URL, an arm, or a target file
    Run(Box<run::RunArgs>),
    /// Run the attack suite against a server
    Attack(attack::AttackArgs),
    /// Have users come and go for a long time, and see whether the server grows
    Soak(soak::SoakArgs),
    /// Try a target file out, or draft one from what a browser recorded
    Target(target::TargetArgs),
    /// Serve one arm until stdin closes or a signal arrives
    Serve(Box<serve::ServeArgs>),
    /// Keep what several servers of an arm share, for a campaign
    #[command(hide = true)]
    Share(serve::ShareArgs),
    /// Put a store farther away, for a server
    #[command(hide = true)]
    Relay(serve::RelayArgs),
    /// Issue tokens, for a server
    #[command(hide = true)]
    Issuer(serve::IssuerArgs),
    /// Carry a share of a run that several machines carry between them
    Agent(agent::AgentArgs),
    /// Write the record of a run over agents whose coordinator died
    Collect(collect::CollectArgs),
    /// Rebuild the report of a campaign from its records
    Report(report::ReportArgs),
    /// Compare two campaigns; fail if a bound is exceeded
    Compare(compare::CompareArgs),
    /// Print the JSON Schema of report.json, of a trial's record, or of a comparison
    Schema(schema::SchemaArgs),
    /// List the arms and what each can do
    Schemes(schemes::SchemesArgs),
    /// Check whether this machine is fit to measure
    Doctor(doctor::DoctorArgs),
    /// Print completions for bash, zsh, fish, elvish or PowerShell
    Completions(shell::CompletionsArgs),
    /// Print the manual page of authbench or of a verb, for `man -l -`
    Man(shell::ManArgs),
}

/// Reads the command line.
///
/// # Errors
/// The exit code, once help, the version or what is wrong with an argument is printed.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|answer| {
        match answer.kind() {
            // These quote no argument, so they may keep clap's colours.
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => drop(answer.print()),
            _ => {
                let text = explained(&answer.render().to_string());
                output::error(text.strip_prefix("error: ").unwrap_or(&text));
            }
        }
        ExitCode::from(if answer.use_stderr() { 2 } else { 0 })
    })
}

/// What the standard library says of a value that it cannot read, and what a user is told instead.
const PLAINER: [(&str, &str); 6] = [
    ("invalid digit found in string", "expected a whole number such as `64`"),
    ("cannot parse integer from empty string", "expected a whole number such as `64`"),
    ("number too large to fit in target type", "expected a smaller whole number"),
    ("invalid float literal", "expected a number such as `0.5`"),
    ("cannot parse float from empty string", "expected a number such as `0.5`"),
    (
        "invalid socket address syntax",
        "expected an IP address and a port, such as `127.0.0.1:8080`",
    ),
];

/// The message about a value, with what is expected in its place.
fn explained(text: &str) -> String {
    PLAINER.iter().fold(text.to_string(), |text, (said, told)| {
        text.replacen(&format!("': {said}"), &format!("': {told}"), 1)
    })
}

/// Runs the verb.
///
/// # Errors
/// Whatever ended it; see [`Error`].
pub fn run(cli: Cli) -> Result<()> {
    match cli.verb {
        Verb::Campaign(args) => campaign::campaign(args),
        Verb::Plan(args) => plan::plan(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Attack(args) => attack::attack(&args),
        Verb::Soak(args) => soak::soak(&args),
        Verb::Target(args) => target::target(&args),
        Verb::Serve(args) => serve::serve(*args),
        Verb::Share(args) => serve::share(&args),
        Verb::Relay(args) => serve::relay(&args),
        Verb::Issuer(args) => serve::issuer(&args),
        Verb::Agent(args) => agent::agent(&args),
        Verb::Collect(args) => collect::collect(&args),
        Verb::Report(args) => report::report(&args),
        Verb::Compare(args) => compare::compare(&args),
        Verb::Schema(args) => schema::schema(&args),
        Verb::Schemes(args) => schemes::schemes(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Completions(args) => shell::completions(&args, Cli::command()),
        Verb::Man(args) => shell::man(&args, Cli::command()),
    }
}

/// Prints an error on stderr.
pub fn complain(error: &Error) {
    output::error(&error.to_string());
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command, CommandFactory as _};

    use super::*;

    /// Every verb and every verb below one, each with how it is called.
    fn verbs(command: &Command, path: &[String]) -> Vec<(Vec<String>, Command)> {
        let mut all = vec![(path.to_vec(), command.clone())];
        for below in command.get_subcommands() {
            let path = [path, &[below.get_name().to_string()]].concat();
            all.extend(verbs(below, &path));
        }
        all
    }

    fn command() -> Vec<(Vec<String>, Command)> {
        let all = verbs(&Cli::command(), &["authbench".into()]);
        assert!(all.len() > 15, "the verbs are no longer found");
        all
    }

    #[test]
    fn no_help_text_is_broken_by_a_marker_of_its_own() {
        let mut seen = 0;
        for (path, command) in command() {
            let texts = |arg: &Arg| [arg.get_help().cloned(), arg.get_long_help().cloned()];
            let abouts = [command.get_about().cloned(), command.get_long_about().cloned()];
            let all = command.get_arguments().flat_map(texts).chain(abouts).flatten();
            for text in all {
                // clap breaks the line here, whatever was meant.
                assert!(!text.ansi().to_string().contains("{n}"), "{path:?}: {text}");
                seen += 1;
            }
        }
        assert!(seen > 150, "only {seen} texts");
    }

    #[test]
    fn the_help_of_a_body_says_what_stands_for_the_number() {
        let run = Cli::command().find_subcommand("run").unwrap().clone();
        let help = run.clone().render_long_help().to_string();
        assert!(help.contains("`{n}` in it is the user's number"), "{help}");
    }

    /// Whatever the flag, a value that it does not take is answered with one that it does.
    #[test]
    fn a_value_that_cannot_be_read_is_told_what_is_expected() {
        let mut seen = 0;
        for (path, command) in command() {
            let takes_value =
                |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
            let flags = command.get_arguments().filter(takes_value).filter_map(Arg::get_long);
            for flag in flags.map(String::from).collect::<Vec<_>>() {
                let arguments = path.iter().cloned().chain([format!("--{flag}"), "1,?".into()]);
                let Err(answer) = Cli::command().try_get_matches_from(arguments) else { continue };
                if answer.kind() != ErrorKind::ValueValidation {
                    continue;
                }
                let text = explained(&answer.render().to_string());
                let helps = text.contains("': expected ") || text.contains("': unknown ");
                assert!(helps, "{path:?} --{flag}: {text}");
                seen += 1;
            }
        }
        assert!(seen > 30, "only {seen} flags");
    }

    #[test]
    fn addresses_and_numbers_come_with_an_example() {
        for (arguments, part) in [
            ("serve none --listen 18080", "such as `127.0.0.1:8080`"),
            ("serve none --listen localhost:18081", "'localhost:18081'"),
            ("plan quick --users 1,abc", "expected a whole number such as `64`"),
            ("run --arm none --seed abc", "expected a whole number such as `64`"),
        ] {
            let words = ["authbench"].into_iter().chain(arguments.split(' '));
            let answer = Cli::command().try_get_matches_from(words).unwrap_err();
            let text = explained(&answer.render().to_string());
            assert!(text.contains(part), "{arguments}: {text}");
        }
    }
}
