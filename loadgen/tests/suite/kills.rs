//! Endings that nobody asked for: kills, signals, limits that are reached in the middle. What was
//! written stays whole, what was counted is told, and the exit code says who has to act.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use loadgen::plan::Plan;
use loadgen::random::uniform;
use loadgen::record::{Claim, Folder, Mixing, TrialRecord};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;

const AUTHBENCH: &str = env!("CARGO_BIN_EXE_authbench");
const WAIT: Duration = Duration::from_secs(120);
/// How often the writer of records is killed.
const KILLS: u32 = 200;
/// How many records it writes unless it is killed.
const TRIALS: usize = 12;
/// Where the writer of records reads, and where it writes.
const FOLDERS: [&str; 2] = ["AUTHBENCH_TEST_SOURCE", "AUTHBENCH_TEST_FOLDER"];

fn authbench(arguments: &[&str]) -> Command {
    let mut command = Command::new(AUTHBENCH);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32).unwrap()
}

/// Waits for something that a process does while it runs.
fn until<T>(child: &mut Child, found: impl Fn(&Child) -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found(child) {
            return found;
        }
        assert!(began.elapsed() < WAIT && child.try_wait().unwrap().is_none(), "it never came");
        sleep(Duration::from_millis(1));
    }
}

/// The only process that a process has started, once it is there.
fn server_of(child: &Child) -> Option<Pid> {
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    let children = fs::read_to_string(path).unwrap_or_default();
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}

/// The folder with the plan, and the one record that is written for every trial.
fn source(folder: &Path) -> Plan {
    let reference = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/reference/quick");
    let reference = Folder::open(Path::new(reference)).unwrap();
    let mut plan = reference.plan().unwrap();
    let whole = plan.hash();
    plan.trials.truncate(TRIALS);
    let claim = Claim::take(folder).unwrap();
    let host = reference.host().unwrap();
    let begun = Folder::create(&claim, &plan, &host).unwrap();
    let name = format!("trials/{}.json", plan.trials[0].file_stem());
    let text = fs::read_to_string(reference.root().join(name)).unwrap();
    let record: TrialRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(record.plan, whole);
    let record = TrialRecord { plan: plan.hash(), origin: Some(begun.origin), ..record };
    begun.folder.write_record(&record).unwrap();
    plan
}

/// Resumes a campaign whose trials take no time, as `authbench campaign` does, and tells of each
/// record once it is written.
fn write_records(source: &Path, out: &Path) {
    let source = Folder::open(source).unwrap();
    let (plan, host) = (source.plan().unwrap(), source.host().unwrap());
    let record = source.records(&plan).unwrap().remove(0);
    fs::create_dir_all(out).unwrap();
    let claim = Claim::take(out).unwrap();
    let begun = if Folder::has_campaign(out) {
        Folder::resume(&claim, &plan, &host, Mixing::Refused)
    } else {
        Folder::create(&claim, &plan, &host)
    };
    let begun = begun.unwrap();
    let mut told = std::io::stdout();
    let mut say = |what: &str| writeln!(told, "\n{what}").unwrap();
    say("resumed");
    for trial in &plan.trials {
        if begun.done.iter().any(|done| done.trial.index == trial.index) {
            continue;
        }
        let origin = Some(begun.origin.clone());
        let record = TrialRecord { trial: trial.clone(), origin, ..record.clone() };
        begun.folder.write_record(&record).unwrap();
        say(&format!("wrote {}.json", trial.file_stem()));
    }
}

/// A started writer of records.
struct Writer {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
    /// The names of the records that it said are written.
    written: Vec<String>,
}

impl Writer {
    fn start(source: &Path, out: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "kills::two_hundred_kills_lose_no_record", "--nocapture"]);
        command.envs(FOLDERS.into_iter().zip([source, out]));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said, written: vec![] }
    }

    /// Reads what it says until it says so, or has written so many records, or ends.
    fn until(&mut self, what: Option<&str>, records: usize) {
        let mut line = String::new();
        while self.written.len() < records && self.said.read_line(&mut line).unwrap() > 0 {
            self.written.extend(line.trim().strip_prefix("wrote ").map(String::from));
            if Some(line.trim()) == what {
                break;
            }
            line.clear();
        }
    }

    /// Its end, and what it said is written.
    fn ended(mut self) -> (ExitStatus, Vec<String>) {
        self.until(None, usize::MAX);
        (self.child.wait().unwrap(), self.written)
    }
}

/// The records in a folder, by name, and how many other files are there.
fn records(out: &Path) -> (BTreeMap<String, Vec<u8>>, usize) {
    let mut records = BTreeMap::new();
    let mut others = 0;
    for entry in fs::read_dir(out.join("trials")).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap().to_str().unwrap().to_string();
            records.insert(name, fs::read(&path).unwrap());
        } else {
            others += 1;
        }
    }
    (records, others)
}

