//! The attack suite: every arm withstands it, a campaign runs it first, and each fault of a wrong
//! server is found by the rows that are about it. A suite that finds nothing anywhere would pass
//! every arm.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::Ordering;

use loadgen::attack::{self, Options, Standard};
use loadgen::error::{Interrupt, SIGINT};
use loadgen::record::{Attacked, CaseOutcome};
use serde_json::Value;
use servers::contract::Target;

mod strangers;
mod wrong_server;

/// Rows of the suite.
const CASES: usize = 252;

use wrong_server::{Fault, WrongServer};

fn authbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Whether the arm's store needs a program that this machine lacks, which the environment may
/// forbid.
fn store_is_missing(info: &servers::ArmInfo) -> bool {
    let Some(program) = info.store.and_then(servers::stores::missing_program) else { return false };
    let (name, package) = (program.name, program.package);
    let required = std::env::var_os("AUTHBENCH_REQUIRE_STORES").is_some();
    assert!(!required, "{} needs {name}: install {package}", info.arm);
    drop(writeln!(std::io::stderr(), "skipped: {} needs {name} ({package})", info.arm));
    true
}

/// A share of the arms, so that no test is long; all shares together are every arm.
fn a_share_withstands_every_attack(share: usize) {
    for info in servers::arms().iter().skip(share).step_by(SHARES) {
        if store_is_missing(info) {
            continue;
        }
        let output = authbench(&["attack", "--arm", info.arm, "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}: {}", info.arm, stderr(&output));
        let page: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(page["target"], info.arm);
        if !info.authenticates {
            assert!(page["spared"].as_str().unwrap().contains("floor"), "{page}");
            continue;
        }
        let cases = page["cases"].as_array().unwrap();
        let ended = |outcome: &str| {
            let so = |case: &&Value| case["outcome"] == outcome;
            cases.iter().filter(so).map(|case| case["id"].as_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!((ended("accepted").len(), ended("failed").len()), (0, 0), "{page}");
        // A suite that applies to nothing would find nothing.
        assert!(page["run"].as_u64().unwrap() >= 50, "{}: {}", info.arm, page["run"]);
        assert_eq!(cases.len(), CASES, "the suite is the same for every arm");
        let guesses = cases.iter().find(|case| case["id"] == "49a").unwrap();
        assert_eq!(guesses["found"], format!("no hit in {}", attack::GUESSES), "{}", info.arm);
        // A list in a shared store is known to every server, at once where each request asks it.
        let shared = matches!(info.store, Some("sqlite" | "redis" | "postgres")) && info.revokes;
        let has_copy = ["session-cached@redis", "jwt-denylist@redis"].contains(&info.arm);
        for row in ["28a", "28b"] {
            let refused = ended("refused").contains(&row);
            assert!(refused || !shared || has_copy, "{}: {row}: {page}", info.arm);
        }
        assert!(ended("refused").contains(&"39b"), "{}: {page}", info.arm);
        let cannot_revoke = ended("property").contains(&"38a");
        assert_eq!(cannot_revoke, !info.revokes, "{}: {:?}", info.arm, ended("property"));
        let needs_key =
            cases.iter().any(|case| case["found"].as_str().unwrap().contains("needs the server's"));
        assert!(!needs_key, "{}: authbench has the keys of its arms", info.arm);
    }
}

/// A test for each share.
macro_rules! shares {
    ($($name:ident = $share:literal,)+) => {
        const SHARES: usize = [$($share),+].len();
        $(
            #[test]
            fn $name() {
                a_share_withstands_every_attack($share);
            }
        )+
    };
}

shares! {
    every_arm_withstands_every_attack_1 = 0,
    every_arm_withstands_every_attack_2 = 1,
    every_arm_withstands_every_attack_3 = 2,
    every_arm_withstands_every_attack_4 = 3,
    every_arm_withstands_every_attack_5 = 4,
    every_arm_withstands_every_attack_6 = 5,
}

/// Attacks a wrong server, by the suite itself.
fn attacked(fault: Fault, standard: Standard) -> Attacked {
    let server = WrongServer::start(fault);
    let target: Target = toml::from_str(&server.descriptor()).unwrap();
    let options = Options { standard, guesses: 50, ..Options::ours() };
    attack::target(&target, &options, &Interrupt::default(), &mut |_| {}).unwrap()
}

fn ids(attacked: &Attacked, outcome: CaseOutcome) -> BTreeSet<&str> {
    let so = |case: &&loadgen::record::CaseRecord| case.outcome == outcome;
    attacked.cases.iter().filter(so).map(|case| case.id.as_str()).collect()
}

#[test]
fn a_signal_leaves_the_cases_that_were_tried() {
    let server = WrongServer::start(Fault::None);
    let target: Target = toml::from_str(&server.descriptor()).unwrap();
    let options = Options { standard: Standard::Stranger, guesses: 5, ..Options::ours() };
    let (interrupt, mut seen) = (Interrupt::default(), 0);
    let mut progress = |_: &str| {
        seen += 1;
        if seen == 4 {
            interrupt.flag().store(SIGINT, Ordering::Relaxed);
        }
    };
    let tried = attack::target(&target, &options, &interrupt, &mut progress).unwrap();
    assert!((3..=4).contains(&tried.cases.len()), "{:?}", tried.cases);
}

#[test]
fn each_fault_of_a_wrong_server_is_found_by_the_rows_about_it() {
    let sound = attacked(Fault::None, Standard::Stranger);
    assert_eq!(sound.bad().collect::<Vec<_>>(), Vec::<&loadgen::record::CaseRecord>::new());
    attack::judge(&sound).unwrap();
    let sound_token = attacked(Fault::NoneOfAToken, Standard::Stranger);
    assert_eq!(sound_token.bad().collect::<Vec<_>>(), Vec::<&loadgen::record::CaseRecord>::new());
    let mut missed = Vec::new();
    for (fault, accepted, failed) in [
        (Fault::AnyId, &["35a", "36a", "36b", "38a", "43a", "49a"][..], &[][..]),
        (Fault::NoCredential, &["1a"], &[]),
        (Fault::Fixation, &["35b", "37a"], &[]),
        (Fault::LogoutOfNobody, &["38a"], &[]),
        (Fault::Query, &["50a"], &[]),
        (Fault::ProxyHeader, &["46c"], &[]),
        (Fault::PasswordOfAnyType, &["48d"], &[]),
        (Fault::TellsUnknownNames, &[], &["48a"]),
        (Fault::Crash, &[], &["36b", "43b"]),
        (Fault::DiesOfAttacks, &[], &["35a"]),
        (Fault::TwoLengths, &["47f"], &[]),
        (Fault::AlgNone, &["4a"], &[]),
        (Fault::AnySignature, &["5a", "5f", "5g", "6b", "9a"], &[]),
        (Fault::WeakSecret, &["6b"], &[]),
        (Fault::FollowsJku, &["10a"], &[]),
        (Fault::Resurrects, &["38d"], &[]),
        (Fault::RefreshesForever, &["29c"], &[]),
        (Fault::AccessRefreshes, &["30b"], &[]),
        (Fault::RefreshesAgain, &["29a"], &[]),
    ] {
        let attacked = attacked(fault, Standard::Stranger);
        for (outcome, expected) in
            [(CaseOutcome::Accepted, accepted), (CaseOutcome::Failed, failed)]
        {
            let found = ids(&attacked, outcome);
            for id in expected {
                if !found.contains(id) {
                    missed.push(format!("{fault:?}: {id} is not {outcome:?}"));
                }
            }
        }
        let code = attack::judge(&attacked).map_err(|error| error.exit_code());
        if code != Err(4) {
            missed.push(format!("{fault:?}: {code:?} instead of exit code 4"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn an_arm_of_ours_is_held_to_the_byte() {
    // It refuses what it should, and in its own words: enough for a stranger's server.
    let found = attacked(Fault::None, Standard::Ours);
    let bad = found.bad().count();
    assert!(bad > 0, "{found:#?}");
    // What a stranger's server may choose, and ours may not.
    let accepted = ids(&found, CaseOutcome::Accepted);
    for id in ["45a", "45b", "45c", "47n", "47o", "47p"] {
        assert!(accepted.contains(id), "{id}: {found:#?}");
    }
    assert!(ids(&found, CaseOutcome::Failed).contains("39c"), "{found:#?}");
    let found = attacked(Fault::AnyCoding, Standard::Ours);
    let accepted = ids(&found, CaseOutcome::Accepted);
    assert!(accepted.contains("47q") && accepted.contains("47r"), "{found:#?}");
    let found = attacked(Fault::ManyWords, Standard::Ours);
    let oracle = found.cases.iter().find(|case| case.found.contains("told apart"));
    assert!(oracle.is_some(), "{found:#?}");
}

#[test]
fn the_command_says_what_got_through_and_exits_with_4() {
    let server = WrongServer::start(Fault::AlgNone);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrong.toml");
    fs::write(&path, server.descriptor()).unwrap();
    let path = path.to_str().unwrap();
    let output = authbench(&["attack", "--target", path, "--guesses", "10"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let first = text.lines().nth(1).unwrap();
    assert!(first.starts_with("4a   ACCEPTED  "), "failures first: {text}");
    assert!(text.contains("  needs the server's key ("), "{text}");
    let said = stderr(&output);
    assert!(said.contains("4a (") && said.contains("ACCEPTED"), "{said}");
    assert_eq!(said.lines().count(), 1, "no progress where nobody watches: {said}");
}

#[test]
fn what_cannot_be_attacked_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    fs::write(
        &path,
        "name = 't'\nbase_url = 'http://127.0.0.1:1'\n[journeys.browse]\n\
         steps = [{ name = 'me', path = '/me' }]\n",
    )
    .unwrap();
    for (arguments, code, part) in [
        (&["attack"][..], 2, "--arm"),
        (&["attack", "--arm", "nope"], 2, "unknown arm"),
        (&["attack", "--target", "no.toml"], 2, "no.toml"),
        (&["attack", "--target", path.to_str().unwrap()], 2, "expected a [login]"),
        (&["attack", "--arm", "session@memory", "--journey", "x"], 2, "expected a journey"),
    ] {
        let output = authbench(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_server_that_answers_everybody_cannot_tell_an_attack() {
    let server = WrongServer::start(Fault::NoCredential);
    let descriptor = server.descriptor().replace("check = ", "#");
    let target: Target = toml::from_str(&descriptor).unwrap();
    let options = Options { standard: Standard::Stranger, ..Options::ours() };
    let error = attack::target(&target, &options, &Interrupt::default(), &mut |_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("without a credential too"), "{error}");
}

#[test]
fn a_campaign_attacks_its_arms_first_and_keeps_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("c.toml"), dir.path().join("out"));
    fs::write(
        &file,
        "name = 'c'\narms = ['none', 'session@memory']\n[concurrency]\nusers = [2]\nblocks = 2\n\
         warmup = '20ms'\nmeasure = '100ms'\n",
    )
    .unwrap();
    let (file, out_text) = (file.to_str().unwrap(), out.to_str().unwrap());
    let output = authbench(&["campaign", file, "--out", out_text, "--allow-debug"]);
    let code = output.status.code().unwrap();
    // A figure of a debug build on a busy machine may be invalid; it must then say so with 3.
    assert!([0, 3].contains(&code), "{code}: {}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("[attacks] none: not attacked: the floor"), "{said}");
    assert!(said.contains("[attacks] session@memory: "), "{said}");
    assert!(said.contains(" cases run, none got through"), "{said}");

    let text = fs::read_to_string(out.join("attacks.json")).unwrap();
    let attacks: Value = serde_json::from_str(&text).unwrap();
    let cases = attacks["arms"][1]["cases"].as_array().unwrap();
    assert_eq!(cases.len(), CASES);
    // A debug build tries fewer guesses, and the record says how many it tried.
    let guesses = cases.iter().find(|case| case["id"] == "49a").unwrap();
    let tried = if cfg!(debug_assertions) { 500 } else { attack::GUESSES };
    assert_eq!(guesses["found"], format!("no hit in {tried}"));
    for report in ["report.html", "report.md"] {
        let page = fs::read_to_string(out.join(report)).unwrap();
        assert!(page.contains("Every case and every arm"), "{report}");
        assert!(page.contains("the floor authenticates nobody"), "{report}");
    }

    // Rebuilt from the folder, byte for byte; and from one of before there were attacks.
    let page = fs::read(out.join("report.html")).unwrap();
    assert!(authbench(&["report", out_text]).status.success());
    assert_eq!(fs::read(out.join("report.html")).unwrap(), page);
    fs::remove_file(out.join("attacks.json")).unwrap();
    assert!(authbench(&["report", out_text]).status.success());
    let older = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!older.contains("id=\"attacks\""));
    fs::write(out.join("attacks.json"), text.replace("\"schema\": 1", "\"schema\": 2")).unwrap();
    let newer = authbench(&["report", out_text]);
    assert_eq!(newer.status.code(), Some(2));
    assert!(stderr(&newer).contains("attacks.json"), "{}", stderr(&newer));
}
