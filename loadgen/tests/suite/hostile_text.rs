//! Servers, files and arguments that try to speak through authbench. What is printed and written
//! has no control character but the line feed, no character that is not seen, and no line longer
//! than a screen (an error: than two).

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use loadgen::plan::{Plan, sha256_hex};
use loadgen::sanitise::{LINE, document, width};
use serde_json::{Value, json};

/// Clears the screen, renames the window, reverses a name and begins a line of its own.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}nimda\r\n1a  forged  401  refused";

fn authbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What it printed, once it is seen to be harmless.
fn harmless(output: &Output) -> String {
    let printed = [&output.stdout[..], b"\n", &output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    assert_harmless("what is printed", &printed);
    for line in printed.lines() {
        let most = if line.starts_with("error: ") { 2 * LINE + 7 } else { LINE };
        assert!(width(line) <= most, "{} columns: {line:.200}", width(line));
        assert!(!line.starts_with("1a  forged"), "a forged row: {printed}");
    }
    printed
}

fn assert_harmless(name: &str, text: &str) {
    let found = text.chars().find(|c| document(&c.to_string()) != c.to_string());
    assert_eq!(found, None, "{name}: {text:.2000}");
}

/// A server that knows who has logged in, and calls everybody else by this name.
struct Server(SocketAddr);

impl Server {
    fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let named = Arc::new(json!({ "user": name }).to_string());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let named = Arc::clone(&named);
                // A malformed request ends its connection.
                std::thread::spawn(move || serve(stream.unwrap(), &named));
            }
        });
        Self(address)
    }

    /// A target file for it, in which it has this name.
    fn target(&self, folder: &Path, name: &str) -> String {
        let path = folder.join("target.toml");
        let name = json!(name);
        let text = format!(
            "name = {name}\nbase_url = 'http://{}'\n[login]\npath = '/login'\n\
             fields = {{ username = '{{username}}', password = '{{password}}' }}\n\
             credential = 'cookie:sid'\nsend = 'cookie:sid'\n\
             [[journeys.browse.steps]]\nname = {name}\npath = '/me'\n\
             check = {{ json = '/user', equals = '{{n}}' }}\n\
             [[journeys.browse.steps]]\nname = 'me again'\npath = '/me'\n",
            self.0
        );
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }
}

/// Answers the requests of a connection, as long as they have a head and a length.
fn serve(stream: TcpStream, named: &str) -> Option<()> {
    // Half a request is waited for, but not as long as the attack would wait for an answer.
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let field = |name: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        let length: u64 = field("content-length").unwrap_or_default().parse().unwrap_or(0);
        let mut body = Vec::new();
        reader.by_ref().take(length.min(1 << 20)).read_to_end(&mut body).ok()?;
        let cookie = field("cookie").unwrap_or_default();
        let (status, cookie, text) = if head.starts_with("POST /login ") {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let user = body["username"].as_str().and_then(|name| name.strip_prefix("user-"));
            match user {
                Some(user) => (200, format!("Set-Cookie: sid=known-{user}\r\n"), "{}".into()),
                None => (401, String::new(), "{}".into()),
            }
        } else {
            match (cookie.strip_prefix("sid=known-"), cookie.is_empty()) {
                (Some(user), _) => (200, String::new(), format!("{{\"user\":\"{user}\"}}")),
                (None, true) => (401, String::new(), "{}".into()),
                (None, false) => (200, String::new(), named.to_owned()),
            }
        };
        let length = text.len();
        let head = format!("HTTP/1.1 {status} X\r\n{cookie}Content-Length: {length}\r\n\r\n");
        writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(text.as_bytes())).ok()?;
    }
}

#[test]
fn a_name_in_an_answer_stays_in_its_cell() {
    // An attack waits for a server more than it works.
    std::thread::scope(|scope| {
        for name in [
            HOSTILE.to_owned(),
            "a".repeat(65_536),
            "佐".repeat(60_000),
            "\u{301}".repeat(60_000),
            "=cmd|' /C calc'!A0".to_owned(),
        ] {
            scope.spawn(move || attacked(&name));
        }
    });
}

