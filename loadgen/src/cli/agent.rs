//! `authbench agent`: one of several processes that carry a load between them.

use std::io::BufRead as _;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::shared::refuse_debug_build;
use super::signals;
use crate::agents::{self, AgentOptions};
use crate::error::{Error, Result};
use crate::units::Span;

/// What an agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    /// It sends a share of the load
    Load,
}

/// Flags of `authbench agent`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["index", "index_from"])))]
pub(super) struct AgentArgs {
    /// Reach the coordinator through this engine, `nats://HOST:PORT`; `-` reads the URL from stdin
    ///
    /// A command line can be read by every user of a machine: where the URL holds a password, give
    /// `-` and write the URL to standard input.
    #[arg(long, value_name = "URL")]
    engine: String,
    /// Belong to the run of this name
    #[arg(long, value_name = "ID")]
    run: String,
    /// Do this in it
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Role,
    /// Be the agent with this index, from 0
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// Read the index from this environment variable, such as JOB_COMPLETION_INDEX
    #[arg(long, value_name = "VAR")]
    index_from: Option<String>,
    /// Allow loads on this host and port, and on no other; may be repeated
    #[arg(long, value_name = "HOST:PORT", required = true)]
    allow_target: Vec<String>,
    /// Run this many generator threads
    #[arg(long, value_name = "N", default_value_t = 1, env = "AUTHBENCH_WORKERS",
          value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Wait this long for the coordinator
    #[arg(long, value_name = "SPAN", default_value = "2m")]
    join: Span,
    /// Keep this agent's share in this folder, in addition to the engine
    #[arg(long, value_name = "DIR", default_value = ".")]
    keep: PathBuf,
    /// Keep no share: the engine that has it is gone as soon as its coordinator is
    #[arg(long, hide = true, conflicts_with = "keep")]
    keep_nothing: bool,
    /// Allow a debug build, whose figures mean nothing
    #[arg(long, hide = true)]
    allow_debug: bool,
}

/// Carries a share of a run, and returns when it is in the record.
///
/// # Errors
/// Those of [`agents::carry`], and `Config` for an index that is no number.
pub(super) fn agent(args: &AgentArgs) -> Result<()> {
    refuse_debug_build(args.allow_debug, "agent")?;
    let Role::Load = args.role;
    agents::check_run(&args.run)?;
    let options = AgentOptions {
        engine: engine_url(&args.engine)?,
        run: args.run.clone(),
        index: args.index()?,
        workers: args.workers,
        cores: Vec::new(),
        allowed: args.allow_target.clone(),
        join: args.join.duration(),
        keep: (!args.keep_nothing).then(|| args.keep.clone()),
    };
    let interrupt = signals::listen()?;
    agents::carry(&options, &interrupt)
}

impl AgentArgs {
    fn index(&self) -> Result<u32> {
        let Some(variable) = &self.index_from else { return Ok(self.index.unwrap_or_default()) };
        let found = std::env::var(variable).unwrap_or_default();
        found.trim().parse().map_err(|_| {
            Error::Config(format!(
                "expected the index of this agent, from 0, in the environment variable \
                 {variable}, found `{found}`"
            ))
        })
    }
}

/// The URL of an engine that a flag gives, or a line of standard input.
///
/// # Errors
/// `Config` when standard input has none.
pub(super) fn engine_url(flag: &str) -> Result<String> {
    if flag != "-" {
        return Ok(flag.into());
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    match read {
        Ok(bytes) if bytes > 0 => Ok(line.trim().into()),
        _ => Err(Error::Config(
            "expected the URL of the engine on standard input, because of --engine -, found nothing"
                .into(),
        )),
    }
}
