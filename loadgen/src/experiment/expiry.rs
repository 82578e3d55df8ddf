//! Does an expired credential stop working when it should, and what does replacing it cost?

use serde::Deserialize;

use super::check::{drills, within};
use super::metric::{self, Metric};
use super::question::{Cells, ChartPlan, Experiment, Observation, TablePlan};
use crate::error::Result;
use crate::plan::{Action, DrillPlan, ExpiryPlan};
use crate::record::{Doubt, DrillRecord, ExpiryRecord, Lifetimes, Renewals, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// Short lifetimes, and credentials that are replaced again and again.
pub(super) struct Expiry;

#[derive(Deserialize)]
struct Table {
    expiry: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    users: u32,
    blocks: u32,
    ttl: Span,
    renewals: u32,
    active_users: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            users: 50,
            blocks: 3,
            ttl: Span::from_millis(2000),
            renewals: 5000,
            active_users: 500,
        }
    }
}

const USERS_MAX: u32 = 500;
const RENEWALS_MAX: u32 = 100_000;
/// Tokens count in whole seconds, so one of a single second may be over at once.
const TTL_MIN_S: u64 = 2;
const TTL_MAX_S: u64 = 60;
/// The leeway that `authbench serve` has where none is named, ms.
const LEEWAY_MS: u64 = 2000;
const POLL: Span = Span::from_millis(10);
/// Longer than the second that a whole second may add.
const BEYOND: Span = Span::from_millis(1500);
/// How often each active user replaces a credential.
const ROUNDS: u32 = 2;
/// The TTLs for which the cost is computed, minutes.
const TTLS: [(u32, &Metric); 4] = [
    (1, metric::RENEWAL_TTL_1MIN_US),
    (5, metric::RENEWAL_TTL_5MIN_US),
    (15, metric::RENEWAL_TTL_15MIN_US),
    (60, metric::RENEWAL_TTL_60MIN_US),
];
const HOUR_S: f64 = 3600.0;

