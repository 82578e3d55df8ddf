//! Campaigns that do not come to their end at once: killed, interrupted, out of disk, started
//! twice. Nothing finished is lost or run twice, nothing of two machines is mixed unasked, no
//! server is left behind. Moments are found by looking at the folder, never by a clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const AUTHBENCH: &str = env!("CARGO_BIN_EXE_authbench");
const WAIT: Duration = Duration::from_secs(120);

/// A campaign of 24 trials: three arms, and the reference again.
const TINY: &str = "name = 'tiny'\narms = ['none', 'session@memory', 'jwt-hs256']\n\
                    [concurrency]\nusers = [2, 4]\nblocks = 2\nwarmup = '20ms'\nmeasure = '100ms'\n\
                    slice = '0ms'\n[memory]\nsessions = [0, 20, 40, 60, 80]\nblocks = 2\n\
                    connections = 4\nsettle = '10ms'\n";
/// One of six.
const SMALL: &str = "name = 'small'\narms = ['none', 'jwt-hs256']\n[concurrency]\nusers = [2]\n\
                     blocks = 2\nwarmup = '20ms'\nmeasure = '100ms'\nslice = '0ms'\n";

type Files = BTreeMap<String, Vec<u8>>;

/// A campaign file and the folder that it runs into.
struct Campaign {
    dir: tempfile::TempDir,
    out: PathBuf,
}

