//! The data of the page's script, once per page: its form is said at the head of `app.js`. Figures
//! are those of report.json, bit by bit; nothing is computed here.

use serde_json::{Value, json};

use crate::experiment::{Better, Metric};
use crate::report::analysis::Analysis;
use crate::report::chart::look;
use crate::report::facts::{ArmFacts, Facts, Need};
use crate::report::figures::Measurement;
use crate::sanitise;
use crate::stats::Estimate;

/// The data as JSON that may stand in a page: no name in it can end its element.
pub(super) fn data(analysis: &Analysis, facts: &Facts) -> String {
    let names: Vec<&str> =
        analysis.arms.iter().map(String::as_str).chain(analysis.twin.as_deref()).collect();
    let mut metrics: Vec<&'static Metric> = Vec::new();
    let mut experiments: Vec<&str> = Vec::new();
    for m in &analysis.measurements {
        if !metrics.contains(&m.key.metric) {
            metrics.push(m.key.metric);
        }
        if !experiments.contains(&m.key.experiment.as_str()) {
            experiments.push(&m.key.experiment);
        }
    }
    let place = |list: &[&str], name: &str| list.iter().position(|known| *known == name);
    let figures = analysis.measurements.iter().filter_map(|m| {
        let metric = metrics.iter().position(|metric| *metric == m.key.metric)?;
        let at = (place(&experiments, &m.key.experiment)?, metric, place(&names, &m.key.arm)?);
        Some(row(analysis, m, at))
    });
    let all = json!({
        "arms": names.iter().map(|name| described(analysis, name)).collect::<Vec<_>>(),
        "metrics": metrics.iter().map(|metric| json!({
            "name": metric.name,
            "label": metric.label,
            "unit": metric.unit,
            "better": match metric.better {
                Better::Lower => "lower",
                Better::Higher => "higher",
                Better::Neither => "neither",
            },
        })).collect::<Vec<_>>(),
        "experiments": experiments,
        "figures": figures.collect::<Vec<_>>(),
        "prices": prices(analysis),
        "system": system(facts, &names),
    });
    sanitise::json(&all.to_string()).replace('<', "\\u003c")
}

fn described(analysis: &Analysis, name: &str) -> Value {
    let role = match name {
        _ if name == analysis.baseline => "baseline",
        _ if name == analysis.reference => "reference",
        _ if analysis.twin.as_deref() == Some(name) => "twin",
        _ => "arm",
    };
    let look = look(name);
    json!({
        "name": name, "role": role, "family": look.family, "form": "", "shape": look.shape,
        "open": look.open,
    })
}

fn ends(estimate: &Estimate) -> (Option<f64>, Option<f64>) {
    estimate.interval.map_or((None, None), |(lo, hi)| (Some(lo), Some(hi)))
}

fn row(analysis: &Analysis, m: &Measurement, at: (usize, usize, usize)) -> Value {
    let (experiment, metric, arm) = at;
    let (lo, hi) = ends(&m.estimate);
    let is_primary = analysis.primary.iter().any(|endpoint| endpoint.rests_on(&m.key));
    json!([
        experiment,
        metric,
        arm,
        m.key.level,
        m.key.users,
        m.key.connections,
        m.key.rate,
        m.estimate.point,
        lo,
        hi,
        m.estimate.n,
        u8::from(m.valid),
        u8::from(is_primary),
    ])
}

fn prices(analysis: &Analysis) -> Value {
    let prices = &analysis.prices;
    json!({
        "cpu_hour": prices.cpu_hour,
        "memory_gib_hour": prices.memory_gib_hour,
        "traffic_gb": prices.traffic_gb,
        "currency": if prices.source.contains("USD") { "$" } else { "" },
    })
}

fn system(facts: &Facts, names: &[&str]) -> Value {
    let arm = |own: &ArmFacts| {
        let index = names.iter().position(|name| *name == own.arm)?;
        Some(json!({
            "arm": index,
            "cpu": own.cpu.iter().map(|cpu| {
                let (lo, hi) = ends(&cpu.added);
                json!({ "items": cpu.items, "total": cpu.total, "added": cpu.added.point,
                    "lo": lo, "hi": hi })
            }).collect::<Vec<_>>(),
            "memory": own.memory.iter().map(|memory| {
                let store = memory.store.as_ref().map(|store| store.point);
                let ends = memory.interval();
                json!({ "items": memory.items, "server": memory.server.point, "store": store,
                    "lo": ends.map(|(lo, _)| lo), "hi": ends.map(|(_, hi)| hi) })
            }).collect::<Vec<_>>(),
            "wire": own.wire.iter().map(|wire| {
                json!({ "items": wire.items, "bytes": wire.bytes, "added": wire.added })
            }).collect::<Vec<_>>(),
            "capacity": own.capacity.as_ref().map(|held| {
                let (lo, hi) = ends(held);
                json!({ "point": held.point, "lo": lo, "hi": hi })
            }),
            "needs": {
                "logout": need(&own.logout),
                "any_server": need(&own.any_server),
                "restart": need(&own.restart),
            },
        }))
    };
    if facts.arms.iter().all(|own| own.cpu.is_empty()) {
        return Value::Null;
    }
    json!({
        "users_measured": facts.users_measured,
        "cpu_at": facts.cpu_at,
        "limit": if facts.capacity_at.is_empty() {
            String::new()
        } else {
            format!("with {}", facts.capacity_at)
        },
        "arms": facts.arms.iter().filter_map(arm).collect::<Vec<_>>(),
    })
}

fn need(need: &Need) -> Value {
    json!({ "holds": need.holds, "says": need.says })
}
