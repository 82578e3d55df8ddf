//! When does it matter which scheme authenticates a request? All arms do the same additional work,
//! and stores behind a socket are put farther away. A level of this experiment is a [`Point`],
//! written as one number ([`Point::level`]).

use serde::Deserialize;

use super::check::within;
use super::load::{self, CONNECTIONS_MAX, STORE_DELAY, Slices, browse, check_lengths, cut};
use super::metric::{self, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, TablePlan};
use crate::error::Result;
use crate::load::{Closed, LoadModel, UserChoice};
use crate::plan::{TrialPlan, Variant};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// The name of the experiment.
pub const NAME: &str = "context";
/// What a request costs: CPU time of the server and its store.
pub const COST: &Metric = metric::CPU_US_PER_REQUEST;

/// A point of the experiment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// What a round trip to the store takes longer, us; at most [`Point::DISTANCE_US_MAX`].
    pub distance_us: u32,
    /// CPU time that every handler burns, us; at most [`Point::CPU_US_MAX`].
    pub cpu_us: u32,
    /// How long every handler waits, ms; at most [`Point::WAIT_MS_MAX`].
    pub wait_ms: u32,
}

impl Point {
    /// The greatest distance: 40 ms.
    pub const DISTANCE_US_MAX: u32 = 40_000;
    /// The most work: 9.999 ms.
    pub const CPU_US_MAX: u32 = 9_999;
    /// The longest wait: 9 ms.
    pub const WAIT_MS_MAX: u32 = 9;

    /// The point as the level of a trial: `distance_us * 100_000 + cpu_us * 10 + wait_ms`.
    #[must_use]
    pub const fn level(self) -> u32 {
        self.distance_us * 100_000 + self.cpu_us * 10 + self.wait_ms
    }

    /// The point that a level stands for.
    #[must_use]
    pub const fn of_level(level: u32) -> Self {
        Self { distance_us: level / 100_000, cpu_us: level / 10 % 10_000, wait_ms: level % 10 }
    }

    /// The point at the same distance whose handlers do nothing.
    #[must_use]
    pub const fn without_work(self) -> Self {
        Self { distance_us: self.distance_us, cpu_us: 0, wait_ms: 0 }
    }
}

/// What a level is, in words: `store 0.2 ms away, 50 us of CPU, 5 ms of waiting`.
#[must_use]
pub fn label(level: u32) -> String {
    let Point { distance_us, cpu_us, wait_ms } = Point::of_level(level);
    let work = match (cpu_us, wait_ms) {
        (0, 0) => "no work".into(),
        (0, wait) => format!("{wait} ms of waiting"),
        (cpu, 0) => format!("{cpu} us of CPU"),
        (cpu, wait) => format!("{cpu} us of CPU, {wait} ms of waiting"),
    };
    format!("{}, {work}", distance(distance_us))
}

/// A distance in words: `store 0.2 ms away`.
#[must_use]
pub fn distance(us: u32) -> String {
    match us {
        0 => "store on the same machine".into(),
        us => format!("store {} ms away", f64::from(us) / 1e3),
    }
}

/// The same closed load at every point.
pub(super) struct Context;

#[derive(Deserialize)]
struct Table {
    context: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    distance: Vec<Span>,
    cpu: Vec<Span>,
    wait: Vec<Span>,
    blocks: u32,
    users: u32,
    warmup: Span,
    measure: Span,
    slice: Span,
}

impl Default for Settings {
    fn default() -> Self {
        let us = |us: u64| Span::from_micros(us);
        Self {
            distance: vec![us(0), us(200), us(1_000), us(5_000)],
            cpu: vec![us(0), us(50), us(200), us(1_000)],
            wait: vec![us(0), us(5_000)],
            blocks: 3,
            users: 32,
            warmup: Span::from_millis(150),
            measure: Span::from_millis(750),
            slice: Span::from_millis(15),
        }
    }
}

/// Answers that a connection has in a slice, about; the first of them is not counted.
const ANSWERS: u64 = 5;
/// What a request takes of a core without work, about, us.
const REQUEST_US: u32 = 10;

/// Stores that are reached over a socket, and so can be farther away.
pub const STORES: &[&str] = &["redis", "postgres"];