impl Experiment for Expiry {
    fn name(&self) -> &'static str {
        "expiry"
    }

    fn question(&self) -> &'static str {
        "Does an expired credential stop working when it should, and what does replacing it cost?"
    }

    fn method(&self) -> &'static str {
        "Credentials that live for 2 s (or the campaign's `ttl`) are tried every 10 ms around \
         their end, on a server without leeway for clocks and on one with the default leeway of \
         2 s. An end is when a credential was last accepted, counted from the answer to the \
         login plus the lifetime: negative means that it ended early. Tokens count in whole \
         seconds, so theirs may end up to a second early, and a leeway adds to every token; a \
         session ends to the millisecond and has no leeway. What a renewal costs the server and \
         its store in CPU time is measured over many at once. From that unit cost the cost of \
         other lifetimes is computed, not measured: an active user renews once a lifetime, so \
         an hour costs 3600 s / TTL renewals. For the lifetime that was tried, the computed \
         cost stands beside what users who renewed one by one were measured to cost, which \
         includes what an idle server takes and that single requests cost more than many at \
         once. A renewal is a login unless the target says how to refresh; its password check \
         is a digest, and with argon2id a login costs one evaluation more and a refresh does \
         not."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[
            TablePlan {
                title: "When a credential ends",
                note: "Counted from the answer to the login plus the lifetime, known to 10 ms. A \
                       credential that never ended has no time.",
                metrics: &[
                    metric::EXPIRY_EARLIEST_US,
                    metric::EXPIRY_LATEST_US,
                    metric::EXPIRY_STILL_ACCEPTED,
                    metric::EXPIRY_LEEWAY_EARLIEST_US,
                    metric::EXPIRY_LEEWAY_LATEST_US,
                    metric::EXPIRY_LEEWAY_STILL_ACCEPTED,
                ],
            },
            TablePlan {
                title: "What replacing it costs: CPU time per active user and hour",
                note: "The first column is the cost of one renewal, measured over many at once; \
                       columns that say so are computed from it. The last column was measured with \
                       users who renewed one by one: a server that is woken up for each request \
                       pays for that too, so it is as a rule above what is computed. An arm whose \
                       credential does not end has no renewals.",
                metrics: &[
                    metric::RENEWAL_CPU_US,
                    metric::RENEWAL_TTL_1MIN_US,
                    metric::RENEWAL_TTL_5MIN_US,
                    metric::RENEWAL_TTL_15MIN_US,
                    metric::RENEWAL_TTL_60MIN_US,
                    metric::RENEWAL_TRIED_COMPUTED_US,
                    metric::RENEWAL_TRIED_MEASURED_US,
                ],
            },
        ];
        TABLES
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { users, blocks, ttl, renewals, active_users } =
            spec.section::<Table>()?.expiry;
        let ttl_s = ttl.ns() / 1_000_000_000;
        if ttl != Span::from_millis(ttl_s * 1000) || !(TTL_MIN_S..=TTL_MAX_S).contains(&ttl_s) {
            return Err(spec.refuse(format!(
                "[expiry] ttl: expected whole seconds, {TTL_MIN_S}s to {TTL_MAX_S}s, found {ttl}"
            )));
        }
        let plan = ExpiryPlan {
            users: within(spec, "[expiry] users", users, 1..=USERS_MAX)?,
            ttl_s,
            leeways_ms: vec![0, LEEWAY_MS],
            poll_ns: POLL.ns(),
            beyond_ns: BEYOND.ns(),
            renewals: within(spec, "[expiry] renewals", renewals, 100..=RENEWALS_MAX)?,
            active_users: within(spec, "[expiry] active_users", active_users, 1..=10_000)?,
            rounds: ROUNDS,
        };
        Ok(drills(spec, blocks, &DrillPlan::Expiry(plan)))
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let mut observations = Vec::new();
        let mut add = |users: u32, connections, metric, value| {
            let users = Some(u64::from(users));
            observations.push(Observation { users, connections, rate: None, metric, value });
        };
        for lifetimes in &found.lifetimes {
            let [earliest, latest, still] = names(lifetimes.leeway_ms);
            let ends = &lifetimes.last_accepted_us;
            if let (Some(first), Some(last)) = (ends.iter().min(), ends.iter().max()) {
                add(plan.users, plan.users, earliest, *first as f64);
                add(plan.users, plan.users, latest, *last as f64);
            }
            let watched = ends.len() as u32 + lifetimes.still_accepted;
            if watched > 0 {
                let share = f64::from(lifetimes.still_accepted) / f64::from(watched);
                add(plan.users, plan.users, still, share);
            }
        }
        // What never ends is not replaced.
        let ends = found.lifetimes.iter().any(|lifetimes| !lifetimes.last_accepted_us.is_empty());
        let Some(unit) = unit_us(&found.at_once).filter(|_| ends) else { return observations };
        let users = plan.active_users;
        add(users, users, metric::RENEWAL_CPU_US, unit);
        for (minutes, metric) in TTLS {
            add(users, users, metric, unit * HOUR_S / (60.0 * f64::from(minutes)));
        }
        let computed = unit * HOUR_S / plan.ttl_s as f64;
        add(users, users, metric::RENEWAL_TRIED_COMPUTED_US, computed);
        if let Some(measured) = per_user_hour_us(&found.steady) {
            add(users, users, metric::RENEWAL_TRIED_MEASURED_US, measured);
        }
        observations
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let mut doubts = Vec::new();
        let failed = |l: &Lifetimes| u64::from(l.failed + l.refused_early) + l.lost_tries;
        let lost = found.lifetimes.iter().map(failed).sum::<u64>()
            + found.at_once.failed
            + found.steady.failed;
        if lost > 0 {
            doubts.push(Doubt::invalid(
                "expiry_lost_tries",
                format!("{lost} logins or tries failed, or were refused long before their time"),
                "see what the server said; such credentials have no end that means anything",
            ));
        }
        let still: u32 = found.lifetimes.iter().map(|l| l.still_accepted).sum();
        if still > 0 {
            let beyond = Span::from_millis(plan.beyond_ns / 1_000_000);
            doubts.push(Doubt::caution(
                "accepted_after_expiry",
                format!(
                    "{still} credentials were still accepted {beyond} after lifetime and leeway, \
                     when the watching ended: whether they ever end is not known from that"
                ),
                "none has no lifetime; for any other arm that is a fault",
            ));
        }
        let pause_us = found.lifetimes.iter().map(|l| l.longest_pause_us).max().unwrap_or(0);
        if pause_us > plan.poll_ns / 1000 * 10 {
            doubts.push(Doubt::caution(
                "expiry_poll_pauses",
                format!("two tries of a credential were {} ms apart", pause_us / 1000),
                "an end is known no better than that: repeat on a quiet machine",
            ));
        }
        doubts
    }
}

/// The metrics of a leeway: the earliest end, the latest, and what never ended.
const fn names(leeway_ms: u64) -> [&'static Metric; 3] {
    match leeway_ms {
        0 => [metric::EXPIRY_EARLIEST_US, metric::EXPIRY_LATEST_US, metric::EXPIRY_STILL_ACCEPTED],
        _ => [
            metric::EXPIRY_LEEWAY_EARLIEST_US,
            metric::EXPIRY_LEEWAY_LATEST_US,
            metric::EXPIRY_LEEWAY_STILL_ACCEPTED,
        ],
    }
}