/// Attacks a server that calls strangers by this name.
fn attacked(name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let target = Server::start(name).target(dir.path(), "hostile");
    let attack = ["attack", "--target", &target, "--guesses", "2"];
    let output = authbench(&attack);
    let printed = harmless(&output);
    assert_eq!(output.status.code(), Some(4), "{printed}");
    let heads = printed
        .lines()
        .filter(|line| line.get(5..).is_some_and(|rest| rest.starts_with("ACCEPTED")));
    assert!(heads.count() > 2, "{printed}");
    let flat = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.matches("found 200 as `").count() > 2, "{printed}");
    assert!(printed.len() < 200_000, "{} bytes", printed.len());
    if name == HOSTILE {
        assert!(printed.contains("\\u{1b}[2J"), "{printed}");
        harmless_json(&authbench(&[&attack[..], &["--format", "json"]].concat()));
    } else if name.chars().count() >= 60_000 {
        assert!(flat.contains(" more)`"), "what is cut is counted: {printed}");
    }
}

/// JSON has no limit of length for a line, because it is data.
fn harmless_json(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_harmless("JSON", &text);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_name_in_a_target_file_forges_no_line() {
    let dir = tempfile::tempdir().unwrap();
    for name in [HOSTILE.to_owned(), format!("{HOSTILE}{}", "x".repeat(70_000))] {
        let server = Server::start("nobody");
        let target = server.target(dir.path(), &name);
        let flags = ["--users", "2", "--connections", "2", "--duration", "50ms", "--allow-debug"];
        let run = [&["run", "--target", &target][..], &flags].concat();
        let printed = harmless(&authbench(&run));
        assert!(printed.contains("\\u{1b}[2J") && printed.contains("me again"), "{printed}");
        harmless_json(&authbench(&[&run[..], &["--format", "json"]].concat()));
        let printed = harmless(&authbench(&["attack", "--target", &target, "--guesses", "2"]));
        assert!(printed.contains("\\u{1b}[2J"), "{printed}");
        let missing = ["attack", "--target", &target, "--journey", HOSTILE];
        assert!(harmless(&authbench(&missing)).contains("\\u{1b}[2J"));
    }
}

#[test]
fn arguments_and_files_are_quoted_harmlessly() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    fs::write(&file, format!("name = 'x'\n# {HOSTILE}\n{}\n", "y".repeat(100_000))).unwrap();
    let file = file.to_str().unwrap();
    let long = "z".repeat(70_000);
    for arguments in [
        &[HOSTILE][..],
        &["run", HOSTILE, "--no-such-flag"],
        &["run", "--rate", HOSTILE, "http://127.0.0.1:1/"],
        &["run", HOSTILE, "--allow-debug"],
        &["attack", "--arm", HOSTILE],
        &["attack", "--arm", &long],
        &["attack", "--target", HOSTILE],
        &["report", HOSTILE],
        &["compare", HOSTILE, &long],
        &["plan", HOSTILE],
        &["plan", file],
        &["plan", "quick", "--arms", HOSTILE],
        &["attack", "--target", file],
    ] {
        let output = authbench(arguments);
        let printed = harmless(&output);
        assert!([2, 5].contains(&output.status.code().unwrap()), "{printed}");
        assert!(printed.contains("error: "), "{printed}");
        assert!(
            printed.lines().filter(|line| !line.is_empty()).skip(1).all(|l| l.starts_with("  "))
        );
    }
}

fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/quick")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A file with a checksum that holds, as anybody can make one.
fn sealed(value: &Value) -> String {
    let mut whole = serde_json::Map::from_iter([("checksum".to_owned(), json!(""))]);
    whole.extend(value.as_object().unwrap().clone());
    whole["checksum"] = json!("");
    let text = serde_json::to_string_pretty(&whole).unwrap() + "\n";
    let checksum = sha256_hex(text.as_bytes());
    text.replacen("\"checksum\": \"\"", &format!("\"checksum\": \"{checksum}\""), 1)
}

/// A copy of the reference in which one arm has another name and `change` may alter each file.
fn altered(folder: &Path, renamed: (&str, &str), change: impl Fn(&str, &mut Value)) {
    fs::create_dir_all(folder.join("trials")).unwrap();
    let rename = |value: &Value| -> Value {
        let (from, to) = (json!(renamed.0).to_string(), json!(renamed.1).to_string());
        serde_json::from_str(&value.to_string().replace(&from, &to)).unwrap()
    };
    let plan = rename(&read(&reference().join("plan.json")));
    fs::write(folder.join("plan.json"), plan.to_string()).unwrap();
    let hash = serde_json::from_value::<Plan>(plan).unwrap().hash();
    let write = |from: &Path, name: &str, to: &Path| {
        let mut value = rename(&read(from));
        if value.get("plan").is_some() {
            value["plan"] = hash.clone().into();
        }
        change(name, &mut value);
        fs::write(to.join(name), sealed(&value)).unwrap();
    };
    for name in ["host.json", "attacks.json"] {
        write(&reference().join(name), name, folder);
    }
    for entry in fs::read_dir(reference().join("trials")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let name = name.replace(renamed.0, &renamed.1.replace(' ', "-"));
        write(&path, &name, &folder.join("trials"));
    }
}

