//! What does a list of revoked tokens cost as it grows?

use serde::Deserialize;

use super::check::{count, levels, millis, within};
use super::load::{self, Slices, browse, check_lengths, cut, loads, observation};
use super::metric::{self, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, Over, TablePlan};
use crate::error::Result;
use crate::load::{LoadModel, Poisson, UserChoice};
use crate::plan::{ADMIN_FILL, Action, FillPlan, PopulatePlan, SnapshotPlan, TrialPlan};
use crate::record::{ActionRecord, Doubt, LoadRecord, MemoryUse, SnapshotRecord, TrialRecord};
use crate::spec::Spec;
use crate::units::{Rate, Span, grouped};

/// The same open load by the same users, with more and more tokens revoked.
pub(super) struct Denylist;

#[derive(Deserialize)]
struct Table {
    denylist: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    revoked: Vec<u32>,
    rate: Rate,
    #[serde(default = "count::<10_000>")]
    users: u32,
    #[serde(default = "count::<64>")]
    connections: u32,
    #[serde(default = "count::<5>")]
    blocks: u32,
    #[serde(default = "millis::<500>")]
    warmup: Span,
    #[serde(default = "millis::<3000>")]
    measure: Span,
    #[serde(default = "millis::<15>")]
    slice: Span,
    #[serde(default = "millis::<500>")]
    settle: Span,
}

/// The scheme whose arms are asked: no other keeps anything of a token that was revoked.
const SCHEME: &str = "jwt-denylist@";
const REVOKED_MAX: u32 = 10_000_000;
const USERS_MAX: u32 = 1_000_000;
const CONNECTIONS_MAX: u32 = 1024;
const TIMEOUT: Span = Span::from_millis(5000);
/// Nothing may be forgotten, and no token may expire, while the servers of a level are filled one
/// after the other.
const LIFE: [&str; 2] = ["--ttl", "12h"];
/// Answers with this status are of good tokens: no user of this load has logged out.
const REFUSED: &str = "status_401";

impl Experiment for Denylist {
    fn name(&self) -> &'static str {
        "denylist"
    }

    fn question(&self) -> &'static str {
        "What does a list of revoked tokens cost as it grows?"
    }

    fn method(&self) -> &'static str {
        "Only the arms with a list of revoked tokens are asked. Before the load each server logs \
         users in by itself and out again, through the same code and the same list as a logout, \
         until so many tokens are revoked; its memory is read before and after. Then other users, \
         who are logged in, read GET /me at a fixed rate that does not wait for the answers \
         (Poisson arrivals) over a fixed number of connections, so that only the number of revoked \
         tokens differs between levels. A false refusal is a good token that was answered with \
         401: an exact list has none, a filter has some, and those are its price."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str) -> ChartPlan {
            ChartPlan {
                metric,
                title,
                over: Over::Level,
                x_label: "revoked tokens",
                x_log: false,
                y_log: false,
            }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::CPU_US_PER_REQUEST, "CPU per request, server and store"),
            chart(metric::SERVER_ALLOCATED_BYTES, "Server memory, allocated"),
        ];
        CHARTS
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[TablePlan {
            title: "The list as it grows",
            note: "Rate, connections and users are the same in every row.",
            metrics: &[
                metric::CPU_US_PER_REQUEST,
                metric::RESPONSE_P99_US,
                metric::BYTES_PER_LOGOUT,
                metric::STORE_BYTES_PER_LOGOUT,
                metric::FALSE_REFUSALS,
            ],
        }];
        TABLES
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Revoked", noun: "revoked tokens", at_zero: "nothing revoked" })
    }

    fn level(&self, level: u32) -> String {
        format!("{} revoked tokens", grouped(level.into()))
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let settings = spec.section::<Table>()?.denylist;
        let revoked =
            levels(spec, "denylist", "revoked", settings.revoked.clone(), 1, 0..=REVOKED_MAX)?;
        within(spec, "[denylist] users", settings.users, 1..=USERS_MAX)?;
        within(spec, "[denylist] connections", settings.connections, 1..=CONNECTIONS_MAX)?;
        let Settings { measure, slice, .. } = settings;
        check_lengths(spec, "denylist", measure, slice, Slices::Optional)?;
        let arms: Vec<_> = spec.arms.iter().filter(|arm| arm.starts_with(SCHEME)).collect();
        if arms.is_empty() {
            return Err(spec.refuse(format!(
                "[denylist]: expected an arm with a list of revoked tokens ({SCHEME}memory, \
                 {SCHEME}filter or {SCHEME}redis), found {}; add one to `arms`, or \
                 remove the table",
                spec.arms.join(", ")
            )));
        }
        let server: Vec<String> = ADMIN_FILL.iter().chain(&LIFE).map(ToString::to_string).collect();
        let cell = |arm: &str, revoked: u32| Cell {
            arm: arm.into(),
            level: revoked,
            server: server.clone(),
            actions: settings.actions(revoked),
        };
        let places = arms.iter().flat_map(|arm| revoked.iter().map(move |level| (arm, *level)));
        let cells = places.map(|(arm, revoked)| cell(arm, revoked)).collect();
        Ok(Cells { blocks: settings.blocks, cells })
    }

    fn measures(&self, metric: &Metric) -> bool {
        let own =
            [metric::BYTES_PER_LOGOUT, metric::STORE_BYTES_PER_LOGOUT, metric::FALSE_REFUSALS];
        metric.is_of_load || own.contains(&metric)
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        let of_logouts = [metric::BYTES_PER_LOGOUT, metric::STORE_BYTES_PER_LOGOUT];
        if of_logouts.contains(&metric) && level == 0 {
            return Some("a level of `revoked` above 0");
        }
        load::needs(metric, trials, level)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let mut seen = load::observed(record);
        for (plan, load) in loads(record) {
            let mut add = |metric, value: Option<f64>| {
                seen.extend(value.map(|value| observation(plan, load, metric, value)));
            };
            add(metric::FALSE_REFUSALS, false_refusals(load));
            let added = |read| per_logout(record, read);
            add(metric::BYTES_PER_LOGOUT, added(|memory| memory.allocated_bytes));
            add(metric::STORE_BYTES_PER_LOGOUT, added(|memory| memory.store_used_bytes));
        }
        seen
    }

    /// What a filter refuses falsely is a result, and has a metric of its own.
    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let mut without = record.clone();
        for did in &mut without.actions {
            if let ActionRecord::Load(load) = did {
                let refused = load.counts.errors.remove(REFUSED).unwrap_or(0);
                load.counts.sent -= refused;
            }
        }
        load::doubts(&without)
    }
}

