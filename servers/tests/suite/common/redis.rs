//! A Redis that a test may stop, hang and fill, and that comes back at the same port.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{Client, Connection, FromRedisValue};
use servers::stores::own::free_port;
use servers::stores::redis::PROGRAM;
use tempfile::TempDir;

/// The server, killed with this value.
pub struct Redis {
    child: Child,
    pub port: u16,
    folder: TempDir,
    /// Whether it has what it answered after it was killed.
    durable: bool,
}

impl Redis {
    /// Starts one; `None` where this machine has none, which is said.
    pub fn start() -> Option<Self> {
        Self::begin(false)
    }

    /// Starts one that writes what it is given to the disk before it answers.
    pub fn start_durable() -> Option<Self> {
        Self::begin(true)
    }

    fn begin(durable: bool) -> Option<Self> {
        if !super::is_here("redis") {
            return None;
        }
        // Another test may take the port first: then this one does not come up, and a next one
        // does.
        (0..5).find_map(|_| {
            let (port, folder) = (free_port().unwrap(), tempfile::tempdir().unwrap());
            let child = spawn(port, &folder, durable);
            let mut redis = Self { child, port, folder, durable };
            redis.is_up().then_some(redis)
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// What its process is told with `kill`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again at the same port, with nothing in it unless it is durable, and waits until
    /// it answers.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder, self.durable);
        assert!(self.is_up(), "the port was free a moment ago");
    }

    fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            sleep(Duration::from_millis(5));
        }
        false
    }

    pub fn connection(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// The answer to a command, on a connection of its own.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name).arg(arguments).query(&mut self.connection()).unwrap()
    }

    /// How often each command was carried out, but for those that ask for this and that connect.
    pub fn commands(&self) -> BTreeMap<String, u64> {
        let info: String = self.ask(&["INFO", "commandstats"]);
        let counts = info.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.parse().unwrap()))
        });
        counts.filter(|(name, _)| name != "info" && !name.starts_with("client")).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(port: u16, folder: &TempDir, durable: bool) -> Child {
    let log = if durable { "yes" } else { "no" };
    let program = PROGRAM.find().unwrap();
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", log, "--appendfsync", "always"])
        .args(["--maxmemory-policy", "noeviction"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
