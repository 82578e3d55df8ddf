//! The attack suite against the zoo: every flaw is found by its rows, and nothing is said of a
//! sound server that was not seen.

use std::collections::BTreeSet;
use std::time::Duration;

use loadgen::attack::{self, Options, Standard};
use loadgen::error::{Error, Interrupt};
use loadgen::record::{Attacked, CaseOutcome};
use loadgen::spec::parse_target;

use crate::docs::root;
use crate::zoo::{MODES, Mode, Says, Zoo, find};

/// Where the table of flaws and rows stands.
const PAGE: &str = "docs/attack-zoo.md";

/// What a token may outlive its end by, so that no test waits for a minute.
const LEEWAY: Duration = Duration::from_secs(2);

fn attacked(mode: &Mode) -> Result<Attacked, Error> {
    attacked_at(&Zoo::start(mode), mode)
}

fn attacked_at(zoo: &Zoo, mode: &Mode) -> Result<Attacked, Error> {
    let dir = tempfile::tempdir().unwrap();
    let text = zoo.target_file(mode, dir.path());
    let path = dir.path().join("target.toml");
    let target = parse_target(&path, &text, dir.path()).unwrap();
    let (standard, leeway) = (Standard::Stranger, LEEWAY);
    let options = Options { standard, guesses: 50, leeway, ..Options::ours() };
    attack::target(&target, &options, &Interrupt::default(), &mut |_| {})
}

fn ids(attacked: &Attacked, outcome: CaseOutcome) -> BTreeSet<&str> {
    let cases = attacked.cases.iter().filter(|case| case.outcome == outcome);
    cases.map(|case| case.id.as_str()).collect()
}

/// How the outcome differs from what the mode says that it is.
fn surprises(mode: &Mode, attacked: &Attacked) -> Vec<String> {
    let mut all = Vec::new();
    let mut note = |what: String| all.push(format!("{}: {what}", mode.name));
    let expected = match mode.says {
        Says::Accepted => Some(CaseOutcome::Accepted),
        Says::Failed => Some(CaseOutcome::Failed),
        Says::Property => Some(CaseOutcome::Property),
        Says::Nothing | Says::Untried => None,
    };
    for row in mode.rows {
        let case = attacked.cases.iter().find(|case| case.id == *row).unwrap();
        if Some(case.outcome) != expected {
            note(format!("{row} is {:?}: {}", case.outcome, case.found));
        }
    }
    let code = attack::judge(attacked).map_err(|error| error.exit_code());
    let strict = attack::judge_strictly(attacked).map_err(|error| error.exit_code());
    let untried = |case: &&loadgen::record::CaseRecord| attack::was_untried(case);
    match mode.says {
        Says::Accepted | Says::Failed if code != Err(4) => note(format!("{code:?}, not 4")),
        Says::Property if (&code, &strict) != (&Ok(()), &Err(4)) => {
            note(format!("{code:?}, and {strict:?} if strict"));
        }
        Says::Nothing | Says::Property => {
            for case in attacked.bad() {
                note(format!("{} is {:?}: {}", case.id, case.outcome, case.found));
            }
        }
        Says::Untried => {
            for case in attacked.bad().filter(|case| !untried(case)) {
                note(format!("{} is {:?}: {}", case.id, case.outcome, case.found));
            }
            let count = attacked.bad().filter(untried).count();
            let tried = ids(attacked, CaseOutcome::Refused).len();
            if count == 0 || tried < 10 {
                note(format!("{count} untried, and {tried} refused"));
            }
        }
        _ => {}
    }
    all
}

/// A share of the modes, so that no test is long; all shares together are every mode.
fn a_share_is_told_apart(share: usize) {
    let mut all = Vec::new();
    for mode in MODES.iter().skip(share).step_by(SHARES) {
        match attacked(mode) {
            Ok(attacked) => all.extend(surprises(mode, &attacked)),
            Err(error) => all.push(format!("{}: {error}", mode.name)),
        }
    }
    assert!(all.is_empty(), "{all:#?}");
}

/// Whatever it was asked last, nothing is said of what could not be tried.
#[test]
fn a_server_that_dies_in_any_row_is_accused_of_nothing() {
    let mode = find("sound-dies").unwrap();
    let mut all = Vec::new();
    for requests in (60..600).step_by(9) {
        let attacked = attacked_at(&Zoo::start_for(mode, requests), mode).unwrap();
        let of_it = surprises(mode, &attacked);
        all.extend(of_it.into_iter().map(|what| format!("after {requests}: {what}")));
    }
    assert!(all.is_empty(), "{all:#?}");
}

/// A test for each share.
macro_rules! shares {
    ($($name:ident = $share:literal,)+) => {
        const SHARES: usize = [$($share),+].len();
        $(
            #[test]
            fn $name() {
                a_share_is_told_apart($share);
            }
        )+
    };
}

shares! {
    flawed_and_sound_strangers_are_told_apart_1 = 0,
    flawed_and_sound_strangers_are_told_apart_2 = 1,
    flawed_and_sound_strangers_are_told_apart_3 = 2,
    flawed_and_sound_strangers_are_told_apart_4 = 3,
    flawed_and_sound_strangers_are_told_apart_5 = 4,
    flawed_and_sound_strangers_are_told_apart_6 = 5,
}