#[test]
fn records_are_compared_and_reported_harmlessly() {
    const FORMULA: &str = "=cmd|'-C calc'!A0";
    const MARKUP: &str = "[x](http://x.test)<b>|";
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("hostile");
    altered(&folder, ("jwt-hs256", FORMULA), |name, value| match name {
        "host.json" => {
            value["cpu_model"] = json!(format!("{HOSTILE}{MARKUP}"));
            value["kernel"] = json!("x".repeat(70_000));
        }
        "attacks.json" => {
            value["arms"][0]["spared"] = json!(HOSTILE);
            value["arms"][1]["cases"][0]["outcome"] = json!("property");
            value["arms"][1]["cases"][0]["found"] = json!(HOSTILE.repeat(1_000));
        }
        _ => {
            value["server"]["notes"][0] = json!(HOSTILE);
            if name.starts_with("0003-") {
                value["outcome"] = json!({ "is": "failed", "cause": format!("{HOSTILE}{MARKUP}") });
            }
        }
    });
    let (a, b) = (reference(), folder.to_str().unwrap());
    let output = authbench(&["compare", a.to_str().unwrap(), b]);
    let printed = harmless(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("differs: ") && printed.contains("doubt in B: \\u{1b}"), "{printed}");
    harmless_json(&authbench(&["compare", a.to_str().unwrap(), b, "--format", "json"]));

    let output = authbench(&["report", b, "--format", "html,md,json,csv,svg"]);
    assert_eq!(output.status.code(), Some(0), "{}", harmless(&output));
    let file = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        assert_harmless(name, &text);
        assert!(!text.contains(&"x".repeat(1_001)), "{name} holds a text of any length");
        text
    };
    let (page, markdown, csv) = (file("report.html"), file("report.md"), file("measurements.csv"));
    drop((file("charts.svg"), serde_json::from_str::<Value>(&file("report.json")).unwrap()));
    assert!(page.contains("\\u{1b}[2J") && !page.contains("<b>"));
    assert!(markdown.contains("\\\\u{1b}\\[2J") && !markdown.contains("<b>"));
    assert!(markdown.contains("\\[x\\](http\\://x.test)&lt;b>\\|"), "it is text");
    assert!(csv.contains(&format!(",'{FORMULA},")) && !csv.contains(&format!(",{FORMULA}")));
}

#[test]
fn what_stands_in_a_folder_is_resumed_harmlessly() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("c.toml"), dir.path().join("out"));
    let text = "name = 'small'\narms = ['none', 'jwt-hs256']\n\
                [concurrency]\nusers = [2]\nblocks = 2\n\
                warmup = '20ms'\nmeasure = '100ms'\n";
    fs::write(&file, text).unwrap();
    let (path, folder) = (file.to_str().unwrap(), out.to_str().unwrap());
    let flags = ["--allow-debug", "--skip-attacks", "--resume", "--out", folder];
    let campaign = [&["campaign", path], &flags[..]].concat();
    // On a busy machine a login may get no answer in time; its trial is then run again.
    let mut first = authbench(&campaign);
    for _ in 0..2 {
        if first.status.code() == Some(4) {
            first = authbench(&campaign);
        }
    }
    // A figure of a debug build on a busy machine may be invalid; it must then say so with 3.
    assert!([Some(0), Some(3)].contains(&first.status.code()), "{}", harmless(&first));

    let trials = out.join("trials");
    let mut paths: Vec<_> = fs::read_dir(&trials).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let mut record = read(&paths[0]);
    record["outcome"] = json!({ "is": HOSTILE });
    fs::write(&paths[0], sealed(&record)).unwrap();
    fs::write(trials.join(format!("{HOSTILE}.json")), "{}").unwrap();
    let output = authbench(&campaign);
    let printed = harmless(&output);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{printed}");
    assert_eq!(printed.matches("it is kept as").count(), 2, "{printed}");
    assert!(printed.contains("unknown variant `\\u{1b}"), "{printed}");

    let mut plan = read(&out.join("plan.json"));
    plan["name"] = json!(HOSTILE);
    fs::write(out.join("plan.json"), plan.to_string()).unwrap();
    let output = authbench(&campaign);
    let printed = harmless(&output);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("holds another campaign") && printed.contains("\\u{1b}[2J"));
}
