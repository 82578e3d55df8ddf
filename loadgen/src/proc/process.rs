//! A child of this executable: it says one line once it is ready, and dies with us.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use servers::contract::STORE_URL_VARIABLE;

use crate::error::{Error, Result};

const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Lines of the child's standard error that are kept for a message.
const TAIL: usize = 10;

/// A running child.
///
/// It lives until its standard input closes, so even a killed parent leaves no orphan. [`Process`]
/// stops it when it is dropped, and keeps the last lines of what it complained of, which best
/// explain an unexpected end.
pub(super) struct Process {
    /// What messages call it.
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts `authbench` with these arguments, tells it a line on its standard input where there
    /// is one to tell, and waits, for so long, until it has said a line that `read` understands;
    /// what was read. What is secret goes through these lines and is in no message.
    ///
    /// # Errors
    /// `Config` when it refuses its options, `Target` when it does not become ready.
    pub(super) fn start<T>(
        name: String,
        arguments: &[String],
        told: Option<&str>,
        within: Duration,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<(Self, T)> {
        let program = std::env::current_exe()
            .map_err(|e| Error::Bug(format!("the path of this executable is unknown: {e}")))?;
        let mut command = Command::new(program);
        command.args(arguments);
        // A group of its own: Ctrl-C is for us, and we stop the child when our figures are safe.
        command.process_group(0);
        command.env_remove(STORE_URL_VARIABLE);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|e| Error::Target(format!("{name} cannot be started: {e}")))?;
        let mut stdin = child.stdin.take();
        if let (Some(stdin), Some(line)) = (&mut stdin, told) {
            // Where it has ended already, its first line does not come, and that is told.
            let _ = writeln!(stdin, "{line}");
        }
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let (line, first_line) = mpsc::channel();
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            thread::spawn(move || {
                let mut lines = BufReader::new(out).lines();
                let _ = line.send(lines.next().and_then(std::io::Result::ok));
                // Read on, so that the child never waits for room in the pipe.
                lines.for_each(drop);
            });
            let tail = Arc::clone(&stderr);
            thread::spawn(move || keep_tail(BufReader::new(err), &tail));
        }
        let mut starting =
            Starting { name: name.clone(), child: Some(child), stderr: Arc::clone(&stderr) };
        let text = match first_line.recv_timeout(within) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(starting.failed("it ended before it was ready")),
            Err(_) => {
                let why = format!("it was not ready within {} s", within.as_secs());
                return Err(starting.failed(&why));
            }
        };
        let said = read(&text).map_err(|why| starting.failed(&why))?;
        let child = starting.child.take().ok_or_else(|| Error::Bug("no child".into()))?;
        Ok((Self { name, child, stdin, stderr }, said))
    }

    /// What messages call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has ended by itself; its obituary can still be had.
    pub(super) fn has_ended(&self) -> bool {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let pid = Pid::from_child(&self.child);
        waitid(WaitId::Pid(pid), options).ok().flatten().is_some()
    }

    /// How it ended, when it has ended by itself.
    pub(super) fn obituary(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(obituary(&self.name, status, &self.stderr))
    }

    /// Ends it as a crash would: nothing is drained, nothing closed in order.
    pub(super) fn kill(mut self) {
        // One that has ended already is what was asked for.
        let _ = self.child.kill();
        let _ = self.child.wait();
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

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A child that is not ready yet, and is killed unless it becomes so.
struct Starting {
    name: String,
    child: Option<Child>,
    stderr: Arc<Mutex<VecDeque<String>>>,
}

impl Starting {
    fn failed(&mut self, why: &str) -> Error {
        let Some(mut child) = self.child.take() else { return Error::Bug(why.into()) };
        // What the child still has to say comes before its end.
        thread::sleep(Duration::from_millis(50));
        let _ = child.kill();
        let status = child.wait().ok();
        let tail = tail_of(&self.stderr);
        let message = format!("{} did not start: {why}{tail}", self.name);
        // The child uses the same exit codes: 2 says that the options are at fault, not the server.
        match status.and_then(|status| status.code()) {
            Some(2) => Error::Config(message),
            _ => Error::Target(message),
        }
    }
}

impl Drop for Starting {
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

fn obituary(name: &str, status: ExitStatus, stderr: &Mutex<VecDeque<String>>) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".into(),
    };
    format!("{name} {how}{}", tail_of(stderr))
}
