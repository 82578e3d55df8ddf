//! A store's server that is started for this process, and ends with it.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, geteuid, getpgid, kill_process, kill_process_group, waitid,
};

use super::folder::{Folder, Owner};
use crate::contract::STORE_URL_VARIABLE;
use crate::error::{ServeError, StoreError};

/// How long a store's server may take until it answers: 20 s, most of it on a machine that is busy.
pub const READY_TIME_MAX: Duration = Duration::from_secs(20);
/// How long it may take to stop before it is killed.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// How much of what a store said of itself is read for a message, in bytes.
const LOG_READ_MAX: u64 = 16 << 10;

/// Starts what follows, says its process id, and ends it when standard input ends, with its folder.
/// The kernel ends it when this shell is killed, unless that was before it was asked to: then the
/// parent of the new process is another one already, and it does not begin. A test that hangs a
/// store stops all of its processes, and one that is stopped does not hear that its parent has
/// ended.
const KEEPER: &str = r#"
folder=$1 signal=$2; shift 2
if setpriv --pdeathsig "$signal" true; then
    set -- setpriv --pdeathsig "$signal" /bin/sh -c '[ "$PPID" = "$0" ] && exec "$@"' "$$" "$@"
fi 2>/dev/null
"$@" </dev/null >&2 & child=$!
echo "$child"
exec >/dev/null
cat >/dev/null
kill -CONT "$child" $(cat "/proc/$child/task/$child/children")
kill -s "$signal" "$child"
wait "$child"
rm -rf "$folder/home"; rm -rf "$folder""#;

/// A program that a store needs, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// A folder with one folder per version, where it may be in addition to `PATH`:
    /// `/usr/lib/postgresql`.
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
        // Proxies are there, and it is not in the PATH of everybody.
        folders.push("/usr/sbin".into());
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