impl Experiment for Context {
    fn name(&self) -> &'static str {
        NAME
    }

    fn question(&self) -> &'static str {
        "When does it matter at all?"
    }

    fn method(&self) -> &'static str {
        "Closed load of GET /me without think time, a connection per user, in slices that \
         alternate between the servers of a point. Every handler of every arm burns the same CPU \
         time and waits for the same time once the user is let in. A relay puts the stores behind \
         a socket farther away; its CPU time is billed apart, and arms without such a store run \
         unchanged."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[TablePlan {
            title: "What a request costs and takes",
            note: "Distance is what a round trip to the store takes longer at least. CPU is that \
                   of server and store, the handler's work included.",
            metrics: &[
                COST,
                metric::RELAY_CPU_US_PER_REQUEST,
                metric::THROUGHPUT_RPS,
                metric::RESPONSE_P50_US,
                metric::RESPONSE_P99_US,
            ],
        }];
        TABLES
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Point", noun: "", at_zero: "" })
    }

    fn level(&self, level: u32) -> String {
        label(level)
    }

    fn level_cell(&self, level: u32) -> String {
        label(level)
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { distance, cpu, wait, blocks, users, warmup, measure, slice } =
            spec.section::<Table>()?.context;
        let users = within(spec, "[context] users", users, 1..=CONNECTIONS_MAX)?;
        let distances = steps(spec, "distance", &distance, (1_000, Point::DISTANCE_US_MAX))?;
        let cpus = steps(spec, "cpu", &cpu, (1_000, Point::CPU_US_MAX))?;
        let waits = steps(spec, "wait", &wait, (1_000_000, Point::WAIT_MS_MAX))?;
        check_lengths(spec, NAME, measure, slice, Slices::Required)?;
        if distances != [0] && !spec.arms.iter().any(|arm| has_distance(arm)) {
            return Err(spec.refuse(format!(
                "[context] distance: expected an arm with a store behind a socket ({}), found {}: \
                 a store distance for an arm without a store",
                STORES.join(", "),
                spec.arms.join(", ")
            )));
        }
        let mut points = Vec::new();
        for &distance_us in &distances {
            for &cpu_us in &cpus {
                points.extend(waits.iter().map(|&wait_ms| Point { distance_us, cpu_us, wait_ms }));
            }
        }
        let cell = |arm: &String, point: Point| Cell {
            arm: arm.clone(),
            level: point.level(),
            server: flags(arm, point),
            actions: vec![cut(
                browse(
                    LoadModel::Closed(Closed::without_thinking()),
                    (users, UserChoice::InTurn),
                    users,
                    (warmup, measure),
                ),
                long_enough(slice, point, users),
            )],
        };
        Ok(Cells::of_every_arm(spec, blocks, &points, |arm, point| cell(arm, *point)))
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

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        load::doubts(record)
    }
}

/// Whether the arm has a store that can be put farther away.
fn has_distance(arm: &str) -> bool {
    Variant::of(arm).arm.split_once('@').is_some_and(|(_, store)| STORES.contains(&store))
}

/// What the server of an arm is told.
fn flags(arm: &str, point: Point) -> Vec<String> {
    let Point { distance_us, cpu_us, wait_ms } = point;
    let flag = |name: &str, value: u32, unit: &str| {
        let flag = [name.to_owned(), format!("{value}{unit}")];
        (value > 0).then_some(flag)
    };
    let away = if has_distance(arm) { distance_us } else { 0 };
    [
        flag(STORE_DELAY, away, "us"),
        flag("--handler-cpu", cpu_us, "us"),
        flag("--handler-wait", wait_ms, "ms"),
    ]
    .into_iter()
    .flatten()
    .flatten()
    .collect()
}

/// A slice in which every connection has about five answers, however long each takes: one core
/// does the work of all of them, one after the other. The slices of a point are the same for all
/// arms.
fn long_enough(slice: Span, point: Point, users: u32) -> Span {
    let Point { distance_us, cpu_us, wait_ms } = point;
    let work_us = u64::from(users) * u64::from(REQUEST_US + cpu_us);
    let away_us = u64::from(distance_us + 1_000 * wait_ms);
    Span::from_micros((slice.ns() / 1_000).max(ANSWERS * work_us) + ANSWERS * away_us)
}

