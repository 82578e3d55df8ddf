//! No password and no key in a command line or an environment, in what is printed, or in what is
//! kept. Every process below a command is looked at until it ends. Stores' passwords are known from
//! their files; a key is in no file, so whatever looks like one counts as one.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than a command here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(400);
/// Campaigns that are begun until one comes to its end.
const TRIES: u32 = 10;
/// A password of a store that nobody may be asked for.
const PLANTED: &str = "redis://:Planted-Password@127.0.0.1:1";

/// What was seen of the processes below a command.
#[derive(Default)]
struct Seen {
    /// Command lines and environments whole, which seldom differ from one look to the next.
    blocks: HashSet<Vec<u8>>,
    /// Their texts, each variable by itself.
    texts: BTreeSet<String>,
    /// Names of programs.
    programs: BTreeSet<String>,
    /// Passwords of stores.
    passwords: BTreeSet<String>,
}

impl Seen {
    /// Looks once at every process below this one.
    fn look(&mut self, root: u32, temporary: &Path) {
        let own = fs::read(format!("/proc/{root}/cmdline")).unwrap_or_default();
        for pid in below(root) {
            let folder = format!("/proc/{pid}");
            let program = fs::read_to_string(format!("{folder}/comm")).unwrap_or_default();
            let command = fs::read(format!("{folder}/cmdline")).unwrap_or_default();
            let environment = fs::read(format!("{folder}/environ")).unwrap_or_default();
            if command == own {
                // Forked and not yet another program: it still shows what the command itself has.
                continue;
            }
            self.programs.insert(program.trim().into());
            for block in [command, environment] {
                if !self.blocks.contains(&block) {
                    let texts = block.split(|byte| *byte == 0).map(String::from_utf8_lossy);
                    self.texts.extend(texts.map(std::borrow::Cow::into_owned));
                    self.blocks.insert(block);
                }
            }
        }
        for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
            let home = entry.path().join("home");
            let redis = fs::read_to_string(home.join("redis.conf")).unwrap_or_default();
            let postgres = fs::read_to_string(home.join("password")).unwrap_or_default();
            let redis = redis.lines().filter_map(|line| line.strip_prefix("requirepass "));
            let found = redis.chain([postgres.as_str()]).filter(|text| !text.is_empty());
            self.passwords.extend(found.map(String::from));
        }
    }

    /// The texts that hold a password, or what may be one or a key.
    fn leaks(&self) -> Vec<&String> {
        let known =
            |text: &&String| self.passwords.iter().any(|password| text.contains(password.as_str()));
        self.texts.iter().filter(|text| known(text) || may_be_secret(text)).collect()
    }
}

/// Whether a text has a URL with a password, or a key in some usual form.
fn may_be_secret(text: &str) -> bool {
    let has_password = text
        .split("://")
        .skip(1)
        .any(|rest| rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')));
    let longest =
        |fits: fn(char) -> bool| text.split(|c| !fits(c)).map(str::len).max().unwrap_or_default();
    let hexadecimal = longest(|c| c.is_ascii_hexdigit());
    let base64 = longest(|c| c.is_ascii_alphanumeric() || "+_=-".contains(c));
    let numbers = longest(|c| c.is_ascii_digit() || c == ',');
    let is_key = text.contains("Planted") || text.contains("PRIVATE KEY") || text.contains("--key");
    has_password || hexadecimal >= 32 || base64 >= 40 || numbers >= 40 || is_key
}

/// The processes below this one.
fn below(root: u32) -> Vec<u32> {
    let (mut found, mut left) = (Vec::new(), vec![root]);
    while let Some(pid) = left.pop() {
        // Each thread has the children that it started.
        for thread in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            let children = children.split_whitespace().map(|child| child.parse::<u32>().unwrap());
            let before = found.len();
            found.extend(children);
            left.extend(&found[before..]);
        }
    }
    found
}

/// `authbench`, whose environment has nothing that looks like a secret but what is planted there.
fn authbench(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.args(arguments).env_clear().env("PATH", path).env("TMPDIR", temporary);
    command.env("AUTHBENCH_STORE_URL", PLANTED);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a stream says, read by a thread of its own.
fn heard(mut stream: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
}

/// Runs a command to its end while what is below it is looked at; what was seen, and what it said.
/// `None` where a store or a server was too slow for it, as on a busy machine: exit code 4.
fn watched(temporary: &Path, arguments: &[&str], seen: &mut Seen) -> Option<String> {
    let mut child = authbench(temporary, arguments).spawn().unwrap();
    let (out, err) = (heard(child.stdout.take().unwrap()), heard(child.stderr.take().unwrap()));
    let began = Instant::now();
    let status = loop {
        seen.look(child.id(), temporary);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "{arguments:?} does not end");
        // What is looked at needs a core too.
        std::thread::sleep(Duration::from_millis(1));
    };
    let said = out.join().unwrap() + &err.join().unwrap();
    // A figure of a debug build on a busy machine may be invalid.
    assert!(
        [Some(0), Some(3), Some(4)].contains(&status.code()),
        "{arguments:?}: {status}: {said}"
    );
    (status.code() != Some(4)).then_some(said)
}

