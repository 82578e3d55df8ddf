//! What SIGKILL leaves of a command: no process, no key, and no folder after the next run. Nobody
//! can tidy up after that signal, so the kernel, a keeper or the next run has to.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A process and the name of its program.
type Process = (u32, String);

/// Far more than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn until(what: &str, mut over: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !over() {
        assert!(Instant::now() < deadline, "not within two minutes: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The state of a process and its parent; `None` of one that is gone, or only waited for.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let lives = !matches!(fields.next()?, "Z" | "X");
    fields.next()?.parse().ok().filter(|_| lives)
}

/// The processes below this one that live, with the names of their programs.
fn below(root: u32) -> Vec<Process> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let all: Vec<u32> = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let (mut found, mut left) = (Vec::new(), vec![root]);
    while let Some(above) = left.pop() {
        for pid in all.iter().filter(|pid| parent(**pid) == Some(above)) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push((*pid, name.trim().to_string()));
            left.push(*pid);
        }
    }
    found
}

fn kill(pid: u32) {
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
}

/// Has a process do nothing more, and waits until that is so.
fn stop(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::STOP).unwrap();
    until("it has stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X']))
    });
}

fn are_gone(processes: &[Process]) -> bool {
    processes.iter().all(|(pid, _)| parent(*pid).is_none())
}

