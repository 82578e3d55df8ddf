//! The workflows in docs/ci.md: the script of every step runs as shown, on a server of the target
//! files and on two small campaigns. What differs: ports, durations, and `authbench` and `cargo`,
//! which stand for the program under test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::targets::npm_install;

/// The program under test is a debug build, which says so unless it is allowed.
const AUTHBENCH: &str = r#"#!/bin/sh
verb=$1
shift
case $verb in
  run | campaign) exec "$PROGRAM" "$verb" --allow-debug "$@" ;;
  *) exec "$PROGRAM" "$verb" "$@" ;;
esac
"#;
/// It builds nothing: an installation must name a folder with a package, and `run` runs the above.
const CARGO: &str = r#"#!/bin/sh
case "$1 $2 $3" in
  "install --locked --path") exec test -f "$4/Cargo.toml" ;;
  "run --release --") shift 3; test -f Cargo.toml && exec authbench "$@" ;;
  *) exit 99 ;;
esac
"#;
/// The campaign of the page, in seconds.
const CAMPAIGN: &str = r#"
name = "pull-request"
arms = ["none", "session@memory"]
[concurrency]
users = [4]
blocks = 2
warmup = "50ms"
measure = "100ms"
slice = "0ms"
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The scripts of the steps of each workflow on the page.
fn workflows() -> Vec<Vec<String>> {
    let page = fs::read_to_string(root().join("docs/ci.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(scripts).collect()
}

/// What stands behind `run:`, on its line or indented below it.
fn scripts(workflow: &str) -> Vec<String> {
    let mut scripts = Vec::new();
    let mut lines = workflow.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((before, script)) = line.split_once("run: ") else { continue };
        if script != "|" {
            scripts.push(script.to_string());
            continue;
        }
        let deeper = |line: &&str| line.len() - line.trim_start().len() > before.len();
        let mut block = String::new();
        while let Some(line) = lines.next_if(deeper) {
            block.extend([line.trim_start(), "\n"]);
        }
        scripts.push(block);
    }
    scripts
}

/// A folder in which steps run, with the programs that they call.
struct Runner {
    folder: tempfile::TempDir,
    /// A process that leads the group of all that the steps start.
    leader: Child,
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = kill_process_group(self.group(), Signal::KILL);
        let _ = self.leader.wait();
    }
}

impl Runner {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        for (name, script) in [("authbench", AUTHBENCH), ("cargo", CARGO)] {
            let path = folder.path().join("bin").join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut leader = Command::new("sleep");
        leader.arg("infinity").process_group(0).stdin(Stdio::null());
        Self { folder, leader: leader.spawn().unwrap() }
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.leader.id().cast_signed()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs a step as GitHub does and expects one of these exit codes.
    fn step(&self, script: &str, codes: &[i32]) {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let log = fs::File::create(self.path("step.log")).unwrap();
        let status = Command::new("bash")
            .args(["-e", "-c", script])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .env("PROGRAM", env!("CARGO_BIN_EXE_authbench"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary.md"))
            .process_group(self.leader.id().cast_signed())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap();
        let code = status.code().unwrap_or(-1);
        assert!(codes.contains(&code), "{script}: {code}\n{}", self.read("step.log"));
    }
}

/// A port below those that the kernel gives to connections, so that none takes it meanwhile.
fn free_port() -> u16 {
    let first = 20_000 + (std::process::id() % 5_000) as u16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (first..first + 1_000).find(is_free).expect("a free port")
}

#[test]
fn the_job_for_a_server_of_your_own_runs() {
    let Some(place) = npm_install("express-session", 18) else { return };
    let runner = Runner::new();
    let port = free_port().to_string();
    let own = fs::read_dir(place.path().join("express-session")).unwrap();
    let own = own.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    for path in own.chain([place.path().join("frame.mjs")]) {
        fs::copy(&path, runner.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    // One folder holds all of it here.
    let server = fs::read_to_string(runner.path("server.js")).unwrap();
    fs::write(runner.path("server.js"), server.replace("../frame.mjs", "./frame.mjs")).unwrap();
    symlink(root(), runner.path("authbench")).unwrap();
    let target = fs::read_to_string(root().join("loadgen/targets/express-session.toml")).unwrap();
    fs::write(runner.path("target.toml"), target.replace("3000", &port)).unwrap();
    let steps = workflows().remove(0);
    assert_eq!(steps.len(), 5, "{steps:#?}");
    for step in steps {
        // A debug build on a busy machine may exceed the limits of the page, and the server has a
        // fault that the suite finds.
        let codes: &[i32] = if step.contains("--fail-if") {
            &[0, 3, 6]
        } else if step.starts_with("authbench attack") {
            &[4]
        } else {
            &[0]
        };
        runner.step(&step.replace("3000", &port).replace("30s", "1s"), codes);
    }
    let junit = runner.read("load.xml");
    assert!(junit.contains("tests=\"2\"") && junit.contains("response_p99_us"), "{junit}");
    assert!(runner.read("load.json").contains("\"thresholds\""));
}

#[test]
fn the_job_that_compares_two_builds_runs() {
    let runner = Runner::new();
    for side in ["before", "after"] {
        fs::create_dir(runner.path(side)).unwrap();
        fs::copy(root().join("Cargo.toml"), runner.path(side).join("Cargo.toml")).unwrap();
    }
    fs::write(runner.path("after/pull-request.toml"), CAMPAIGN).unwrap();
    let steps = workflows().remove(1);
    assert_eq!(steps.len(), 3, "{steps:#?}");
    for step in &steps {
        runner.step(step, if step.contains("--fail-if") { &[0, 3, 6] } else { &[0, 3] });
    }
    let summary = runner.read("summary.md");
    assert!(
        summary.starts_with("### authbench") && summary.contains("throughput_rps"),
        "{summary}"
    );
}
