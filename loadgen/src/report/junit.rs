//! `junit.xml`: a campaign as test cases, for a CI that shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::analysis::Analysis;
use super::claims::result::ClaimVerdict;
use super::figures::Endpoint;
use super::key::Place;
use super::words;
use super::words::swept;
use crate::record::{Attacked, CaseRecord};
use crate::sanitise::{REMARK, fit};
use crate::stats::Verdict;
use crate::units::grouped;

/// A test case.
pub(super) struct Case {
    /// The suite that it is part of; cases of one suite stand together.
    pub(super) suite: String,
    /// Its name.
    pub(super) name: String,
    /// Its outcome.
    pub(super) told: Told,
}

/// The outcome of a case, with its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// As it should be.
    Passed(String),
    /// It was not tried.
    Skipped(String),
    /// As it should not be.
    Failed(String),
}

/// Sets the analysis as test cases.
///
/// A case fails if its figures may not be used: an invalid cell or doubt, or an arm that did not
/// withstand an attack. That one arm is slower than another fails nothing, and what these data do
/// not settle is skipped.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut cases = cells(analysis);
    cases.extend(analysis.primary.iter().map(|declared| endpoint(analysis, declared)));
    cases.extend(claims(analysis));
    cases.extend(doubts(analysis));
    cases.extend(analysis.attacks.iter().map(attack));
    document(&format!("authbench {}", analysis.name), &cases)
}

/// One case per experiment, arm and place.
fn cells(analysis: &Analysis) -> Vec<Case> {
    let mut cells: BTreeMap<(usize, Place, &str), bool> = BTreeMap::new();
    for m in &analysis.measurements {
        let experiment = analysis.experiments.iter().position(|e| e.name == m.key.experiment);
        let place = (experiment.unwrap_or(usize::MAX), m.key.place(), m.key.arm.as_str());
        *cells.entry(place).or_insert(true) &= m.valid;
    }
    let case = |((experiment, place, arm), valid): (_, bool)| {
        let name = analysis.experiments.get::<usize>(experiment).map_or("", |e| e.name.as_str());
        let told = if valid {
            Told::Passed(String::new())
        } else {
            Told::Failed("invalid: fewer than two thirds of the trials may be used".into())
        };
        Case { suite: "cells".into(), name: format!("{name}, {arm}, {}", level(name, place)), told }
    };
    cells.into_iter().map(case).collect()
}

fn level(experiment: &str, (level, users): Place) -> String {
    let users = users.map(|users| format!("{} users", grouped(users)));
    users.unwrap_or_else(|| "all levels".into()) + &swept(experiment, level)
}

fn endpoint(analysis: &Analysis, endpoint: &Endpoint) -> Case {
    let declared = &endpoint.declared;
    let invalid = analysis.measurements.iter().any(|m| !m.valid && endpoint.rests_on(&m.key));
    let compared = endpoint.ratio.as_ref().zip(Some("ratio"));
    let compared = compared.or(endpoint.difference.as_ref().zip(Some(endpoint.unit)));
    let figure = compared.map_or_else(String::new, |(estimate, unit)| {
        let (lo, hi) = estimate.interval.unzip();
        let end = |end: Option<f64>| end.map_or_else(|| "none".into(), |end| format!("{end:.4}"));
        format!(": {:.4} {unit} (95 % interval {} to {})", estimate.point, end(lo), end(hi))
    });
    let verdict = words::verdict(endpoint.ruling.verdict).1;
    let told = match (invalid, endpoint.ruling.verdict, endpoint.ruling.cause) {
        (true, ..) => Told::Failed("it rests on a figure that may not be used".into()),
        (_, Verdict::Inconclusive, Some(cause)) => {
            let endpoints = analysis.primary.len() as u32;
            Told::Skipped(format!("{verdict}: {}{figure}", words::cause(cause, endpoints)))
        }
        _ => Told::Passed(format!("{verdict}{figure}")),
    };
    let name = format!(
        "{}: {} of {} compared with {}, {}",
        declared.experiment,
        declared.metric,
        declared.arm,
        declared.against,
        words::endpoint_at(declared)
    );
    Case { suite: "primary endpoints".into(), name, told }
}

fn claims(analysis: &Analysis) -> impl Iterator<Item = Case> {
    analysis.claims.iter().map(|claim| {
        let said = format!("{}: {}", claim.verdict.word(), claim.words);
        let told = match claim.verdict {
            ClaimVerdict::NotSettled | ClaimVerdict::NoValidFigure | ClaimVerdict::NotMeasured => {
                Told::Skipped(said)
            }
            ClaimVerdict::Supported | ClaimVerdict::Refuted | ClaimVerdict::Depends => {
                Told::Passed(said)
            }
        };
        Case { suite: "claims".into(), name: claim.says.clone(), told }
    })
}

fn doubts(analysis: &Analysis) -> impl Iterator<Item = Case> {
    analysis.doubts.iter().map(|found| {
        let doubt = &found.doubt;
        let said = format!("{}; {}", doubt.what, doubt.remedy);
        let told = if doubt.invalidates { Told::Failed(said) } else { Told::Passed(said) };
        let name = format!("{}: {}", doubt.code, found.places.join("; "));
        Case { suite: "doubts".into(), name, told }
    })
}

