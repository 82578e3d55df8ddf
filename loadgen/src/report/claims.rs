//! The sentences that people believe, and what this campaign says of each.
//!
//! The claims are data (`claims.toml`): a sentence, its source, the arms it is about, the test that
//! decides it, and the words for each outcome. Here a test becomes an answer of every arm, and the
//! answers become a verdict. No verdict is written before the data; an arm that was not measured,
//! or whose figures do not settle it, is told apart from one that says no.

use serde::{Deserialize, Serialize};

use super::analysis::Analysis;
use super::compare::Comparison;
use super::estimates::Measurement;
use super::figure::{figure, range, times, times_range};
use crate::experiment::metric;
use crate::record::CaseOutcome;
use crate::stats::paired_ratio;
use crate::units::grouped;

const CLAIMS: &str = include_str!("../../claims.toml");
/// How much more an arm may cost beside the baseline with the most users before its cost is said to
/// grow: a tenth is no problem that users become.
const GROWTH_MARGIN: f64 = 0.10;

/// A claim, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClaimResult {
    /// The sentence.
    pub says: String,
    /// Who says it.
    pub source: String,
    /// What this campaign says of it.
    pub verdict: ClaimVerdict,
    /// That in words.
    pub words: String,
    /// The arms that were asked, in the order of the campaign.
    pub evidence: Vec<Evidence>,
}

/// What a campaign says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimVerdict {
    /// Every arm that settled it says yes.
    Supported,
    /// Every arm that settled it says no.
    Refuted,
    /// Some say yes and some say no.
    Depends,
    /// No arm that was measured settles it.
    NotMeasured,
}

impl ClaimVerdict {
    /// In a word or two.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Depends => "depends",
            Self::NotMeasured => "not measured",
        }
    }
}

/// What one arm says of a claim.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The arm.
    pub arm: String,
    /// Yes, no, or `None` where its figures do not settle it.
    pub answer: Option<bool>,
    /// The figure behind it.
    pub found: String,
}

#[derive(Deserialize)]
struct Claims {
    claim: Vec<Claim>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    says: String,
    source: String,
    arms: Vec<String>,
    test: Test,
    supported: String,
    refuted: String,
    depends: String,
}

/// Whether the claim is what is tested, or its opposite.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Sense {
    #[default]
    So,
    Not,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Against {
    Baseline,
    Reference,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Higher,
    Lower,
}

#[derive(Deserialize)]
#[serde(tag = "by", rename_all = "lowercase", deny_unknown_fields)]
enum Test {
    Figure {
        experiment: String,
        metrics: Vec<String>,
        above: f64,
        #[serde(default)]
        claim: Sense,
    },
    Ratio {
        experiment: String,
        metric: String,
        against: Against,
        is: Direction,
        #[serde(default)]
        claim: Sense,
    },
    Growth {
        experiment: String,
        metric: String,
    },
    Gate {},
    Property {
        case: String,
        begins: String,
    },
}

/// What an arm says, and the figure behind it.
type Answer = (Option<bool>, String);

/// What this campaign says of every claim, in the order of the file.
///
/// # Panics
/// Never: the file is part of this program, and a test reads it.
pub(super) fn claims(analysis: &Analysis) -> Vec<ClaimResult> {
    let Claims { claim } = toml::from_str(CLAIMS).expect("claims.toml is part of this program");
    claim.into_iter().map(|claim| weigh(claim, analysis)).collect()
}

fn weigh(claim: Claim, analysis: &Analysis) -> ClaimResult {
    let named = |arm: &&String| claim.arms.iter().any(|pattern| fits(pattern, arm));
    let ask = |arm: &String| {
        let (answer, found) = claim.test.ask(arm, analysis)?;
        Some(Evidence { arm: arm.clone(), answer, found })
    };
    let arms = analysis.arms.iter().filter(|arm| **arm != analysis.baseline);
    let evidence: Vec<Evidence> = arms.filter(named).filter_map(ask).collect();
    let says = |answer| evidence.iter().any(|of| of.answer == Some(answer));
    let (verdict, mut words) = match (says(true), says(false)) {
        (true, true) => (ClaimVerdict::Depends, claim.depends),
        (true, false) => (ClaimVerdict::Supported, claim.supported),
        (false, true) => (ClaimVerdict::Refuted, claim.refuted),
        (false, false) if evidence.is_empty() => {
            (ClaimVerdict::NotMeasured, "This campaign has no figure for it.".into())
        }
        (false, false) => (
            ClaimVerdict::NotMeasured,
            "The figures that there are do not settle it: more blocks would.".into(),
        ),
    };
    let names = |settled: bool| {
        let is = evidence.iter().filter(|of| of.answer.is_some() == settled);
        is.map(|of| of.arm.as_str()).collect::<Vec<_>>().join(", ")
    };
    let open = names(false);
    if verdict != ClaimVerdict::NotMeasured && !open.is_empty() {
        words = format!("For {}: {words} Not settled for {open}.", names(true));
    }
    ClaimResult { says: claim.says, source: claim.source, verdict, words, evidence }
}

