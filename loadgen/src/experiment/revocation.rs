//! After a logout, how long and how often is the credential still accepted?

use serde::Deserialize;

use super::check::{drills, within};
use super::metric::{self, Metric};
use super::question::{Cells, ChartPlan, Experiment, Observation, TablePlan};
use crate::error::Result;
use crate::plan::{Action, DrillPlan, RevocationPlan, WatchPlan};
use crate::record::{Doubt, DrillRecord, RevocationRecord, TrialRecord, Watched};
use crate::spec::Spec;
use crate::units::Span;

/// Logouts on one server, watched there, on a second one, and after a restart.
pub(super) struct Revocation;

#[derive(Deserialize)]
struct Table {
    revocation: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    users: u32,
    blocks: u32,
    poll: Span,
    window: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { users: 200, blocks: 3, poll: POLL_MIN, window: Span::from_millis(100) }
    }
}

/// The runtime of the client counts in milliseconds.
const POLL_MIN: Span = Span::from_millis(1);
const USERS_MAX: u32 = 10_000;
/// Tries of one credential, at most.
const TRIES_MAX: u64 = 10_000;
/// Users who are watched at a time: more would wait for each other and not for the server.
const IN_FLIGHT: u32 = 8;
/// Pauses longer than so many times the planned one raise a doubt.
const PAUSE_MAX: u64 = 5;