fn attack(arm: &Attacked) -> Case {
    let bad: Vec<String> = arm.bad().map(|case| format!("{} {}", case.id, case.what)).collect();
    let told = match &arm.spared {
        Some(why) => Told::Skipped(format!("not attacked: {why}")),
        None if bad.is_empty() => Told::Passed(format!("{} cases", arm.run())),
        None => Told::Failed(format!("did not withstand {}", bad.join("; "))),
    };
    Case { suite: "attacks".into(), name: arm.target.clone(), told }
}

/// Every case of an attack as a test case, whose meaning `told` knows.
pub fn attack_junit(attacked: &Attacked, told: &dyn Fn(&CaseRecord) -> Told) -> String {
    let suite = |case: &CaseRecord| {
        let digits = case.id.trim_end_matches(|c: char| !c.is_ascii_digit());
        format!("attack {digits}")
    };
    let case = |case: &CaseRecord| Case {
        suite: suite(case),
        name: format!("{} {}", case.id, case.what),
        told: told(case),
    };
    let mut cases: Vec<Case> = attacked.cases.iter().map(case).collect();
    if attacked.spared.is_some() {
        cases.push(attack(attacked));
    }
    document(&format!("authbench attack {}", attacked.target), &cases)
}

/// Cases as a file; a suite is where its first case stands.
pub(super) fn document(name: &str, cases: &[Case]) -> String {
    let mut suites: Vec<(&str, Vec<&Case>)> = Vec::new();
    for case in cases {
        match suites.iter_mut().find(|(suite, _)| *suite == case.suite) {
            Some((_, cases)) => cases.push(case),
            None => suites.push((&case.suite, vec![case])),
        }
    }
    let all: Vec<&Case> = cases.iter().collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites name=\"{}\" {}>", text(name), counts(&all));
    for (suite, cases) in &suites {
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", text(suite), counts(cases));
        for case in cases {
            let (class, name) = (text(suite), text(&case.name));
            let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{name}\"");
            let _ = match &case.told {
                Told::Passed(said) if said.is_empty() => writeln!(out, "/>"),
                Told::Passed(said) => {
                    writeln!(out, "><system-out>{}</system-out></testcase>", text(said))
                }
                Told::Skipped(said) => {
                    writeln!(out, "><skipped message=\"{}\"/></testcase>", text(said))
                }
                Told::Failed(said) => {
                    writeln!(out, "><failure message=\"{}\"/></testcase>", text(said))
                }
            };
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn counts(cases: &[&Case]) -> String {
    let failed = cases.iter().filter(|case| matches!(case.told, Told::Failed(_))).count();
    let skipped = cases.iter().filter(|case| matches!(case.told, Told::Skipped(_))).count();
    let tests = cases.len();
    format!("tests=\"{tests}\" failures=\"{failed}\" errors=\"0\" skipped=\"{skipped}\"")
}

/// Text inside an element or an attribute.
fn text(text: &str) -> String {
    let mut out = String::new();
    for c in fit(text, REMARK).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CaseOutcome, Doubt};
    use crate::report::analysis::DoubtSummary;
    use crate::report::tests::sample;

    #[test]
    fn a_difference_of_arms_fails_nothing() {
        let analysis = sample::analysis();
        let page = render(&analysis);
        let differs = |e: &Endpoint| matches!(e.ruling.verdict, Verdict::Lower | Verdict::Higher);
        assert!(analysis.primary.iter().any(differs), "the sample has a difference");
        assert!(!page.contains("<failure"), "{page}");
        for suite in ["cells", "primary endpoints", "claims"] {
            assert!(page.contains(&format!("<testsuite name=\"{suite}\"")), "{suite}: {page}");
        }
        assert_eq!(page.matches("<testcase").count(), page.matches("classname=").count());
    }

    #[test]
    fn what_may_not_be_used_fails() {
        let mut analysis = sample::analysis();
        let failures = |analysis: &Analysis| render(analysis).matches("<failure").count();
        for m in &mut analysis.measurements {
            m.valid = m.key.arm != "jwt-hs256" || m.key.experiment != "concurrency";
        }
        let invalid = failures(&analysis);
        assert!(invalid >= 3, "three levels, and the endpoints that rest on them: {invalid}");
        let doubt = Doubt::invalid("errors", "requests failed", "look at the server");
        analysis.doubts.push(DoubtSummary { doubt, places: vec!["everywhere".into()] });
        assert_eq!(failures(&analysis), invalid + 1);
        let case = CaseRecord {
            id: "4a".into(),
            what: "<alg>".into(),
            expected: "401".into(),
            found: "200".into(),
            outcome: CaseOutcome::Accepted,
        };
        let attacked = Attacked { target: "a&b".into(), spared: None, cases: vec![case] };
        analysis.attacks.push(attacked);
        analysis.attacks.push(Attacked::spared("none", "it is the floor"));
        assert_eq!(failures(&analysis), invalid + 2);
        let page = render(&analysis);
        assert!(
            page.contains("name=\"a&amp;b\"><failure message=\"did not withstand 4a &lt;alg&gt;")
        );
    }
}