/// Values of one dimension in whole units of so many nanoseconds, ascending.
fn steps(spec: &Spec, field: &str, spans: &[Span], (unit, most): (u64, u32)) -> Result<Vec<u32>> {
    let refuse = |found: String| {
        let unit = Span::from_micros(unit / 1_000);
        let most = Span::from_micros(u64::from(most) * unit.ns() / 1_000);
        spec.refuse(format!(
            "[context] {field}: expected whole multiples of {unit}, at most {most}, found {found}"
        ))
    };
    let whole = |span: &Span| {
        let steps = u32::try_from(span.ns() / unit).ok().filter(|steps| *steps <= most);
        let steps = steps.filter(|_| span.ns().is_multiple_of(unit));
        steps.ok_or_else(|| refuse(span.to_string()))
    };
    let mut steps = spans.iter().map(whole).collect::<Result<Vec<_>>>()?;
    steps.sort_unstable();
    steps.dedup();
    if steps.is_empty() {
        return Err(refuse("an empty list".into()));
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::expand;
    use crate::plan::Plan;
    use crate::spec::Overrides;

    fn plan(arms: &str, table: &str) -> Result<Plan> {
        let text = format!("name='t'\narms=[{arms}]\n[context]\n{table}\n");
        expand(&Spec::parse("t.toml", &text, Overrides::default())?)
    }

    #[test]
    fn a_level_is_a_point() {
        let most = Point { distance_us: 40_000, cpu_us: 9_999, wait_ms: 9 };
        let near = Point::default();
        let points = [
            (near, "store on the same machine, no work"),
            (Point { distance_us: 200, cpu_us: 50, wait_ms: 0 }, "store 0.2 ms away, 50 us of CPU"),
            (Point { distance_us: 5_000, wait_ms: 5, ..near }, "store 5 ms away, 5 ms of waiting"),
            (most, "store 40 ms away, 9999 us of CPU, 9 ms of waiting"),
        ];
        for (point, words) in points {
            assert_eq!(Point::of_level(point.level()), point);
            assert_eq!(label(point.level()), words);
        }
        assert_eq!(points[1].0.level(), 20_000_500);
    }

    #[test]
    fn every_arm_works_alike_and_only_stores_behind_a_socket_move() {
        let arms = "'none','session@memory','session@redis'";
        let plan = plan(arms, "distance=['0s','200us']\ncpu=['50us']\nblocks=1").unwrap();
        assert_eq!(plan.trials.len(), 16, "three arms and the twin at four points");
        for trial in &plan.trials {
            let point = Point::of_level(trial.level);
            let away = point.distance_us > 0 && trial.arm == "session@redis";
            let mut expected = if away { "--store-delay 200us " } else { "" }.to_owned();
            expected += "--handler-cpu 50us";
            expected += if point.wait_ms > 0 { " --handler-wait 5ms" } else { "" };
            assert_eq!(trial.server.join(" "), expected);
        }
        for level in plan.trials.iter().map(|trial| trial.level) {
            let together: Vec<_> = plan.trials.iter().filter(|t| t.level == level).collect();
            assert_eq!(together.len(), 4);
            assert!(together.windows(2).all(|pair| pair[0].is_together_with(pair[1])));
            let slice_ms = together[0].slices().unwrap().slicing.length_ns / 1_000_000;
            let Point { wait_ms, .. } = Point::of_level(level);
            assert!(slice_ms >= 15 + 5 * u64::from(wait_ms), "{slice_ms}");
        }
        assert!(has_distance("session@redis+idle=15m") && !has_distance("session@memory"));
        // 32 users whose requests take 1.01 ms each have five answers each.
        let busy = Point { cpu_us: 1_000, ..Point::default() };
        let slice = Span::from_millis(15);
        assert_eq!(long_enough(slice, busy, 32), Span::from_micros(5 * 32 * 1_010));
    }

    #[test]
    fn nonsense_is_refused() {
        for (table, part) in [
            ("distance=[]", "found an empty list"),
            ("distance=['1s']", "distance: expected whole multiples of 1us, at most 40ms"),
            ("cpu=['10ms']", "[context] cpu"),
            ("cpu=['100ns']", "found 100ns"),
            ("wait=['500us']", "expected whole multiples of 1ms, at most 9ms, found 500us"),
            ("users=0", "[context] users"),
            ("slice='2s'", "[context] slice"),
        ] {
            let error = plan("'none','session@redis'", table).unwrap_err();
            assert!(error.to_string().contains(part), "{table}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = plan("'none','session@memory'", "").unwrap_err();
        assert!(error.to_string().contains("a store distance for an arm without a store"));
        plan("'none','session@memory'", "distance=['0s']").unwrap();
    }
}
