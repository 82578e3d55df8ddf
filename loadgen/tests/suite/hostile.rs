//! `authbench run` and `authbench attack` against servers that do what no sound one does. Whatever
//! a server sends, the program ends: with a sentence, the right exit code, in time and within 100
//! MiB.

mod server;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use server::{Mode, server};

/// The most memory that a command may have resident, whatever a server does.
const MEMORY_MAX: u64 = 100 << 20;
/// The longest that any of these commands may take: each needs a tenth of it at most.
const TIME_MAX: Duration = Duration::from_secs(300);

/// How much longer than `--within` a suite may take on a busy machine.
const GRACE: Duration = Duration::from_secs(30);

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A chunk of 1 KiB.
fn chunk() -> String {
    format!("400\r\n{}\r\n", "x".repeat(1024))
}

/// How a command ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command to its end, and holds it to its time and its memory. What a server can make it
/// take it takes again, so one peak on a busy machine is looked at twice more.
fn authbench(name: &str, arguments: &[&str]) -> Ended {
    let mut peak = 0;
    for _ in 0..3 {
        let ended;
        (ended, peak) = measured(name, arguments);
        assert!(peak > 0, "{name}: its memory could not be read");
        if peak < MEMORY_MAX {
            return ended;
        }
    }
    panic!("{name}: {arguments:?} had {} MiB resident", peak >> 20);
}

/// Runs a command to its end; how it ended, and the most memory that it was seen to have, in bytes.
fn measured(name: &str, arguments: &[&str]) -> (Ended, u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let stdout = thread::spawn(move || std::io::read_to_string(&mut out).unwrap());
    let stderr = thread::spawn(move || std::io::read_to_string(&mut err).unwrap());
    let (began, mut peak) = (Instant::now(), 0);
    let code = loop {
        // One that has ended has no memory any more, so the last reading counts.
        peak = peak.max(memory_bytes(child.id()));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if began.elapsed() > TIME_MAX {
            child.kill().unwrap();
            panic!("{name}: {arguments:?} did not end within {TIME_MAX:?}");
        }
        thread::sleep(Duration::from_millis(2));
    };
    let ended = Ended { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() };
    (ended, peak)
}

/// Resident memory of a process without the pages of its program file, of which a debug build has
/// 100 MB; 0 when it has ended.
fn memory_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Flags of a short run.
const SHORT: [&str; 5] = ["--allow-debug", "--duration", "400ms", "--format", "json"];
/// Where nothing comes, nobody has to wait for it for long.
const SOON: [&str; 2] = ["--timeout", "300ms"];
/// Where something comes without end, less of it is read.
const LESS: [&str; 2] = ["--max-body", "1MiB"];

/// A way to misbehave, and the class of errors of the requests through `lean` and through reqwest;
/// empty where it depends on what the kernel tells first.
struct Case {
    name: &'static str,
    mode: Mode,
    lean: &'static str,
    reqwest: &'static str,
}

fn case(name: &'static str, mode: Mode, lean: &'static str, reqwest: &'static str) -> Case {
    Case { name, mode, lean, reqwest }
}