impl Experiment for Revocation {
    fn name(&self) -> &'static str {
        "revocation"
    }

    fn question(&self) -> &'static str {
        "After a logout, how long and how often is the credential still accepted?"
    }

    fn method(&self) -> &'static str {
        "Two servers of each arm run at the same time; they share the token key, and the store \
         where it is outside of a server. A user logs in at the first and is known to it (or to \
         the second), logs out at the first, and from the answer to the logout on the \
         credential is tried at once, with nothing else under way and no timer between, and then \
         at a fixed interval, until it is refused or the watching ends. Time to reject runs to the \
         answer that refused it, so one round trip is in it: what counts is whether any try was \
         accepted before (a stale accept). For a \
         logout everywhere, a user has two credentials, logs out with one, and the other is \
         tried. At last the first server is stopped and another one started in its place, with \
         the same key and store, and the credentials of users who had logged out are tried \
         there. A credential that is still accepted when the watching ends is counted as that, \
         and gets no time: an arm that cannot revoke accepts it until it expires. Where users \
         can refresh, they also try that after their logout, once. A percentile is of the logouts \
         of one trial, and the estimate is over trials, which is what n counts: logouts of one \
         server are not independent. p99 of some hundred logouts is one of the longest. A trial \
         has no such figure where as many credentials were never refused."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[
            TablePlan {
                title: "On the server that took the logout",
                note: "Each figure with its 95 % interval. Where a credential was \
                       not refused while it was watched, its stale accepts are those until \
                       then.",
                metrics: &[
                    metric::TIME_TO_REJECT_US,
                    metric::TIME_TO_REJECT_P99_US,
                    metric::TIME_TO_REJECT_MAX_US,
                    metric::STALE_ACCEPTS,
                    metric::STILL_ACCEPTED,
                    metric::REFRESHED_AFTER_LOGOUT,
                ],
            },
            TablePlan {
                title: "On a second server",
                note: "A credential that the second server did not know before the logout is not \
                       watched: its share stands in the last column.",
                metrics: &[
                    metric::REPLICA_TIME_TO_REJECT_US,
                    metric::REPLICA_TIME_TO_REJECT_P99_US,
                    metric::REPLICA_TIME_TO_REJECT_MAX_US,
                    metric::REPLICA_STALE_ACCEPTS,
                    metric::REPLICA_STILL_ACCEPTED,
                    metric::REPLICA_UNKNOWN,
                ],
            },
            TablePlan {
                title: "After a logout everywhere",
                note: "The credential that is tried is another one of the user than the one that \
                       asked for the logout.",
                metrics: &[
                    metric::EVERYWHERE_TIME_TO_REJECT_US,
                    metric::EVERYWHERE_TIME_TO_REJECT_P99_US,
                    metric::EVERYWHERE_TIME_TO_REJECT_MAX_US,
                    metric::EVERYWHERE_STALE_ACCEPTS,
                    metric::EVERYWHERE_STILL_ACCEPTED,
                    metric::EVERYWHERE_REFRESHED_AFTER_LOGOUT,
                    metric::EVERYWHERE_REPLICA_STALE_ACCEPTS,
                    metric::EVERYWHERE_REPLICA_STILL_ACCEPTED,
                ],
            },
            TablePlan {
                title: "After a restart",
                note: "Logged-out credentials that the new server accepts have come back to life. \
                       Where those of users who had not logged out are refused too, everybody was \
                       logged out, which is no revocation.",
                metrics: &[
                    metric::RESTART_ACCEPTED,
                    metric::EVERYWHERE_RESTART_ACCEPTED,
                    metric::RESTART_OTHERS_ACCEPTED,
                ],
            },
        ];
        TABLES
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { users, blocks, poll, window } = spec.section::<Table>()?.revocation;
        let users = within(spec, "[revocation] users", users, 1..=USERS_MAX)?;
        if poll < POLL_MIN {
            return Err(
                spec.refuse(format!("[revocation] poll: expected at least 1ms, found {poll}"))
            );
        }
        if window < poll || window.ns() / poll.ns() > TRIES_MAX {
            return Err(spec.refuse(format!(
                "[revocation] window: expected 1 to {TRIES_MAX} polls of {poll}, found {window}"
            )));
        }
        let (poll_ns, window_ns) = (poll.ns(), window.ns());
        let watch = WatchPlan { poll_ns, window_ns, in_flight: IN_FLIGHT.min(users) };
        Ok(drills(spec, blocks, &DrillPlan::Revocation(RevocationPlan { users, watch })))
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let mut figures = Vec::new();
        watched(&found.same.logout, &HERE, &mut figures);
        watched(&found.replica.logout, &REPLICA, &mut figures);
        watched(&found.same.everywhere, &EVERYWHERE, &mut figures);
        watched(&found.replica.everywhere, &EVERYWHERE_REPLICA, &mut figures);
        let replica = &found.replica.logout;
        let known = replica.users + replica.unknown;
        if known > 0 {
            figures.push((metric::REPLICA_UNKNOWN, f64::from(replica.unknown) / f64::from(known)));
        }
        if let Some(refreshed) = &found.refreshed {
            for (metric, asked) in [
                (metric::REFRESHED_AFTER_LOGOUT, refreshed.logout),
                (metric::EVERYWHERE_REFRESHED_AFTER_LOGOUT, refreshed.everywhere),
            ] {
                figures.extend(asked.refused_share().map(|refused| (metric, 1.0 - refused)));
            }
        }
        for (metric, asked) in [
            (metric::RESTART_ACCEPTED, found.restarted.logout),
            (metric::EVERYWHERE_RESTART_ACCEPTED, found.restarted.everywhere),
            (metric::RESTART_OTHERS_ACCEPTED, found.restarted_others),
        ] {
            figures.extend(asked.refused_share().map(|refused| (metric, 1.0 - refused)));
        }
        let observation = |(metric, value)| Observation {
            users: Some(u64::from(plan.users)),
            connections: plan.watch.in_flight,
            rate: None,
            metric,
            value,
        };
        figures.into_iter().map(observation).collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let cases = [
            &found.same.logout,
            &found.same.everywhere,
            &found.replica.logout,
            &found.replica.everywhere,
        ];
        let mut doubts = Vec::new();
        let refreshed =
            found.refreshed.as_ref().map_or(0, |at| at.logout.failed + at.everywhere.failed);
        let tried = [found.restarted.logout, found.restarted.everywhere, found.restarted_others];
        let lost = cases.iter().map(|case| u64::from(case.failed) + case.lost_tries).sum::<u64>()
            + refreshed
            + tried.iter().map(|asked| asked.failed).sum::<u64>()
            + tried
                .iter()
                .map(|asked| u64::from(plan.users).saturating_sub(asked.all()))
                .sum::<u64>();
        if lost > 0 {
            doubts.push(Doubt::invalid(
                "lost_tries",
                format!("{lost} logins, logouts or tries had neither a right answer nor a refusal"),
                "see what the server said; who was not asked was neither accepted nor refused",
            ));
        }
        let still: u32 = cases.iter().map(|case| case.still_accepted).sum();
        let watched: u32 = cases.iter().map(|case| case.users).sum();
        let window = Span::from_millis(plan.watch.window_ns / 1_000_000);
        if still > 0 {
            doubts.push(Doubt::caution(
                "accepted_after_logout",
                format!(
                    "{still} of {watched} credentials were still accepted {window} after their \
                     logout, when the watching ended: how long they go on is not known from that"
                ),
                "where the arm cannot revoke, a credential is accepted until it expires; else \
                 lengthen `window`",
            ));
        }
        let pause_ns = cases.iter().map(|case| case.pause.quantile_ns(0.99)).max().unwrap_or(0);
        if pause_ns > PAUSE_MAX * plan.watch.poll_ns {
            doubts.push(Doubt::caution(
                "poll_pauses",
                format!(
                    "tries came {:.1} ms apart at p99, and {:.1} ms had been asked for",
                    pause_ns as f64 / 1e6,
                    plan.watch.poll_ns as f64 / 1e6
                ),
                "a time to reject is known no better than that: repeat on a quiet machine",
            ));
        }
        doubts
    }
}