impl Settings {
    fn actions(&self, revoked: u32) -> Vec<Action> {
        let Self { users, connections, .. } = *self;
        let read = || {
            let settle_ns = self.settle.ns();
            Action::Snapshot(SnapshotPlan { sessions: 0, settle_ns })
        };
        let populate = |first_user, users, leave| {
            Action::Populate(PopulatePlan { first_user, users, leave, keep: !leave })
        };
        let load = browse(
            LoadModel::Poisson(Poisson { rate_per_s: self.rate.per_second() }),
            (users, UserChoice::Uniform),
            connections,
            (self.warmup, self.measure),
        );
        // What the first logins touch is no cost of a logout.
        let mut actions = vec![
            Action::Fill(FillPlan {
                first_user: 0,
                users: connections,
                connections,
                timeout_ns: TIMEOUT.ns(),
                prepare: None,
                keep: false,
            }),
            read(),
        ];
        if revoked > 0 {
            actions.extend([populate(users, revoked, true), read()]);
        }
        actions.extend([populate(0, users, false), cut(load, self.slice)]);
        actions
    }
}

/// The share of requests with good tokens that were refused.
fn false_refusals(load: &LoadRecord) -> Option<f64> {
    let refused = load.counts.errors.get(REFUSED).copied().unwrap_or(0);
    (load.counts.sent > 0).then(|| refused as f64 / load.counts.sent as f64)
}

/// What each revoked token added to a reading of memory.
fn per_logout(record: &TrialRecord, read: fn(&MemoryUse) -> Option<u64>) -> Option<f64> {
    let snapshots: Vec<&SnapshotRecord> = record
        .actions
        .iter()
        .filter_map(|did| match did {
            ActionRecord::Snapshot(snapshot) => Some(snapshot),
            _ => None,
        })
        .collect();
    let [before, after] = snapshots.as_slice() else { return None };
    let change = read(&after.memory)? as f64 - read(&before.memory)? as f64;
    Some(change / f64::from(record.trial.level))
}

#[cfg(test)]
mod tests {
    use super::super::expand;
    use super::super::sample::{load, record};
    use super::*;
    use crate::plan::Plan;
    use crate::record::LoginRecord;
    use crate::spec::Overrides;

    fn plan(arms: &str, more: &str) -> Result<Plan> {
        let text = format!(
            "name='t'\narms=[{arms}]\n[denylist]\nrevoked=[0,1000]\nrate='2000/s'\nblocks=1\n{more}"
        );
        let mut plan = expand(&Spec::parse("t.toml", &text, Overrides::default())?)?;
        plan.trials.retain(|trial| !trial.twin);
        Ok(plan)
    }

    const ARMS: &str = "'none','jwt-denylist@memory','jwt-denylist@filter','jwt-hs256'";

