//! Who is logged out when the server is replaced?

use serde::Deserialize;

use super::check::{drills, within};
use super::metric::{self, Metric};
use super::question::{Cells, ChartPlan, Experiment, Observation, TablePlan};
use crate::error::Result;
use crate::plan::{Action, DrillPlan, RestartPlan};
use crate::record::{Doubt, DrillRecord, Replacement, RestartRecord, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// A server process in the place of another.
pub(super) struct Restart;

#[derive(Deserialize)]
struct Table {
    restart: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    users: u32,
    blocks: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { users: 1000, blocks: 3 }
    }
}

const USERS_MAX: u32 = 100_000;
/// Connections over which a login storm comes.
const CONNECTIONS: u32 = 64;
const TIMEOUT: Span = Span::from_millis(5000);

impl Experiment for Restart {
    fn name(&self) -> &'static str {
        "restart"
    }

    fn question(&self) -> &'static str {
        "Who is logged out when the server is replaced?"
    }

    fn method(&self) -> &'static str {
        "Users log in; the server process is told to stop and, once it has, another one is \
         started in its place. Then every user asks once with the credential they hold, and \
         those who are refused log in again, all of them as fast as they can over 64 \
         connections: the login storm. Where users can refresh, those who are let in try that \
         too: who cannot is logged out when the access token expires. The time without service \
         runs from the moment the old process is told to stop to the first answer of the new \
         one. The token key is a file and the store a server or a file of its own, wherever the \
         arm can have them outside of the process, so both are kept in the first case. In the \
         other two the key is made anew, or the store is gone; an arm without the one or the \
         other has no such case. Passwords are checked against a digest: with argon2id a login \
         storm is longer by one evaluation a user."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[
            TablePlan {
                title: "Key and store kept",
                note: "Where nobody was logged out there is no storm.",
                metrics: &[
                    metric::LOGGED_OUT_SHARE,
                    metric::CANNOT_REFRESH_SHARE,
                    metric::STORM_US,
                    metric::OUT_OF_SERVICE_US,
                ],
            },
            TablePlan {
                title: "The key made anew, or the store gone with the server",
                note: "A field is empty where the arm has no key, or no store outside of its \
                       servers.",
                metrics: &[
                    metric::NEW_KEY_LOGGED_OUT_SHARE,
                    metric::NEW_KEY_STORM_US,
                    metric::NEW_STORE_LOGGED_OUT_SHARE,
                    metric::NEW_STORE_STORM_US,
                ],
            },
        ];
        TABLES
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { users, blocks } = spec.section::<Table>()?.restart;
        let users = within(spec, "[restart] users", users, 1..=USERS_MAX)?;
        let connections = CONNECTIONS.min(users);
        let plan = RestartPlan { users, connections, timeout_ns: TIMEOUT.ns() };
        Ok(drills(spec, blocks, &DrillPlan::Restart(plan)))
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let mut figures: Vec<(&'static Metric, f64)> = Vec::new();
        for (case, share, storm) in [
            (Some(&found.kept), metric::LOGGED_OUT_SHARE, metric::STORM_US),
            (found.new_key.as_ref(), metric::NEW_KEY_LOGGED_OUT_SHARE, metric::NEW_KEY_STORM_US),
            (
                found.new_store.as_ref(),
                metric::NEW_STORE_LOGGED_OUT_SHARE,
                metric::NEW_STORE_STORM_US,
            ),
        ] {
            let Some(case) = case else { continue };
            figures.extend(case.users.refused_share().map(|refused| (share, refused)));
            figures.extend(case.storm.as_ref().map(|logins| (storm, logins.wall_ns as f64 / 1e3)));
        }
        let refreshed = found.kept.refreshed.and_then(|asked| asked.refused_share());
        figures.extend(refreshed.map(|refused| (metric::CANNOT_REFRESH_SHARE, refused)));
        figures.push((metric::OUT_OF_SERVICE_US, found.kept.out_of_service_ns as f64 / 1e3));
        let observation = |(metric, value)| Observation {
            users: Some(u64::from(plan.users)),
            connections: plan.connections,
            rate: None,
            metric,
            value,
        };
        figures.into_iter().map(observation).collect()
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let Some((plan, found)) = both(record) else { return Vec::new() };
        let cases = cases(found);
        let users = u64::from(plan.users);
        let lost: u64 = cases
            .iter()
            .map(|case| {
                let refreshed = case.refreshed.map_or(0, |asked| asked.failed);
                case.users.failed + refreshed + users.saturating_sub(case.users.all())
            })
            .sum();
        let mut doubts = Vec::new();
        if lost > 0 {
            doubts.push(Doubt::invalid(
                "users_lost",
                format!("{lost} users were neither let in nor refused by the new server"),
                "see what the server said; such users are in no share",
            ));
        }
        let some = |case: &&Replacement| case.users.refused > 0 && case.users.right > 0;
        let partly = cases.into_iter().filter(some).count();
        if partly > 0 {
            doubts.push(Doubt::caution(
                "partly_logged_out",
                format!("in {partly} cases some users were logged out and some were not"),
                "credentials may have expired during the trial: use fewer users",
            ));
        }
        doubts
    }
}

fn cases(found: &RestartRecord) -> Vec<&Replacement> {
    [Some(&found.kept), found.new_key.as_ref(), found.new_store.as_ref()]
        .into_iter()
        .flatten()
        .collect()
}

fn both(record: &TrialRecord) -> Option<(&RestartPlan, &RestartRecord)> {
    match (record.trial.actions.first()?, record.drill()?) {
        (Action::Drill(DrillPlan::Restart(plan)), DrillRecord::Restart(found)) => {
            Some((plan, found))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{codes, figure, trial};
    use super::*;
    use crate::record::{Asked, LoginRecord};

    fn replaced(right: u64, refused: u64) -> Replacement {
        let logins = LoginRecord { wall_ns: refused * 40_000, ..LoginRecord::default() };
        Replacement {
            users: Asked { right, refused, failed: 0 },
            out_of_service_ns: 25_000_000,
            refreshed: None,
            storm: (refused > 0).then_some(logins),
        }
    }

    fn record(found: RestartRecord) -> TrialRecord {
        trial("[restart]\nusers = 100", &DrillRecord::Restart(Box::new(found)))
    }

    #[test]
    fn shares_and_storms_are_those_of_their_case() {
        let record = record(RestartRecord {
            kept: replaced(100, 0),
            new_key: Some(replaced(0, 100)),
            new_store: None,
        });
        let value = |metric| figure(&Restart, &record, metric);
        assert_eq!((value(metric::LOGGED_OUT_SHARE), value(metric::STORM_US)), (Some(0.0), None));
        assert_eq!(value(metric::OUT_OF_SERVICE_US), Some(25_000.0));
        let new_key = (value(metric::NEW_KEY_LOGGED_OUT_SHARE), value(metric::NEW_KEY_STORM_US));
        assert_eq!(new_key, (Some(1.0), Some(4000.0)));
        assert_eq!(value(metric::NEW_STORE_LOGGED_OUT_SHARE), None);
        assert_eq!(codes(&Restart, &record), []);
    }

    #[test]
    fn users_who_are_missing_and_users_who_are_half_out_are_told() {
        let found = RestartRecord { kept: replaced(99, 0), ..RestartRecord::default() };
        assert_eq!(codes(&Restart, &record(found)), [("users_lost".into(), true)]);
        let found = RestartRecord { kept: replaced(60, 40), ..RestartRecord::default() };
        assert_eq!(codes(&Restart, &record(found)), [("partly_logged_out".into(), false)]);
    }
}
