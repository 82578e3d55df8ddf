//! A run over agents: its flags, and how it is carried out.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::super::agent::engine_url;
use super::super::serve::OwnEngine;
use super::super::{output, signals};
use crate::agents::{self, Crew, Orders, Outcome, Run, Ssh};
use crate::engine::Among;
use crate::error::{Error, Interrupt, Result};
use crate::journey::Script;
use crate::proc;
use crate::sanitise::{NAME, fit};
use crate::units::Span;

/// Flags of a run that several processes carry.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("carriers").args(["agents", "hosts"]).conflicts_with_all(
    ["arm", "http2", "ca", "insecure", "connect_to", "unix_socket", "client_cert"])))]
pub(super) struct FleetArgs {
    /// Have this many agents carry the load; without --engine they run on this machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    agents: Option<u32>,
    /// Have an agent on each of these hosts carry the load, started by ssh: `g1,g2,g3`
    ///
    /// Host keys and logins are those of your ssh; nobody is asked for a password. Agents reach the
    /// coordinator through tunnels of ssh, from a port of each host's loopback address.
    #[arg(long, value_name = "HOST,HOST", value_delimiter = ',')]
    hosts: Vec<String>,
    /// Have ssh read this configuration instead of yours, for --hosts
    #[arg(long, value_name = "FILE", requires = "hosts")]
    ssh_config: Option<PathBuf>,
    /// Start this program on --hosts, by its path or as the PATH there has it
    #[arg(long, value_name = "PATH", default_value = "authbench", requires = "hosts")]
    remote_program: String,
    /// Reach agents through this engine, `nats://HOST:PORT`; `-` reads the URL from stdin
    #[arg(long, value_name = "URL", requires = "agents")]
    engine: Option<String>,
    /// Give the run this name, which its agents are started with [default: a random one]
    #[arg(long, value_name = "ID", requires = "carriers")]
    run: Option<String>,
    /// Wait this long for all agents
    #[arg(long, value_name = "SPAN", default_value = "2m", requires = "carriers")]
    join: Span,
    /// Stop the load when contact is lost for longer than this
    #[arg(long, value_name = "SPAN", default_value = "10s", requires = "carriers")]
    lease: Span,
}

/// A lease is at least so long: beats come once per second.
const LEASE_LEAST: Span = Span::from_millis(4000);

impl FleetArgs {
    /// How many agents carry the load; `None` where this process does.
    pub(super) fn agents(&self) -> Option<u32> {
        self.agents.or_else(|| (!self.hosts.is_empty()).then_some(self.hosts.len() as u32))
    }

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
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-@:".contains(c);
        let is_host =
            |host: &&String| !host.is_empty() && !host.starts_with('-') && host.chars().all(fits);
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            let found = format!("`{}`", fit(host, NAME));
            return Err(Error::flag("--hosts", "of names as ssh knows them", found));
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
                agents::coordinate(&run, &engine_url(engine)?, orders, &interrupt, None, &mut tell)
            }
            None => self.with_own_agents(&run, workers, orders, script, &interrupt),
        };
        Ok((outcome?, interrupt))
    }

    /// The same with an engine and agents that are started for it.
    fn with_own_agents(
        &self,
        run: &Run,
        workers: u32,
        orders: &Orders,
        script: &Script,
        interrupt: &Interrupt,
    ) -> Result<Outcome> {
        let all = run.agents * workers;
        Among::check(all, &orders.plan)?;
        // Agents are started after it and so end before it.
        let engine = OwnEngine::start()?;
        let place = agents::place_of(script);
        let crew = Crew { engine: engine.url(), run: &run.name, workers, place: &place };
        let mut orders = orders.clone();
        let mut launched = if self.hosts.is_empty() {
            let own_cores = proc::usable_cores().len() > all as usize;
            orders.pacing = orders.pacing.resolved(own_cores);
            crew.start_here(run.agents)?
        } else {
            crew.start_by_ssh(&Ssh {
                hosts: self.hosts.clone(),
                config: self.ssh_config.clone(),
                program: self.remote_program.clone(),
            })?
        };
        let mut tell = |text: &str| output::note(text);
        let launched = Some(&mut launched);
        agents::coordinate(run, engine.url(), &orders, interrupt, launched, &mut tell)
    }
}
