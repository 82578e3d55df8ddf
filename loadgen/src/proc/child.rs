//! A server under test: a child of this executable that says when it is ready and dies with us.
//!
//! The child prints one ready line and serves until its standard input closes, so even a killed
//! parent leaves no orphan. [`Server`] stops it when it is dropped.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use servers::contract::{AdminStats, CONTRACT_VERSION, ReadyLine};

use crate::error::{Error, Result};

const READY_WITHIN: Duration = Duration::from_secs(10);
const STOP_WITHIN: Duration = Duration::from_secs(5);
const ADMIN_WITHIN: Duration = Duration::from_secs(5);
/// Lines of the child's standard error that are kept for a message.
const TAIL: usize = 10;

/// What a server is started with, beside its arm.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Cores it may use; empty: all.
    pub cores: Vec<usize>,
    /// Further arguments of `authbench serve`.
    pub arguments: Vec<String>,
}

/// A running server.
pub struct Server {
    arm: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: Arc<Mutex<VecDeque<String>>>,
    ready: ReadyLine,
    admin: Admin,
}

impl Server {
    /// Starts a server of this arm and waits until it is ready.
    ///
    /// # Errors
    /// `Config` when it refuses its options, `Target` when it does not become ready.
    pub fn start(arm: &str, options: &ServerOptions) -> Result<Self> {
        let program = std::env::current_exe()
            .map_err(|e| Error::Bug(format!("the path of this executable is unknown: {e}")))?;
        let mut command = Command::new(program);
        command.args(["serve", arm, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        if !options.cores.is_empty() {
            let cores: Vec<_> = options.cores.iter().map(ToString::to_string).collect();
            command.args(["--cores", &cores.join(",")]);
        }
        command.args(&options.arguments);
        // A group of its own: Ctrl-C is for us, and we stop the server when its figures are safe.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|e| Error::Target(format!("the server `{arm}` cannot be started: {e}")))?;
        let stdin = child.stdin.take();
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let (line, first_line) = mpsc::channel();
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            thread::spawn(move || {
                let mut lines = BufReader::new(out).lines();
                let _ = line.send(lines.next().and_then(std::io::Result::ok));
                // Read on, so that the server never waits for room in the pipe.
                lines.for_each(drop);
            });
            let tail = Arc::clone(&stderr);
            thread::spawn(move || keep_tail(BufReader::new(err), &tail));
        }
        let mut starting = Starting { arm, child: Some(child), stderr: Arc::clone(&stderr) };
        let text = match first_line.recv_timeout(READY_WITHIN) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(starting.failed("it ended before it was ready")),
            Err(_) => return Err(starting.failed("it was not ready within 10 s")),
        };
        let ready: ReadyLine = serde_json::from_str(&text)
            .map_err(|e| starting.failed(&format!("its ready line `{text}` is none: {e}")))?;
        if ready.authbench != CONTRACT_VERSION {
            return Err(starting.failed("it speaks another version of the contract"));
        }
        let admin = Admin::new(&ready)?;
        let child = starting.child.take().ok_or_else(|| Error::Bug("no child".into()))?;
        Ok(Self { arm: arm.into(), child, stdin, stderr, ready, admin })
    }

    /// What it said when it was ready.
    pub const fn ready(&self) -> &ReadyLine {
        &self.ready
    }

    /// What it tells about its inside.
    ///
    /// # Errors
    /// `Target` when its admin listener does not answer.
    pub fn stats(&self) -> Result<AdminStats> {
        self.admin.stats().map_err(|e| {
            Error::Target(format!("the admin listener of `{}` does not answer: {e}", self.arm))
        })
    }

    /// Whether it has ended by itself; its obituary can still be had.
    pub fn has_ended(&self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let pid = Pid::from_child(&self.child);
        waitid(WaitId::Pid(pid), options).ok().flatten().is_some()
    }

    /// How it ended, when it has ended by itself.
    pub fn obituary(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(obituary(&self.arm, status, &self.stderr))
    }

    /// Asks it to stop and waits until it has.
    fn stop(&mut self) {
        drop(self.stdin.take());
        let deadline = Instant::now() + STOP_WITHIN;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        // It did not stop when asked; nothing is to be measured on it any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A child that is not ready yet, and is killed unless it becomes so.
struct Starting<'a> {
    arm: &'a str,
    child: Option<Child>,
    stderr: Arc<Mutex<VecDeque<String>>>,
}

impl Starting<'_> {
    fn failed(&mut self, why: &str) -> Error {
        let Some(mut child) = self.child.take() else { return Error::Bug(why.into()) };
        // What the child still has to say comes before its end.
        thread::sleep(Duration::from_millis(50));
        let _ = child.kill();
        let status = child.wait().ok();
        let tail = tail_of(&self.stderr);
        let message = format!("the server `{}` did not start: {why}{tail}", self.arm);
        // The child uses the same exit codes: 2 says that the options are at fault, not the server.
        match status.and_then(|status| status.code()) {
            Some(2) => Error::Config(message),
            _ => Error::Target(message),
        }
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn keep_tail(reader: impl std::io::BufRead, tail: &Mutex<VecDeque<String>>) {
    for line in reader.lines().map_while(std::io::Result::ok) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
}

fn tail_of(stderr: &Mutex<VecDeque<String>>) -> String {
    let lines = stderr.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    format!("; it said:\n  {}", lines.join("\n  "))
}

fn obituary(arm: &str, status: ExitStatus, stderr: &Mutex<VecDeque<String>>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".into(),
    };
    format!("the server `{arm}` {how}{}", tail_of(stderr))
}

/// A client for the admin listener.
struct Admin {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
}

impl Admin {
    fn new(ready: &ReadyLine) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Error::Config(format!("no event queue for the admin client: {e}")))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(ADMIN_WITHIN)
            // Plain HTTP to ourselves: reading the system's roots would be work for nothing.
            .tls_certs_only([])
            .build()
            .map_err(|e| Error::Bug(format!("no admin client: {e}")))?;
        Ok(Self { runtime, client, url: format!("http://{}/stats", ready.admin) })
    }

    fn stats(&self) -> reqwest::Result<AdminStats> {
        self.runtime.block_on(async {
            self.client.get(&self.url).send().await?.error_for_status()?.json().await
        })
    }
}