/// The page about the zoo, from its modes and the suite's weaknesses.
fn page() -> String {
    let flawed: Vec<&Mode> = MODES.iter().filter(|mode| !mode.rows.is_empty()).collect();
    let sound: Vec<&Mode> = MODES.iter().filter(|mode| mode.rows.is_empty()).collect();
    let mut text = format!(
        "# What the attack suite finds\n\n\
         This page lists the flawed and sound servers that the tests of the [attack \
         suite](attacks.md)\nmust tell apart.\n\n\
         The servers are modes of one small program, `loadgen/tests/zoo`; a test attacks each of \
         them and\ncompares the outcome with these tables. `loadgen/tests/suite/attack/\
         strangers.rs` writes the page.\n\n\
         ## {} flawed servers\n\n\
         A row of the suite that finds a property fails with `--strict` only.\n\n\
         | server | its flaw | rows | outcome | weakness |\n|---|---|---|---|---|\n",
        flawed.len()
    );
    for mode in flawed {
        let word = match mode.says {
            Says::Accepted => CaseOutcome::Accepted.word(),
            Says::Failed => CaseOutcome::Failed.word(),
            _ => CaseOutcome::Property.word(),
        };
        let about = attack::weakness(mode.rows[0]).unwrap();
        text += &format!(
            "| {} | {} | {} | {word} | {}, [CWE-{}]({}); [{}]({}) |\n",
            mode.name,
            mode.does,
            mode.rows.join(", "),
            about.name,
            about.cwe,
            about.url(),
            about.source.name(),
            about.source.url()
        );
    }
    text += &format!(
        "\n## {} sound servers\n\n\
         The suite accuses none of them. Where a server limits requests, blocks a client or ends, \
         cases are\nlisted as not tried, and the command exits with 4.\n\n\
         | server | what it does | outcome |\n|---|---|---|\n",
        sound.len()
    );
    for mode in sound {
        let outcome = match mode.says {
            Says::Untried => "some cases not tried, none failed",
            _ => "none failed",
        };
        text += &format!("| {} | {} | {outcome} |\n", mode.name, mode.does);
    }
    text
}

#[test]
fn the_page_has_every_server_and_the_rows_that_find_it() {
    let path = root().join(PAGE);
    if std::env::var_os("AUTHBENCH_WRITE_PAGES").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = "set AUTHBENCH_WRITE_PAGES=1 and repeat this test to write it anew";
    assert!(found == page(), "{PAGE} is not what the zoo says: {hint}");
    let count = |says: &[Says]| MODES.iter().filter(|mode| says.contains(&mode.says)).count();
    assert!(count(&[Says::Accepted, Says::Failed, Says::Property]) >= 40);
    assert!(count(&[Says::Nothing, Says::Untried]) >= 10);
}

/// The output of the command, attacking the server of this mode.
fn command(name: &str, more: &[&str]) -> std::process::Output {
    let dir = tempfile::tempdir().unwrap();
    let mode = find(name).unwrap();
    let zoo = Zoo::start(mode);
    let path = dir.path().join("target.toml");
    std::fs::write(&path, zoo.target_file(mode, dir.path())).unwrap();
    let fixed = ["attack", "--target", path.to_str().unwrap(), "--guesses", "20"];
    super::authbench(&[&fixed, more].concat())
}

#[test]
fn the_command_names_the_account_that_it_got_into() {
    let output = command("sequential-ids", &[]);
    assert_eq!(output.status.code(), Some(4), "{}", super::stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("51c  ACCEPTED  ids next to those of 20 logins"), "{text}");
    let found = text.split("51c  ACCEPTED").nth(1).unwrap();
    let found = found.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(found.contains("expected refused, found 200 as `"), "{found}");
    assert!(found.contains("made from `1"), "{found}");
    assert!(found.contains("use 128 bits of a CSPRNG for an id see CWE-340"), "{found}");
}

#[test]
fn properties_fail_only_if_asked() {
    assert_eq!(command("no-httponly", &[]).status.code(), Some(0));
    let strict = command("no-httponly", &["--strict"]);
    assert_eq!(strict.status.code(), Some(4), "{}", super::stderr(&strict));
    let text = String::from_utf8(strict.stdout).unwrap();
    assert!(text.contains("set HttpOnly") && text.contains("CWE-1004"), "{text}");
}

#[test]
fn a_ci_and_code_scanning_get_the_findings() {
    let output = command("cacheable", &["--format", "junit"]);
    assert_eq!(output.status.code(), Some(4), "{}", super::stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("<?xml") && text.contains("failures=\"1\""), "{text}");
    let output = command("sequential-ids", &["--format", "sarif"]);
    let log: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let found = results.iter().find(|result| result["ruleId"] == "51c").unwrap();
    assert_eq!(found["level"], "error");
    let place = &found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert!(place.as_str().unwrap().ends_with("target.toml"), "{place}");
}