/// A folder for temporary files that a store's user can reach.
fn temporary() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

/// The arms that are looked at, one for each store and one with a key, each with the program that
/// must be seen below it.
const ARMS: [(&str, &str); 6] = [
    ("session@memory", "authbench"),
    ("jwt-hs256", "authbench"),
    ("jwt-jwks", "authbench"),
    ("session@sqlite", "authbench"),
    ("session@redis", "redis-server"),
    ("session@postgres", "postgres"),
];

/// Those whose store is here; that another is not is said, and may be forbidden.
fn available() -> Vec<(&'static str, &'static str)> {
    let is_here = |(arm, _): &(&str, &str)| {
        let info = servers::arms().iter().find(|info| info.arm == *arm).unwrap();
        let Some(missing) = info.store.and_then(servers::stores::missing_program) else {
            return true;
        };
        let (name, package) = (missing.name, missing.package);
        let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
        assert!(!required, "{arm} needs {name}: install {package}");
        drop(writeln!(std::io::stderr(), "skipped: {arm} needs {name} ({package})"));
        false
    };
    ARMS.into_iter().filter(is_here).collect()
}

#[test]
fn a_secret_that_is_there_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let hang = |argument: &str, variable: &str| {
        Command::new("sh")
            .args(["-c", "read line", "sh", argument])
            .env_clear()
            .env("VARIABLE", variable)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let key = "0123456789abcdef0123456789abcdef";
    for (argument, variable) in [
        ("redis://:hunter2@127.0.0.1:6379", "x"),
        ("x", "postgres://postgres:hunter2@127.0.0.1/postgres"),
        (key, "x"),
        ("x", key),
        ("x", "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE"),
        ("{\"key\":[104,117,110,116,101,114,50,104,117,110,116,101,114]}", "x"),
        ("--key-file", "x"),
    ] {
        let mut child = hang(argument, variable);
        let mut seen = Seen::default();
        // Between its fork and its exec it is still this test.
        while !seen.texts.contains("read line") {
            seen.look(std::process::id(), folder.path());
        }
        let leaks = seen.leaks();
        let found = |text: &&&String| text.contains(argument) || text.contains(variable);
        assert!(leaks.iter().any(|text| found(&text)), "{argument} {variable}: {leaks:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The password of a store is known by itself, whatever it looks like.
    let seen = Seen {
        texts: ["a=short".into()].into(),
        passwords: ["short".into()].into(),
        ..Seen::default()
    };
    assert_eq!(seen.leaks(), ["a=short"]);
}

#[test]
fn an_attack_shows_no_secret() {
    for (arm, program) in available() {
        let folder = temporary();
        let (mut seen, attack) = (Seen::default(), ["attack", "--arm", arm, "--guesses", "10"]);
        let said = watched(folder.path(), &attack, &mut seen).unwrap_or_default();
        assert!(seen.programs.contains(program), "{arm}: {:?}", seen.programs);
        assert!(seen.texts.contains("share") && seen.texts.contains("serve"), "{arm}");
        assert_eq!(seen.leaks(), [""; 0], "{arm}");
        assert_eq!(seen.passwords.is_empty(), program == "authbench", "{arm}");
        assert!(!seen.passwords.iter().any(|password| said.contains(password)), "{arm}");
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{arm}: {left:?}");
    }
}

/// The arms of `ARMS` that the test below attacks too; the attacks on all are watched above.
const ATTACKED: [&str; 2] = ["jwt-hs256", "session@redis"];

#[test]
fn a_campaign_shows_no_secret_and_keeps_none() {
    let mut arms = available();
    arms.retain(|(arm, _)| ATTACKED.contains(arm));
    watch_campaign(&arms, "[revocation]\nusers = 4\nblocks = 1\nwindow = '20ms'\n", &[]);
}

#[test]
fn a_campaign_with_drills_shows_no_secret_and_keeps_none() {
    let tables = "[revocation]\nusers = 4\nblocks = 1\nwindow = '20ms'\n\
                  [restart]\nusers = 4\nblocks = 1\n";
    watch_campaign(&available(), tables, &["--skip-attacks"]);
}

/// Runs a campaign of these arms and tables, and looks for secrets in it and in what it leaves.
fn watch_campaign(available: &[(&str, &str)], tables: &str, flags: &[&str]) {
    let (folder, place) = (temporary(), tempfile::tempdir().unwrap());
    let file = place.path().join("drill.toml");
    let arms: Vec<_> = ["none"].into_iter().chain(available.iter().map(|(arm, _)| *arm)).collect();
    fs::write(&file, format!("name = 'drill'\narms = {arms:?}\n{tables}")).unwrap();
    let mut seen = Seen::default();
    let (out, said) = (0..TRIES)
        .find_map(|attempt| {
            let out = place.path().join(attempt.to_string());
            let [file, kept] = [&file, &out].map(|path| path.to_str().unwrap());
            let campaign = ["campaign", file, "--out", kept, "--allow-debug"];
            let campaign = [&campaign[..], flags].concat();
            watched(folder.path(), &campaign, &mut seen).map(|said| (out, said))
        })
        .expect("a campaign that comes to its end");
    assert!(available.iter().all(|(_, program)| seen.programs.contains(*program)));
    assert_eq!(seen.leaks(), [""; 0]);
    let files = ["plan.json", "host.json", "attacks.json", "report.html", "report.json"]
        .map(|name| out.join(name));
    let trials = fs::read_dir(out.join("trials")).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.into_iter().chain(trials).map(|path| fs::read_to_string(path).unwrap());
    for text in texts.chain([said]) {
        assert!(!seen.passwords.iter().any(|password| text.contains(password)), "{text}");
        assert!(!text.contains("Planted"), "{text}");
    }
}

/// A server that says its ready line and ends with its standard input.
struct Served {
    child: Child,
    line: String,
}

impl Served {
    fn start(temporary: &Path, flags: &[&str], url: Option<&str>) -> Self {
        let mut command = authbench(temporary, &[&["serve"], flags].concat());
        match url {
            Some(url) => command.env("AUTHBENCH_STORE_URL", url),
            None => command.env_remove("AUTHBENCH_STORE_URL"),
        };
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"authbench\":"), "{flags:?}: `{line}`");
        Self { child, line }
    }

    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_server_shows_no_secret_and_takes_one_from_a_file_or_the_environment() {
    for (arm, program) in available() {
        let folder = temporary();
        let server = Served::start(folder.path(), &[arm], None);
        let mut seen = Seen::default();
        seen.look(server.child.id(), folder.path());
        assert_eq!(seen.leaks(), [""; 0], "{arm}");
        assert!(!seen.passwords.iter().any(|known| server.line.contains(known)), "{arm}");
        if program == "redis-server" {
            assert!(seen.programs.contains(program));
            let ready: serde_json::Value = serde_json::from_str(&server.line).unwrap();
            let shown = ready["store"]["url"].as_str().unwrap();
            let place = shown.strip_prefix("redis://").unwrap();
            let password = seen.passwords.iter().next().unwrap();
            let url = format!("redis://:{password}@{place}");
            let file = folder.path().join("url");
            fs::write(&file, format!("{url}\n")).unwrap();
            let flag = ["--store-url-file", file.to_str().unwrap()];
            let by_file = [&[arm][..], &flag].concat();
            // A file comes before the environment, which leads nowhere here.
            Served::start(folder.path(), &by_file, Some(PLANTED)).stop();
            Served::start(folder.path(), &[arm], Some(&url)).stop();
            let wrong = ["serve", arm, "--store-url", "redis://127.0.0.1:1"];
            let both = [&wrong[..], &flag].concat();
            let refused = authbench(folder.path(), &both).output().unwrap();
            assert_eq!(refused.status.code(), Some(2));
        }
        server.stop();
    }
}

#[test]
fn a_url_that_is_refused_is_not_repeated() {
    let folder = temporary();
    let file = folder.path().join("url");
    for text in
        ["", "\n\n", "redis://:hunter2@127.0.0.1:1 redis://:hunter2@x", "hunter2", "hu:nter2"]
    {
        fs::write(&file, text).unwrap();
        let flags = ["serve", "session@redis", "--store-url-file", file.to_str().unwrap()];
        let output = authbench(folder.path(), &flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("PASSWORD@") && !said.contains("nter2"), "{said}");
    }
    let planted = authbench(folder.path(), &["serve", "session@redis"]).output().unwrap();
    let said = String::from_utf8(planted.stderr).unwrap();
    assert!(!planted.status.success() && !said.contains("Planted"), "{said}");
    let help = authbench(folder.path(), &["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("A password does not belong on a command line"), "{help}");
    assert!(!help.contains("secrets-from-stdin") && !help.contains("Planted"), "{help}");
}