/// Fault 28: at any moment of 200, a kill leaves every record whole.
/// Fault 30: what was written before is neither lost nor written twice.
#[test]
fn two_hundred_kills_lose_no_record() {
    // The process that is killed is this test again, told where to write.
    if let [Some(source), Some(out)] = FOLDERS.map(std::env::var_os) {
        return write_records(Path::new(&source), Path::new(&out));
    }
    let dir = tempfile::tempdir().unwrap();
    let [source_folder, out] = ["source", "out"].map(|name| dir.path().join(name));
    fs::create_dir(&source_folder).unwrap();
    let plan = source(&source_folder);
    let mut writer = Writer::start(&source_folder, &out);
    writer.until(Some("resumed"), usize::MAX);
    let began = Instant::now();
    let (status, written) = writer.ended();
    assert!(status.success() && written.len() == TRIALS, "{status}, {written:?}");
    let for_one = began.elapsed() / TRIALS as u32;
    fs::remove_dir_all(&out).unwrap();

    let (mut starts, mut kills, mut in_the_middle, mut rounds) = (0, 0, 0, 0);
    let mut kept = BTreeMap::new();
    while kills < KILLS {
        let mut writer = Writer::start(&source_folder, &out);
        starts += 1;
        // Most of them behind a record, and the others while it starts.
        if kills % 4 > 0 {
            writer.until(Some("resumed"), usize::MAX);
            let left = (TRIALS - kept.len()) as f64;
            writer.until(None, (uniform(23, starts) * left) as usize);
        }
        sleep(for_one.mul_f64(2.0 * uniform(17, starts)));
        writer.child.kill().unwrap();
        let (status, written) = writer.ended();
        assert!(status.success() || status.signal() == Some(9), "{status}");
        kills += u32::from(!status.success());
        let (now, others) = records(&out);
        in_the_middle += usize::from(others > 0);
        let same = |(name, bytes): (&String, &Vec<u8>)| now.get(name) == Some(bytes);
        assert!(kept.iter().all(same), "kill {kills}: a record was lost or written twice");
        let all_there = written.iter().all(|name| now.contains_key(name));
        assert!(all_there, "kill {kills}: of {written:?} only {:?} are there", now.keys());
        if Folder::has_campaign(&out) {
            let read = Folder::open(&out).unwrap().records(&plan).unwrap();
            assert_eq!(read.len(), now.len(), "kill {kills}");
        }
        kept = now;
        if kept.len() == TRIALS {
            rounds += 1;
            kept.clear();
            fs::remove_dir_all(&out).unwrap();
        }
    }
    let (status, _) = Writer::start(&source_folder, &out).ended();
    assert!(status.success(), "{status}");
    let (now, others) = records(&out);
    assert_eq!((now.len(), others), (TRIALS, 0));
    assert!(kept.iter().all(|(name, bytes)| now.get(name) == Some(bytes)));
    let _ = writeln!(
        std::io::stderr(),
        "{kills} kills, {in_the_middle} with a file half written, over {rounds} campaigns"
    );
}

/// Fault 29: flushed, renamed, and the folder flushed, in this order.
#[test]
fn a_file_is_flushed_before_it_has_its_name_and_its_folder_after() {
    let dir = tempfile::tempdir().unwrap();
    let source_folder = dir.path().join("source");
    fs::create_dir(&source_folder).unwrap();
    source(&source_folder);
    let log = dir.path().join("log");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2", "-o"]).arg(&log);
    command.arg(AUTHBENCH).arg("report").arg(&source_folder).args(["--format", "md"]);
    let traced = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let calls = fs::read_to_string(&log).unwrap_or_default();
    if !traced.is_ok_and(|status| status.success()) || calls.is_empty() {
        let _ = writeln!(std::io::stderr(), "skipped: calls cannot be traced here (strace)");
        return;
    }
    let name = |line: &str| {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        call.split('(').next().unwrap_or_default().to_string()
    };
    let named: Vec<String> = calls.lines().filter(|line| line.contains(" = 0")).map(name).collect();
    let renames = named.iter().filter(|call| call.starts_with("rename")).count();
    assert!(renames > 0, "{calls}");
    for (at, _) in named.iter().enumerate().filter(|(_, call)| call.starts_with("rename")) {
        let around = [at.checked_sub(1), Some(at + 1)].map(|at| named.get(at?));
        assert!(around.iter().all(|call| call.is_some_and(|call| call == "fsync")), "{calls}");
    }
}

/// Fault 8: the run ends, counts what failed, and names the signal.
/// Fault 27: the kernel's kill for memory is this signal.
#[test]
fn a_server_that_is_killed_ends_the_run_with_its_signal_and_its_counts() {
    let flags = ["run", "--arm", "none", "--users", "4", "--duration", "10m", "--format", "json"];
    let mut run = authbench(&[&flags[..], &["--allow-debug"]].concat()).spawn().unwrap();
    // A line tells that five seconds of Measure are over.
    assert_eq!(run.stderr.as_mut().unwrap().read(&mut [0]).unwrap(), 1, "it ended by itself");
    let server = server_of(&run).unwrap();
    kill_process(server, Signal::KILL).unwrap();
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("was ended by signal 9"), "{}", stderr(&output));
    let run: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(run["aborted"], true);
    let errors = run["counts"]["errors"].as_object().unwrap();
    let known = ["connect_refused", "reset", "closed", "truncated"];
    assert!(errors.keys().all(|class| known.contains(&class.as_str())), "{errors:?}");
    let failed: u64 = errors.values().filter_map(Value::as_u64).sum();
    assert!(failed > 0 && run["counts"]["ok"].as_u64() > Some(0), "{run}");
}