/// The first of these users that there is, where we are root: some programs refuse to be started by
/// root. `None` if we are not root: it then runs as ourselves.
fn unprivileged(names: &[&str]) -> Option<Owner> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    names.iter().find_map(|name| {
        let line = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let mut fields = line.split(':').skip(1);
        Some(Owner { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    })
}

/// A temporary folder for a store's server, and who it runs as.
#[derive(Debug)]
pub struct Home {
    store: &'static str,
    folder: Folder,
    path: PathBuf,
    user: Option<Owner>,
}

impl Home {
    /// A folder with these files in it, each a name and a text, that only the store's user may
    /// read. That is ourselves; where we are root and `users` names some, the first of them that
    /// there is.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(
        store: &'static str,
        users: &[&str],
        secrets: &[(&str, &str)],
    ) -> Result<Self, StoreError> {
        let make = || {
            let (folder, user) = (Folder::make()?, unprivileged(users));
            secrets.iter().try_for_each(|(name, text)| folder.write_secret(name, text, user))?;
            user.map_or(Ok(()), |user| folder.hand_over(user))?;
            Ok(Self { store, path: folder.home(), folder, user })
        };
        make().map_err(|error: io::Error| StoreError {
            store,
            operation: "be given a temporary folder",
            found: error.to_string(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a program to its end, as the user of this home.
    ///
    /// # Errors
    /// Where it cannot be run or fails, with what it said.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Result<(), StoreError> {
        self.run_between(program, arguments, Stdio::null(), Stdio::null())
    }

    /// The same for one that reads and writes.
    ///
    /// # Errors
    /// Where it cannot be run or fails, with what it said.
    pub fn run_between(
        &self,
        program: &Path,
        arguments: &[&str],
        input: Stdio,
        output: Stdio,
    ) -> Result<(), StoreError> {
        let refused =
            |found: String| StoreError { store: self.store, operation: "be set up", found };
        let mut command = self.command(program);
        command.args(arguments).stdin(input).stdout(output);
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

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).env_remove(STORE_URL_VARIABLE);
        if let Some(Owner { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// The server of a store, running.
///
/// Without `--store-url` an arm over Redis or PostgreSQL gets a server of its own, from the
/// machine's binaries, in a temporary folder, on a free port of the loopback address, behind a
/// password made for the run. It must never outlive who started it, however that ends, so it is
/// the child of a small shell that waits for the end of a pipe: the pipe ends with us, even where
/// we are killed. The shell may be killed too, and then the kernel ends the store, which `setpriv`
/// (util-linux) asks it to. Where that program is missing, a store whose keeper was killed ends
/// with us, and lives on only where both were killed.
///
/// It runs on the cores of the server that uses it, whose cost it is part of. No password of it may
/// be in a command line or an environment, and nothing is read or written by name in a folder that
/// belongs to the store's user ([`super::folder`]).
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
        let log = home.folder.log().map_err(|error| refused(error.to_string()))?;
        let mut command = home.command(Path::new("/bin/sh"));
        command.args(["-c", KEEPER, "keeper"]).arg(home.folder.path()).arg(signal);
        command.arg(program).args(arguments);
        // A group of its own: Ctrl-C on a terminal is for us, and it ends when we do.
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
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
                let log = self.home.folder.logged(LOG_READ_MAX).unwrap_or_default();
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

impl OwnServer {
    /// What the store's process has started, as long as that is one of the keeper's group: what is
    /// stopped among them would stay so for ever.
    fn children(&self) -> Vec<Pid> {
        let pid = Pid::from_raw(self.pid.cast_signed());
        if getpgid(pid).ok() != Some(Pid::from_child(&self.keeper)) {
            return Vec::new();
        }
        let list = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid));
        let list = list.unwrap_or_default();
        list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }

    /// Whether its keeper has ended; the keeper's number stays taken.
    fn keeper_has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let keeper = Pid::from_child(&self.keeper);
        !matches!(waitid(WaitId::Pid(keeper), options), Ok(None))
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        drop(self.alive.take());
        let wait_until = |over: &dyn Fn() -> bool| {
            let deadline = Instant::now() + STOP_TIME_MAX;
            while !over() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(2));
            }
        };
        wait_until(&|| self.keeper_has_ended());
        // A keeper that was killed has not ended its store; one that hangs never will. Its group is
        // nobody else's as long as the keeper is not waited for.
        for child in self.children() {
            let _ = kill_process(child, Signal::KILL);
        }
        let _ = kill_process_group(Pid::from_child(&self.keeper), Signal::KILL);
        wait_until(&|| !self.is_running());
        drop(self.keeper.wait());
    }
}

/// A free port of the loopback address. Another process may take it before a server starts on it;
/// the caller then tries again with another port.
///
/// # Errors
/// If no port is free.
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
        let home = Home::make("test", &[], &[]).unwrap();
        OwnServer::start(home, &SLEEP.find().unwrap(), &["600"], "TERM").unwrap()
    }

    #[test]
    fn a_server_and_its_folder_go_with_its_owner() {
        let server = sleeping();
        let (pid, folder) = (server.pid(), server.home.folder.path().to_path_buf());
        assert!(server.is_running() && server.folder().is_dir());
        drop(server);
        assert!(!is_there(pid));
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
        let home = Home::make("test", &[], &[]).unwrap();
        let sh = Program { name: "sh", package: "dash", versions: None }.find().unwrap();
        let server = OwnServer::start(home, &sh, &["-c", "echo no luck; exit 1"], "TERM").unwrap();
        let never = async || Err::<(), _>("nothing answers");
        let error = server.ready(never).await.unwrap_err().to_string();
        assert!(error.contains("nothing answers") && error.contains("no luck"), "{error}");
    }

    fn is_there(pid: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }

    fn wait_until(what: &str, over: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !over() {
            assert!(Instant::now() < deadline, "not within a minute: {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn has_setpriv() -> bool {
        let setpriv = Command::new("setpriv").args(["--pdeathsig", "TERM", "true"]).output();
        let has = setpriv.is_ok_and(|output| output.status.success());
        if !has {
            drop(io::Write::write_all(&mut io::stderr(), b"skipped: `setpriv` is missing\n"));
        }
        has
    }

    #[test]
    fn one_whose_keeper_is_killed_is_ended_by_the_kernel() {
        if !has_setpriv() {
            return;
        }
        let mut server = sleeping();
        let pid = server.pid();
        server.keeper.kill().unwrap();
        wait_until("the store has ended", || !is_there(pid));
        server.keeper.wait().unwrap();
    }

    #[test]
    fn one_whose_keeper_was_killed_goes_with_its_owner() {
        let server = sleeping();
        let (pid, folder) = (server.pid(), server.home.folder.path().to_path_buf());
        kill_process_group(Pid::from_child(&server.keeper), Signal::STOP).unwrap();
        kill_process(Pid::from_child(&server.keeper), Signal::KILL).unwrap();
        drop(server);
        assert!(!is_there(pid) && !folder.exists());
    }

    /// What a store does to its folder is no trap for who reads what it said.
    #[tokio::test]
    async fn what_a_store_plants_at_the_name_of_a_log_is_not_read() {
        let users = ["nobody"];
        let plant =
            "rm -f log ../lock; mkfifo log; ln -s /etc/passwd ../lock; echo planted; exit 1";
        let home = Home::make("test", &users, &[("secret", "x")]).unwrap();
        let sh = Program { name: "sh", package: "dash", versions: None }.find().unwrap();
        let server = OwnServer::start(home, &sh, &["-c", plant], "TERM").unwrap();
        let never = async || Err::<(), _>("nothing answers");
        let error = server.ready(never).await.unwrap_err().to_string();
        assert!(error.contains("planted") && !error.contains("root:"), "{error}");
    }

    #[test]
    fn a_folder_is_the_stores_users_only_after_its_secret_is_in_it() {
        use std::os::unix::fs::MetadataExt as _;
        let home = Home::make("test", &["nobody"], &[("secret", "x")]).unwrap();
        let [outer, inner, secret] = [home.folder.path(), home.path(), &home.path().join("secret")]
            .map(|path| fs::symlink_metadata(path).unwrap());
        assert_eq!(outer.uid(), geteuid().as_raw(), "nobody else may put anything next to it");
        assert_eq!(outer.mode() & 0o067, 0);
        assert_eq!((inner.mode() & 0o777, secret.mode() & 0o777), (0o700, 0o600));
        let user = home.user.map_or(geteuid().as_raw(), |user| user.uid);
        assert_eq!((inner.uid(), secret.uid()), (user, user));
        if geteuid().is_root() {
            home.run(Path::new("/bin/cat"), &["secret"]).unwrap();
            let plant = ["-s", "/etc/passwd", "../planted"];
            home.run(Path::new("/bin/ln"), &plant).unwrap_err();
        }
    }

    #[test]
    fn a_missing_program_is_told_with_its_package() {
        let missing = Program { name: "no-such-store", package: "some-package", versions: None };
        assert_eq!(missing.find(), None);
        assert!(missing.require().unwrap_err().to_string().contains("some-package"));
    }
}
