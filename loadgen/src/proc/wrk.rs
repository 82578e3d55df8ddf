//! wrk, the load generator that others use, as a second opinion about a server's throughput.

use std::io;
use std::process::{Command, Stdio};
use std::thread;

use super::placement::pin;
use crate::error::{Error, Result};

/// The wrk of this machine.
#[derive(Clone, Debug)]
pub struct Wrk {
    /// How it names itself: `wrk 4.1.0`.
    pub version: String,
}

/// One closed load: every connection sends the next request after the answer.
#[derive(Clone, Copy, Debug)]
pub struct WrkLoad<'a> {
    /// What is asked for, by `GET`.
    pub url: &'a str,
    /// Header fields of every request.
    pub fields: &'a [(String, String)],
    /// Connections, and no fewer than there are threads.
    pub connections: u32,
    /// Length, s.
    pub seconds: u32,
    /// Cores of wrk, which has a thread for each; empty: one thread, anywhere.
    pub cores: &'a [usize],
}

impl Wrk {
    /// Looks for it; `None` where it is not installed.
    pub fn find() -> Option<Self> {
        let output = Command::new("wrk").arg("-v").stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Some(Self { version })
    }

    /// Runs a load and gives the right answers per second.
    ///
    /// # Errors
    /// `Config` when it does not run, `Target` when a request of it failed.
    pub fn run(&self, load: &WrkLoad<'_>) -> Result<f64> {
        let mut command = Command::new("wrk");
        command.args(["-t", &load.cores.len().max(1).to_string()]);
        command.args(["-c", &load.connections.to_string(), "-d", &load.seconds.to_string()]);
        for (name, value) in load.fields {
            command.args(["-H", &format!("{name}: {value}")]);
        }
        command.arg(load.url).stdin(Stdio::null());
        // A child stays where the thread was that started it.
        let on_its_cores = || {
            pin(load.cores);
            command.output()
        };
        let output: io::Result<_> = thread::scope(|scope| {
            let started = scope.spawn(on_its_cores).join();
            started.unwrap_or_else(|_| Err(io::Error::other("its thread has panicked")))
        });
        let output = output.map_err(|e| Error::Config(format!("wrk does not run: {e}")))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match requests_per_second(&text) {
            Ok(rps) if output.status.success() => Ok(rps),
            Ok(_) => Err(Error::Config(format!("wrk ended with {}", output.status))),
            Err(what) => Err(Error::Target(format!("wrk against {}: {what}", load.url))),
        }
    }
}

/// What wrk printed, read: `Requests/sec:  12345.67`, and no line about failures.
fn requests_per_second(text: &str) -> Result<f64, &'static str> {
    let line = |prefix| text.lines().find_map(|line: &str| line.trim().strip_prefix(prefix));
    if line("Non-2xx or 3xx responses:").is_some() {
        return Err("expected every answer to be a 2xx, found others");
    }
    if line("Socket errors:").is_some() {
        return Err("expected every request to be answered, found errors of sockets");
    }
    let rps = line("Requests/sec:").and_then(|rest| rest.trim().parse::<f64>().ok());
    rps.filter(|rps| *rps > 0.0).ok_or("expected `Requests/sec:` with a number, found none")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "Running 2s test @ http://127.0.0.1:1/me\n\
        \x20 1 threads and 64 connections\n\
        \x20 Thread Stats   Avg      Stdev     Max   +/- Stdev\n\
        \x20   Latency   720.10us  120.00us   5.00ms   90.00%\n\
        \x20 170000 requests in 2.00s, 30.00MB read\nRequests/sec:  84999.50\n";

    #[test]
    fn its_figure_is_read_and_a_failure_is_never_passed_over() {
        assert_eq!(requests_per_second(PRINTED), Ok(84_999.5));
        for line in [
            "Non-2xx or 3xx responses: 5",
            "  Socket errors: connect 0, read 3, write 0, timeout 0",
        ] {
            assert!(requests_per_second(&format!("{line}\n{PRINTED}")).is_err(), "{line}");
        }
        assert!(
            requests_per_second("unable to connect to 127.0.0.1:1 Connection refused\n").is_err()
        );
        assert!(requests_per_second("Requests/sec:      0.00\n").is_err());
    }
}
