//! Agents that are started for a run, on this machine or by ssh on others: they end with us.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::plan::sha256_hex;
use crate::sanitise::{NAME, REMARK, fit};

/// How long agents have to end by themselves.
const END_WITHIN: Duration = Duration::from_secs(5);
/// How much of what ssh and an agent say is read for a message, in bytes.
const SAID_MAX: u64 = 16 << 10;
/// The ports of other hosts through which their agents reach the engine: first, and how many.
const PORTS: (u16, u16) = (20_000, 40_000);

/// Nobody is there to be asked for a password; an agent without its tunnel would wait for nothing;
/// and a connection that several share would stay, and with it what we read to its end.
const SSH_OPTIONS: [&str; 4] =
    ["BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=5", "ControlPath=none"];

/// What the agents of a run are started with.
#[derive(Clone, Copy, Debug)]
pub struct Crew<'a> {
    /// URL of the engine, which listens on loopback.
    pub engine: &'a str,
    /// Name of the run.
    pub run: &'a str,
    /// Threads of each agent.
    pub workers: u32,
    /// The host and port that they may load.
    pub place: &'a str,
}

/// How other hosts are reached.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The hosts, as ssh knows them.
    pub hosts: Vec<String>,
    /// Its configuration; `None` for the user's own.
    pub config: Option<PathBuf>,
    /// The program on them.
    pub program: String,
}

/// Agents of one run, which end when this is dropped.
pub struct Launched(Vec<Started>);

struct Started {
    name: String,
    child: Child,
    /// What it says on standard error, once that ends.
    said: Option<JoinHandle<String>>,
}

impl Crew<'_> {
    /// What an agent is started with, after the program.
    fn arguments(&self, index: usize) -> Vec<String> {
        let (index, workers) = (index.to_string(), self.workers.to_string());
        let flags = ["agent", "--engine", "-", "--role", "load", "--run", self.run];
        let own = ["--index", &index, "--workers", &workers, "--allow-target", self.place];
        // Their engine ends with us, and nobody could collect what they keep.
        let own = [&own[..], &["--keep-nothing"]].concat();
        let debug = cfg!(debug_assertions).then_some("--allow-debug");
        flags.into_iter().chain(own).chain(debug).map(str::to_owned).collect()
    }

    /// Starts so many on this machine.
    ///
    /// # Errors
    /// `Bug` when this program cannot be started again.
    pub fn start_here(&self, agents: u32) -> Result<Launched> {
        let fail = |e: std::io::Error| Error::Bug(format!("an agent cannot be started: {e}"));
        let program = std::env::current_exe().map_err(fail)?;
        let mut launched = Launched(Vec::new());
        for index in 0..agents as usize {
            let mut command = Command::new(&program);
            command.args(self.arguments(index));
            let name = format!("agent {index}");
            launched.0.push(Started::new(name, &mut command, self.engine).map_err(fail)?);
        }
        Ok(launched)
    }

    /// Starts one on each host. A tunnel of ssh leads it to the engine, which nobody can reach from
    /// the network, and the engine's URL goes through standard input.
    ///
    /// # Errors
    /// `Config` when ssh is not installed.
    pub fn start_by_ssh(&self, ssh: &Ssh) -> Result<Launched> {
        let fail = |e: std::io::Error| {
            Error::Config(format!("expected ssh to start agents, found none ({e}); install it"))
        };
        let bug = || Error::Bug("the engine's URL has no port".into());
        let (engine, port) = self.engine.rsplit_once(':').ok_or_else(bug)?;
        let mut launched = Launched(Vec::new());
        for (index, host) in ssh.hosts.iter().enumerate() {
            let own = remote_port(self.run, index);
            let mut command = Command::new("ssh");
            if let Some(file) = &ssh.config {
                command.arg("-F").arg(file);
            }
            for option in SSH_OPTIONS {
                command.args(["-o", option]);
            }
            command.args(["-T", "-R", &format!("127.0.0.1:{own}:127.0.0.1:{port}"), "--", host]);
            let words = std::iter::once(ssh.program.clone()).chain(self.arguments(index));
            command.arg(words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" "));
            let name = format!("agent {index} ({})", fit(host, NAME));
            let engine = format!("{engine}:{own}");
            launched.0.push(Started::new(name, &mut command, &engine).map_err(fail)?);
        }
        Ok(launched)
    }
}

/// Another one per run and agent: two runs may share a host, and two names may be one host.
fn remote_port(run: &str, index: usize) -> u16 {
    let hash = sha256_hex(format!("{run} {index}").as_bytes());
    let number = u32::from_str_radix(&hash[..8], 16).unwrap_or_default();
    PORTS.0 + (number % u32::from(PORTS.1)) as u16
}

/// A word as a shell of another host reads it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Started {
    fn new(name: String, command: &mut Command, engine: &str) -> std::io::Result<Self> {
        // A group of its own: Ctrl-C is for us, and agents are told.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that has ended already is missed when agents are counted.
            let _ = writeln!(stdin, "{engine}");
        }
        let said = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut said = Vec::new();
                let _ = (&mut stderr).take(SAID_MAX).read_to_end(&mut said);
                // What is more is read, so that nobody waits for a full pipe.
                let _ = std::io::copy(&mut stderr, &mut std::io::sink());
                String::from_utf8_lossy(&said).into_owned()
            })
        });
        Ok(Self { name, child, said })
    }
}

impl Launched {
    /// A clause on an agent that has ended; `None` as long as all run.
    pub fn gone(&mut self) -> Option<String> {
        let has_ended = |started: &mut Started| started.child.try_wait().ok().flatten().is_some();
        let gone = self.0.iter_mut().find_map(|started| has_ended(started).then_some(started))?;
        let said = gone.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        let last = said.lines().rev().find(|line| !line.trim().is_empty());
        let last = last.map_or_else(|| "it said nothing".into(), |line| fit(line, REMARK));
        Some(format!("{} ended before the load: {last}", gone.name))
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_WITHIN;
        for started in &mut self.0 {
            let agent = &mut started.child;
            while matches!(agent.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            // One that has ended already is what was asked for.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_for_a_shell_of_another_host() {
        for word in ["plain", "[::1]:80", "a b", "it's; rm -rf $HOME `x` \"y\""] {
            let script = format!("printf %s {}", quoted(word));
            let said = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&said.stdout), word);
        }
    }

    #[test]
    fn agents_of_a_run_have_ports_of_their_own() {
        let ports: std::collections::BTreeSet<u16> =
            (0..20).map(|index| remote_port("spring", index)).collect();
        assert_eq!(ports.len(), 20);
        assert!(ports.iter().all(|port| (20_000..60_000).contains(port)), "{ports:?}");
    }
}