/// Ways in which no request gets an answer.
fn cases() -> Vec<Case> {
    let endless = |first: &str, again: &str| Mode::Endless(first.into(), again.into());
    let drips = |first: &str, then: &str| Mode::Drips(first.into(), then.into());
    let length = |length: &str| format!("{OK}Content-Length: {length}\r\n\r\n");
    let over = "body_too_large";
    vec![
        case("a body without end, announced", endless(&length("99999999999"), "x"), over, over),
        case("a body without end in chunks", endless(CHUNKED, &chunk()), over, over),
        case("one chunk without end", endless(&format!("{CHUNKED}fffffffff\r\n"), "x"), over, over),
        case("a body until the end, without end", endless(&format!("{OK}\r\n"), "x"), over, over),
        // hyper takes the largest length for a head that is too large, and a larger one for none.
        case(
            "the largest length",
            Mode::Stops(length("18446744073709551615").into()),
            over,
            "head_too_large",
        ),
        case("a larger one", Mode::Stops(length("18446744073709551616").into()), over, "malformed"),
        // hyper does not tell its limits apart.
        case("fields without end", endless(OK, "a: b\r\n"), "too_many_fields", "head_too_large"),
        case(
            "a field without end",
            endless(&format!("{OK}a: "), "b"),
            "head_too_large",
            "head_too_large",
        ),
        // hyper passes over interim answers, as many as there are.
        case(
            "interim answers without end",
            endless("", "HTTP/1.1 103 Hints\r\n\r\n"),
            "too_many_interim",
            "timeout",
        ),
        case(
            "large interim answers",
            endless("", &format!("HTTP/1.1 103 Hints\r\na: {}\r\n\r\n", "b".repeat(20_000))),
            "head_too_large",
            "timeout",
        ),
        // hyper has limits for these, and what exceeds them is a broken body to it.
        case(
            "a chunk extension without end",
            endless(&format!("{CHUNKED}4;"), "e"),
            "framing_too_large",
            "truncated",
        ),
        case(
            "extensions without end",
            endless(CHUNKED, &format!("1;{}\r\nx\r\n", "e".repeat(100))),
            "framing_too_large",
            "truncated",
        ),
        case(
            "a trailer without end",
            endless(&format!("{CHUNKED}0\r\nt: "), "1"),
            "framing_too_large",
            "truncated",
        ),
        case(
            "trailers without end",
            endless(&format!("{CHUNKED}0\r\n"), "t: 1\r\n"),
            "too_many_fields",
            "truncated",
        ),
        case("a head that drips", drips("", &length("0")), "timeout", "timeout"),
        case(
            "a field that drips",
            drips(&format!("{OK}a: "), "bbbbbbbbbbbb"),
            "timeout",
            "timeout",
        ),
        case("a body that drips", drips(&length("9"), "xxxxxxxxx"), "timeout", "timeout"),
        case(
            "chunks that drip",
            drips(CHUNKED, "9\r\nxxxxxxxxx\r\n0\r\n\r\n"),
            "timeout",
            "timeout",
        ),
        case("silence", Mode::Stops(vec![]), "timeout", "timeout"),
        case("silence within a head", Mode::Stops(OK.into()), "timeout", "timeout"),
        case("a reset at once", Mode::ResetsAtOnce, "", ""),
        case("a reset for an answer", Mode::Resets(String::new()), "reset", "reset"),
        case("a reset within a head", Mode::Resets(OK.into()), "reset", "reset"),
        case("a reset within a body", Mode::Resets(length("9")), "reset", "reset"),
        case("a reset within a chunk", Mode::Resets(format!("{CHUNKED}9\r\nx")), "reset", "reset"),
        case("an end at once", Mode::ClosesAtOnce, "", ""),
        case("an end within a body", Mode::Closes(length("9")), "truncated", "truncated"),
    ]
}

/// The classes of the errors of a run.
fn classes(name: &str, ended: &Ended) -> Vec<String> {
    let page: Value = serde_json::from_str(&ended.stdout)
        .unwrap_or_else(|e| panic!("{name}: {e}: {}{}", ended.stdout, ended.stderr));
    page["errors"].as_object().into_iter().flatten().map(|(class, _)| class.clone()).collect()
}

/// Runs each case through a transport, a few at a time.
fn each_through(transport: &str, expected: fn(&Case) -> &'static str) {
    let cases = cases();
    thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(4)) {
            scope.spawn(move || {
                for case in part {
                    let url = format!("http://{}/", server(case.mode.clone()));
                    let flags = ["run", &url, "--connections", "4", "--transport", transport];
                    let wait = if expected(case) == "timeout" { SOON } else { LESS };
                    let ended = authbench(case.name, &[&flags[..], &SHORT, &wait].concat());
                    let name = format!("{} through {transport}", case.name);
                    assert_eq!(ended.code, Some(4), "{name}: {}", ended.stderr);
                    if expected(case).is_empty() {
                        assert!(ended.stderr.starts_with("error: "), "{name}: {}", ended.stderr);
                        continue;
                    }
                    assert_eq!(classes(&name, &ended), [expected(case)], "{name}");
                    let sentence = "no request got the right answer";
                    assert!(ended.stderr.contains(sentence), "{name}: {}", ended.stderr);
                }
            });
        }
    });
}

/// Fault 11: what no sound server sends has its class.
#[test]
fn a_run_ends_with_the_class_of_what_the_server_did() {
    each_through("lean", |case| case.lean);
}

#[test]
fn so_does_one_through_reqwest() {
    each_through("reqwest", |case| case.reqwest);
}