/// Whether a pattern names an arm; `*` stands for anything, at its end.
fn fits(pattern: &str, arm: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => arm.starts_with(start),
        None => arm == pattern,
    }
}

impl Sense {
    fn of(self, tested: Option<bool>) -> Option<bool> {
        tested.map(|tested| tested == (self == Self::So))
    }
}

impl Test {
    /// What an arm says; `None` where it was not measured, or not validly.
    fn ask(&self, arm: &str, analysis: &Analysis) -> Option<Answer> {
        match self {
            Self::Figure { experiment, metrics, above, claim } => {
                let found = figures(analysis, experiment, metrics, arm);
                let (tested, text) = beyond(&found, *above)?;
                Some((claim.of(tested), text))
            }
            Self::Ratio { experiment, metric, against, is, claim } => {
                let against = match against {
                    Against::Baseline => &analysis.baseline,
                    Against::Reference => &analysis.reference,
                };
                let found = at_the_top(analysis, experiment, metric, arm, against)?;
                let tested = apart(found, is, analysis.margin);
                Some((claim.of(tested), in_words(found)?))
            }
            Self::Growth { experiment, metric } => growth(analysis, experiment, metric, arm),
            Self::Gate {} => gate(analysis, arm),
            Self::Property { case, begins } => {
                let attacked = analysis.attacks.iter().find(|of| of.target == arm)?;
                let case = attacked.cases.iter().find(|of| of.id == *case)?;
                let applies = case.outcome != CaseOutcome::NotApplicable;
                applies.then(|| (Some(case.found.starts_with(begins)), case.found.clone()))
            }
        }
    }
}

/// The figures of an arm that may be used, of these metrics, over everything that was measured.
fn figures<'a>(
    analysis: &'a Analysis,
    experiment: &str,
    metrics: &[String],
    arm: &str,
) -> Vec<&'a Measurement> {
    let is = |m: &&Measurement| {
        m.valid
            && m.arm == arm
            && m.experiment == experiment
            && metrics.iter().any(|name| name == m.metric)
    };
    analysis.measurements.iter().filter(is).collect()
}

/// Whether one of the figures lies above a bound, or all of them below.
fn beyond(found: &[&Measurement], bound: f64) -> Option<Answer> {
    let intervals: Vec<(f64, f64)> = found.iter().filter_map(|m| m.estimate.interval).collect();
    if intervals.is_empty() {
        return None;
    }
    let tested = if intervals.iter().any(|(lo, _)| *lo > bound) {
        Some(true)
    } else if intervals.len() == found.len() && intervals.iter().all(|(_, hi)| *hi <= bound) {
        Some(false)
    } else {
        None
    };
    let text: Vec<_> = found
        .iter()
        .map(|m| {
            let (label, e) = (in_a_sentence(m.metric), &m.estimate);
            let level = m.level.filter(|level| *level > 0);
            let at = level.map_or_else(String::new, |level| format!(" at level {level}"));
            format!("{label}{at}: {} ({})", figure(e.point, m.unit), range(e, m.unit))
        })
        .collect();
    Some((tested, text.join("; ")))
}

/// What a metric is called where no sentence begins.
fn in_a_sentence(name: &str) -> String {
    let label = metric(name).label;
    let first = label.chars().next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(label.chars().skip(1)).collect()
}

/// The comparison of a metric with the most users.
fn at_the_top<'a>(
    analysis: &'a Analysis,
    experiment: &str,
    metric: &str,
    arm: &str,
    against: &str,
) -> Option<&'a Comparison> {
    let is = |c: &&Comparison| {
        c.experiment == experiment && c.metric == metric && c.arm == arm && c.against == against
    };
    analysis.comparisons.iter().filter(is).max_by_key(|c| c.users)
}

