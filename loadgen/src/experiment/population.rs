//! Does a request cost more when more people are logged in?

use serde::Deserialize;

use super::check::{count, levels, millis, within};
use super::load::{
    self, CONNECTIONS_MAX, PILOT, PILOT_LEVEL, Slices, arrivals, browse, check_lengths,
    check_window, cut, loads,
};
use super::metric::{self, Metric};
use super::question::{Cell, Cells, ChartPlan, Experiment, Observation, Over, TablePlan};
use crate::error::Result;
use crate::load::{LoadModel, UserChoice};
use crate::plan::{ADMIN_FILL, Action, PopulatePlan, TrialPlan};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::units::{Span, counted};

/// The same open load over the same connections, with more and more users logged in.
pub(super) struct Population;

#[derive(Deserialize)]
struct Table {
    population: Settings,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    users: Vec<u32>,
    rate: String,
    #[serde(default = "count::<64>")]
    connections: u32,
    #[serde(default = "uniform")]
    choice: String,
    #[serde(default = "count::<5>")]
    blocks: u32,
    #[serde(default = "millis::<1000>")]
    pilot: Span,
    #[serde(default = "millis::<500>")]
    warmup: Span,
    #[serde(default = "millis::<3000>")]
    measure: Span,
    #[serde(default = "millis::<15>")]
    slice: Span,
}

fn uniform() -> String {
    "uniform".into()
}

const USERS_MAX: u32 = 10_000_000;
/// Users of a pilot, which logs them in by a request each.
const PILOT_USERS_MAX: u32 = 1000;
/// No credential may expire while the servers of a level are filled one after the other.
const LIFE: [&str; 4] = ["--ttl", "12h", "--access-ttl", "12h"];