/// Fault 11: a limit names its flag.
#[test]
fn a_limit_is_named_with_the_flag_that_raises_it_and_the_flag_does() {
    let fields = "a: b\r\n".repeat(150);
    let hints = "HTTP/1.1 103 Hints\r\n\r\n".repeat(20);
    let (field, body) = ("b".repeat(100_000), "x".repeat(20 << 20));
    let chunk = format!("{CHUNKED}1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(30_000));
    for (flag, raised, answer) in [
        ("--max-body", "32MiB", format!("{OK}Content-Length: {}\r\n\r\n{body}", body.len())),
        ("--max-head", "128KiB", format!("{OK}a: {field}\r\nContent-Length: 0\r\n\r\n")),
        ("--max-fields", "200", format!("{OK}{fields}Content-Length: 0\r\n\r\n")),
        ("--max-interim", "20", format!("{hints}{OK}Content-Length: 0\r\n\r\n")),
        ("--max-framing", "64KiB", chunk),
    ] {
        let url = format!("http://{}/", server(Mode::Answers(answer)));
        let flags = ["run", &url, "--connections", "1", "--allow-debug", "--duration", "400ms"];
        let ended = authbench(flag, &flags);
        assert_eq!(ended.code, Some(4), "{flag}: {}", ended.stderr);
        assert!(ended.stderr.contains("limit"), "{flag}: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("raise {flag}")), "{flag}: {}", ended.stderr);
        let ended = authbench(flag, &[&flags[..], &[flag, raised]].concat());
        let what = format!("{flag} {raised}: {}{}", ended.stdout, ended.stderr);
        // Few answers, or a busy machine, are a doubt; what matters here is that no error is
        // counted.
        assert!(ended.stdout.contains("requests") && !ended.stdout.contains("error "), "{what}");
        assert!(!ended.stderr.contains("no request got the right answer"), "{what}");
    }
}

#[test]
fn half_read_answers_on_many_connections_share_a_limit() {
    let half =
        [format!("{OK}Content-Length: 16777216\r\n\r\n").into_bytes(), vec![b'x'; 16_000_000]];
    let url = format!("http://{}/", server(Mode::Stops(half.concat())));
    // hyper has buffers of its own, 400 KiB for a connection.
    for (transport, connections) in [("lean", "64"), ("reqwest", "16")] {
        let flags = ["run", &url, "--connections", connections, "--transport", transport];
        let more = ["--timeout", "60s", "--duration", "2s", "--format", "json", "--allow-debug"];
        let ended = authbench(transport, &[&flags[..], &more].concat());
        assert_eq!(ended.code, Some(4), "{transport}: {}", ended.stderr);
        assert_eq!(classes(transport, &ended), ["buffer_full"], "{transport}");
        assert!(ended.stderr.contains("raise --max-buffered"), "{transport}: {}", ended.stderr);
    }
}

/// Fault 11: an answer too many answers nothing.
#[test]
fn an_answer_too_many_is_no_answer_to_the_next_request() {
    let right = format!("{OK}Content-Length: 0\r\n\r\n");
    let twice = Mode::Answers(right.repeat(2));
    for (name, mode) in [("twice", twice), ("unasked", Mode::AnswersUnasked(right))] {
        for transport in ["lean", "reqwest"] {
            let url = format!("http://{}/", server(mode.clone()));
            let flags = ["run", &url, "--connections", "2", "--transport", transport];
            let ended = authbench(name, &[&flags[..], &SHORT, &SOON].concat());
            if (name, transport) == ("twice", "lean") {
                assert_eq!(classes(name, &ended), ["malformed"], "{}", ended.stderr);
            }
            let code = ended.code.unwrap();
            assert!([0, 3, 4].contains(&code), "{name}, {transport}: {code}: {}", ended.stderr);
        }
    }
}

#[test]
fn an_attack_takes_no_answer_for_the_one_to_the_next_request() {
    let refused = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into();
    let sound = Mode::Sound(Box::new(Mode::Answers(refused)));
    let outcomes = |name, mode| {
        let file = target(mode);
        let path = file.path().to_str().unwrap();
        let flags = ["attack", "--target", path, "--guesses", "10", "--format", "json"];
        let page: Value = serde_json::from_str(&authbench(name, &flags).stdout).unwrap();
        let cases = page["cases"].as_array().unwrap().clone();
        cases
            .into_iter()
            .map(|case| (case["id"].clone(), case["outcome"].clone()))
            .collect::<Vec<_>>()
    };
    let twice = outcomes("twice", Mode::Twice(Box::new(sound.clone())));
    assert_eq!(twice, outcomes("once", sound));
}

/// A target file of a server with a login; removed when it is dropped.
fn target(mode: Mode) -> tempfile::NamedTempFile {
    target_sending("cookie:sid", mode)
}

/// The same, with the credential sent so.
fn target_sending(send: &str, mode: Mode) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "name = 't'\nbase_url = 'http://{}'\n[login]\npath = '/login'\n\
         fields = {{ username = '{{username}}' }}\ncredential = 'cookie:sid'\nsend = '{send}'\n\
         [journeys.browse]\nsteps = [{{ name = 'me', path = '/me', \
         check = {{ json = '/user', equals = '{{n}}' }} }}]\n",
        server(mode)
    );
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn a_hostile_login_ends_a_run_and_an_attack_with_a_sentence() {
    let cookie = format!("{OK}Set-Cookie: sid={}\r\nContent-Length: 0\r\n\r\n", "x".repeat(70_000));
    for (mode, run, attack) in [
        (Mode::Endless(CHUNKED.into(), chunk()), "--max-body", "a body over the limit"),
        (Mode::Endless(OK.into(), "a: b\r\n".into()), "--max-fields", "more header fields"),
        (Mode::Drips(String::new(), OK.into()), "no answer in time", "no answer within 10 s"),
        (Mode::Stops(vec![]), "no answer in time", "no answer within 10 s"),
        (Mode::Resets(OK.into()), "connection reset", "no HTTP"),
        (Mode::Answers(cookie), "--max-head", "a head over the limit"),
    ] {
        let file = target(mode);
        let path = file.path().to_str().unwrap();
        let wait = if run == "no answer in time" { SOON } else { LESS };
        let flags = ["run", "--target", path, "--connections", "2"];
        let ended = authbench(run, &[&flags[..], &SHORT, &wait].concat());
        assert_eq!(ended.code, Some(4), "{run}: {}", ended.stderr);
        assert!(ended.stderr.contains(run), "{run}: {}", ended.stderr);
        let ended = authbench(attack, &["attack", "--target", path]);
        assert_eq!(ended.code, Some(4), "{attack}: {}", ended.stderr);
        assert!(ended.stderr.contains(attack), "{attack}: {}", ended.stderr);
    }
}

#[test]
fn a_credential_that_no_request_carries_is_refused() {
    let cookie = format!("{OK}Set-Cookie: sid={}\r\nContent-Length: 0\r\n\r\n", "x".repeat(70_000));
    let file = target(Mode::Answers(cookie));
    let path = file.path().to_str().unwrap();
    let flags = ["run", "--target", path, "--max-head", "1MiB"];
    let ended = authbench("a long cookie", &[&flags[..], &SHORT].concat());
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("a credential of more than 64 KiB"), "{}", ended.stderr);
}