impl Campaign {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("c.toml"), text).unwrap();
        let out = dir.path().join("out");
        Self { dir, out }
    }

    fn command(&self, program: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg("campaign").arg(self.dir.path().join("c.toml"));
        command.arg("--out").arg(&self.out).arg("--allow-debug").args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn start(&self, flags: &[&str]) -> Child {
        self.command(Path::new(AUTHBENCH), &[&["--skip-attacks"], flags].concat())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn run(&self, flags: &[&str]) -> Output {
        self.command(Path::new(AUTHBENCH), &[&["--skip-attacks"], flags].concat()).output().unwrap()
    }

    /// Starts it as a user does, with its attacks.
    fn start_whole(&self) -> Child {
        let mut command = self.command(Path::new(AUTHBENCH), &["--resume"]);
        command.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs to the end; a figure of a debug build on a busy machine may be invalid, which is 3.
    fn finish(&self, flags: &[&str]) -> String {
        let output = self.run(flags);
        let text = stderr(&output);
        assert!([Some(0), Some(3)].contains(&output.status.code()), "{:?}: {text}", output.status);
        text
    }

    fn refused(&self, flags: &[&str], code: i32) -> String {
        let output = self.run(flags);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    fn report(&self, code: i32) -> String {
        let output = Command::new(AUTHBENCH).arg("report").arg(&self.out).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    /// The records, by name.
    fn records(&self) -> Files {
        let mut files = contents(&self.out.join("trials"));
        files.retain(|name, _| name.ends_with(".json"));
        files
    }

    /// The names that the plan gives to its records.
    fn planned(&self) -> BTreeSet<String> {
        let plan: Value =
            serde_json::from_slice(&fs::read(self.out.join("plan.json")).unwrap()).unwrap();
        let name = |trial: &Value| {
            let (index, arm) = (trial["index"].as_u64().unwrap(), trial["arm"].as_str().unwrap());
            let again = if trial["twin"] == true { "-again" } else { "" };
            format!("{index:04}-{arm}{again}.json")
        };
        plan["trials"].as_array().unwrap().iter().map(name).collect()
    }

    /// Everything that is there after a campaign that came to its end.
    fn assert_whole(&self) {
        assert_eq!(self.records().into_keys().collect::<BTreeSet<_>>(), self.planned());
        self.report(0);
        let report: Value =
            serde_json::from_slice(&fs::read(self.out.join("report.json")).unwrap()).unwrap();
        assert_eq!(report["trials_complete"], self.planned().len());
        let names: Vec<_> = contents(&self.out).into_keys().collect();
        assert!(!names.iter().any(|name| name.ends_with(".tmp")), "{names:?}");
        assert!(!names.iter().any(|name| name.ends_with(".lock")), "{names:?}");
    }

    fn doubts(&self) -> Vec<String> {
        let report: Value =
            serde_json::from_slice(&fs::read(self.out.join("report.json")).unwrap()).unwrap();
        let code = |doubt: &Value| doubt["doubt"]["code"].as_str().unwrap().to_string();
        report["doubts"].as_array().unwrap().iter().map(code).collect()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The files of a folder, and those of its folders, by name; empty if the folder is missing.
fn contents(folder: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if path.is_dir() {
            found.extend(
                contents(&path).into_iter().map(|(file, text)| (format!("{name}/{file}"), text)),
            );
        } else if let Ok(bytes) = fs::read(&path) {
            // A temporary file may be gone by now.
            found.insert(name, bytes);
        }
    }
    found
}

/// Waits until something is so, or the process has ended.
fn until(child: &mut Child, so: impl Fn(&Child) -> bool) {
    let began = Instant::now();
    while !so(child) && child.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < WAIT, "it never came to that");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).unwrap()
}

/// The servers that a process has started.
fn servers(parent: &Child) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name of the program stands in brackets and may hold anything.
        let after = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        if after.split_whitespace().nth(1) == Some(&parent.id().to_string()) {
            found.extend(Pid::from_raw(number));
        }
    }
    found
}

/// Whether a process still serves; a zombie has no command line.
fn serves(pid: Pid) -> bool {
    let path = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    fs::read(path).is_ok_and(|text| text.split(|byte| *byte == 0).any(|word| word == b"serve"))
}

/// Fault 28: killed in every phase, nothing is lost.
/// Fault 30: nothing is lost or run twice.
#[test]
fn a_campaign_that_is_killed_again_and_again_has_every_trial_once() {
    let campaign = Campaign::new(TINY);
    let trials = campaign.out.join("trials");
    let count = || campaign.records().len();
    let writing = || {
        let entries = fs::read_dir(&trials).into_iter().flatten().flatten();
        entries.map(|e| e.file_name()).any(|name| name.to_string_lossy().ends_with(".tmp"))
    };
    let mut kept = Files::new();
    let moments: [&dyn Fn(&Child) -> bool; 7] = [
        // Setup: the folder is there, then the host, then the plan.
        &|_| campaign.out.exists(),
        &|_| campaign.out.join("host.json").exists(),
        &|_| campaign.out.join("plan.json").exists(),
        // In a trial, and while its record is written.
        &|child| count() >= 2 && servers(child).into_iter().any(serves),
        &|_| count() >= 3 && writing(),
        &|_| count() >= 6 && writing(),
        &|_| count() >= 9,
    ];
    for (moment, so) in moments.into_iter().enumerate() {
        // Those that are killed before a trial are killed in their attacks.
        let is_early = moment < 3;
        let mut child =
            if is_early { campaign.start_whole() } else { campaign.start(&["--resume"]) };
        until(&mut child, so);
        let left = servers(&child);
        kill_process(pid(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        let began = Instant::now();
        while left.iter().any(|server| serves(*server)) {
            assert!(began.elapsed() < WAIT, "a server is left behind after moment {moment}");
            std::thread::sleep(Duration::from_millis(5));
        }
        let now = campaign.records();
        for (name, bytes) in &kept {
            assert!(now.get(name) == Some(bytes), "{name} was lost or run twice at {moment}");
        }
        kept = complete(now);
        if campaign.out.join("plan.json").exists() {
            // Every file that has its name is whole, whenever the end came.
            campaign.report(0);
        }
    }
    assert!(kept.len() < 24, "{}", kept.len());
    let text = campaign.finish(&["--resume"]);
    let done = format!("{} of 24 trials are done already", kept.len());
    assert!(text.contains(&done), "{text}");
    assert!(text.contains(&format!("tiny: {} trials", 24 - kept.len())), "{text}");
    campaign.assert_whole();
    let now = campaign.records();
    assert!(kept.iter().all(|(name, bytes)| now[name] == *bytes), "what is done is not run again");
    assert!(campaign.doubts().contains(&"resumed".to_string()), "{:?}", campaign.doubts());

    // What is complete is left alone, record by record.
    let text = campaign.finish(&["--resume"]);
    assert!(text.contains("24 of 24 trials are done already"), "{text}");
    assert_eq!(campaign.records(), now);
}

/// Fault 7: an interrupted campaign resumes.
/// Fault 8: a campaign whose server dies goes to its end and exits with 4.
/// Fault 30: a failed trial runs again.
#[test]
fn an_interrupted_campaign_resumes_too_and_a_failed_trial_is_run_again() {
    let campaign = Campaign::new(SMALL);
    let mut child = campaign.start(&["--resume"]);
    until(&mut child, |_| campaign.records().len() == 1);
    kill_process(pid(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let first = campaign.records();
    assert!((1..6).contains(&first.len()));

    // Once this start has done a trial, the server of a later one dies as soon as it is there. One
    // that was there before may be about to stop.
    let mut child = campaign.start(&["--resume"]);
    until(&mut child, |_| campaign.records().len() > first.len());
    let before = servers(&child);
    let is_new = |pid: &Pid| !before.contains(pid) && serves(*pid);
    let began = Instant::now();
    while !servers(&child)
        .into_iter()
        .filter(is_new)
        .any(|server| kill_process(server, Signal::KILL).is_ok())
    {
        assert!(began.elapsed() < WAIT, "no server was started any more");
    }
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let second = campaign.records();
    assert_eq!(second.len(), 6, "a failed trial is a record, and the next ones run");
    let failed = |files: &Files| {
        let is_failed =
            |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).contains("\"is\": \"failed\"");
        files.iter().filter(|(_, bytes)| is_failed(bytes)).map(|(name, _)| name.clone()).collect()
    };
    let before: Vec<String> = failed(&second);
    assert_eq!(before.len(), 1, "{before:?}");

    let text = campaign.finish(&["--resume"]);
    assert!(text.contains("5 of 6 trials are done already"), "{text}");
    let third = campaign.records();
    assert_eq!(failed(&third), Vec::<String>::new());
    let changed: Vec<_> = third.iter().filter(|(name, bytes)| second[*name] != **bytes).collect();
    assert_eq!(changed.len(), 1, "only the failed one was run again");
    assert_eq!(*changed[0].0, before[0]);
    campaign.assert_whole();
}

/// Fault 29: what is damaged is named.
/// Fault 30: a damaged trial runs again.
#[test]
fn what_is_no_record_is_named_refused_by_the_report_and_run_again() {
    let campaign = Campaign::new(SMALL);
    campaign.finish(&[]);
    let whole = campaign.records();
    let names: Vec<&String> = whole.keys().collect();
    let trials = campaign.out.join("trials");
    let text = |name: &str| String::from_utf8(whole[name].clone()).unwrap();
    let spoilt: [(&str, String); 3] = [
        // One digit of one figure, the first half of a file, and a record under another name.
        (names[0], text(names[0]).replacen("\"wall_ms\": ", "\"wall_ms\": 1", 1)),
        (names[1], text(names[1])[..whole[names[1]].len() / 2].into()),
        ("0099-none.json", text(names[2])),
    ];
    for (name, content) in &spoilt {
        fs::write(trials.join(name), content).unwrap();
        let refused = campaign.report(2);
        assert!(refused.contains(name), "{refused}");
        match whole.get(*name) {
            Some(bytes) => fs::write(trials.join(name), bytes).unwrap(),
            None => fs::remove_file(trials.join(name)).unwrap(),
        }
    }
    campaign.report(0);

    for (name, content) in &spoilt {
        fs::write(trials.join(name), content).unwrap();
    }
    let said = campaign.finish(&["--resume"]);
    for (name, content) in &spoilt {
        let aside = format!("{name}.unusable");
        assert!(said.contains(&format!("it is kept as {aside}")), "{said}");
        assert_eq!(fs::read_to_string(trials.join(&aside)).unwrap(), *content);
    }
    assert!(said.contains("4 of 6 trials are done already"), "{said}");
    campaign.assert_whole();
    let now = campaign.records();
    assert!(names[2..].iter().all(|name| now[*name] == whole[*name]));
}

/// Fault 30: what differs is refused.
#[test]
fn another_campaign_machine_or_program_is_refused_unless_told() {
    let campaign = Campaign::new(SMALL);
    campaign.finish(&[]);
    let names: Vec<String> = campaign.records().into_keys().collect();
    fs::remove_file(campaign.out.join("trials").join(&names[5])).unwrap();
    let before = contents(&campaign.out);

    let text = campaign.refused(&[], 2);
    assert!(text.contains("holds a campaign already") && text.contains("--resume"), "{text}");
    let text = campaign.refused(&["--resume", "--seed", "9"], 2);
    assert!(text.contains("seed: 1 there, 9 here"), "{text}");
    campaign.refused(&["--mix"], 2);

    // The same program with one byte more: another build.
    let other = campaign.dir.path().join("authbench");
    let mut bytes = fs::read(AUTHBENCH).unwrap();
    bytes.push(b'\n');
    fs::write(&other, bytes).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let refused = campaign.command(&other, &["--skip-attacks", "--resume"]).output().unwrap();
    let text = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("5 of its 5 complete trials") && text.contains("--mix"), "{text}");
    assert!(text.contains("program: authbench"), "what differs is said: {text}");
    assert_eq!(contents(&campaign.out), before, "a refused campaign changes nothing");

    let mixed =
        campaign.command(&other, &["--skip-attacks", "--resume", "--mix"]).output().unwrap();
    assert!([Some(0), Some(3)].contains(&mixed.status.code()), "{}", stderr(&mixed));
    campaign.assert_whole();
    assert!(campaign.doubts().contains(&"mixed".to_string()), "{:?}", campaign.doubts());
    let hosts = contents(&campaign.out).into_keys().filter(|name| name.starts_with("host"));
    assert_eq!(hosts.count(), 2, "both are described");
    let text = campaign.refused(&["--resume"], 2);
    assert!(text.contains("1 of its 6 complete trials"), "{text}");
}

/// Fault 31: the second campaign is refused.
#[test]
fn of_two_campaigns_in_one_folder_the_second_is_refused() {
    for _ in 0..3 {
        let campaign = Campaign::new(TINY);
        let start = || {
            campaign
                .command(Path::new(AUTHBENCH), &["--skip-attacks", "--resume"])
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        // Both at once: one of them ends, and it is the one that was refused.
        let (mut one, mut other) = (start(), start());
        let began = Instant::now();
        let first_ends = loop {
            if one.try_wait().unwrap().is_some() {
                break true;
            }
            if other.try_wait().unwrap().is_some() {
                break false;
            }
            assert!(began.elapsed() < WAIT);
            std::thread::sleep(Duration::from_millis(1));
        };
        let (refused, mut running) = if first_ends { (one, other) } else { (other, one) };
        let number = format!("(process {})", running.id());
        let output = refused.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(&number), "{}", stderr(&output));
        // While the first runs.
        let text = campaign.refused(&["--resume"], 2);
        assert!(text.contains(&number), "{text}");
        let text = campaign.refused(&[], 2);
        assert!(text.contains(&number), "{text}");
        kill_process(pid(&running), Signal::KILL).unwrap();
        running.wait().unwrap();
    }
}

/// A small file system of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={size}");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "authbench-test"]).arg(at);
        let mounted = command.stderr(Stdio::null()).status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(at.into()))
    }

    /// Takes every page that is left.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// Those that count as done: a trial that something disturbed runs again, and the record of its
/// refused attempt is marked failed.
fn complete(mut records: Files) -> Files {
    records.retain(|_, bytes| {
        serde_json::from_slice::<Value>(bytes).unwrap()["outcome"]["is"] == "complete"
    });
    records
}

/// Fault 28: a full disk loses nothing.
#[test]
fn a_full_disk_is_said_with_the_path_and_loses_nothing() {
    let campaign = Campaign::new(TINY);
    let Some(disk) = SmallDisk::mount(&campaign.out, "4m") else {
        let _ =
            writeln!(std::io::stderr(), "skipped: a file system of 4 MiB cannot be mounted here");
        return;
    };
    // Once there is a record, the disk fills up.
    let mut child = campaign.command(Path::new(AUTHBENCH), &["--skip-attacks"]);
    let mut child = child.stderr(Stdio::piped()).spawn().unwrap();
    until(&mut child, |_| !campaign.records().is_empty());
    disk.fill();
    let output = child.wait_with_output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{text}");
    let path = campaign.out.join("trials").display().to_string();
    assert!(text.contains("cannot be written") && text.contains(&path), "{text}");
    let kept = complete(campaign.records());
    assert!(kept.len() < 24, "{}", kept.len());
    let text = campaign.refused(&["--resume"], 5);
    assert!(text.contains(&campaign.out.display().to_string()), "{text}");
    let now = campaign.records();
    assert!(kept.iter().all(|(name, bytes)| now[name] == *bytes));
    disk.empty();
    campaign.finish(&["--resume"]);
    campaign.assert_whole();
    let now = campaign.records();
    assert!(kept.iter().all(|(name, bytes)| now[name] == *bytes));
}

/// Two trials that are long enough to be disturbed.
const LONG: &str = "name = 'long'\narms = ['none']\n[concurrency]\nusers = [2]\nblocks = 2\n\
                    warmup = '20ms'\nmeasure = '1500ms'\nslice = '0ms'\n";

/// Fault 21: a generator that was stopped repeats its trial.
#[test]
fn what_was_disturbed_runs_again_and_a_resumed_campaign_keeps_the_count() {
    let campaign = Campaign::new(LONG);
    let refusals = || {
        let count = |bytes: &Vec<u8>| {
            let record: Value = serde_json::from_slice(bytes).unwrap();
            record["refused"].as_array().map_or(0, Vec::len)
        };
        campaign.records().values().map(count).max().unwrap_or(0)
    };
    let mut child = campaign.start(&[]);
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    let began = Instant::now();
    let pause = |millis| std::thread::sleep(Duration::from_millis(millis));
    while !campaign.out.join("attacks.json").exists() {
        assert!(began.elapsed() < WAIT, "nothing was attacked");
        pause(10);
    }
    // The generator stands still again and again, until an attempt is refused.
    while refusals() == 0 {
        assert!(began.elapsed() < WAIT && child.try_wait().unwrap().is_none(), "none was refused");
        kill_process(pid, Signal::STOP).unwrap();
        pause(250);
        kill_process(pid, Signal::CONT).unwrap();
        pause(100);
    }
    kill_process(pid, Signal::KILL).unwrap();
    child.wait().unwrap();
    let before = refusals();
    assert!((1..=2).contains(&before), "{before}");
    campaign.finish(&["--resume"]);
    assert!((before..=2).contains(&refusals()), "{before}, then {}", refusals());
    campaign.assert_whole();
    assert!(campaign.doubts().contains(&"repeated".to_string()), "{:?}", campaign.doubts());
}
