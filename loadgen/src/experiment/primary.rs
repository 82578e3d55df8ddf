//! From the `[[primary]]` tables of a campaign file to the endpoints of its plan.

use std::collections::BTreeSet;

use super::metric::{self, METRICS, Metric};
use super::{Experiment, find};
use crate::error::{Error, Result};
use crate::plan::{Action, Primary, SlicesPlan, TrialPlan, Variant};
use crate::spec::{PrimarySpec, Spec, nearest};

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

/// The experiment that has two metrics that count the same as endpoints.
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
        let measures = |row: &&&Metric| find(experiment).is_some_and(|e| e.measures(row));
        let known = METRICS.iter().filter(measures).map(|row| row.name);
        let meant = nearest(metric, known).map(|name| format!("; did you mean `{name}`?"));
        let found = format!("`{metric}`{}", meant.unwrap_or_default());
        return wrong("a metric that `measurements.csv` has", &found);
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
    let fault = |arm: &str| {
        let levels = [Some(level), from].into_iter().flatten();
        levels.filter_map(|level| fault(spec, trials, (written, row), arm, level)).next()
    };
    if let Some((expected, found)) = fault(against) {
        return wrong(&expected, &found);
    }
    // The baseline compared with another arm says nothing that its inverse does not.
    let is_pattern = arm.ends_with('*');
    let is_meant = |arm: &&String| !is_pattern || **arm != spec.baseline;
    let meant: Vec<&String> = spec.arms.iter().filter(named).filter(is_meant).collect();
    // A pattern names those that are measured; a name that is not measured is a slip.
    let arms: Vec<&String> = meant.iter().copied().filter(|arm| fault(arm).is_none()).collect();
    let is_slip = !is_pattern || arms.is_empty();
    if let Some((expected, found)) = meant.iter().find_map(|arm| fault(arm)).filter(|_| is_slip) {
        return wrong(&expected, &found);
    }
    let endpoint = |arm: &String| Primary {
        experiment: experiment.clone(),
        metric: metric.clone(),
        arm: arm.clone(),
        against: against.clone(),
        level,
        from,
        users,
    };
    Ok(arms.into_iter().map(endpoint).collect())
}

/// What is expected and what is found where the trials of an arm never measure an endpoint's metric
/// at this level, because the experiment leaves that arm out or its settings leave the metric out.
fn fault(
    spec: &Spec,
    trials: &[TrialPlan],
    (written, metric): (&PrimarySpec, &Metric),
    arm: &str,
    level: u32,
) -> Option<(String, String)> {
    let name = &written.experiment;
    let is_planned =
        |trial: &&TrialPlan| trial.experiment == *name && trial.arm == arm && !trial.is_pilot();
    let planned: Vec<&TrialPlan> = trials.iter().filter(is_planned).collect();
    if !planned.iter().any(|trial| trial.level == level) {
        return Some((format!("an arm that [{name}] runs"), format!("`{arm}`")));
    }
    if let Some(users) = written.users {
        let at_level = planned.iter().filter(|trial| trial.level == level);
        let known: BTreeSet<u64> = at_level.flat_map(|trial| users_of(trial)).collect();
        if !known.is_empty() && !known.contains(&users.into()) {
            let known: Vec<_> = known.iter().map(ToString::to_string).collect();
            return Some((format!("users among {}", known.join(", ")), users.to_string()));
        }
    }
    let of_trials = || find(name)?.needs(metric, &planned, level).map(String::from);
    let need = stores_of(spec, metric, arm).or_else(of_trials)?;
    let found = format!("`{metric}` of `{arm}` at level {level}, which needs {need}");
    Some((format!("a metric that this [{name}] measures"), found))
}

/// How many users are logged in where a trial measures.
fn users_of(trial: &TrialPlan) -> impl Iterator<Item = u64> {
    trial.actions.iter().filter_map(|action| match action {
        Action::Load(load) | Action::Slices(SlicesPlan { load, .. }) => Some(load.users.into()),
        Action::Search(search) => Some(search.users.into()),
        Action::Snapshot(snapshot) => Some(snapshot.sessions),
        _ => None,
    })
}

