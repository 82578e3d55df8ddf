//! A server under test: a child of this executable that says when it is ready and dies with us.
//! What its ready line says is all that is known of it, and its admin listener tells what cannot be
//! seen from outside. [`Server`] stops it when it is dropped.

use std::time::{Duration, Instant};

use reqwest::Response;
use rustix::process::{Pid, Signal, kill_process};
use servers::contract::{
    AdminStats, CONTRACT_VERSION, FAULT_MARK, POPULATE_PATH, Population, ReadyLine, Secrets,
};
use tokio::time::timeout;

use super::process::Process;
use super::usage::cpu_and_wait_of_all_ns;
use crate::error::{Error, Interrupt, Result};
use crate::plan::Variant;
use crate::sanitise::{NAME, REMARK, fit};

const READY_WITHIN: Duration = Duration::from_secs(10);
const ADMIN_WITHIN: Duration = Duration::from_secs(5);
/// How long it may take to log users in: ten million in a store on a disk.
const POPULATE_WITHIN: Duration = Duration::from_secs(3600);
/// How long no credential may come while it logs users in: longer than a server gives a store for a
/// batch of them.
const POPULATE_SILENCE: Duration = Duration::from_secs(90);
/// How often it is looked for an interrupt meanwhile.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);
/// Bytes of the longest credential, with room to spare: a server takes a head of 16 KiB.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Bytes that its answer may have; it has a few hundred.
const STATS_BYTES_MAX: usize = 64 << 10;

/// What a server is started with in addition to its arm.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Cores it may use; empty: all.
    pub cores: Vec<usize>,
    /// Further arguments of `authbench serve`.
    pub arguments: Vec<String>,
    /// The key and the store that it is given; without them it makes its own.
    pub secrets: Secrets,
}

/// A running server.
pub struct Server {
    process: Process,
    ready: ReadyLine,
    admin: Admin,
}

impl Server {
    /// Starts a server of this arm, or of a variant of one, and waits until it is ready.
    ///
    /// # Errors
    /// `Config` when it refuses its options, `Target` when it does not become ready.
    pub fn start(arm: &str, options: &ServerOptions) -> Result<Self> {
        let variant = Variant::of(arm);
        let listeners = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let mut arguments = ["serve", variant.arm].map(String::from).to_vec();
        arguments.extend(listeners.map(String::from));
        arguments.extend(on_cores(&options.cores));
        arguments.extend(variant.arguments(&options.arguments));
        arguments.extend_from_slice(&options.arguments);
        let told = (options.secrets != Secrets::default())
            .then(|| serde_json::to_string(&options.secrets))
            .transpose()
            .map_err(|_| Error::Bug("the secrets of a server cannot be written".into()))?;
        if told.is_some() {
            arguments.push("--secrets-from-stdin".into());
        }
        let read = |text: &str| {
            let ready: ReadyLine = serde_json::from_str(text)
                .map_err(|e| format!("invalid ready line `{}`: {e}", fit(text, NAME)))?;
            if ready.authbench != CONTRACT_VERSION {
                return Err("it speaks another version of the contract".into());
            }
            Ok(ready)
        };
        let name = format!("the server `{arm}`");
        let (process, ready) =
            Process::start(name, &arguments, told.as_deref(), READY_WITHIN, read)?;
        let admin = Admin::new(&ready)?;
        Ok(Self { process, ready, admin })
    }

    /// What it said when it was ready.
    pub const fn ready(&self) -> &ReadyLine {
        &self.ready
    }

    /// The processes that serve: its own, or those of the servers behind its proxy.
    pub fn serving(&self) -> &[u32] {
        match self.ready.servers.as_slice() {
            [] => std::slice::from_ref(&self.ready.pid),
            servers => servers,
        }
    }

