//! From the `[[primary]]` tables of a campaign file to the endpoints of its plan.

use std::collections::BTreeSet;

use super::find;
use super::metric::{self, Metric};
use crate::error::{Error, Result};
use crate::plan::{Primary, TrialPlan};
use crate::spec::{PrimarySpec, Spec};

/// More endpoints than this leave no power to any of them.
const ENDPOINTS_MAX: usize = 100;
/// The same answers counted twice: both as endpoints would be one question that is corrected for
/// two.
const ALIKE: [&Metric; 2] = [metric::THROUGHPUT_RPS, metric::GOODPUT_RPS];

/// The primary endpoints of a campaign whose trials these are. Those whose arms a flag has taken
/// out are left out.
///
/// A pattern becomes the arms that it names, and a level that is left out becomes the highest. What
/// the campaign cannot measure is refused with its line: an endpoint that never gets a figure would
/// still make every other verdict harder to reach.
///
/// # Errors
/// `Config`, with the line, when an endpoint asks for what this campaign does not measure, or no
/// endpoint is left.
pub(super) fn resolved(spec: &Spec, trials: &[TrialPlan]) -> Result<Vec<Primary>> {
    let mut endpoints: Vec<Primary> = Vec::new();
    for written in &spec.primary {
        for endpoint in resolve(spec, trials, written)? {
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        if endpoints.len() > ENDPOINTS_MAX {
            let expected = format!("at most {ENDPOINTS_MAX} primary endpoints");
            return Err(refuse(spec, written, &expected, "more up to here"));
        }
        if let Some(alike) = counted_twice(&endpoints) {
            let found = format!("both {} and {} of [{alike}]", ALIKE[0].name, ALIKE[1].name);
            return Err(refuse(spec, written, "one of two metrics that count the same", &found));
        }
    }
    match spec.primary.first() {
        Some(first) if endpoints.is_empty() => Err(refuse(
            spec,
            first,
            "at least one primary endpoint between the arms that are left",
            &format!("none between {}; add the arms that it names", spec.arms.join(", ")),
        )),
        _ => Ok(endpoints),
    }
}

/// The experiment of which two metrics that count the same are endpoints.
fn counted_twice(endpoints: &[Primary]) -> Option<&str> {
    let has = |experiment: &str, metric: &Metric| {
        endpoints.iter().any(|e| e.experiment == experiment && e.metric == metric.name)
    };
    let mut experiments = endpoints.iter().map(|endpoint| endpoint.experiment.as_str());
    experiments.find(|experiment| ALIKE.iter().all(|metric| has(experiment, metric)))
}

/// The endpoints that a table of the file stands for.
fn resolve(spec: &Spec, trials: &[TrialPlan], written: &PrimarySpec) -> Result<Vec<Primary>> {
    let PrimarySpec { experiment, metric, arm, against, .. } = written;
    let wrong = |expected: &str, found: &str| Err(refuse(spec, written, expected, found));
    if !spec.experiments.contains(experiment) {
        let known = format!("an experiment of this campaign ({})", spec.experiments.join(", "));
        return wrong(&known, &format!("`{experiment}`"));
    }
    let Some(row) = Metric::named(metric) else {
        return wrong("a metric that `measurements.csv` has", &format!("`{metric}`"));
    };
    if !find(experiment).is_some_and(|experiment| experiment.measures(row)) {
        let found = format!("`{metric}`, which it never measures");
        return wrong(&format!("a metric of [{experiment}]"), &found);
    }
    if row.is_exact {
        return wrong("a metric with noise", &format!("`{metric}`, which is exact"));
    }
    let known = || spec.listed_arms.iter().chain(&spec.arms);
    if !known().any(|known| known == against) {
        return wrong("`against` to be an arm of this campaign", &format!("`{against}`"));
    }
    let named = |known: &&String| *known != against && fits(arm, known);
    if !known().any(|known| named(&known)) {
        return wrong("`arm` to name another arm of this campaign", &format!("`{arm}`"));
    }
    if !spec.arms.contains(against) {
        return Ok(Vec::new());
    }
    let (level, from, users) = place(spec, trials, written)?;
    // The baseline compared with another arm says nothing that its inverse does not.
    let is_pattern = arm.ends_with('*');
    let arms = spec.arms.iter().filter(named).filter(|a| !is_pattern || **a != spec.baseline);
    let endpoint = |arm: &String| Primary {
        experiment: experiment.clone(),
        metric: metric.clone(),
        arm: arm.clone(),
        against: against.clone(),
        level,
        from,
        users,
    };
    Ok(arms.map(endpoint).collect())
}

/// The level of an endpoint, the one that it grows from, and its users.
fn place(
    spec: &Spec,
    trials: &[TrialPlan],
    written: &PrimarySpec,
) -> Result<(u32, Option<u32>, Option<u32>)> {
    let of_experiment =
        trials.iter().filter(|t| t.experiment == written.experiment && !t.is_pilot());
    let levels: BTreeSet<u32> = of_experiment.map(|trial| trial.level).collect();
    let wrong = |expected: &str, found: &str| Err(refuse(spec, written, expected, found));
    // Without an axis of its own, an experiment sweeps users, or nothing.
    let sweeps_users = find(&written.experiment).is_some_and(|e| e.axis().is_none())
        && levels.iter().any(|level| *level > 0);
    let (asked, users) = match (written.level, written.users) {
        (Some(level), Some(users)) if sweeps_users && level != users => {
            return wrong("`level` and `users` to be the same here", "two numbers");
        }
        (level, users) if sweeps_users => (level.or(users), None),
        asked => asked,
    };
    let level = match asked {
        Some(level) if levels.contains(&level) => level,
        Some(level) => {
            let known: Vec<_> = levels.iter().map(ToString::to_string).collect();
            return wrong(&format!("a level among {}", known.join(", ")), &level.to_string());
        }
        None => levels.last().copied().unwrap_or(0),
    };
    let first = levels.first().copied().filter(|first| *first < level);
    match (written.growth, first) {
        (false, _) => Ok((level, None, users)),
        (true, Some(first)) => Ok((level, Some(first), users)),
        (true, None) => wrong("a level below, from which it grows", "none"),
    }
}

/// Whether a pattern names an arm; `*` stands for anything, at its end.
fn fits(pattern: &str, arm: &str) -> bool {
    pattern.strip_suffix('*').map_or(arm == pattern, |start| arm.starts_with(start))
}

fn refuse(spec: &Spec, written: &PrimarySpec, expected: &str, found: &str) -> Error {
    let line = written.line;
    spec.refuse(format!("line {line}, [[primary]]: expected {expected}, found {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::expand;
    use crate::spec::Overrides;

    const HEAD: &str = "name='t'\narms=['none','session@memory','jwt-a','jwt-b']\n\
                        [concurrency]\nusers=[1,10,100]\n\
                        [memory]\nsessions=[0,100,200,300,400]\n";

    fn planned(arms: Option<&[&str]>, tables: &[&str]) -> Result<Vec<Primary>> {
        let arms = arms.map(|arms| arms.iter().map(ToString::to_string).collect());
        let tables: String = tables
            .iter()
            .map(|table| format!("[[primary]]\n{}\n", table.replace(';', "\n")))
            .collect();
        let overrides = Overrides { arms, ..Overrides::default() };
        Ok(expand(&Spec::parse("t.toml", &format!("{HEAD}{tables}"), overrides)?)?.primary)
    }

    const CPU: &str = "experiment='concurrency';metric='server_cpu_us_per_request';";

    fn table(rest: &str) -> String {
        format!("{CPU}{rest}")
    }

    #[test]
    fn patterns_become_arms_and_levels_become_numbers() {
        let all = table("arm='*';against='none'");
        let found = planned(None, &[&all]).unwrap();
        let arms: Vec<&str> = found.iter().map(|e| e.arm.as_str()).collect();
        assert_eq!(arms, ["session@memory", "jwt-a", "jwt-b"]);
        assert!(found.iter().all(|e| (e.level, e.from, e.users) == (100, None, None)));
        let tokens = table("arm='jwt-*';against='session@memory';users=10");
        let grows = table("arm='jwt-a';against='none';growth=true");
        let found = planned(None, &[&tokens, &grows, &tokens]).unwrap();
        let places: Vec<_> =
            found.iter().map(|e| (e.arm.as_str(), e.against.as_str(), e.level, e.from)).collect();
        assert_eq!(
            places,
            [
                ("jwt-a", "session@memory", 10, None),
                ("jwt-b", "session@memory", 10, None),
                ("jwt-a", "none", 100, Some(1)),
            ],
            "and what is declared twice counts once"
        );
        let slope = "experiment='memory';metric='bytes_per_session';arm='*';against='none'";
        assert!(planned(None, &[slope]).unwrap().iter().all(|e| e.level == 0));
    }

    #[test]
    fn arms_that_are_taken_out_take_their_endpoints_with_them() {
        let tables =
            [table("arm='jwt-a';against='session@memory'"), table("arm='*';against='none'")];
        let tables: Vec<&str> = tables.iter().map(String::as_str).collect();
        let found = planned(Some(&["none", "jwt-a"]), &tables).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].arm.as_str(), found[0].against.as_str()), ("jwt-a", "none"));
        let error = planned(Some(&["none"]), &tables).unwrap_err();
        assert!(error.to_string().contains("line 7, [[primary]]"), "{error}");
        assert!(error.to_string().contains("none between none"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn what_the_campaign_does_not_measure_is_refused_with_its_line() {
        let good = table("arm='jwt-a';against='none'");
        for (bad, part) in [
            ("experiment='login';metric='login_rps';arm='jwt-a';against='none'", "found `login`"),
            ("experiment='concurrency';metric='speed';arm='jwt-a';against='none'", "found `speed`"),
            (
                "experiment='concurrency';metric='bytes_per_session';arm='jwt-a';against='none'",
                "expected a metric of [concurrency], found `bytes_per_session`, which it never",
            ),
            (
                "experiment='memory';metric='throughput_rps';arm='jwt-a';against='none'",
                "expected a metric of [memory], found `throughput_rps`, which it never measures",
            ),
            (
                "experiment='concurrency';metric='request_wire_bytes';arm='jwt-a';against='none'",
                "which is exact",
            ),
            (&table("arm='jwe-*';against='none'"), "found `jwe-*`"),
            (&table("arm='jwt-a';against='nome'"), "found `nome`"),
            (&table("arm='none';against='none'"), "found `none`"),
            (&table("arm='jwt-a';against='none';users=7"), "among 1, 10, 100, found 7"),
            (&table("arm='jwt-a';against='none';users=10;level=1"), "two numbers"),
            (&table("arm='jwt-a';against='none';users=1;growth=true"), "from which it grows"),
            (
                "experiment='concurrency';metric='goodput_rps';arm='jwt-a';against='none';\
                 [[primary]];experiment='concurrency';metric='throughput_rps';\
                 arm='jwt-b';against='none'",
                "both throughput_rps and goodput_rps",
            ),
        ] {
            let error = planned(None, &[&good, bad]).unwrap_err();
            let text = error.to_string();
            let line = if bad.contains("[[primary]]") { "line 17" } else { "line 12" };
            assert!(text.contains(part) && text.contains(line), "{bad}: {text}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
