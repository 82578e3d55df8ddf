//! Servers behind a proxy, against the real proxies: requests pass, a server that dies takes no
//! session of a shared store along, the bill adds up, and nothing outlives who started it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use servers::contract::{AdminStats, ReadyLine};

/// Far more than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const PROXIES: [&str; 2] = ["haproxy", "nginx"];

/// Whether a program is here; one that is not is said by name, and missed where the environment
/// requires it.
fn has(program: &str, variable: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin"]);
    let found = folders.any(|folder| Path::new(folder).join(program).is_file());
    if !found {
        assert!(std::env::var_os(variable).is_none(), "{program} is required");
        drop(writeln!(std::io::stderr(), "skipped: `{program}` is missing"));
    }
    found
}

fn proxies() -> impl Iterator<Item = &'static str> {
    PROXIES.into_iter().filter(|proxy| has(proxy, "AUTHBENCH_REQUIRE_PROXIES"))
}

/// An arm with a store that several servers share, whose program is here.
fn shared_arm() -> &'static str {
    let has_redis = has("redis-server", "AUTHBENCH_REQUIRE_STORES");
    if has_redis { "session@redis" } else { "session@sqlite" }
}

/// A deployment that runs, and is killed with this value.
struct Deployed {
    child: Child,
    ready: ReadyLine,
}

impl Deployed {
    fn start(arm: &str, servers: u32, further: &[&str]) -> Self {
        let servers = servers.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
        command.args(["serve", arm, "--threads", "1", "--servers", &servers]).args(further);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        Self { child, ready }
    }

    /// Status, cookies that are set, and body of an answer that came through the proxy.
    fn ask(&self, request: &str, cookies: &str, body: &str) -> (u16, Vec<String>, String) {
        let address = self.ready.address;
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nCookie: {cookies}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        let is_set = |line: &&str| line.to_ascii_lowercase().starts_with("set-cookie: ");
        let value = |line: &str| line[12..].split(';').next().unwrap_or_default().to_string();
        let set = answer.lines().filter(is_set).map(value).collect();
        (status, set, answer)
    }

    /// Logs a user in; the cookies that a browser would hold.
    fn log_in(&self, n: u32) -> Vec<String> {
        let body = format!(r#"{{"username":"user-{n}","password":"password-{n}"}}"#);
        let (status, cookies, answer) = self.ask("POST /login", "", &body);
        assert_eq!(status, 200, "{answer}");
        cookies
    }

    fn me(&self, cookies: &[String]) -> u16 {
        self.ask("GET /me", &cookies.join("; "), "").0
    }

    fn stats(&self) -> AdminStats {
        let mut stream = TcpStream::connect(self.ready.admin).unwrap();
        write!(stream, "GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{answer}: {error}"))
    }