    /// CPU time that its servers have used, and the time in which their threads were ready to run
    /// and strangers had their cores, ns. Several servers on the same cores wait for each other, at
    /// most for as long as the others run.
    pub fn cpu_and_wait_ns(&self) -> (u64, u64) {
        let (cpu_ns, waited_ns) = cpu_and_wait_of_all_ns(self.serving());
        let others = self.serving().len() as u64 - 1;
        (cpu_ns, waited_ns.saturating_sub(cpu_ns * others))
    }

    /// The proxy's process, where one stands before its servers.
    pub fn proxy(&self) -> Option<u32> {
        self.ready.proxy.as_ref().map(|proxy| proxy.pid)
    }

    /// What it tells about its inside.
    ///
    /// # Errors
    /// `Target` when its admin listener does not answer.
    pub fn stats(&self) -> Result<AdminStats> {
        self.admin.stats().map_err(|e| {
            let name = self.process.name();
            Error::Target(format!("the admin listener of {name} does not answer: {e}"))
        })
    }

    /// Has it log users in by itself, and hands over the credential of each, in the order of their
    /// numbers. It must have been started with `--admin-fill`.
    ///
    /// # Errors
    /// `Target` when it cannot, or gives fewer credentials than it was asked for; `Interrupted`
    /// when a signal comes; and what `each` fails with.
    pub fn populate(
        &self,
        users: Population,
        interrupt: &Interrupt,
        mut each: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.admin.populate(users, interrupt, &mut each).map_err(|fault| match fault {
            Fault::Own(error) => error,
            Fault::Server(found) => Error::Target(format!(
                "{} did not log in {} users on its admin listener: {}",
                self.process.name(),
                users.users,
                fit(&found, REMARK)
            )),
        })
    }

    /// Whether it has ended by itself; its obituary can still be had.
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// How it ended, when it has ended by itself.
    pub fn obituary(&mut self) -> Option<String> {
        self.process.obituary()
    }

    /// Ends one of the servers behind its proxy as a crash would, if there are so many.
    pub fn kill_one(&self, n: usize) {
        let pid = self.ready.servers.get(n).and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // One that has ended already is what was asked for.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Ends it as a crash would: requests that are under way get no answer.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// The flag that keeps a child of ours on these cores; nothing where it may use all.
pub(super) fn on_cores(cores: &[usize]) -> Vec<String> {
    if cores.is_empty() {
        return Vec::new();
    }
    let cores: Vec<_> = cores.iter().map(ToString::to_string).collect();
    vec!["--cores".into(), cores.join(",")]
}

/// A client for the admin listener.
struct Admin {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    url: String,
}

/// Why a population did not come about.
enum Fault {
    /// What the server did, or did not do.
    Server(String),
    /// What ended it here.
    Own(Error),
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        Self::Server(error.to_string())
    }
}

impl Admin {
    fn new(ready: &ReadyLine) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::runtime("the admin client"))?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(ADMIN_WITHIN)
            // Plain HTTP to ourselves: reading the system's roots would be work for nothing.
            .tls_certs_only([])
            .build()
            .map_err(|e| Error::Bug(format!("no admin client: {e}")))?;
        Ok(Self { runtime, client, url: format!("http://{}", ready.admin) })
    }

    fn stats(&self) -> Result<AdminStats, String> {
        let words = |error: reqwest::Error| error.to_string();
        self.runtime.block_on(async {
            let request = self.client.get(format!("{}/stats", self.url)).send();
            let mut answer = request.await.and_then(Response::error_for_status).map_err(words)?;
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await.map_err(words)? {
                if piece.len() > STATS_BYTES_MAX - body.len() {
                    return Err(format!("it answers with more than {STATS_BYTES_MAX} bytes"));
                }
                body.extend_from_slice(&piece);
            }
            serde_json::from_slice(&body).map_err(|e| e.to_string())
        })
    }

    fn populate(
        &self,
        users: Population,
        interrupt: &Interrupt,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Fault> {
        self.runtime.block_on(async {
            let request = self.client.post(format!("{}{POPULATE_PATH}", self.url)).json(&users);
            // The whole may take long, as long as it does not fall silent.
            let sent = request.timeout(POPULATE_WITHIN).send();
            let sent = timeout(POPULATE_SILENCE, sent).await;
            let sent = sent.map_err(|_| Fault::Server("no answer".into()))?;
            let mut answer = sent?.error_for_status()?;
            let mut lines = Lines::default();
            let mut heard = Instant::now();
            loop {
                interrupt.check().map_err(Fault::Own)?;
                match timeout(INTERRUPT_CHECK, answer.chunk()).await {
                    Ok(piece) => match piece? {
                        Some(piece) => lines.take(&piece, each)?,
                        None => return lines.end(users.users),
                    },
                    Err(_) if heard.elapsed() < POPULATE_SILENCE => continue,
                    Err(_) => return Err(Fault::Server("it fell silent".into())),
                }
                heard = Instant::now();
            }
        })
    }
}