    /// A trial with 1,000 revoked tokens, carried out on a server that read so many bytes before
    /// and after, and answered 30,000 requests rightly and so many with a 401.
    fn carried_out(trial: &TrialPlan, bytes: [u64; 2], refused: u64) -> TrialRecord {
        let mut bytes = bytes.into_iter();
        let did = |action: &Action| match action {
            Action::Fill(_) => ActionRecord::Fill(LoginRecord::default()),
            Action::Populate(_) => ActionRecord::Populate(LoginRecord::default()),
            Action::Snapshot(_) => ActionRecord::Snapshot(SnapshotRecord {
                sessions: 0,
                memory: MemoryUse { allocated_bytes: bytes.next(), ..MemoryUse::default() },
            }),
            Action::Slices(_) => {
                let mut load = load(30_000);
                if refused > 0 {
                    load.counts.sent += refused;
                    load.counts.planned += refused;
                    load.counts.errors.insert(REFUSED.into(), refused);
                }
                ActionRecord::Load(Box::new(load))
            }
            other => panic!("{other:?}"),
        };
        record(trial, trial.actions.iter().map(did).collect())
    }

    #[test]
    fn only_arms_with_a_list_are_asked() {
        let plan = plan(ARMS, "").unwrap();
        let mut asked: Vec<_> =
            plan.trials.iter().map(|trial| (trial.arm.as_str(), trial.level)).collect();
        asked.sort_unstable();
        let (filter, memory) = ("jwt-denylist@filter", "jwt-denylist@memory");
        assert_eq!(asked, [(filter, 0), (filter, 1000), (memory, 0), (memory, 1000)]);
        for trial in &plan.trials {
            let revoked: u32 = trial
                .actions
                .iter()
                .filter_map(|action| match action {
                    Action::Populate(populate) if populate.leave => Some(populate.users),
                    _ => None,
                })
                .sum();
            assert_eq!(revoked, trial.level);
            let [.., Action::Populate(users), Action::Slices(slices)] = trial.actions.as_slice()
            else {
                panic!("{:?}", trial.actions)
            };
            assert!(users.keep && !users.leave && users.users == slices.load.users);
            assert_eq!(slices.load.users, 10_000, "the same at every level");
        }
    }

    #[test]
    fn a_campaign_without_such_an_arm_is_refused() {
        let error = plan("'none','jwt-hs256'", "").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("jwt-denylist@memory") && text.contains("none, jwt-hs256"), "{text}");
        for (more, part) in [
            ("users=0\n", "[denylist] users"),
            ("connections=0\n", "[denylist] connections"),
            ("measure='1ms'\n", "[denylist] measure"),
            ("slice='1ms'\n", "[denylist] slice"),
        ] {
            let error = plan(ARMS, more).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_good_token_that_is_refused_is_a_figure_and_another_error_a_doubt() {
        let plan = plan(ARMS, "").unwrap();
        let trial = plan.trials.iter().find(|trial| trial.level == 1000).unwrap();
        let value = |record: &TrialRecord, metric: &Metric| {
            let seen = Denylist.observe(record);
            seen.iter().find(|seen| seen.metric == metric).map(|seen| seen.value)
        };
        let exact = carried_out(trial, [5_000, 55_000], 0);
        assert_eq!(value(&exact, metric::FALSE_REFUSALS), Some(0.0));
        assert_eq!(value(&exact, metric::BYTES_PER_LOGOUT), Some(50.0));
        assert_eq!(value(&exact, metric::STORE_BYTES_PER_LOGOUT), None);
        let none = Denylist.doubts(&exact);

        let mut filter = carried_out(trial, [5_000, 5_000], 10_000);
        assert_eq!(value(&filter, metric::FALSE_REFUSALS), Some(0.25));
        assert_eq!(value(&filter, metric::BYTES_PER_LOGOUT), Some(0.0));
        assert_eq!(Denylist.doubts(&filter), none);
        let Some(ActionRecord::Load(load)) = filter.actions.last_mut() else { panic!() };
        load.counts.errors.insert("status_5xx".into(), 10_000);
        load.counts.sent += 10_000;
        let doubts = Denylist.doubts(&filter);
        let doubt = doubts.iter().find(|doubt| doubt.code == "errors").unwrap();
        assert!(doubt.invalidates && doubt.what.starts_with("10,000 of 40,000"), "{doubt:?}");

        let empty = plan.trials.iter().find(|trial| trial.level == 0).unwrap();
        let empty = carried_out(empty, [5_000, 0], 0);
        assert_eq!(value(&empty, metric::BYTES_PER_LOGOUT), None, "nobody logged out");
    }
}