    fn kill_server(&self, n: usize) {
        kill(self.ready.servers[n]);
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    until("it has ended", || !lives(pid));
}

pub(super) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(super) fn until(what: &str, mut over: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !over() {
        assert!(Instant::now() < deadline, "not within two minutes: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_dies_takes_no_session_of_a_shared_store_along() {
    for proxy in proxies() {
        let deployed = Deployed::start(shared_arm(), 3, &["--proxy", proxy]);
        assert_eq!(deployed.ready.servers.len(), 3);
        assert!(deployed.ready.proxy.as_ref().unwrap().name.starts_with(proxy));
        let users: Vec<_> = (0..9).map(|n| deployed.log_in(n)).collect();
        for cookies in &users {
            assert_eq!(cookies.len(), 1, "no cookie of the proxy's: {cookies:?}");
            // A round over all servers.
            (0..3).for_each(|_| assert_eq!(deployed.me(cookies), 200));
        }
        assert_eq!(deployed.stats().live_sessions, Some(9), "counted once, not by server");
        deployed.kill_server(1);
        for cookies in &users {
            until("a user is let in", || {
                let status = deployed.me(cookies);
                assert_ne!(status, 401, "{proxy}: a session is gone");
                status == 200
            });
        }
    }
}

#[test]
fn a_sticky_proxy_keeps_a_user_at_the_server_that_knows_them() {
    for proxy in proxies() {
        let flags = ["--proxy", proxy, "--balance", "sticky"];
        let deployed = Deployed::start("session@memory", 2, &flags);
        let users: Vec<_> = (0..8).map(|n| deployed.log_in(n)).collect();
        for cookies in &users {
            assert_eq!(cookies.len(), 2, "{cookies:?}");
            (0..4).for_each(|_| assert_eq!(deployed.me(cookies), 200, "{proxy}"));
        }
        let session = |cookies: &[String]| {
            let own = |cookie: &&String| !cookie.starts_with("authbench_server=");
            cookies.iter().filter(own).cloned().collect::<Vec<_>>()
        };
        let alone = session(&users[0]);
        let mut both = [deployed.me(&alone), deployed.me(&alone)];
        both.sort_unstable();
        assert_eq!(both, [200, 401], "{proxy}: without its cookie a user meets both servers");
        // A server that dies takes its half of the sessions along, and the other's stay.
        deployed.kill_server(0);
        let settled = |cookies: &Vec<String>| {
            let mut status = 0;
            until("a user gets an answer", || {
                status = deployed.me(cookies);
                [200, 401].contains(&status)
            });
            status
        };
        let left = users.iter().filter(|cookies| settled(cookies) == 200).count();
        assert_eq!(left, 4, "{proxy}");
    }
}

#[test]
fn deployments_that_would_not_be_what_they_say_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let campaign = |arm: &str, deployment: &str| {
        let text = format!(
            "name = 't'\narms = ['none', '{arm}']\n[deployment]\n{deployment}\n[concurrency]\n"
        );
        let file = folder.path().join(format!("{}.toml", arm.replace(' ', "-")));
        fs::write(&file, text).unwrap();
        vec!["plan".to_string(), file.display().to_string()]
    };
    let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
    for (arguments, part) in [
        (
            words("serve session@memory --servers 3 --proxy haproxy"),
            "keeps its state in the memory of one process",
        ),
        (words("serve none --servers 3"), "--proxy"),
        (words("serve none --servers 17 --proxy nginx"), "17"),
        (words("serve none --proxy traefik"), "expected haproxy or nginx, found `traefik`"),
        (words("serve none --proxy nginx --tls"), "leave out --tls"),
        (words("serve none --balance sticky"), "--proxy"),
        (words("run --arm session@tower --servers 2 --proxy nginx --allow-debug"), "sticky"),
        (words("run --arm none --servers 0 --proxy nginx --allow-debug"), "from 1 to 16"),
        (words("run http://127.0.0.1:1 --proxy nginx --allow-debug"), "--proxy"),
        (campaign("session@memory", "servers = 2\nproxy = 'haproxy'"), "memory of one process"),
        (campaign("session@redis", "servers = 2"), "proxy"),
        (campaign("none+servers=2", "proxy = 'nginx'"), "write a deployment as `none x3 haproxy`"),
        (campaign("none x3 traefik", "proxy = 'nginx'"), "unknown arm"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
            .args(&arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

/// What a process has started, directly or not.
pub(super) fn below(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        next += 1;
    }
    all.split_off(1)
}

#[test]
fn nothing_outlives_a_deployment_that_is_killed() {
    for proxy in proxies() {
        let mut deployed = Deployed::start(shared_arm(), 2, &["--proxy", proxy]);
        let all = below(deployed.child.id());
        let known = [&deployed.ready.servers[..], &[deployed.ready.proxy.clone().unwrap().pid]];
        assert!(known.concat().iter().all(|pid| all.contains(pid)), "{known:?} in {all:?}");
        deployed.child.kill().unwrap();
        until("everything has ended", || !all.iter().any(|pid| lives(*pid)));
    }
}

/// An arm, a metric and its value.
type Figure = (String, String, f64);

const LOAD: &str = "[concurrency]\nusers = [8]\nblocks = 1\nwarmup = '100ms'\nmeasure = '400ms'\n";

/// Figures of a campaign with one table, of one block and one level.
fn figures(arms: &[&str], deployment: &str, table: &str) -> Vec<Figure> {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("c.toml"), folder.path().join("out"));
    let text = format!("name = 't'\narms = {arms:?}\n[deployment]\n{deployment}\n{table}");
    fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["campaign", file.to_str().unwrap(), "--allow-debug", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // 3 says that this machine was too busy for the figures: they are there, and add up.
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    assert_eq!(report.contains("The bill of a deployment"), table == LOAD, "{report}");
    let csv = fs::read_to_string(out.join("measurements.csv")).unwrap();
    let fields = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    fields.filter_map(|f| Some((f[1].into(), f[8].into(), f[10].parse().ok()?))).collect()
}

#[test]
fn the_bill_has_every_process_and_adds_up() {
    for proxy in proxies() {
        let arm = shared_arm();
        let found = figures(&["none", arm], &format!("servers = 2\nproxy = '{proxy}'"), LOAD);
        let named = |arm: &str| format!("{arm} x2 {proxy}");
        let values = |arm: &str, metric: &str| -> Vec<f64> {
            let of_arm = found.iter().filter(|(a, m, _)| *a == named(arm) && m == metric);
            of_arm.map(|(.., value)| *value).collect()
        };
        for arm in ["none", arm] {
            let parts = |part: &str| values(arm, &format!("{part}cpu_us_per_request"));
            let (whole, servers, proxies) = (parts(""), parts("server_"), parts("proxy_"));
            let store = parts("store_");
            assert!(!whole.is_empty() && whole.len() == proxies.len(), "{found:?}");
            for (n, whole) in whole.iter().enumerate() {
                let sum = servers[n] + proxies[n] + store.get(n).copied().unwrap_or(0.0);
                // Figures are written with six digits.
                assert!((sum / whole - 1.0).abs() < 1e-4, "{arm}: {sum} of {whole}");
                assert!(proxies[n] > 0.0 && servers[n] > 0.0);
            }
            assert!(values(arm, "proxy_memory_bytes").iter().all(|bytes| *bytes > 0.0));
        }
    }
}

/// What a dead server takes along is what was in its memory, and nothing of a shared store.
#[test]
fn a_failover_logs_out_whom_only_the_dead_server_knew() {
    for proxy in proxies() {
        let arm = shared_arm();
        let deployment = format!("servers = 2\nproxy = '{proxy}'\nbalance = 'sticky'");
        let table = "[failover]\nusers = 8\nblocks = 1\n";
        let found = figures(&["none", "session@memory", arm], &deployment, table);
        let lost = |arm: &str| {
            let name = format!("{arm} x2 {proxy} sticky");
            let of_arm = |(a, m, _): &&Figure| *a == name && m == "lost_after_death_share";
            found.iter().find(of_arm).map(|(.., value)| *value)
        };
        assert_eq!(lost("session@memory"), Some(0.5), "{found:?}");
        assert_eq!((lost("none"), lost(arm)), (Some(0.0), Some(0.0)), "{found:?}");
    }
}