/// Takes the lines of an answer out of its pieces, and holds no more than the last one.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
    count: u32,
}

impl Lines {
    fn take(
        &mut self,
        mut piece: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Fault> {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            let (head, rest) = (&piece[..end], &piece[end + 1..]);
            if self.begun.is_empty() {
                self.line(head, each)?;
            } else {
                self.begun.extend_from_slice(head);
                let line = std::mem::take(&mut self.begun);
                self.line(&line, each)?;
            }
            piece = rest;
        }
        if self.begun.len() + piece.len() > LINE_BYTES_MAX {
            let found = format!("a line of more than {LINE_BYTES_MAX} bytes");
            return Err(Fault::Server(found));
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    fn line(
        &mut self,
        line: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), Fault> {
        if let Some((&FAULT_MARK, found)) = line.split_first() {
            return Err(Fault::Server(String::from_utf8_lossy(found).into_owned()));
        }
        self.count += 1;
        each(line).map_err(Fault::Own)
    }

    /// The end of the answer, which should have had so many lines.
    fn end(self, expected: u32) -> Result<(), Fault> {
        if self.count == expected && self.begun.is_empty() {
            return Ok(());
        }
        Err(Fault::Server(format!("expected {expected} credentials, found {}", self.count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]], expected: u32) -> Result<Vec<Vec<u8>>, String> {
        let mut found = Vec::new();
        let mut keep = |line: &[u8]| {
            found.push(line.to_vec());
            Ok(())
        };
        let mut lines = Lines::default();
        let said = |fault| match fault {
            Fault::Server(found) => found,
            Fault::Own(error) => error.to_string(),
        };
        for piece in pieces {
            lines.take(piece, &mut keep).map_err(said)?;
        }
        lines.end(expected).map_err(said)?;
        Ok(found)
    }

    #[test]
    fn credentials_are_lines_however_the_answer_is_cut() {
        let whole = b"first\nsecond\n\nfourth\n";
        let expected: Vec<Vec<u8>> =
            [&b"first"[..], b"second", b"", b"fourth"].map(<[u8]>::to_vec).to_vec();
        for cut in 0..whole.len() {
            let (head, tail) = whole.split_at(cut);
            assert_eq!(lines(&[head, tail], 4).unwrap(), expected, "{cut}");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(lines(&bytes, 4).unwrap(), expected);
    }

    #[test]
    fn an_answer_that_ends_early_or_says_why_is_a_fault() {
        for (pieces, expected, part) in [
            (&[&b"a\nb\n"[..]][..], 3, "expected 3 credentials, found 2"),
            (&[b"a\nb\n"], 1, "expected 1 credentials, found 2"),
            (&[b"a\nb"], 2, "expected 2 credentials, found 1"),
            (&[b"a\n!the store ", b"is gone\n"], 2, "the store is gone"),
            (&[&[b'x'; LINE_BYTES_MAX], b"x"], 1, "a line of more than"),
        ] {
            let found = lines(pieces, expected).unwrap_err();
            assert!(found.contains(part), "{found}");
        }
    }
}
