//! What does an idle timeout cost that each use of a session puts off? The level is the least
//! number of seconds between two writes for one session: 0 if every use is written, [`NEVER`] if no
//! use is.

use std::time::Duration;

use serde::Deserialize;

use super::check::within;
use super::load::{self, CONNECTIONS_MAX, Slices, browse, check_lengths, cut};
use super::metric::{self, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, TablePlan};
use crate::error::{Error, Result};
use crate::load::{Closed, LoadModel, UserChoice};
use crate::plan::{TrialPlan, Variant};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::units::{Span, grouped};

/// The level of sessions whose use is not written.
const NEVER: u32 = u32::MAX;

/// The same closed load on servers that differ in what the use of a session writes.
pub(super) struct Sliding;

#[derive(Deserialize)]
struct Table {
    sliding: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    touch: Vec<String>,
    idle: Span,
    blocks: u32,
    users: u32,
    warmup: Span,
    measure: Span,
    slice: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            touch: ["always", "1m", "never"].map(String::from).to_vec(),
            idle: Span::from_millis(30 * 60_000),
            blocks: 5,
            users: 64,
            warmup: Span::from_millis(200),
            measure: Span::from_millis(1000),
            slice: Span::from_millis(15),
        }
    }
}

/// The schemes that keep sessions: the part of an arm's name before its store.
const SCHEMES: &[&str] =
    &["session", "session-cached", "opaque-introspection", "introspection-http", "bff"];

