//! A store's server that is started for this process, and ends with it.
//!
//! Without `--store-url` an arm over Redis or PostgreSQL gets a server of its own, from the
//! machine's binaries, in a temporary folder, on a free port of the loopback address, behind a
//! password made for the run. It must never outlive who started it, however that ends, so it is
//! the child of a small shell that waits for the end of a pipe: the pipe ends with us, even where
//! we are killed. No thread has to stay for it, as one would for a parent-death signal.
//!
//! It runs on the cores of the server that uses it, whose cost it is part of.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{ServeError, StoreError};

/// How long a store's server may take until it answers: 20 s, most of it on a machine that is busy.
pub const READY_TIME_MAX: Duration = Duration::from_secs(20);
/// How long it may take to stop before it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Starts what follows, says its process id, and ends it when standard input ends, with the folder.
const KEEPER: &str = r#"
folder=$1 signal=$2; shift 2
"$@" </dev/null >"$folder/log" 2>&1 & child=$!
echo "$child"
exec >/dev/null
cat >/dev/null
kill -CONT "$child"; kill -s "$signal" "$child"
wait "$child"
rm -rf "$folder""#;

/// A program that a store needs, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// A folder of folders, one a version, where it may be beside `PATH`: `/usr/lib/postgresql`.
    pub versions: Option<&'static str>,
}

impl Program {
    /// Where it is; the newest version, where there are several.
    #[must_use]
    pub fn find(&self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if let Some(versions) = self.versions.and_then(|folder| fs::read_dir(folder).ok()) {
            let mut versions: Vec<_> = versions.flatten().map(|entry| entry.path()).collect();
            let number = |path: &PathBuf| {
                path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok())
            };
            versions.sort_by_key(number);
            // Before PATH: what stands there may be a link to one program of the many.
            folders.splice(0..0, versions.into_iter().rev().map(|folder| folder.join("bin")));
        }
        folders.into_iter().map(|folder| folder.join(self.name)).find(|file| is_program(file))
    }

    /// Where it is.
    ///
    /// # Errors
    /// [`ServeError::Program`], which names the package, where it is not.
    pub fn require(&self) -> Result<PathBuf, ServeError> {
        self.find().ok_or(ServeError::Program { program: self.name, package: self.package })
    }
}

fn is_program(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A user that a program runs as which refuses to be started by root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Unprivileged {
    /// The first of these users that there is, where we are root; else nobody: we are no root.
    fn find(names: &[&str]) -> Option<Self> {
        if !fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        names.iter().find_map(|name| {
            let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let mut fields = line.split(':').skip(1);
            Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
        })
    }
}

/// A temporary folder for a store's server, and who it runs as.
#[derive(Debug)]
pub struct Home {
    store: &'static str,
    folder: TempDir,
    user: Option<Unprivileged>,
}

impl Home {
    /// A folder of its own, only for this user; where we are root and `users` names some, for the
    /// first of them that there is.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(store: &'static str, users: &[&str]) -> Result<Self, StoreError> {
        let refused = |error: io::Error| StoreError {
            store,
            operation: "be given a temporary folder",
            found: error.to_string(),
        };
        let folder = tempfile::Builder::new().prefix("authbench-").tempdir().map_err(refused)?;
        let user = Unprivileged::find(users);
        if let Some(user) = user {
            chown(folder.path(), Some(user.uid), Some(user.gid)).map_err(refused)?;
        }
        Ok(Self { store, folder, user })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a program to its end, as the user of this home.
    ///
    /// # Errors
    /// Where it cannot be run or fails, with what it said.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Result<(), StoreError> {
        let refused =
            |found: String| StoreError { store: self.store, operation: "be set up", found };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        self.as_user(&mut command);
        let done = command.output().map_err(|e| refused(format!("{}: {e}", program.display())))?;
        if done.status.success() {
            return Ok(());
        }
        Err(refused(format!(
            "{}: {}",
            program.display(),
            tail(&String::from_utf8_lossy(&done.stderr))
        )))
    }

    fn as_user(&self, command: &mut Command) {
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
    }
}

/// The server of a store, running.
#[derive(Debug)]
pub struct OwnServer {
    keeper: Child,
    /// While it is open, the server lives.
    alive: Option<ChildStdin>,
    pid: u32,
    home: Home,
}

