//! A run over agents: its flags, and how it is carried out.

use clap::Args;

use super::super::agent::engine_url;
use super::super::serve::OwnEngine;
use super::super::{output, signals};
use crate::agents::{self, Local, Orders, Outcome, Run};
use crate::engine::Among;
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::proc;
use crate::units::Span;

/// Flags of a run that several processes carry.
#[derive(Debug, Args)]
pub(super) struct FleetArgs {
    /// Have this many agents carry the load; without --engine they run on this machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000),
          conflicts_with_all = ["arm", "http2", "ca", "insecure", "connect_to", "unix_socket",
                                "client_cert"])]
    pub(super) agents: Option<u32>,
    /// Reach agents through this engine, `nats://HOST:PORT`; `-` reads the URL from stdin
    #[arg(long, value_name = "URL", requires = "agents")]
    engine: Option<String>,
    /// Give the run this name, which its agents are started with [default: a random one]
    #[arg(long, value_name = "ID", requires = "agents")]
    run: Option<String>,
    /// Wait this long for all agents
    #[arg(long, value_name = "SPAN", default_value = "2m", requires = "agents")]
    join: Span,
    /// Stop the load when contact is lost for longer than this
    #[arg(long, value_name = "SPAN", default_value = "10s", requires = "agents")]
    lease: Span,
}

/// A lease is at least so long: beats come once per second.
const LEASE_LEAST: Span = Span::from_millis(4000);

impl FleetArgs {
    /// Carries out a load on so many agents, each with so many workers where they are started here.
    ///
    /// # Errors
    /// Those of [`agents::coordinate`], and `Config` for flags that make no sense.
    pub(super) fn carry_out(
        &self,
        agents: u32,
        workers: u32,
        orders: &Orders,
        script: &Script,
    ) -> Result<(Outcome, Interrupt)> {
        if self.lease < LEASE_LEAST {
            return Err(Error::flag("--lease", format!("of at least {LEASE_LEAST}"), self.lease));
        }
        let name = self.run.clone().unwrap_or_else(agents::some_name);
        agents::check_run(&name)?;
        orders.check()?;
        let (join, lease) = (self.join.duration(), self.lease.duration());
        let run = Run { name, agents, join, lease };
        let interrupt = signals::listen()?;
        let outcome = match &self.engine {
            Some(engine) => {
                let mut tell = |text: &str| output::note(text);
                agents::coordinate(&run, &engine_url(engine)?, orders, &interrupt, &mut tell)
            }
            None => on_this_machine(&run, workers, orders, script, &interrupt),
        };
        Ok((outcome?, interrupt))
    }
}

/// The same with an engine and agents that are started for it.
fn on_this_machine(
    run: &Run,
    workers: u32,
    orders: &Orders,
    script: &Script,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let all = run.agents * workers;
    Among::check(all, &orders.plan)?;
    let own_cores = proc::usable_cores().len() > all as usize;
    let orders = Orders { pacing: orders.pacing.resolved(own_cores), ..orders.clone() };
    // Agents are started after it and so end before it.
    let engine = OwnEngine::start()?;
    let mut local = Local::new(engine.url(), engine.folder());
    local.start_agents(&run.name, run.agents, workers, &agents::place_of(script))?;
    let mut tell = |text: &str| output::note(text);
    agents::coordinate(run, engine.url(), &orders, interrupt, &mut tell)
}
