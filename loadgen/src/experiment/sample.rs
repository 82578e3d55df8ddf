//! Plans and records that the tests of several experiments begin with.

use super::expand;
use crate::error::Result;
use crate::plan::{Plan, TrialPlan};
use crate::record::{
    ActionRecord, LoadRecord, Placement, RECORD_SCHEMA, ServerUse, TrialOutcome, TrialRecord,
};
use crate::spec::{Overrides, Spec};

/// The plan of a campaign with the arms `none` and `a` and these tables, without the twin of
/// `a`, which is planned for every experiment alike.
pub(super) fn plan(tables: &str) -> Result<Plan> {
    let mut plan = whole(&format!("name='t'\narms=['none','a']\n{tables}"))?;
    plan.trials.retain(|trial| !trial.twin);
    Ok(plan)
}

/// The plan of a campaign file.
pub(super) fn whole(text: &str) -> Result<Plan> {
    expand(&Spec::parse("t.toml", text, Overrides::default())?)
}

/// A record of this trial that went well.
pub(super) fn record(trial: &TrialPlan, actions: Vec<ActionRecord>) -> TrialRecord {
    TrialRecord {
        schema: RECORD_SCHEMA,
        plan: String::new(),
        trial: trial.clone(),
        started_unix_ms: 0,
        wall_ms: 0,
        placement: Placement::default(),
        server: None,
        actions,
        timeline: vec![],
        steal: 0.0,
        origin: None,
        refused: Vec::new(),
        outcome: TrialOutcome::Complete,
    }
}

/// A load of a second that answered so many requests rightly, on a server that used half of it.
pub(super) fn load(ok: u64) -> LoadRecord {
    LoadRecord {
        request_wire_bytes: 100,
        server: Some(ServerUse {
            interval_ns: 1_000_000_000,
            threads: 1,
            cpu_ns: 500_000_000,
            ..ServerUse::default()
        }),
        ..engine::answered(ok)
    }
}