/// The metrics of a watched case: percentiles, the longest, stale accepts, what was never refused.
struct Names {
    times: Option<[&'static Metric; 3]>,
    stale: &'static Metric,
    still: &'static Metric,
}

const HERE: Names = Names {
    times: Some([
        metric::TIME_TO_REJECT_US,
        metric::TIME_TO_REJECT_P99_US,
        metric::TIME_TO_REJECT_MAX_US,
    ]),
    stale: metric::STALE_ACCEPTS,
    still: metric::STILL_ACCEPTED,
};
const REPLICA: Names = Names {
    times: Some([
        metric::REPLICA_TIME_TO_REJECT_US,
        metric::REPLICA_TIME_TO_REJECT_P99_US,
        metric::REPLICA_TIME_TO_REJECT_MAX_US,
    ]),
    stale: metric::REPLICA_STALE_ACCEPTS,
    still: metric::REPLICA_STILL_ACCEPTED,
};
const EVERYWHERE: Names = Names {
    times: Some([
        metric::EVERYWHERE_TIME_TO_REJECT_US,
        metric::EVERYWHERE_TIME_TO_REJECT_P99_US,
        metric::EVERYWHERE_TIME_TO_REJECT_MAX_US,
    ]),
    stale: metric::EVERYWHERE_STALE_ACCEPTS,
    still: metric::EVERYWHERE_STILL_ACCEPTED,
};
const EVERYWHERE_REPLICA: Names = Names {
    times: None,
    stale: metric::EVERYWHERE_REPLICA_STALE_ACCEPTS,
    still: metric::EVERYWHERE_REPLICA_STILL_ACCEPTED,
};

/// The figures of one watched case, if any user was watched.
fn watched(case: &Watched, names: &Names, figures: &mut Vec<(&'static Metric, f64)>) {
    if case.users == 0 {
        return;
    }
    let users = f64::from(case.users);
    for (metric, quantile) in names.times.into_iter().flatten().zip([0.5, 0.99, 1.0]) {
        let known = quantile_ns(case, quantile);
        figures.extend(known.map(|ns| (metric, ns as f64 / 1e3)));
    }
    figures.push((names.stale, case.stale_accepts as f64 / users));
    figures.push((names.still, f64::from(case.still_accepted) / users));
}

/// The time that a share of the users did not exceed; `None` if the share includes users who were
/// never refused, since their times are not known.
fn quantile_ns(case: &Watched, quantile: f64) -> Option<u64> {
    let wanted = (quantile * f64::from(case.users)).ceil().max(1.0);
    let refused = case.rejected.count();
    if wanted > refused as f64 {
        return None;
    }
    Some(case.rejected.quantile_ns(wanted / refused as f64))
}

fn both(record: &TrialRecord) -> Option<(&RevocationPlan, &RevocationRecord)> {
    match (record.trial.actions.first()?, record.drill()?) {
        (Action::Drill(DrillPlan::Revocation(plan)), DrillRecord::Revocation(found)) => {
            Some((plan, found))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{codes, figure, trial};
    use super::*;
    use crate::record::{Asked, Beside};

    /// A case in which these were refused after so many milliseconds, and the rest never.
    fn case(refused_ms: &[u64], never: u32, stale_accepts: u64) -> Watched {
        let mut case = Watched {
            users: refused_ms.len() as u32 + never,
            still_accepted: never,
            stale_accepts,
            ..Watched::default()
        };
        refused_ms.iter().for_each(|ms| case.rejected.record(ms * 1_000_000));
        case
    }

    fn record(change: impl FnOnce(&mut RevocationRecord)) -> TrialRecord {
        let all = |right, refused| Asked { right, refused, failed: 0 };
        let at_once = || Beside { logout: case(&[1; 10], 0, 0), everywhere: case(&[1; 10], 0, 0) };
        let mut found = RevocationRecord {
            same: at_once(),
            replica: at_once(),
            refreshed: None,
            restarted: Beside { logout: all(0, 10), everywhere: all(0, 10) },
            restarted_others: all(10, 0),
        };
        change(&mut found);
        trial("[revocation]\nusers = 10", &DrillRecord::Revocation(Box::new(found)))
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found / expected - 1.0).abs() < 0.01)
    }

    #[test]
    fn refused_at_once_everywhere_leaves_no_doubt() {
        let record = record(|_| {});
        let value = |metric| figure(&Revocation, &record, metric);
        assert!(near(value(metric::TIME_TO_REJECT_US), 1000.0));
        assert_eq!(value(metric::STALE_ACCEPTS), Some(0.0));
        assert_eq!(value(metric::STILL_ACCEPTED), Some(0.0));
        assert_eq!(value(metric::REPLICA_UNKNOWN), Some(0.0));
        assert_eq!(
            (value(metric::RESTART_ACCEPTED), value(metric::RESTART_OTHERS_ACCEPTED)),
            (Some(0.0), Some(1.0))
        );
        assert_eq!(codes(&Revocation, &record), []);
    }

    #[test]
    fn what_was_never_refused_gets_no_time_and_lies_beyond_all_times() {
        let eight: Vec<u64> = (1..=8).map(|i| i * 10).collect();
        let record = record(|found| found.same.logout = case(&eight, 2, 77));
        let value = |metric| figure(&Revocation, &record, metric);
        assert!(
            near(value(metric::TIME_TO_REJECT_US), 50_000.0),
            "the fifth of ten, not the fourth of eight"
        );
        assert_eq!(
            (value(metric::TIME_TO_REJECT_P99_US), value(metric::TIME_TO_REJECT_MAX_US)),
            (None, None)
        );
        assert_eq!(
            (value(metric::STALE_ACCEPTS), value(metric::STILL_ACCEPTED)),
            (Some(7.7), Some(0.2))
        );
        assert_eq!(codes(&Revocation, &record), [("accepted_after_logout".into(), false)]);
        let what = &Revocation.doubts(&record)[0].what;
        assert!(what.contains("2 of 40") && what.contains("100ms"), "{what}");
    }

    #[test]
    fn an_arm_that_cannot_revoke_has_no_time_at_all() {
        let record = record(|found| found.same.logout = case(&[], 10, 1000));
        for metric in [
            metric::TIME_TO_REJECT_US,
            metric::TIME_TO_REJECT_P99_US,
            metric::TIME_TO_REJECT_MAX_US,
        ] {
            assert_eq!(figure(&Revocation, &record, metric), None, "{metric:?}");
        }
        assert_eq!(figure(&Revocation, &record, metric::STILL_ACCEPTED), Some(1.0));
        assert_eq!(figure(&Revocation, &record, metric::STALE_ACCEPTS), Some(100.0));
    }

    #[test]
    fn a_replica_that_knew_nobody_says_nothing_of_logouts() {
        let record = record(|found| {
            found.replica.logout = Watched { unknown: 10, ..Watched::default() };
        });
        assert_eq!(figure(&Revocation, &record, metric::REPLICA_STALE_ACCEPTS), None);
        assert_eq!(figure(&Revocation, &record, metric::REPLICA_UNKNOWN), Some(1.0));
    }

    #[test]
    fn lost_tries_invalidate_and_long_pauses_are_told() {
        let lost = record(|found| found.replica.everywhere.lost_tries = 1);
        assert_eq!(codes(&Revocation, &lost), [("lost_tries".into(), true)]);
        let missing = record(|found| found.restarted.logout.refused = 9);
        assert_eq!(codes(&Revocation, &missing), [("lost_tries".into(), true)]);
        let slow = record(|found| found.same.logout.pause.record(6_000_000));
        assert_eq!(codes(&Revocation, &slow), [("poll_pauses".into(), false)]);
    }
}