/// Fault 7: the first signal ends a run in order, a second one at once.
#[test]
fn a_second_signal_ends_at_once_what_the_first_one_ends_in_order() {
    let start = || {
        let flags = ["--arm", "none", "--users", "2", "--duration", "10m", "--format", "json"];
        let mut run = authbench(&[&["run", "--allow-debug"], &flags[..]].concat()).spawn().unwrap();
        until(&mut run, server_of);
        run
    };
    let once = start();
    kill_process(pid(&once), Signal::TERM).unwrap();
    let output = once.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["aborted"], true);

    // Both arrive while it stands still, and so one right after the other.
    let twice = start();
    for signal in [Signal::STOP, Signal::INT, Signal::TERM, Signal::CONT] {
        kill_process(pid(&twice), signal).unwrap();
    }
    let output = twice.wait_with_output().unwrap();
    let code = output.status.code();
    assert!([Some(130), Some(143)].contains(&code), "{code:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty(), "it took the time to print what it had measured");
}

/// Answers every request on a connection of its own; the address, and how many it has answered.
fn closing_server() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let answer = move |mut stream: TcpStream| {
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
            let _ = stream.write_all(head.as_bytes());
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    spawn(move || {
        for stream in listener.incoming() {
            let answer = answer.clone();
            spawn(move || answer(stream.unwrap()));
        }
    });
    (address, answered)
}

/// Fault 4: a limit that is reached in the middle is blamed on the generator.
#[test]
fn descriptors_that_run_out_during_a_load_are_the_generators_own_fault() {
    let (address, answered) = closing_server();
    let url = format!("http://{address}/");
    let flags = ["run", &url, "--connections", "2", "--duration", "2s", "--format", "json"];
    let mut run = authbench(&[&flags[..], &["--allow-debug"]].concat()).spawn().unwrap();
    until(&mut run, |_| (answered.load(Ordering::SeqCst) > 20).then_some(()));
    let none = Rlimit { current: Some(3), maximum: Some(3) };
    prlimit(Some(pid(&run)), Resource::Nofile, none).unwrap();
    let output = run.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["counts"]["errors"]["no_descriptors"].as_u64() > Some(0), "{said}");
    let text = said.to_string();
    assert!(text.contains("for want of descriptors or ports here"), "{text}");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

/// Fault 6: a connection that the kernel does not take is named, and the run ends.
#[test]
fn a_full_queue_of_connections_ends_a_run_with_the_connection_that_was_not_opened() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let flags = ["run", &url, "--connections", "16", "--timeout", "1s", "--allow-debug"];
    let output = authbench(&flags).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{text}");
    let named = text.contains("could not be opened: no answer in time");
    assert!(named && text.contains("accepts as many connections"), "{text}");
}

/// Fault 26: after thousands of logins and logouts, descriptors and memory are what they were.
#[test]
fn a_server_that_was_used_for_long_holds_no_more_than_before() {
    let mut command = authbench(&["serve", "session@memory", "--listen", "127.0.0.1:0"]);
    let mut server = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let [address, admin] = ["address", "admin"].map(|name| ready[name].as_str().unwrap());
    let ask = |address: &str, head: String, body: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        answer
    };
    let visit = |n: u32| {
        let body = format!("{{\"username\":\"user-{n}\",\"password\":\"password-{n}\"}}");
        let answer = ask(address, "POST /login HTTP/1.1".into(), &body);
        let (_, cookie) = answer.split_once("set-cookie: ").unwrap();
        let (cookie, _) = cookie.split_once(';').unwrap();
        ask(address, format!("POST /logout HTTP/1.1\r\ncookie: {cookie}"), "");
    };
    let held = || {
        let stats = ask(admin, "GET /stats HTTP/1.1".into(), "");
        let (_, json) = stats.split_once("\r\n\r\n").unwrap();
        let stats: Value = serde_json::from_str(json).unwrap();
        let open = fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
        (stats["allocated_bytes"].as_i64().unwrap(), open)
    };
    (0..500).for_each(&visit);
    let (bytes_before, open_before) = held();
    (0..2_000).for_each(&visit);
    let began = Instant::now();
    // A connection is closed a moment after its answer.
    while held().1 > open_before {
        assert!(began.elapsed() < WAIT, "{} descriptors, {open_before} before", held().1);
        sleep(Duration::from_millis(20));
    }
    let grown = held().0 - bytes_before;
    assert!(grown < 100_000, "{grown} bytes after 2,000 logins that all ended");
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
}