/// Whether the interval lies beyond no difference, on the side that is asked for, or not beyond the
/// margin there; `None` where it says neither. A figure without an interval does not vary.
fn apart(found: &Comparison, is: &Direction, margin: f64) -> Option<bool> {
    let ratio = found.ratio.as_ref()?;
    let exact = ratio.is_exact().then_some((ratio.point, ratio.point));
    let (lo, hi) = ratio.interval.or(exact)?;
    let (yes, no) = match is {
        Direction::Higher => (lo > 1.0, hi <= 1.0 + margin),
        Direction::Lower => (hi < 1.0, lo >= 1.0 - margin),
    };
    if no { Some(false) } else { yes.then_some(true) }
}

fn in_words(found: &Comparison) -> Option<String> {
    let ratio = found.ratio.as_ref()?;
    let users = found.users.map_or_else(String::new, |n| format!(" at {} users", grouped(n)));
    Some(format!(
        "{} of {}'s {}{users} ({})",
        times(ratio.point),
        found.against,
        in_a_sentence(found.metric),
        times_range(ratio),
    ))
}

/// Whether an arm's figure, beside the baseline's, is larger with the most users than with the
/// fewest, paired by block.
fn growth(analysis: &Analysis, experiment: &str, name: &str, arm: &str) -> Option<Answer> {
    let of = |arm: &str, users: u64| {
        let is = |m: &&Measurement| {
            m.valid
                && m.arm == arm
                && m.experiment == experiment
                && m.metric == name
                && m.users == Some(users)
        };
        analysis.measurements.iter().find(is).map(|m| &m.by_block)
    };
    let levels: Vec<u64> =
        analysis.places(experiment, name).into_iter().filter_map(|place| place.1).collect();
    let (few, many) = (*levels.first()?, *levels.last()?);
    if few == many {
        return None;
    }
    let beside = |users: u64| {
        let (own, floor) = (of(arm, users)?, of(&analysis.baseline, users)?);
        let ratio = move |(block, value): (&u32, &f64)| Some((*block, value / floor.get(block)?));
        Some(own.iter().filter_map(ratio).collect::<Vec<_>>())
    };
    let (low, high) = (beside(few)?, beside(many)?);
    let pair = |(block, at_many): &(u32, f64)| {
        low.iter().find(|(other, _)| other == block).map(|(_, at_few)| (*at_many, *at_few))
    };
    let pairs: Vec<(f64, f64)> = high.iter().filter_map(pair).collect();
    let grown = paired_ratio(&pairs)?;
    let (lo, hi) = grown.interval?;
    let bound = 1.0 + GROWTH_MARGIN;
    let tested = if lo > bound {
        Some(true)
    } else if hi <= bound {
        Some(false)
    } else {
        None
    };
    let text = format!(
        "{} beside {}: {} ({}) from {} to {} users",
        in_a_sentence(name),
        analysis.baseline,
        times(grown.point),
        times_range(&grown),
        grouped(few),
        grouped(many),
    );
    Some((tested, text))
}