impl Experiment for Population {
    fn name(&self) -> &'static str {
        "population"
    }

    fn question(&self) -> &'static str {
        "Does a request cost more when more people are logged in?"
    }

    fn method(&self) -> &'static str {
        "Before the load each server logs its users in by itself, through the same code and the \
         same create of its store as a login. Then users read GET /me at a fixed rate that does \
         not wait for the answers (Poisson arrivals) over a fixed number of connections, and each \
         request is of a user drawn from all who are logged in. The rate may be a share of what \
         the baseline answers in a closed, saturating load, the pilot of each block. So the rate \
         and the connections are the same at every level, and only the number of logged-in users \
         grows. The baseline runs at \
         every level too: what its cost changes by is the machine's and the generator's, and the \
         cost of a scheme is what lies between the two. An arm that keeps nothing for its users \
         has nothing to grow, and shows how well the experiment can tell."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str, y_log: bool) -> ChartPlan {
            ChartPlan {
                metric,
                title,
                over: Over::Users,
                x_label: "logged-in users",
                x_log: true,
                y_log,
            }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::CPU_US_PER_REQUEST, "CPU per request, server and store", false),
            chart(metric::RESPONSE_P50_US, "Response time, p50", true),
            chart(metric::RESPONSE_P99_US, "Response time, p99", true),
        ];
        CHARTS
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[
            TablePlan {
                title: "A request as logged-in users grow",
                note: "Rate and connections are the same in every row.",
                metrics: &[
                    metric::CPU_US_PER_REQUEST,
                    metric::SERVER_CPU_US_PER_REQUEST,
                    metric::STORE_CPU_US_PER_REQUEST,
                    metric::RESPONSE_P50_US,
                    metric::RESPONSE_P99_US,
                    metric::ERROR_RATE,
                ],
            },
            TablePlan {
                title: "Memory at these levels",
                note: "At the end of the load, with all of them logged in.",
                metrics: &[
                    metric::SERVER_ALLOCATED_BYTES,
                    metric::SERVER_PSS_BYTES,
                    metric::STORE_MEMORY_BYTES,
                    metric::STORE_USED_BYTES,
                    metric::STORE_DISK_BYTES,
                ],
            },
        ];
        TABLES
    }

    fn mixes(&self) -> bool {
        true
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let settings = spec.section::<Table>()?.population;
        let Settings { connections, blocks, pilot, warmup, measure, slice, .. } = settings;
        let users = spec.users.clone().unwrap_or_else(|| settings.users.clone());
        let users = levels(spec, "population", "users", users, 1, 1..=USERS_MAX)?;
        within(spec, "[population] connections", connections, 1..=CONNECTIONS_MAX)?;
        let choice: UserChoice = settings
            .choice
            .parse()
            .map_err(|error| spec.refuse(format!("[population] choice: {error}")))?;
        check_lengths(spec, "population", measure, slice, Slices::Optional)?;
        check_window(spec, "population", "pilot", pilot)?;
        let model = arrivals(spec, "[population] rate", &settings.rate)?;
        let server: Vec<String> = ADMIN_FILL.iter().chain(&LIFE).map(ToString::to_string).collect();
        let cell = |arm: &String, users: u32| Cell {
            arm: arm.clone(),
            level: users,
            server: server.clone(),
            actions: vec![
                Action::Populate(PopulatePlan { first_user: 0, users, leave: false, keep: true }),
                cut(browse(model.clone(), (users, choice), connections, (warmup, measure)), slice),
            ],
        };
        let pilot = matches!(model, LoadModel::PilotShare(_)).then(|| {
            let users = users[0].min(PILOT_USERS_MAX);
            load::pilot(spec, users, connections.min(users), (warmup, pilot))
        });
        let arms = spec.arms.iter();
        let places = arms.flat_map(|arm| users.iter().map(move |users| (arm, *users)));
        let cells = places.map(|(arm, users)| cell(arm, users));
        Ok(Cells { blocks, cells: pilot.into_iter().chain(cells).collect() })
    }

    fn level(&self, level: u32) -> String {
        match level {
            PILOT => PILOT_LEVEL.into(),
            users => counted(users.into(), "user"),
        }
    }

    fn measures(&self, metric: &Metric) -> bool {
        metric.is_of_load
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        load::needs(metric, trials, level)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        load::observed(record)
    }

    fn conclusions(&self, trials: &[&TrialRecord], _: u32, _: u64) -> Vec<String> {
        load::of_pilots(trials).into_iter().collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let mut doubts = load::doubts(record);
        let lost = loads(record).find_map(|(plan, load)| {
            // A store that counts none counts something else, such as revoked tokens.
            let live = load.server.as_ref()?.memory.live_sessions.filter(|live| *live > 0)?;
            (live != u64::from(plan.users)).then_some((live, plan.users))
        });
        doubts.extend(lost.map(|(live, users)| {
            Doubt::invalid(
                "live_sessions",
                format!("the store held {live} sessions instead of {users} after the load"),
                "sessions expired or were lost: look at the store's memory limit and at its log",
            )
        }));
        doubts
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load, plan, record};
    use super::*;
    use crate::load::PilotShare;
    use crate::plan::SlicesPlan;
    use crate::record::{ActionRecord, LoginRecord, MemoryUse};

    const TABLE: &str = "[population]\nusers=[1000,1000000]\nrate='5000/s'\nblocks=1\n";

    #[test]
    fn every_arm_is_populated_and_loaded_in_slices_at_every_level() {
        let plan = plan(TABLE).unwrap();
        assert_eq!(plan.trials.len(), 4);
        for trial in &plan.trials {
            let [Action::Populate(populate), Action::Slices(SlicesPlan { load, slicing })] =
                trial.actions.as_slice()
            else {
                panic!("{:?}", trial.actions)
            };
            assert_eq!(
                *populate,
                PopulatePlan { first_user: 0, users: trial.level, leave: false, keep: true }
            );
            assert_eq!((load.users, load.connections), (trial.level, 64));
            assert_eq!(load.model.offered_rps(), Some(5000.0), "the same at every level");
            assert_eq!(load.choice, UserChoice::Uniform);
            assert_eq!(slicing.length_ns, 15_000_000);
            assert_eq!(trial.server[..3], ADMIN_FILL);
        }
        let (none, a) = (&plan.trials[0], &plan.trials[1]);
        assert_eq!((none.level, &none.actions), (a.level, &a.actions), "what can be subtracted");
    }

    #[test]
    fn a_rate_may_be_a_share_of_what_a_pilot_finds() {
        let text = "[population]\nusers=[500,1000000]\nrate='50%'\nblocks=2\n";
        let plan = plan(text).unwrap();
        assert_eq!(plan.trials.len(), 10);
        for block in plan.trials.chunks(5) {
            let [Action::Pilot(pilot)] = &block[0].actions[..] else { panic!("{:?}", block[0]) };
            assert_eq!((block[0].arm.as_str(), pilot.users, pilot.connections), ("none", 500, 64));
            let share = LoadModel::PilotShare(PilotShare { percent: 50 });
            assert!(block[1..].iter().all(|t| t.actions[1].load().unwrap().model == share));
        }
        let answered = ActionRecord::Load(Box::new(load(90_000)));
        let pilot = record(&plan.trials[0], vec![answered]);
        assert_eq!(Population.observe(&pilot), [], "a scale and no answer");
        let said = Population.conclusions(&[&pilot], 2, 1);
        assert!(said[0].starts_with("answered 90,000 to 90,000 requests"), "{said:?}");

        let growth = format!(
            "{text}[[primary]]\nexperiment='population'\nmetric='cpu_us_per_request'\narm='a'\n\
             against='none'\ngrowth=true\n"
        );
        let primary = &super::super::sample::plan(&growth).unwrap().primary[0];
        assert_eq!((primary.from, primary.level), (Some(500), 1_000_000), "not from the pilot");
    }

    #[test]
    fn users_may_be_chosen_by_zipf_and_without_slices() {
        let plan = plan(&format!("{TABLE}choice='zipf:1.1'\nslice='0ms'\n")).unwrap();
        let [_, Action::Load(load)] = plan.trials[0].actions.as_slice() else { panic!() };
        assert_eq!(load.choice, UserChoice::Zipf(1.1));
    }

    #[test]
    fn the_three_axes_are_three_fields() {
        let plan = plan(TABLE).unwrap();
        let trial = plan.trials.iter().find(|trial| trial.level == 1_000_000).unwrap();
        let populated = ActionRecord::Populate(LoginRecord::default());
        let mut record = record(trial, vec![populated, ActionRecord::Load(Box::new(load(500)))]);
        let seen = Population.observe(&record);
        let cpu =
            seen.iter().find(|seen| seen.metric == metric::SERVER_CPU_US_PER_REQUEST).unwrap();
        assert_eq!((cpu.users, cpu.rate, cpu.connections), (Some(1_000_000), Some(5000.0), 64));
        assert_eq!(cpu.value, 1000.0);

        assert!(!Population.doubts(&record).iter().any(|doubt| doubt.code == "live_sessions"));
        let Some(ActionRecord::Load(load)) = record.actions.last_mut() else { panic!() };
        let memory = MemoryUse { live_sessions: Some(999_999), ..MemoryUse::default() };
        load.server.as_mut().unwrap().memory = memory;
        let doubts = Population.doubts(&record);
        let doubt = doubts.iter().find(|doubt| doubt.code == "live_sessions").unwrap();
        assert!(doubt.invalidates && doubt.what.contains("999999 sessions instead of 1000000"));
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (table, part) in [
            ("users=[]\nrate='5/s'\n", "[population] users"),
            ("users=[0]\nrate='5/s'\n", "found 0"),
            ("users=[10]\n", "rate"),
            ("users=[10]\nrate='fast'\n", "[population] rate: expected a rate"),
            ("users=[10]\nrate='201%'\n", "found `201%`"),
            ("users=[10]\nrate='0%'\n", "found `0%`"),
            ("users=[10]\nrate='50%'\npilot='1ms'\n", "[population] pilot"),
            ("users=[10]\nrate='5/s'\nchoice='best'\n", "[population] choice"),
            ("users=[10]\nrate='5/s'\nconnections=0\n", "[population] connections"),
            ("users=[10]\nrate='5/s'\nmeasure='1ms'\n", "[population] measure"),
            ("users=[10]\nrate='5/s'\nslice='1ms'\n", "[population] slice"),
        ] {
            let error = plan(&format!("[population]\n{table}")).unwrap_err();
            assert!(error.to_string().contains(part), "{table}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}