/// Where the temporary files of a test are, which a store's user can reach.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn authbench(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
        command.args(arguments).env("TMPDIR", self.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        Running(command.spawn().unwrap())
    }

    /// A server that is ready.
    fn serve(&self, arm: &str) -> Running {
        let mut server = self.authbench(&["serve", arm]);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"authbench\":"), "{line}");
        server
    }

    /// Another run, of anything.
    fn next_run(&self) {
        self.serve("none").stop();
    }

    /// A thread of a killed process may hold the lock for a moment after the process has ended.
    fn assert_cleared_by_next_run(&self, what: &str) {
        until(&format!("{what}: the next run has cleared the folder"), || {
            self.next_run();
            self.folders().is_empty()
        });
    }

    fn folders(&self) -> Vec<PathBuf> {
        fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

/// A command, killed with this value.
struct Running(Child);

impl Running {
    fn stop(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn below(&self) -> Vec<Process> {
        below(self.0.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Arms whose store is a server, with its program; where one is missing here that is said.
fn with_servers() -> Vec<(&'static str, &'static str)> {
    let arms = [
        ("session@redis", "redis-server"),
        ("session@postgres", "postgres"),
        ("introspection-http", "authbench"),
    ];
    let is_here = |(arm, _): &(&str, &str)| {
        let info = servers::arms().iter().find(|info| info.arm == *arm).unwrap();
        let store = info.store.unwrap();
        let Some(missing) = servers::stores::missing_program(store) else { return true };
        let (name, package) = (missing.name, missing.package);
        let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
        assert!(!required, "{arm} needs {name}: install {package}");
        drop(writeln!(std::io::stderr(), "skipped: {arm} needs {name} ({package})"));
        false
    };
    arms.into_iter().filter(is_here).collect()
}

/// Whether the kernel can be asked to end a store with its keeper.
fn has_setpriv() -> bool {
    let asked = Command::new("setpriv").args(["--pdeathsig", "TERM", "true"]).output();
    let has = asked.is_ok_and(|output| output.status.success());
    if !has {
        drop(writeln!(std::io::stderr(), "skipped: `setpriv` is missing (package util-linux)"));
    }
    has
}

/// The keeper of a store's server, and all that is below it.
fn keeper(server: &Running, program: &str) -> (u32, Vec<Process>) {
    let all = server.below();
    let (keeper, _) = all.iter().find(|(_, name)| name == "sh").unwrap();
    let kept = below(*keeper);
    assert!(kept.iter().any(|(_, name)| name == program), "{kept:?}");
    (*keeper, kept)
}

#[test]
fn a_store_ends_when_its_keeper_is_killed() {
    if !has_setpriv() {
        return;
    }
    for (arm, program) in with_servers() {
        let place = Place::new();
        let server = place.serve(arm);
        let (keeper, kept) = keeper(&server, program);
        kill(keeper);
        let stores: Vec<_> = kept.into_iter().filter(|(_, name)| name == program).collect();
        until("the store has ended", || are_gone(&stores));
        server.stop();
        assert_eq!(place.folders(), [""; 0].map(PathBuf::from), "{arm}");
    }
}

#[test]
fn a_store_ends_when_its_server_is_killed_and_the_next_run_clears_its_folder() {
    for (arm, program) in with_servers() {
        let place = Place::new();
        let mut server = place.serve(arm);
        let (keeper, mut kept) = keeper(&server, program);
        kept.push((keeper, "sh".into()));
        server.kill();
        until("the store and its keeper have ended", || are_gone(&kept));
        place.assert_cleared_by_next_run(arm);
    }
}

/// Fault 32: a store ends when all others were killed.
#[test]
fn a_store_ends_when_both_are_killed_and_the_next_run_clears_its_folder() {
    if !has_setpriv() {
        return;
    }
    for (arm, program) in with_servers() {
        for keeper_first in [true, false] {
            let place = Place::new();
            let mut server = place.serve(arm);
            let (keeper, kept) = keeper(&server, program);
            if keeper_first {
                kill(keeper);
            }
            server.kill();
            kill(keeper);
            until("the store has ended", || are_gone(&kept));
            if keeper_first {
                assert!(!place.folders().is_empty(), "{arm}: nobody was left to clear it");
            }
            place.assert_cleared_by_next_run(arm);
        }
    }
}

/// A store that is stopped does not hear that anybody has ended.
/// Fault 32: a store that hangs ends too.
#[test]
fn a_store_that_hangs_ends_with_its_server_whether_its_keeper_lives_or_not() {
    for (arm, program) in with_servers() {
        for keeper_first in [true, false] {
            if keeper_first && !has_setpriv() {
                continue;
            }
            let place = Place::new();
            let server = place.serve(arm);
            let (keeper, kept) = keeper(&server, program);
            let stores: Vec<_> = kept.into_iter().filter(|(_, name)| name == program).collect();
            for (pid, _) in &stores {
                stop(*pid);
            }
            if keeper_first {
                kill(keeper);
            }
            server.stop();
            until("the store has ended", || are_gone(&stores));
        }
    }
}

#[test]
fn a_file_of_sessions_is_cleared_by_the_next_run_and_one_in_use_is_not() {
    let place = Place::new();
    let used = place.serve("session@sqlite");
    let [in_use] = &place.folders()[..] else { panic!("one folder") };
    let mut server = place.serve("session@sqlite");
    server.kill();
    assert_eq!(place.folders().len(), 2);
    until("the next run has cleared the other folder", || {
        place.next_run();
        place.folders() == std::slice::from_ref(in_use)
    });
    assert!(in_use.join("home/sessions.sqlite").is_file());
    used.stop();
    assert_eq!(place.folders(), [""; 0].map(PathBuf::from));
}

/// Kills a command, in the midst of what it does, with all that it has started but for stores.
fn killed(place: &Place, arguments: &[&str], in_the_midst: &dyn Fn(&[Process]) -> bool) {
    let mut command = place.authbench(arguments);
    let mut processes = Vec::new();
    until("it is in the midst", || {
        processes = command.below();
        in_the_midst(&processes)
    });
    // It starts nothing more, and then it is seen what there is.
    stop(command.0.id());
    processes = command.below();
    command.kill();
    for (pid, _) in processes.iter().filter(|(_, name)| name == "authbench") {
        kill(*pid);
    }
    until("all have ended", || are_gone(&processes));
}

#[test]
fn a_killed_attack_leaves_no_key() {
    let place = Place::new();
    let two_servers = |processes: &[Process]| processes.len() >= 2;
    killed(&place, &["attack", "--arm", "jwt-hs256"], &two_servers);
    assert_eq!(place.folders(), [""; 0].map(PathBuf::from), "a key is in no file at all");
}

/// Fault 32: the next run clears up.
#[test]
fn what_a_killed_attack_or_campaign_leaves_is_cleared_by_the_next_run() {
    let results = tempfile::tempdir().unwrap();
    for (arm, program) in [("session@sqlite", "authbench")].into_iter().chain(with_servers()) {
        let place = Place::new();
        let serves = |processes: &[Process]| {
            processes.iter().filter(|(_, name)| name == "authbench").count() >= 2
                && processes.iter().any(|(_, name)| name == program)
        };
        killed(&place, &["attack", "--arm", arm], &serves);
        place.assert_cleared_by_next_run(arm);

        let file = results.path().join(format!("{arm}.toml"));
        let out = results.path().join(arm);
        let arms = format!("name = 'drill'\narms = ['none', '{arm}']\n");
        fs::write(&file, arms + "[restart]\nusers = 4\nblocks = 1\n").unwrap();
        let [file, out] = [&file, &out].map(|path| path.to_str().unwrap());
        killed(&place, &["campaign", file, "--allow-debug", "--out", out], &serves);
        place.assert_cleared_by_next_run(arm);
    }
}