#[test]
fn logins_that_take_too_long_together_end_a_run() {
    let file = target(Mode::Drips(String::new(), OK.into()));
    let path = file.path().to_str().unwrap();
    let flags = ["run", "--target", path, "--setup-timeout", "500ms", "--allow-debug"];
    let ended = authbench("slow logins", &flags);
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("--setup-timeout"), "{}", ended.stderr);
}

#[test]
fn a_suite_goes_on_after_an_answer_over_a_limit_and_ends_in_its_time() {
    for (mode, within, found) in [
        (Mode::Endless(CHUNKED.into(), chunk()), "5m", "a body over the limit"),
        (Mode::Endless(OK.into(), "a: b\r\n".into()), "5m", "more header fields than the limit"),
        (Mode::Stops(vec![]), "3s", "--within"),
    ] {
        let refused = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into();
        let bare = Mode::Bare(Box::new(Mode::Answers(refused)), Box::new(mode));
        let file = target(Mode::Sound(Box::new(bare)));
        let path = file.path().to_str().unwrap();
        let flags = ["attack", "--target", path, "--guesses", "10", "--format", "json"];
        let ended = authbench(found, &[&flags[..], &["--within", within]].concat());
        assert_eq!(ended.code, Some(4), "{found}: {}", ended.stderr);
        let page: Value = serde_json::from_str(&ended.stdout).unwrap();
        let cases = page["cases"].as_array().unwrap();
        let failed = cases.iter().filter(|case| case["outcome"] == "failed");
        let texts: Vec<_> = failed.map(|case| case["found"].as_str().unwrap()).collect();
        assert!(cases.len() > 150, "{found}: {} cases", cases.len());
        assert!(texts.iter().filter(|text| text.contains(found)).count() > 5, "{found}: {texts:?}");
    }
}