impl Experiment for Sliding {
    fn name(&self) -> &'static str {
        "sliding"
    }

    fn question(&self) -> &'static str {
        "What does an idle timeout cost, and what does it write?"
    }

    fn method(&self) -> &'static str {
        "Closed load of GET /me without think time, a connection per user, in slices that \
         alternate between the servers of a level. Sessions have an idle timeout, which is put off \
         on every use, at most once in a span, or never; arms without sessions have none and run \
         unchanged. A load of seconds is shorter than a minute, so a rule of once a minute writes \
         nothing within it: its cost per request is that of a user who asks often, and its writes \
         are one per user and minute."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[TablePlan {
            title: "What a use of a session costs and writes",
            note: "A write is a session that the store changed for a request. A store that groups \
                   what it writes, as SQLite does, writes less than once per use.",
            metrics: &[
                metric::STORE_WRITES_PER_REQUEST,
                metric::SERVER_CPU_US_PER_REQUEST,
                metric::STORE_CPU_US_PER_REQUEST,
                metric::THROUGHPUT_RPS,
                metric::RESPONSE_P50_US,
                metric::RESPONSE_P99_US,
            ],
        }];
        TABLES
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Put off", noun: "", at_zero: "" })
    }

    fn level(&self, level: u32) -> String {
        match level {
            0 => "idle timeout put off on every use".into(),
            NEVER => "idle timeout never put off".into(),
            seconds => format!("idle timeout put off once in {} s", grouped(seconds.into())),
        }
    }

    fn level_cell(&self, level: u32) -> String {
        match level {
            0 => "every use".into(),
            NEVER => "never".into(),
            seconds => format!("{} s", grouped(seconds.into())),
        }
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { touch, idle, blocks, users, warmup, measure, slice } =
            spec.section::<Table>()?.sliding;
        let users = within(spec, "[sliding] users", users, 1..=CONNECTIONS_MAX)?;
        let levels = touches(spec, &touch, idle)?;
        check_lengths(spec, "sliding", measure, slice, Slices::Required)?;
        if !spec.arms.iter().any(|arm| has_sessions(arm)) {
            return Err(spec.refuse(format!(
                "[sliding]: expected an arm with sessions ({}), found {}",
                SCHEMES.join(", "),
                spec.arms.join(", ")
            )));
        }
        let load = browse(
            LoadModel::Closed(Closed::without_thinking()),
            (users, UserChoice::InTurn),
            users,
            (warmup, measure),
        );
        let server = |arm: &str, touch: &str| {
            let flags = ["--ttl", "24h", "--idle", &idle.to_string(), "--touch", touch];
            let flags = flags.map(String::from).to_vec();
            if has_sessions(arm) { flags } else { Vec::new() }
        };
        let cell = |arm: &String, (level, touch): &(u32, String)| Cell {
            arm: arm.clone(),
            level: *level,
            server: server(arm, touch),
            actions: vec![cut(load.clone(), slice)],
        };
        Ok(Cells::of_every_arm(spec, blocks, &levels, cell))
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

fn has_sessions(arm: &str) -> bool {
    let arm = Variant::of(arm).arm;
    SCHEMES.contains(&arm.split('@').next().unwrap_or(arm))
}

/// The policies as levels, ascending, each with what `serve --touch` is told.
fn touches(spec: &Spec, touch: &[String], idle: Span) -> Result<Vec<(u32, String)>> {
    let refuse = |found: &str| -> Error {
        spec.refuse(format!(
            "[sliding] touch: expected `always`, `never` or whole seconds shorter than idle \
             ({idle}), found `{found}`"
        ))
    };
    let level = |text: &String| {
        let seconds = match text.as_str() {
            "always" => 0,
            "never" => NEVER,
            span => {
                let span = span.parse::<Span>().map_err(|_| refuse(span))?;
                let whole = span.duration().as_secs();
                if span >= idle || whole == 0 || span.duration() != Duration::from_secs(whole) {
                    return Err(refuse(text));
                }
                // A span is a day at most.
                u32::try_from(whole).unwrap_or(NEVER)
            }
        };
        Ok((seconds, text.clone()))
    };
    let mut levels = touch.iter().map(level).collect::<Result<Vec<_>>>()?;
    levels.sort_unstable();
    levels.dedup_by_key(|(level, _)| *level);
    if levels.is_empty() {
        return Err(refuse("an empty list"));
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load, record};
    use super::*;
    use crate::experiment::expand;
    use crate::record::{ActionRecord, ServerUse, SliceRecord};
    use crate::spec::Overrides;

    fn plan(table: &str) -> Result<crate::plan::Plan> {
        let text = format!("name='t'\narms=['none','session@memory','jwt-hs256']\n{table}");
        expand(&Spec::parse("t.toml", &text, Overrides::default())?)
    }

    #[test]
    fn sessions_are_told_the_policy_and_other_arms_nothing() {
        let plan = plan("[sliding]\nblocks=1\n").unwrap();
        assert_eq!(plan.trials.len(), 12, "three arms and the twin at three levels");
        for trial in &plan.trials {
            let flags = trial.server.join(" ");
            let touch = match trial.level {
                0 => "always",
                60 => "1m",
                NEVER => "never",
                other => panic!("{other}"),
            };
            let expected = match trial.arm.as_str() {
                "session@memory" => format!("--ttl 24h --idle 30m --touch {touch}"),
                _ => String::new(),
            };
            assert_eq!(flags, expected, "{}", trial.arm);
            assert!(trial.slices().is_some());
        }
        assert!(
            has_sessions("session@redis+cache-ttl=1s") && !has_sessions("none+handler-cpu=1ms")
        );
        let of_level: Vec<_> = plan.trials.iter().filter(|t| t.level == 60).collect();
        assert!(of_level.windows(2).all(|pair| pair[0].is_together_with(pair[1])));
    }

    #[test]
    fn writes_are_those_of_the_slices_per_right_answer() {
        let plan = plan("[sliding]\nblocks=1\n").unwrap();
        let mut did = load(1_000);
        did.slices = vec![SliceRecord { ok: 500, ..SliceRecord::default() }; 2];
        let server = did.server.take().unwrap();
        did.server = Some(ServerUse { store_writes: Some(250), ..server });
        let record = record(&plan.trials[0], vec![ActionRecord::Load(Box::new(did))]);
        let seen = Sliding.observe(&record);
        let writes =
            seen.iter().find(|seen| seen.metric == metric::STORE_WRITES_PER_REQUEST).unwrap();
        assert_eq!(writes.value, 0.25);
    }

    #[test]
    fn nonsense_is_refused() {
        for (table, part) in [
            ("touch=[]", "an empty list"),
            ("touch=['often']", "found `often`"),
            ("touch=['1500ms']", "found `1500ms`"),
            ("touch=['0s']", "found `0s`"),
            ("touch=['1h']", "shorter than idle"),
            ("users=0", "[sliding] users"),
            ("slice='1ms'", "[sliding] slice"),
            ("measure='1ms'", "[sliding] measure"),
        ] {
            let error = plan(&format!("[sliding]\n{table}\n")).unwrap_err();
            assert!(error.to_string().contains(part), "{table}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let text = "name='t'\narms=['none','jwt-hs256']\n[sliding]\n";
        let spec = Spec::parse("t.toml", text, Overrides::default()).unwrap();
        let error = expand(&spec).unwrap_err().to_string();
        assert!(error.contains("expected an arm with sessions"), "{error}");
    }
}
