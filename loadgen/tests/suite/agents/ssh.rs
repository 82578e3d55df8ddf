//! Agents that ssh starts, with a real sshd on loopback. Without one the tests name it and pass,
//! unless `AUTHBENCH_REQUIRE_SSHD` is set.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const SSHD: &str = "/usr/sbin/sshd";

/// A sshd of a test, which lets its key in and nobody else's.
struct Sshd {
    folder: TempDir,
    child: Started,
}

impl Sshd {
    fn start() -> Option<Self> {
        let has = |program: &str| Command::new(program).arg("-V").output().is_ok();
        if !Path::new(SSHD).exists() || !has("ssh") || nats().is_none() {
            assert!(std::env::var_os("AUTHBENCH_REQUIRE_SSHD").is_none(), "sshd is missing");
            drop(writeln!(std::io::stderr(), "skipped: sshd is missing"));
            return None;
        }
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["host", "user"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(name));
            assert!(command.status().unwrap().success());
        }
        fs::copy(path("user.pub"), path("authorized")).unwrap();
        // Root's sshd parts with its privileges in this folder; Debian makes it at boot.
        let _ = fs::create_dir("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host_key = fs::read_to_string(path("host.pub")).unwrap();
        fs::write(path("known"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
        let place = folder.path().display();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nPidFile none\n\
             AuthorizedKeysFile {place}/authorized\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\n"
        );
        fs::write(path("sshd"), settings).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let settings = format!(
            "Host g1 g2 g3\n  HostName 127.0.0.1\n  Port {port}\n  User {user}  \
             IdentityFile {place}/user\n  IdentitiesOnly yes\n  \
             UserKnownHostsFile {place}/known\n  GlobalKnownHostsFile /dev/null\n  \
             StrictHostKeyChecking yes\n"
        );
        fs::write(path("ssh"), settings).unwrap();
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(path("sshd"));
        let child = Started(Some(command.stderr(Stdio::null()).spawn().unwrap()));
        until("sshd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(Self { folder, child })
    }

    fn run(&self, hosts: &str, flags: &[&str]) -> (Option<i32>, String, String) {
        let (mut command, config) = (Command::new(PROGRAM), self.folder.path().join("ssh"));
        command.args(["run", "--allow-debug", "--format", "json", "--hosts", hosts]);
        command.arg("--ssh-config").arg(config).args(["--users", "24", "-c", "12"]).args(flags);
        told(&command.stdin(Stdio::null()).output().unwrap())
    }
}

#[test]
fn three_hosts_ask_what_one_process_asks() {
    let Some(sshd) = Sshd::start() else { return };
    let (by_one, _) = run(&[]);
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    let target = server.target(folder.path()).display().to_string();
    // A name that a shell of another host would take apart.
    let program = folder.path().join("it's a program");
    fs::copy(PROGRAM, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let program = program.display().to_string();
    let load = ["--rate", "200/s", "-d", "2s", "--workers", "2", "--target", &target];
    let more = ["--remote-program", &program];
    let (code, out, err) = sshd.run("g1,g2,g3", &[&load[..], &more].concat());
    assert!(matches!(code, Some(0 | 3)), "{code:?} {err}");
    assert_eq!(server.asked(), by_one);
    let summary = json(&out);
    let agents = summary["agents"].as_array().unwrap();
    assert!(agents.iter().all(|agent| agent["end"] == "whole"), "{summary}");
    assert!(has_doubt(&summary, "agents_share_a_machine"), "{summary}");
}

#[test]
fn a_host_where_no_agent_starts_is_named_with_what_ssh_said() {
    let Some(sshd) = Sshd::start() else { return };
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    let target = server.target(folder.path()).display().to_string();
    let began = Instant::now();
    let (code, _, err) =
        sshd.run("g1", &["--target", &target, "--remote-program", "/nowhere/authbench"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("agent 0 (g1) ended before the load"), "{err}");
    assert!(err.contains("/nowhere/authbench") && err.contains("nothing was sent"), "{err}");
    // A host whose key is another one.
    fs::write(sshd.folder.path().join("known"), "").unwrap();
    let (code, _, err) = sshd.run("g2", &["--target", &target, "--remote-program", PROGRAM]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("agent 0 (g2)") && err.contains("Host key verification failed"), "{err}");
    assert!(began.elapsed() < LONG, "nobody waits for those who cannot come");
    assert!(server.paths.lock().unwrap().is_empty());
}

#[test]
fn an_ssh_that_is_lost_ends_the_load_at_the_lease() {
    let Some(sshd) = Sshd::start() else { return };
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    let target = server.target(folder.path()).display().to_string();
    let flags = [&LOAD[..], &["--target", &target, "--remote-program", PROGRAM]].concat();
    let outcome = thread::scope(|scope| {
        let running = scope.spawn(|| sshd.run("g1,g2", &flags));
        until("there is a load", || server.asked().len() > 50);
        // The sessions of sshd, and with them tunnels and agents' connections.
        let sessions = below(sshd.child.0.as_ref().unwrap().id());
        assert!(!sessions.is_empty());
        for pid in &sessions {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
        running.join().unwrap()
    });
    let (code, out, err) = outcome;
    assert_eq!(code, Some(3), "{err}");
    let summary = json(&out);
    assert!(has_doubt(&summary, "agent_lost"), "{summary}");
    let counts = &summary["counts"];
    let [planned, sent, dropped, lost] =
        ["planned", "sent", "dropped", "lost"].map(|name| number(&counts[name]));
    assert_eq!(planned, sent + dropped + lost);
}
