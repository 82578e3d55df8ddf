//! The attack suite against the zoo: every flaw is found by its rows, and nothing is said of a
//! sound server that was not seen.

use std::collections::BTreeSet;
use std::time::Duration;

use loadgen::attack::{self, Options, Standard};
use loadgen::error::Interrupt;
use loadgen::record::{Attacked, CaseOutcome};
use loadgen::spec::parse_target;

use crate::zoo::{MODES, Mode, Says, Zoo};

/// What a token may outlive its end by, so that no test waits for a minute.
const LEEWAY: Duration = Duration::from_secs(2);

fn attacked(mode: &Mode) -> Attacked {
    let dir = tempfile::tempdir().unwrap();
    let zoo = Zoo::start(mode);
    let text = zoo.target_file(mode, dir.path());
    let path = dir.path().join("target.toml");
    let target = parse_target(&path, &text, dir.path()).unwrap();
    let (standard, leeway) = (Standard::Stranger, LEEWAY);
    let options = Options { standard, guesses: 50, leeway, ..Options::ours() };
    attack::target(&target, &options, &Interrupt::default(), &mut |_| {}).unwrap()
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
    let only = std::env::var("AUTHBENCH_ZOO").ok();
    for mode in MODES.iter().skip(share).step_by(SHARES) {
        if only.as_ref().is_some_and(|name| name != mode.name) {
            continue;
        }
        let since = std::time::Instant::now();
        let attacked = attacked(mode);
        if only.is_some() {
            for case in &attacked.cases {
                eprintln!("{} {:?} {}: {}", case.id, case.outcome, case.what, case.found);
            }
        }
        eprintln!("{}: {:?}", mode.name, since.elapsed());
        all.extend(surprises(mode, &attacked));
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
