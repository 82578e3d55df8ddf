//! The page that shows a campaign while it runs: who may read it, and what it says.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loadgen::campaign::Latest;
use loadgen::record::{Folder, TrialRecord};
use serde_json::Value;

/// A minute is ten times what any answer needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a campaign's page is, as the campaign says on stderr.
struct Page {
    authority: String,
    path: String,
}

impl Page {
    fn of(child: &mut Child) -> Self {
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut lines = stderr.lines().map(Result::unwrap);
        let line = lines.find(|line| line.starts_with("watch it at ")).expect("the address");
        let url = line.trim_start_matches("watch it at http://").to_owned();
        // What else it says is read, so that it is never blocked.
        std::thread::spawn(move || lines.for_each(drop));
        let (authority, path) = url.split_once('/').unwrap();
        Self { authority: authority.into(), path: format!("/{path}") }
    }

    fn send(&self, method: &str, path: &str, host: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    /// The whole answer to a request for a part of the page.
    fn get(&self, part: &str) -> String {
        self.ask("GET", &format!("{}{part}", self.path), &self.authority)
    }

    fn ask(&self, method: &str, path: &str, host: &str) -> String {
        let mut answer = String::new();
        self.send(method, path, host).read_to_string(&mut answer).unwrap();
        answer
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[test]
fn a_campaign_is_watched_to_its_end_by_those_who_know_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("c.toml"), dir.path().join("out"));
    let text = "name = 'watched'\narms = ['none', 'jwt-hs256']\n[concurrency]\nusers = [2]\n\
                blocks = 3\nwarmup = '20ms'\nmeasure = '100ms'\n";
    fs::write(&file, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("campaign")
        .arg(&file)
        .args(["--allow-debug", "--ui", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let page = Page::of(&mut child);
    let events = page.send("GET", &format!("{}events", page.path), &page.authority);

    let shell = page.get("");
    assert_eq!(status(&shell), "200");
    assert!(shell.contains("content-security-policy: default-src 'none'"), "{shell}");
    assert!(shell.contains("cache-control: no-store"), "{shell}");
    for part in ["page.js", "page.css", "report.html"] {
        assert_eq!(status(&page.get(part)), "200", "{part}");
    }
    assert_eq!(status(&page.get("trials/0000-none.json")), "404");
    assert_eq!(status(&page.get("../../etc/passwd")), "404");
    let port = page.authority.rsplit_once(':').unwrap().1;
    assert_eq!(status(&page.ask("GET", &page.path, &format!("localhost:{port}"))), "200");
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1", ""] {
        assert_eq!(status(&page.ask("GET", &page.path, host)), "421", "{host}");
    }
    for path in ["/", "/AAAAAAAAAAAAAAAAAAAAAA/", &page.path[..page.path.len() - 2]] {
        assert_eq!(status(&page.ask("GET", path, &page.authority)), "404", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(status(&page.ask(method, &page.path, &page.authority)), "405", "{method}");
    }

    let lines = BufReader::new(events).lines().map_while(Result::ok);
    let states: Vec<Value> = lines
        .filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
        .collect();
    child.wait().unwrap();
    let (first, last) = (&states[0], states.last().unwrap());
    assert_eq!(first["campaign"], "watched");
    assert!(last["over"].as_str().unwrap().contains("report.html"), "{last}");
    assert_eq!((&last["ended"], &last["planned"]), (&9.into(), &9.into()), "{last}");
    assert!(last["report"].as_u64().unwrap() > 0, "{last}");
    let arms: Vec<_> = last["arms"].as_array().unwrap().iter().map(|arm| &arm["arm"]).collect();
    assert_eq!(arms, ["jwt-hs256", "jwt-hs256 (again)", "none"]);
    assert!(TcpStream::connect(&page.authority).is_err(), "the page ends with the campaign");
}

#[test]
fn the_last_trial_stands_for_its_arm_and_the_worst_doubt_is_kept() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/reference/quick");
    let folder = Folder::open(&reference).unwrap();
    let plan = folder.plan().unwrap();
    let records = folder.records(&plan).unwrap();
    let mut latest = Latest::default();
    records.iter().for_each(|record| latest.see(record));
    assert_eq!(latest.invalid().1, records.len());
    for (arm, last) in latest.trials() {
        let of_arm = records.iter().rfind(|record| record.trial.name() == arm).unwrap();
        assert_eq!(last.experiment, of_arm.trial.experiment);
        assert!(!last.figures.is_empty() && last.figures.len() <= 3, "{arm}: {last:?}");
        assert!(last.figures.iter().all(|(_, value)| value.is_finite()));
    }
    // A doubt that invalidates outlasts those which only warn.
    let is_load = |record: &&TrialRecord| record.loads().next().is_some();
    let mut unanswered = serde_json::to_value(records.iter().find(is_load).unwrap()).unwrap();
    for action in unanswered["actions"].as_array_mut().unwrap() {
        if let Some(counts) = action.get_mut("counts") {
            counts["ok"] = 0.into();
        }
    }
    latest.see(&serde_json::from_value(unanswered).unwrap());
    let worst = latest.worst().unwrap().clone();
    assert!(worst.invalidates, "{worst:?}");
    records.iter().for_each(|record| latest.see(record));
    assert!(latest.worst().unwrap().invalidates);
}
