//! Carries out a search: one load after the other on the same server, as the search says.
//! Every probe logs its users in anew and opens its connections anew, so that none inherits a queue
//! from the one before.

use super::probe::measured_load;
use super::stage::Stage;
use crate::error::Result;
use crate::experiment::search::{Next, judged, next};
use crate::plan::SearchPlan;
use crate::record::SearchRecord;

/// Looks for the highest rate that the server holds.
pub(super) fn search(stage: &Stage<'_>, plan: &SearchPlan) -> Result<SearchRecord> {
    let driver = stage.driver(&plan.journey, None)?;
    let mut record = SearchRecord::default();
    while let Next::Probe { load, seed, rate_rps, confirms } =
        next(plan, stage.seed, &record.probes)
    {
        // An interrupt during Measure is no error to a load; what came before it is no answer here.
        let load = measured_load(&driver, &load, seed, stage.server)?;
        if driver.interrupt.signal().is_some() {
            break;
        }
        record.probes.push(judged(plan, rate_rps, confirms, &load));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::scripted;
    use crate::experiment::search::{End, Found};
    use crate::record::ProbeVerdict;

    const MS: u64 = 1_000_000;
    /// One request at a time, 100 us each.
    const SERVICE_NS: u64 = 100_000;

    fn plan() -> SearchPlan {
        SearchPlan {
            journey: "browse".into(),
            users: 100,
            connections: 8,
            slo_ns: 10 * MS,
            errors_max: 0.001,
            from_rps: 1000.0,
            to_rps: 64_000.0,
            resolution: 0.05,
            warmup_ns: 300 * MS,
            probe_ns: 1500 * MS,
            confirm_ns: 5000 * MS,
            drain_ns: 1000 * MS,
            timeout_ns: 5000 * MS,
            probes_max: 40,
        }
    }

    /// A server that does one thing after the other.
    fn in_turn() -> impl FnMut(u64) -> u64 {
        let mut free_ns = 0;
        move |sent_ns| {
            free_ns = sent_ns.max(free_ns) + SERVICE_NS;
            free_ns - sent_ns
        }
    }

    #[test]
    fn a_known_capacity_is_found() {
        // Of M/D/1 the wait exceeds x service times with a chance of about exp(-2 (1 - u) x) at a
        // utilisation u near 1, so p99 is 100 service times where u is 1 - ln(100) / 200.
        let capacity = 1e9 / SERVICE_NS as f64 * (1.0 - 100f64.ln() / 200.0);
        for seed in 0..4 {
            let mut record = SearchRecord::default();
            let found = loop {
                match next(&plan(), seed, &record.probes) {
                    Next::Done(found) => break found,
                    Next::Probe { load, seed, rate_rps, confirms } => {
                        let load = scripted(&load, seed, in_turn());
                        record.probes.push(judged(&plan(), rate_rps, confirms, &load));
                    }
                }
            };
            let Found { held_rps: Some(held), failed_rps: Some(failed), end } = found else {
                panic!("{found:?}")
            };
            assert_eq!(end, End::Bracketed);
            assert!(failed <= held * 1.0501, "{held} to {failed}");
            let middle = (held * failed).sqrt();
            assert!((middle / capacity - 1.0).abs() < 0.05, "{held} to {failed}: {capacity}");
        }
    }

    #[test]
    fn a_queue_when_a_probe_ends_is_no_failure() {
        // 83 % busy, and no user is served in the last 5 ms of the probe.
        let rate_rps = 8300.0;
        let Next::Probe { load, .. } = next(&plan(), 1, &[]) else { panic!("no first probe") };
        let load = crate::plan::LoadPlan {
            model: crate::load::LoadModel::Poisson(crate::load::Poisson { rate_per_s: rate_rps }),
            ..*load
        };
        let end_ns = load.warmup_ns + load.measure_ns;
        let mut busy = in_turn();
        let load = scripted(&load, 1, |sent_ns| {
            let paused = (end_ns - 5 * MS..end_ns).contains(&sent_ns);
            busy(sent_ns) + if paused { end_ns - sent_ns } else { 0 }
        });
        let probe = judged(&plan(), rate_rps, false, &load);
        assert!(load.counts.queued > 8, "some had to wait: {:?}", load.counts);
        assert!(load.counts.ended_in_window + 8 < load.counts.planned, "{:?}", load.counts);
        assert_eq!((probe.dropped, probe.without_answer), (0, 0));
        assert_eq!(probe.verdict, ProbeVerdict::Held, "{}", probe.why);
    }
}