impl OwnServer {
    /// Starts a program in its home; `signal` is the one that ends it fastest, such as `TERM`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(
        home: Home,
        program: &Path,
        arguments: &[&str],
        signal: &str,
    ) -> Result<Self, StoreError> {
        let store = home.store;
        let refused = |found: String| StoreError { store, operation: "be started", found };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "keeper"]).arg(home.path()).arg(signal);
        command.arg(program).args(arguments).current_dir(home.path());
        // A group of its own: Ctrl-C on a terminal is for us, and it ends when we do.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        home.as_user(&mut command);
        let mut keeper = command.spawn().map_err(|error| refused(error.to_string()))?;
        let mut line = String::new();
        let said = keeper.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let alive = keeper.stdin.take();
        match (said, line.trim().parse()) {
            (Some(Ok(_)), Ok(pid)) => Ok(Self { keeper, alive, pid, home }),
            _ => {
                drop(alive);
                drop(keeper.wait());
                Err(refused("its shell did not say a process id".into()))
            }
        }
    }

    /// Its process.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// Asks until it is ready, a few times a second, and no longer than [`READY_TIME_MAX`].
    ///
    /// # Errors
    /// What was found at the last try, with the end of what the server said of itself.
    pub async fn ready<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        &self,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now() + READY_TIME_MAX;
        loop {
            let found = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline || !self.is_running() {
                let log = fs::read_to_string(self.folder().join("log")).unwrap_or_default();
                let found = format!("{found}; it said: {}", tail(&log));
                return Err(StoreError { store: self.home.store, operation: "be started", found });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether its process is there, and no zombie.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes().first().copied());
        matches!(state, Some(Some(state)) if state != b'Z' && state != b'X')
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        drop(self.alive.take());
        let deadline = Instant::now() + STOP_TIME_MAX;
        while matches!(self.keeper.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // Its shell is gone after this, and what it kept is killed with its group.
                let group = format!("-{}", self.keeper.id());
                drop(Command::new("kill").args(["-KILL", "--", &group]).status());
                drop(self.keeper.wait());
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A port of the loopback address that nobody has now. Somebody may take it before it is used: who
/// starts a server on it has to try again with another.
///
/// # Errors
/// Where there is none.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A password for one run: 128 random bits in hexadecimal.
///
/// # Errors
/// [`ServeError::Entropy`].
pub fn password() -> Result<String, ServeError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(ServeError::Entropy)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}

/// Writes a file that only the home's user may read.
///
/// # Errors
/// Where it cannot be written.
pub fn write_secret(home: &Home, name: &str, text: &str) -> Result<PathBuf, StoreError> {
    let path = home.path().join(name);
    let write = || {
        let file = File::create(&path)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        io::Write::write_all(&mut &file, text.as_bytes())?;
        match home.user {
            Some(user) => chown(&path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    };
    write().map(|()| path.clone()).map_err(|error: io::Error| StoreError {
        store: home.store,
        operation: "be set up",
        found: format!("{}: {error}", path.display()),
    })
}

/// The last lines of a text, on one line.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(4);
    if lines.is_empty() { "nothing".into() } else { lines[from..].join(" | ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLEEP: Program = Program { name: "sleep", package: "coreutils", versions: None };

    fn sleeping() -> OwnServer {
        let home = Home::make("test", &[]).unwrap();
        OwnServer::start(home, &SLEEP.find().unwrap(), &["600"], "TERM").unwrap()
    }

    #[test]
    fn a_server_and_its_folder_go_with_its_owner() {
        let server = sleeping();
        let (pid, folder) = (server.pid(), server.folder().to_path_buf());
        assert!(server.is_running() && folder.is_dir());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        assert!(!folder.exists());
    }

    #[test]
    fn a_stopped_one_goes_too() {
        let server = sleeping();
        let pid = server.pid().to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[tokio::test]
    async fn one_that_ends_early_is_told_with_what_it_said() {
        let home = Home::make("test", &[]).unwrap();
        let sh = Program { name: "sh", package: "dash", versions: None }.find().unwrap();
        let server = OwnServer::start(home, &sh, &["-c", "echo no luck; exit 1"], "TERM").unwrap();
        let never = async || Err::<(), _>("nothing answers");
        let error = server.ready(never).await.unwrap_err().to_string();
        assert!(error.contains("nothing answers") && error.contains("no luck"), "{error}");
    }

    #[test]
    fn a_missing_program_is_told_with_its_package() {
        let missing = Program { name: "no-such-store", package: "some-package", versions: None };
        assert_eq!(missing.find(), None);
        assert!(missing.require().unwrap_err().to_string().contains("some-package"));
    }
}