/// The stores that an arm could have to give a metric that it lacks.
fn stores_of(spec: &Spec, metric: &Metric, arm: &str) -> Option<String> {
    let store = spec.store_of(Variant::of(arm).arm);
    let has = metric.stores.is_empty() || store.is_some_and(|own| metric.stores.contains(&own));
    (!has).then(|| format!("an arm whose store is {}", metric.stores.join(" or ")))
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
    let has_levels = find(&written.experiment).is_none_or(Experiment::has_levels);
    let wrong = |expected: &str, found: &str| Err(refuse(spec, written, expected, found));
    if !has_levels {
        if written.level.is_some() || written.users.is_some() || written.growth {
            let expected = format!(
                "no `level`, `users` or `growth`: the names of the metrics of [{}] say it all",
                written.experiment
            );
            return wrong(&expected, "one of them");
        }
        return Ok((levels.first().copied().unwrap_or(0), None, None));
    }
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
    fn a_misspelt_metric_is_told_what_was_meant() {
        let slip = "experiment='concurrency';metric='server_cpu_us_per_requst';arm='*';\
                    against='none'";
        let told = planned(None, &[slip]).unwrap_err().to_string();
        assert!(told.contains("`server_cpu_us_per_requst`; did you mean"), "{told}");
        assert!(told.contains("did you mean `server_cpu_us_per_request`?"), "{told}");
        let strange = slip.replace("server_cpu_us_per_requst", "xyz");
        let told = planned(None, &[&strange]).unwrap_err().to_string();
        assert!(told.contains("found `xyz`") && !told.contains("mean"), "{told}");
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

    /// The endpoint of one metric, in a campaign with these tables.
    fn endpoint(tables: &str, endpoint: &str) -> Result<Vec<Primary>> {
        endpoint_among(ARMS, tables, endpoint)
    }

    const ARMS: &str = "'none','session@memory','session@redis','jwt-denylist@memory',\
                        'jwt-denylist@filter'";
    const STORES: &str =
        "'none','session@memory','session@sqlite','session@redis','session@postgres'";

    fn endpoint_among(arms: &str, tables: &str, endpoint: &str) -> Result<Vec<Primary>> {
        let table = endpoint.replace(';', "\n");
        let text = format!("name='t'\narms=[{arms}]\n{tables}\n[[primary]]\n{table}\n");
        let issuers = ["introspection-http", "jwt-jwks"].map(|arm| (arm.into(), "issuer".into()));
        let overrides = Overrides { stores: issuers.into(), ..Overrides::default() };
        Ok(expand(&Spec::parse("t.toml", &text, overrides)?)?.primary)
    }

    const MEMORY: &str = "[memory]\nsessions=[0,100,200,300,400]\n";
    const SIX_CORES: &str = "cores=[1,2,3,4,5,6]";

    /// A table, what it says without the metrics, what with them, and the metrics.
    type LeftOut = (&'static str, &'static str, &'static str, &'static [&'static str]);

    const LEFT_OUT: &[LeftOut] = &[
        (
            MEMORY,
            "",
            "idle_connections=[0,10,20,30,40]",
            &["bytes_per_connection", "resident_bytes_per_connection"],
        ),
        (
            MEMORY,
            "",
            "logout=true",
            &[
                "returned_after_logout",
                "resident_returned_after_logout",
                "store_returned_after_logout",
                "bytes_per_logout",
            ],
        ),
        (
            MEMORY,
            "",
            "expiry='1s'",
            &[
                "returned_after_expiry",
                "resident_returned_after_expiry",
                "store_returned_after_expiry",
            ],
        ),
        (MEMORY, "", "fill='login'", &["login_rps"]),
        (MEMORY, "data=[8]\nfill='login'", "data=[0]\nfill='login'", &["login_rps"]),
        (
            "[login]\n",
            "argon2id=false",
            "argon2id=true",
            &["argon2id_login_rps", "argon2id_login_cpu_us", "argon2id_login_store_cpu_us"],
        ),
        ("[replicas]\n", "servers=[4]", "servers=[1,4]", &["scaling_efficiency"]),
        ("[replicas]\n", "servers=[1]", "servers=[2]", &["lost_after_death_share"]),
        ("[cores]\n", "cores=[2]", "cores=[1,2]", &["scaling_efficiency"]),
        (
            "[cores]\n",
            "cores=[1,2,4]",
            SIX_CORES,
            &["usl_contention", "usl_coherency", "usl_peak_cores"],
        ),
        ("[cores]\n", "cores=[1,2,3,4,5,6]\nblocks=1", SIX_CORES, &["usl_contention"]),
        (
            "[concurrency]\nusers=[8]\n",
            "slice='0ms'",
            "slice='15ms'",
            &["store_writes_per_request"],
        ),
        ("[curve]\n", "load=[50,95]", "load=[50]", &["store_writes_per_request"]),
        (
            "[population]\nusers=[100]\nrate='2000/s'\n",
            "slice='0ms'",
            "slice='15ms'",
            &["store_writes_per_request"],
        ),
    ];

    #[test]
    fn a_metric_that_the_settings_leave_out_is_refused_with_its_line() {
        for (table, without, with, metrics) in LEFT_OUT {
            for metric in *metrics {
                let name = table.split(['[', ']']).nth(1).unwrap();
                let (arms, pair) = if metric.contains("store_") && !metric.contains("writes") {
                    (STORES, "arm='session@redis';against='session@postgres'")
                } else {
                    (ARMS, "arm='session@memory';against='none'")
                };
                let written = format!("experiment='{name}';metric='{metric}';{pair}");
                let endpoint = |tables: &str| endpoint_among(arms, tables, &written);
                let error = endpoint(&format!("{table}{without}")).unwrap_err();
                let text = error.to_string();
                assert!(text.contains(&format!("expected a metric that this [{name}]")), "{text}");
                assert!(text.contains(&format!("{metric}`")) && text.contains("needs"), "{text}");
                let lines = 3 + table.lines().count() + without.lines().count().max(1);
                assert!(text.contains(&format!("line {lines}, [[primary]]")), "{text}");
                assert_eq!(error.exit_code(), 2);
                let found = endpoint(&format!("{table}{with}"));
                assert_eq!(found.unwrap().len(), 1, "{metric} with {with}");
            }
        }
    }

    #[test]
    fn what_a_logout_costs_is_not_measured_without_one() {
        let revoked = |level: u32| {
            let written = format!(
                "experiment='denylist';metric='bytes_per_logout';level={level};\
                 arm='jwt-denylist@filter';against='jwt-denylist@memory'"
            );
            endpoint("[denylist]\nrate='2000/s'\nrevoked=[0,1000]", &written)
        };
        let text = revoked(0).unwrap_err().to_string();
        assert!(text.contains("at level 0, which needs a level of `revoked`"), "{text}");
        assert!(revoked(1000).is_ok());
    }

    #[test]
    fn a_store_that_does_not_have_a_metric_is_no_endpoint_of_it() {
        let load = "[concurrency]\nusers=[8]\n";
        let declared = |tables: &str, metric: &str, pair: &str| {
            let name = tables.split(['[', ']']).nth(1).unwrap();
            let written = format!("experiment='{name}';metric='{metric}';{pair}");
            endpoint_among(STORES, tables, &written)
        };
        let (programs, files) = (
            "arm='session@redis';against='session@postgres'",
            "arm='session@sqlite';against='session@postgres'",
        );
        for (tables, metric, pair, missing) in [
            (load, "store_cpu_us_per_request", files, "redis or postgres"),
            (load, "store_used_bytes", "arm='session@memory';against='session@redis'", "sqlite or"),
            (load, "store_disk_bytes", programs, "sqlite or postgres"),
            (MEMORY, "store_bytes_per_session", files, "redis or postgres"),
            (MEMORY, "store_disk_bytes_per_session", programs, "sqlite or postgres"),
            ("[login]\n", "login_store_cpu_us", files, "redis or postgres"),
        ] {
            let text = declared(tables, metric, pair).unwrap_err().to_string();
            assert!(
                text.contains("needs an arm whose store is") && text.contains(missing),
                "{text}"
            );
            let other = if pair == programs { files } else { programs };
            assert_eq!(declared(tables, metric, other).unwrap().len(), 1, "{metric}");
        }
        // An issuer is a program too.
        let written = "experiment='concurrency';metric='store_cpu_us_per_request';\
                       arm='introspection-http';against='jwt-jwks'";
        let arms = "'none','introspection-http','jwt-jwks'";
        assert_eq!(endpoint_among(arms, load, written).unwrap().len(), 1);
        // A pattern names the arms that have it.
        let pattern = "arm='session@*';against='session@postgres'";
        let found = declared(load, "store_used_bytes", pattern).unwrap();
        let arms: Vec<&str> = found.iter().map(|endpoint| endpoint.arm.as_str()).collect();
        assert_eq!(arms, ["session@sqlite", "session@redis"]);
    }

    #[test]
    fn users_and_levels_that_nothing_is_measured_with_are_refused() {
        let pair = "arm='session@memory';against='none'";
        let curve = |users: u32| {
            let written =
                format!("experiment='curve';metric='cpu_us_per_request';users={users};{pair}");
            endpoint("[curve]\nload=[50]\nusers=200", &written)
        };
        let text = curve(7).unwrap_err().to_string();
        assert!(text.contains("expected users among 200, found 7"), "{text}");
        assert_eq!(curve(200).unwrap()[0].users, Some(200));
        let memory = |users: u32| {
            let written =
                format!("experiment='memory';metric='server_allocated_bytes';users={users};{pair}");
            endpoint(MEMORY, &written)
        };
        let text = memory(150).unwrap_err().to_string();
        assert!(text.contains("100, 200, 300, 400, found 150"), "{text}");
        assert_eq!(memory(200).unwrap()[0].users, Some(200));
        for asked in ["growth=true", "level=1", "users=1"] {
            let written = format!("experiment='login';metric='login_cpu_us';{asked};{pair}");
            let text = endpoint("[login]\n", &written).unwrap_err().to_string();
            assert!(text.contains("expected no `level`, `users` or `growth`"), "{text}");
        }
        let plain = "experiment='login';metric='argon2id_login_cpu_us';arm='session@memory';\
                     against='session@redis'";
        assert_eq!(endpoint("[login]\n", plain).unwrap()[0].from, None);
    }

    #[test]
    fn where_a_metric_is_measured_depends_on_the_level() {
        let memory = "[memory]\nsessions=[0,100,200,300,400]\ndata=[0,8]\n\
                      idle_connections=[0,10,20,30,40]";
        let of_connections = |rest: &str| {
            let written = "experiment='memory';metric='bytes_per_connection';\
                           arm='session@memory';against='none'";
            endpoint(memory, &format!("{written}{rest}"))
        };
        assert_eq!(of_connections(";level=0").unwrap()[0].level, 0);
        for at_eight in ["", ";growth=true"] {
            let text = of_connections(at_eight).unwrap_err().to_string();
            assert!(text.contains("at level 8, which needs `idle_connections`"), "{text}");
        }
        let growth = "experiment='cores';metric='scaling_efficiency';growth=true;\
                      arm='session@memory';against='none'";
        let text = endpoint("[cores]\ncores=[1,2]", growth).unwrap_err().to_string();
        assert!(text.contains("at level 1, which needs a level with more cores"), "{text}");
        let context = "[context]\ndistance=['0ms','1ms']\ncpu=['0ms']\nwait=['0ms']";
        let relay = |against: &str| {
            let written = format!(
                "experiment='context';metric='relay_cpu_us_per_request';\
                 arm='session@*';against='{against}'"
            );
            endpoint(context, &written)
        };
        let text = relay("none").unwrap_err().to_string();
        assert!(text.contains("needs a store that is farther away"), "{text}");
        let text = relay("session@redis").unwrap_err().to_string();
        assert!(text.contains("of `session@memory`"), "no other session arm has a relay: {text}");
    }

    #[test]
    fn arms_that_an_experiment_leaves_out_are_no_endpoints() {
        let table = "[denylist]\nrate='2000/s'\nrevoked=[0,1000]";
        let declared = |arm: &str, against: &str| {
            let metric = "experiment='denylist';metric='cpu_us_per_request'";
            endpoint(table, &format!("{metric};arm='{arm}';against='{against}'"))
        };
        for (arm, against, missing) in [
            ("jwt-denylist@filter", "none", "none"),
            ("session@memory", "jwt-denylist@memory", "session@memory"),
            ("session@*", "jwt-denylist@memory", "session@memory"),
        ] {
            let text = declared(arm, against).unwrap_err().to_string();
            let found = format!("expected an arm that [denylist] runs, found `{missing}`");
            assert!(text.contains(&found), "{text}");
        }
        let all = declared("*", "jwt-denylist@memory").unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].arm, "jwt-denylist@filter");
    }
}