/// Attacks a server that refuses everything but these long credentials; the cases by their ids.
fn attack_long(name: &str, credentials: [String; 2], within: u64) -> BTreeMap<String, String> {
    let refused = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n".into();
    let mode = Mode::Gives(credentials, Box::new(Mode::Answers(refused)));
    let file = if name.starts_with("an id") {
        target_sending("header:X-Token: {credential}", mode)
    } else {
        target(mode)
    };
    let path = file.path().to_str().unwrap();
    let span = format!("{within}s");
    let flags = ["attack", "--target", path, "--guesses", "10", "--format", "json", "--within"];
    let began = Instant::now();
    let ended = authbench(name, &[&flags[..], &[&span]].concat());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(within) + GRACE, "{name}: {took:?} of {span}");
    assert_eq!(ended.code, Some(4), "{name}: {}", ended.stderr);
    let page: Value = serde_json::from_str(&ended.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cases = page["cases"].as_array().unwrap().iter();
    cases.map(|case| (text(&case["id"]), text(&case["found"]))).collect()
}

/// Long credentials, and rows that try a sample of their places.
fn long_credentials() -> Vec<(&'static str, [String; 2], &'static [&'static str])> {
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let both = |make: &dyn Fn(u8) -> String| [make(b'0'), make(b'1')];
    let jwt = |header: &str, claims: &str, signature: &[u8]| {
        format!("{}.{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()), b64(signature))
    };
    let (plain, long) = (r#"{"alg":"HS256"}"#, "x".repeat(30_000));
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let wide = format!(r#"{{"a":[{}0]}}"#, r#"{"":0},"#.repeat(4000));
    let grows = format!(r#"{{"alg":"{}","b":"{}"}}"#, "{b}".repeat(4000), "x".repeat(10_000));
    let dir = b64(br#"{"alg":"dir"}"#);
    let (v4, bytes) = ("v4.local.", [7; 30_000]);
    vec![
        ("an id", both(&|user| char::from(user).to_string().repeat(60_000)), &["43a", "43b"]),
        ("an id that is no ASCII", both(&|user| format!("{}é", char::from(user))), &[]),
        ("a cookie", both(&|user| char::from(user).to_string().repeat(60_000)), &["43a", "43b"]),
        (
            "a long claim",
            both(&|user| jwt(plain, &format!(r#"{{"sub":"{user}{long}"}}"#), &[user; 32])),
            &["43a", "43b"],
        ),
        (
            "a long signature",
            both(&|user| jwt(plain, "{}", &[user; 30_000])),
            &["5f", "43a", "43b"],
        ),
        ("a deep claim", both(&|user| jwt(plain, &deep, &[user; 32])), &["43a", "43b"]),
        ("a wide claim", both(&|user| jwt(plain, &wide, &[user; 32])), &["43a", "43b"]),
        ("values that grow", both(&|user| jwt(&grows, "{}", &[user; 32])), &["43a", "43b"]),
        (
            "a PASETO",
            both(&|user| format!("{v4}{}", b64(&[&bytes[..], &[user]].concat()))),
            &["34e", "43a", "43b"],
        ),
        (
            "a JWE with a long tag",
            both(&|user| format!("{dir}..{}.AA.{}", b64(&[user; 12]), b64(&[user; 20_000]))),
            &["32b", "32c"],
        ),
        (
            "a JWE with a long IV",
            both(&|user| format!("{dir}..{}.AA.{}", b64(&[user; 20_000]), b64(&[user; 16]))),
            &["32e"],
        ),
        ("a JWE without an IV", both(&|user| format!("{dir}...{}.AA", b64(&[user; 16]))), &[]),
    ]
}

#[test]
fn a_long_credential_is_attacked_at_a_sample_of_its_places() {
    let all = long_credentials();
    thread::scope(|scope| {
        for part in all.chunks(all.len().div_ceil(3)) {
            scope.spawn(move || {
                for (name, credentials, sampled) in part {
                    let found = attack_long(name, credentials.clone(), 60);
                    for row in *sampled {
                        let text = &found[*row];
                        assert!(text.contains("a sample of its"), "{name}: {row}: {text}");
                    }
                    let not_asked = found.values().any(|text| text.contains("--within"));
                    assert!(!not_asked, "{name}: {found:?}");
                }
            });
        }
    });
}

#[test]
fn a_suite_makes_nothing_more_when_its_time_is_over() {
    for (name, credentials, _) in long_credentials() {
        if ["an id", "a long signature"].contains(&name) {
            let found = attack_long(name, credentials, 1);
            assert!(found["43b"].contains("--within"), "{name}: {}", found["43b"]);
        }
    }
}
