//! The files of `loadgen/deploy`: every command in them is one, their parts agree, and the script
//! of Slurm runs. No cluster has run them.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser as _;
use loadgen::cli::Cli;
use tempfile::TempDir;

use super::agents::{Logging, nats};
use super::cli::servers::Server;
use super::readers::{has_package, is_there, python};

const PROGRAM: &str = env!("CARGO_BIN_EXE_authbench");

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy")
}

fn read(name: &str) -> String {
    fs::read_to_string(shipped().join(name)).unwrap()
}

/// The commands of the program in a file of YAML, each on a line of its own.
fn commands(name: &str) -> Vec<Vec<String>> {
    let text = read(name);
    let lists = text.lines().filter_map(|line| {
        let line = line.trim();
        let list = line.strip_prefix("args: ").or_else(|| line.strip_prefix("command: "))?;
        serde_json::from_str::<Vec<String>>(list).ok()
    });
    let verbs = ["agent", "run", "serve", "target"];
    lists.filter(|words| verbs.contains(&words[0].as_str())).collect()
}

/// The word behind a flag.
fn flag<'a>(words: &'a [String], name: &str) -> &'a str {
    let at = words.iter().position(|word| word == name);
    at.map_or_else(|| panic!("{name} in {words:?}"), |at| words[at + 1].as_str())
}

#[test]
fn every_command_is_one_and_the_parts_of_a_run_agree() {
    let files = [
        &["kubernetes/agents.yaml", "kubernetes/coordinator.yaml", "kubernetes/server.yaml"][..],
        &["compose/compose.yaml"],
    ];
    for files in files {
        let all: Vec<Vec<String>> = files.iter().flat_map(|name| commands(name)).collect();
        assert!(all.len() >= 4, "{all:?}");
        for words in &all {
            let words = ["authbench"].into_iter().chain(words.iter().map(String::as_str));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{error}");
            }
        }
        let with = |verb: &str| all.iter().filter(|words| words[0] == verb).collect::<Vec<_>>();
        let (agents, run, served) = (with("agent"), with("run")[0], with("serve")[0]);
        let port = flag(served, "--listen").rsplit(':').next().unwrap();
        for agent in &agents {
            assert_eq!(flag(agent, "--run"), flag(run, "--run"));
            assert_eq!(flag(agent, "--allow-target"), format!("server:{port}"));
        }
        let text: String = files.iter().map(|name| read(name)).collect();
        let count = flag(run, "--agents");
        for line in ["completions: ", "parallelism: "] {
            assert!(!text.contains(line) || text.contains(&format!("{line}{count}\n")), "{line}");
        }
        let is_indexed = text.contains("completionMode: Indexed");
        assert!(is_indexed || agents.len().to_string() == count, "{agents:?}");
    }
}

#[test]
fn the_target_file_is_that_of_the_server() {
    let (kubernetes, compose) = (read("kubernetes/target.toml"), read("compose/target.toml"));
    let settings = |text: &str| text.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_eq!(settings(&kubernetes), settings(&compose));
    let server = Server::start("session@memory");
    let temporary = TempDir::new().unwrap();
    let path = temporary.path().join("target.toml");
    fs::write(&path, kubernetes.replace("server:8080", &server.address)).unwrap();
    let output = Command::new(PROGRAM).args(["target", "check"]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A stand-in for a program, first in the `PATH` of the script.
fn stand_in(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_script_of_slurm_runs_a_load_and_leaves_nothing() {
    if nats().is_none() {
        return;
    }
    let (server, folder) = (Logging::start(Duration::ZERO), TempDir::new().unwrap());
    let (programs, temporary) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let tasks = "input=$(mktemp); cat > \"$input\"\n\
                 for task in 0 1; do SLURM_PROCID=$task \"$@\" < \"$input\" & done; wait\n\
                 rm \"$input\"";
    stand_in(programs.path(), "srun", tasks);
    stand_in(programs.path(), "hostname", "echo 127.0.0.1");
    let debug = format!("verb=$1; shift; exec {PROGRAM} \"$verb\" --allow-debug \"$@\"");
    stand_in(programs.path(), "authbench", &debug);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new("sh");
    command.arg(shipped().join("slurm/authbench.sbatch"));
    command.arg(server.target(folder.path()));
    command.args(["--rate", "200/s", "-d", "2s", "--users", "24", "-c", "12"]);
    command.env("PATH", format!("{}:{path}:/usr/sbin", programs.path().display()));
    command.env("TMPDIR", temporary.path()).env("AUTHBENCH_ENGINE_PORT", port.to_string());
    command.env("SLURM_JOB_ID", "7").env("SLURM_NTASKS", "2").env("SLURM_CPUS_PER_TASK", "1");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // 3 says that this machine was busy; every request is in the accounts anyway.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}");
    assert_eq!(server.asked().len(), 400, "{said}");
    let left = fs::read_dir(temporary.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    // The shares, which `collect` could use.
    let is_share = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".share.json");
    assert!(left.len() == 2 && left.iter().all(is_share), "{left:?}");
}

#[test]
fn kubernetes_knows_every_resource_and_every_field() {
    let text = read("kubernetes/kustomization.yaml");
    let listed = text.lines().filter_map(|line| line.strip_prefix("  - "));
    let listed: BTreeSet<String> =
        listed.filter(|name| name.ends_with(".yaml")).map(str::to_owned).collect();
    let there = fs::read_dir(shipped().join("kubernetes")).unwrap();
    let there = there.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> =
        there.filter(|name| name.ends_with(".yaml") && name != "kustomization.yaml").collect();
    assert_eq!(listed, there);
    if !is_there("KUBERNETES", has_package("kubernetes_validate")) {
        return;
    }
    let script = r#"
import sys, yaml, kubernetes_validate as kubernetes
resources = [of for path in sys.argv[1:] for of in yaml.safe_load_all(open(path))]
assert len(resources) == 10, len(resources)
for version in ("1.25", "1.30", "1.35"):
    for resource in resources:
        kubernetes.validate(resource, version, strict=True)
"#;
    let compose = r#"
import sys, yaml
services = yaml.safe_load(open(sys.argv[1]))["services"]
assert len(services) == 5 and all("image" in of and "command" in of for of in services.values())
"#;
    let output = python(compose, &[&shipped().join("compose/compose.yaml")]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let paths: Vec<PathBuf> =
        listed.iter().map(|name| shipped().join("kubernetes").join(name)).collect();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let output = python(script, &paths).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