fn gate(analysis: &Analysis, arm: &str) -> Option<Answer> {
    let attacked = analysis.attacks.iter().find(|of| of.target == arm && of.spared.is_none())?;
    let bad = attacked.bad().count();
    let text = match bad {
        0 => format!("{} cases, none got through", attacked.run()),
        bad => format!("{bad} of {} cases failed", attacked.run()),
    };
    Some((Some(bad == 0), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AttackRecord, Attacked, CaseRecord};
    use crate::report::tests::sample;

    fn verdict(analysis: &Analysis, part: &str) -> ClaimResult {
        let all = claims(analysis);
        all.into_iter().find(|claim| claim.says.contains(part)).expect(part)
    }

    #[test]
    fn every_claim_names_metrics_that_there_are() {
        let Claims { claim } = toml::from_str(CLAIMS).unwrap();
        assert!(claim.len() >= 10);
        for claim in claim {
            let names = match &claim.test {
                Test::Figure { metrics, .. } => metrics.clone(),
                Test::Ratio { metric, .. } | Test::Growth { metric, .. } => vec![metric.clone()],
                Test::Gate {} | Test::Property { .. } => vec![],
            };
            names.iter().for_each(|name| assert_eq!(metric(name).name, name));
        }
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let mut analysis = sample::analysis();
        analysis.measurements.clear();
        analysis.comparisons.clear();
        for claim in claims(&analysis) {
            assert_eq!(claim.verdict, ClaimVerdict::NotMeasured, "{}", claim.says);
            assert!(claim.evidence.is_empty());
        }
    }

    #[test]
    fn figures_decide_by_their_intervals() {
        let mut analysis = sample::analysis();
        let memory = |analysis: &mut Analysis, arm: &str, lo: f64, hi: f64| {
            for m in &mut analysis.measurements {
                if m.metric == "bytes_per_session" && m.arm == arm {
                    m.estimate.interval = Some((lo, hi));
                }
            }
        };
        for (lo, hi, expected) in [
            (90.0, 110.0, ClaimVerdict::Supported),
            (0.0, 2.0, ClaimVerdict::Refuted),
            (0.0, 40.0, ClaimVerdict::NotMeasured),
        ] {
            memory(&mut analysis, "session@memory", lo, hi);
            let claim = verdict(&analysis, "A session uses server memory");
            assert_eq!(claim.verdict, expected, "{lo} to {hi}");
            assert_eq!(claim.evidence.len(), 1);
        }
        memory(&mut analysis, "jwt-hs256", 0.0, 2.0);
        assert_eq!(verdict(&analysis, "no server memory").verdict, ClaimVerdict::Supported);
        memory(&mut analysis, "jwt-hs256", 30.0, 50.0);
        assert_eq!(verdict(&analysis, "no server memory").verdict, ClaimVerdict::Refuted);
        for m in &mut analysis.measurements {
            m.valid = false;
        }
        let doubtful = verdict(&analysis, "no server memory");
        assert_eq!((doubtful.verdict, doubtful.evidence.len()), (ClaimVerdict::NotMeasured, 0));
    }

    #[test]
    fn comparisons_decide_by_their_intervals() {
        let mut analysis = sample::analysis();
        for (interval, expected) in [
            ((1.1, 1.2), ClaimVerdict::Supported),
            ((0.8, 0.9), ClaimVerdict::Refuted),
            ((0.99, 1.01), ClaimVerdict::Refuted),
            ((0.9, 1.1), ClaimVerdict::NotMeasured),
        ] {
            for c in &mut analysis.comparisons {
                if c.metric == "goodput_rps" {
                    c.ratio.as_mut().unwrap().interval = Some(interval);
                }
            }
            let found = verdict(&analysis, "scale better").verdict;
            assert_eq!(found, expected, "{interval:?}");
        }
    }

    #[test]
    fn an_arm_that_settles_nothing_is_named_beside_those_that_do() {
        let mut analysis =
            sample::analysis_of(&sample::plan(&["none", "a", "jwt-x", "jwt-y"], 5), |_| {});
        for c in analysis.comparisons.iter_mut().filter(|c| c.metric == "goodput_rps") {
            let lo = if c.arm == "jwt-y" { 0.9 } else { 1.1 };
            c.ratio.as_mut().unwrap().interval = Some((lo, 1.3));
        }
        let claim = verdict(&analysis, "scale better");
        assert_eq!(claim.verdict, ClaimVerdict::Supported);
        let of = (claim.words.starts_with("For jwt-x: "), claim.words.ends_with(" for jwt-y."));
        assert_eq!(of, (true, true), "{}", claim.words);
    }

    #[test]
    fn attacks_decide_what_only_they_can() {
        let case = |id: &str, found: &str, outcome| CaseRecord {
            id: id.into(),
            what: String::new(),
            expected: String::new(),
            found: found.into(),
            outcome,
        };
        let attacked = |outcome| {
            let cases = vec![
                case("0c", "readable by anybody: sub, name", CaseOutcome::Property),
                case("5a", "401", outcome),
            ];
            let arm = Attacked { target: "jwt-hs256".into(), spared: None, cases };
            let record = AttackRecord { schema: 1, plan: String::new(), arms: vec![arm] };
            sample::analysis().with_attacks(Some(record))
        };
        let held = attacked(CaseOutcome::Refused);
        assert_eq!(verdict(&held, "encrypted").verdict, ClaimVerdict::Refuted);
        assert_eq!(verdict(&held, "tampered").verdict, ClaimVerdict::Supported);
        let fell = attacked(CaseOutcome::Accepted);
        assert_eq!(verdict(&fell, "tampered").verdict, ClaimVerdict::Refuted);
    }
}