/// CPU time of one renewal, us.
fn unit_us(renewals: &Renewals) -> Option<f64> {
    let cpu_us = renewals.all_cpu_ns() as f64 / 1e3;
    (renewals.renewed > 0 && cpu_us > 0.0).then(|| cpu_us / renewals.renewed as f64)
}

/// CPU time for each user and hour, us.
fn per_user_hour_us(renewals: &Renewals) -> Option<f64> {
    let user_hours = f64::from(renewals.users) * renewals.interval_ns as f64 / 1e9 / HOUR_S;
    let cpu_us = renewals.all_cpu_ns() as f64 / 1e3;
    (user_hours > 0.0 && cpu_us > 0.0).then(|| cpu_us / user_hours)
}

fn both(record: &TrialRecord) -> Option<(&ExpiryPlan, &ExpiryRecord)> {
    match (record.trial.actions.first()?, record.drill()?) {
        (Action::Drill(DrillPlan::Expiry(plan)), DrillRecord::Expiry(found)) => Some((plan, found)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{codes, figure, trial};
    use super::*;

    fn record(change: impl FnOnce(&mut ExpiryRecord)) -> TrialRecord {
        let ends = |leeway_ms, last_accepted_us: &[i64]| Lifetimes {
            leeway_ms,
            last_accepted_us: last_accepted_us.to_vec(),
            ..Lifetimes::default()
        };
        let mut found = ExpiryRecord {
            lifetimes: vec![ends(0, &[-900_000, -10_000]), ends(2000, &[1_100_000, 1_990_000])],
            renewed_by: "login".into(),
            at_once: Renewals { renewed: 1000, cpu_ns: 30_000_000, ..Renewals::default() },
            steady: Renewals {
                renewed: 1000,
                users: 500,
                interval_ns: 4_000_000_000,
                cpu_ns: 40_000_000,
                store_cpu_ns: Some(10_000_000),
                ..Renewals::default()
            },
        };
        change(&mut found);
        trial("[expiry]", &DrillRecord::Expiry(found))
    }

    #[test]
    fn costs_follow_from_the_unit_cost_and_the_measured_one_stands_beside() {
        let record = record(|_| {});
        let value = |metric| figure(&Expiry, &record, metric);
        assert_eq!(value(metric::RENEWAL_CPU_US), Some(30.0));
        assert_eq!(value(metric::RENEWAL_TTL_1MIN_US), Some(1800.0));
        assert_eq!(value(metric::RENEWAL_TTL_60MIN_US), Some(30.0));
        assert_eq!(value(metric::RENEWAL_TRIED_COMPUTED_US), Some(54_000.0), "every 2 s");
        // 50 ms of server and store for 500 users and 4 s.
        let measured = value(metric::RENEWAL_TRIED_MEASURED_US).unwrap();
        assert!((measured - 90_000.0).abs() < 1e-6, "{measured}");
    }

    #[test]
    fn ends_stand_at_their_leeway() {
        let record = record(|_| {});
        let value = |metric| figure(&Expiry, &record, metric);
        assert_eq!(value(metric::EXPIRY_EARLIEST_US), Some(-900_000.0));
        assert_eq!(value(metric::EXPIRY_LATEST_US), Some(-10_000.0));
        assert_eq!(value(metric::EXPIRY_LEEWAY_LATEST_US), Some(1_990_000.0));
        assert_eq!(value(metric::EXPIRY_STILL_ACCEPTED), Some(0.0));
        assert_eq!(codes(&Expiry, &record), []);
    }

    #[test]
    fn what_never_ends_has_no_end_and_no_renewals() {
        let record = record(|found| {
            for lifetimes in &mut found.lifetimes {
                lifetimes.last_accepted_us.clear();
                lifetimes.still_accepted = 50;
            }
        });
        let value = |metric| figure(&Expiry, &record, metric);
        assert_eq!((value(metric::EXPIRY_LATEST_US), value(metric::RENEWAL_CPU_US)), (None, None));
        assert_eq!(value(metric::EXPIRY_STILL_ACCEPTED), Some(1.0));
        assert_eq!(codes(&Expiry, &record), [("accepted_after_expiry".into(), false)]);
    }

    #[test]
    fn refusals_long_before_the_end_and_failed_renewals_invalidate() {
        let early = record(|found| found.lifetimes[0].refused_early = 1);
        assert_eq!(codes(&Expiry, &early), [("expiry_lost_tries".into(), true)]);
        let failed = record(|found| found.steady.failed = 1);
        assert_eq!(codes(&Expiry, &failed), [("expiry_lost_tries".into(), true)]);
        let slow = record(|found| found.lifetimes[1].longest_pause_us = 200_000);
        assert_eq!(codes(&Expiry, &slow), [("expiry_poll_pauses".into(), false)]);
    }
}
