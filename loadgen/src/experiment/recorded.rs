//! Records of drills for tests, made up by hand: facts go in, and figures are looked up by name.
//! What a plan holds in addition to its drill comes from a campaign file, so that it is one.

use serde_json::json;

use super::{Experiment, Metric, expand};
use crate::record::{DrillRecord, TrialRecord};
use crate::spec::{Overrides, Spec};

/// A trial of the campaign with this table, of one arm, with the outcome of its drill.
pub(super) fn trial(table: &str, found: &DrillRecord) -> TrialRecord {
    let text = format!("name = 't'\narms = ['none']\n{table}");
    let spec = Spec::parse("t.toml", &text, Overrides::default()).unwrap();
    let trial = &expand(&spec).unwrap().trials[0];
    let mut did = serde_json::to_value(found).unwrap();
    did["did"] = json!("drill");
    serde_json::from_value(json!({
        "schema": 1,
        "plan": "",
        "trial": trial,
        "started_unix_ms": 0,
        "wall_ms": 0,
        "placement": { "server": [0], "generator": [1] },
        "server": null,
        "actions": [did],
        "timeline": [],
        "steal": 0.0,
        "outcome": { "is": "complete" },
    }))
    .unwrap()
}

/// The figure of this name, at this number of users.
pub(super) fn figure_at(
    experiment: &dyn Experiment,
    record: &TrialRecord,
    metric: &Metric,
    users: Option<u64>,
) -> Option<f64> {
    let mut found = experiment.observe(record).into_iter().filter(|o| o.metric == metric);
    found.find(|o| o.users == users).map(|o| o.value)
}

/// The figure of this name.
pub(super) fn figure(
    experiment: &dyn Experiment,
    record: &TrialRecord,
    metric: &Metric,
) -> Option<f64> {
    experiment.observe(record).into_iter().find(|o| o.metric == metric).map(|o| o.value)
}

/// The codes of the doubts, and whether each invalidates.
pub(super) fn codes(experiment: &dyn Experiment, record: &TrialRecord) -> Vec<(String, bool)> {
    experiment.doubts(record).into_iter().map(|doubt| (doubt.code, doubt.invalidates)).collect()
}
