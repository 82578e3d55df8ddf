//! One server of a deployment: a child that is told the secrets of all, and goes with its starter.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::contract::{CONTRACT_VERSION, ReadyLine, STORE_URL_VARIABLE, Secrets};
use crate::error::ServeError;

/// How long one may take to stop before it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// A server that was started.
///
/// It lives until its standard input closes, so it ends with its starter, however that ends. Its
/// complaints go where those of its starter go.
#[derive(Debug)]
pub(super) struct Member {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Member {
    /// Starts `authbench serve ARM` with these arguments, and tells it the secrets.
    pub(super) fn start(
        program: &Path,
        arm: &str,
        arguments: &[String],
        secrets: &Secrets,
    ) -> Result<Self, ServeError> {
        let refused = |found: String| ServeError::Member { found };
        let line = serde_json::to_string(secrets).map_err(|error| refused(error.to_string()))?;
        let listeners = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut command = Command::new(program);
        command.args(["serve", arm]).args(listeners).args(arguments).arg("--secrets-from-stdin");
        // A group of its own: Ctrl-C on a terminal is for its starter, which stops it in order.
        command.env_remove(STORE_URL_VARIABLE).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().map_err(|error| refused(error.to_string()))?;
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            // Where it has ended already, its line does not come, and that is told.
            drop(writeln!(stdin, "{line}"));
        }
        Ok(Self { child, stdin })
    }

    /// Waits until it is ready; what it says.
    pub(super) fn ready(&mut self) -> Result<ReadyLine, ServeError> {
        let mut text = String::new();
        let read = self.child.stdout.take().map(|out| BufReader::new(out).read_line(&mut text));
        let line: Option<ReadyLine> = serde_json::from_str(&text).ok();
        match (read, line.filter(|line| line.authbench == CONTRACT_VERSION)) {
            (Some(Ok(_)), Some(line)) => Ok(line),
            _ => Err(ServeError::Member { found: self.end() }),
        }
    }

    /// How it ended; it is ended where it has not.
    fn end(&mut self) -> String {
        drop(self.stdin.take());
        self.stop();
        match self.child.try_wait() {
            Ok(Some(status)) => format!("one that ended with {status}; it says why above"),
            _ => "one that is neither ready nor ends".into(),
        }
    }

    fn stop(&mut self) {
        let deadline = Instant::now() + STOP_TIME_MAX;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Tells it to stop, and does not wait for it: several stop at the same time.
    pub(super) fn tell_to_stop(&mut self) {
        drop(self.stdin.take());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.tell_to_stop();
        self.stop();
    }
}
