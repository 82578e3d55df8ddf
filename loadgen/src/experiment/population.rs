//! Does a request cost more when more people are logged in?

use serde::Deserialize;

use super::check::{count, levels, millis, within};
use super::load::{self, CONNECTIONS_MAX, Slices, browse, check_lengths, cut, loads};
use super::question::{Cell, Cells, ChartPlan, Experiment, Observation, Over, TablePlan};
use crate::error::Result;
use crate::load::{LoadModel, Poisson, UserChoice};
use crate::plan::{ADMIN_FILL, Action, PopulatePlan};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::units::{Rate, Span};

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
    rate: Rate,
    #[serde(default = "count::<64>")]
    connections: u32,
    #[serde(default = "uniform")]
    choice: String,
    #[serde(default = "count::<5>")]
    blocks: u32,
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
/// Nobody's credential may expire while the servers of a level are filled one after the other.
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
         not wait for the answers (Poisson arrivals) over a fixed number of connections, and whose \
         turn it is is drawn from all who are logged in. So the rate and the connections are the \
         same at every level, and only the number of logged-in users grows. The baseline runs at \
         every level too: what its cost changes by is the machine's and the generator's, and the \
         cost of a scheme is what lies between the two. An arm that keeps nothing for its users \
         has nothing to grow, and shows how well the experiment can tell."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static str, title: &'static str, y_log: bool) -> ChartPlan {
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
            chart("cpu_us_per_request", "CPU per request, server and store", false),
            chart("response_p50_us", "Response time, p50", true),
            chart("response_p99_us", "Response time, p99", true),
        ];
        CHARTS
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[
            TablePlan {
                title: "A request as logged-in users grow",
                note: "Rate and connections are the same in every row.",
                metrics: &[
                    "cpu_us_per_request",
                    "server_cpu_us_per_request",
                    "store_cpu_us_per_request",
                    "response_p50_us",
                    "response_p99_us",
                    "error_rate",
                ],
            },
            TablePlan {
                title: "Memory at these levels",
                note: "At the end of the load, with all of them logged in.",
                metrics: &[
                    "server_allocated_bytes",
                    "server_pss_bytes",
                    "store_memory_bytes",
                    "store_used_bytes",
                    "store_disk_bytes",
                ],
            },
        ];
        TABLES
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let settings = spec.section::<Table>()?.population;
        let Settings { connections, rate, blocks, warmup, measure, slice, .. } = settings;
        let users = spec.users.clone().unwrap_or_else(|| settings.users.clone());
        let users = levels(spec, "population", "users", users, 1, 1..=USERS_MAX)?;
        within(spec, "[population] connections", connections, 1..=CONNECTIONS_MAX)?;
        let choice: UserChoice = settings
            .choice
            .parse()
            .map_err(|error| spec.refuse(format!("[population] choice: {error}")))?;
        check_lengths(spec, "population", measure, slice, Slices::Optional)?;
        let server: Vec<String> = ADMIN_FILL.iter().chain(&LIFE).map(ToString::to_string).collect();
        let cell = |arm: &String, users: u32| Cell {
            arm: arm.clone(),
            level: users,
            server: server.clone(),
            actions: vec![
                Action::Populate(PopulatePlan { first_user: 0, users, leave: false, keep: true }),
                cut(
                    browse(
                        LoadModel::Poisson(Poisson { rate_per_s: rate.per_second() }),
                        (users, choice),
                        connections,
                        (warmup, measure),
                    ),
                    slice,
                ),
            ],
        };
        let arms = spec.arms.iter();
        let cells = arms.flat_map(|arm| users.iter().map(move |users| (arm, *users)));
        Ok(Cells { blocks, cells: cells.map(|(arm, users)| cell(arm, users)).collect() })
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        load::observed(record)
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
        let cpu = seen.iter().find(|seen| seen.metric == "server_cpu_us_per_request").unwrap();
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
            ("users=[10]\nrate='fast'\n", "expected a rate"),
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
