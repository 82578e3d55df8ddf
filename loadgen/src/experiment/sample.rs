//! Plans and records that the tests of several experiments begin with.

use super::expand;
use crate::error::Result;
use crate::plan::{Plan, TrialPlan};
use crate::record::{
    ActionRecord, ClientUse, Counts, GeneratorUse, LoadRecord, Placement, RECORD_SCHEMA, ServerUse,
    TrialOutcome, TrialRecord,
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
        model: String::new(),
        offered_rps: None,
        login: None,
        connections: 8,
        usable_connections: 8,
        request_wire_bytes: 100,
        counts: Counts {
            window_ns: 1_000_000_000,
            planned: ok,
            sent: ok,
            ok,
            ended_in_window: ok,
            ok_in_window: ok,
            ..Counts::default()
        },
        steps: vec![],
        timeline: vec![],
        bytes_sent: None,
        bytes_received: None,
        visits: None,
        aborted: false,
        slices: vec![],
        closed_by_server: None,
        client: ClientUse::default(),
        generator: GeneratorUse { workers: 1, busiest: 0.5, ..GeneratorUse::default() },
        server: Some(ServerUse {
            interval_ns: 1_000_000_000,
            threads: 1,
            cpu_ns: 500_000_000,
            ..ServerUse::default()
        }),
    }
}
