//! Agents of our own on this machine, to try out what needs several: they end with us.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How long agents have to end by themselves.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Agents of one engine, which end when this is dropped.
pub struct Local {
    engine: String,
    shares: PathBuf,
    agents: Vec<Child>,
}

impl Local {
    /// None yet; those to come find this engine and keep their shares in this folder.
    pub fn new(engine: &str, shares: PathBuf) -> Self {
        Self { engine: engine.into(), shares, agents: Vec::new() }
    }

    /// Starts so many agents of this run, which may load this host and port.
    ///
    /// # Errors
    /// `Bug` when this program cannot be started again.
    pub fn start_agents(
        &mut self,
        run: &str,
        agents: u32,
        workers: u32,
        place: &str,
    ) -> Result<()> {
        let fail = |e: std::io::Error| Error::Bug(format!("an agent cannot be started: {e}"));
        let program = std::env::current_exe().map_err(fail)?;
        for index in 0..agents {
            let mut command = Command::new(&program);
            command.args(["agent", "--engine", "-", "--run", run, "--role", "load"]);
            command.args(["--index", &index.to_string(), "--workers", &workers.to_string()]);
            command.args(["--allow-target", place, "--allow-debug", "--keep"]);
            command.arg(&self.shares);
            // A group of its own: Ctrl-C is for us, and agents are told.
            command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
            command.stderr(Stdio::null());
            let mut child = command.spawn().map_err(fail)?;
            if let Some(mut stdin) = child.stdin.take() {
                // One that has ended already is missed when agents are counted.
                let _ = writeln!(stdin, "{}", self.engine);
            }
            self.agents.push(child);
        }
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_WITHIN;
        for agent in &mut self.agents {
            while matches!(agent.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            // One that has ended already is what was asked for.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}
