//! What does issuing a credential cost?

use serde::Deserialize;

use super::metric::{self, Metric};
use super::question::{Cell, Cells, ChartPlan, Experiment, Observation};
use crate::error::Result;
use crate::load::{Closed, LoadModel, UserChoice};
use crate::plan::{Action, FillPlan, LoadPlan, TrialPlan};
use crate::record::{ActionRecord, Doubt, LoadRecord, TrialRecord};
use crate::spec::Spec;
use crate::units::Span;

/// A closed loop of logins, with each way to check a password.
pub(super) struct Login;

#[derive(Deserialize)]
struct Table {
    login: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    blocks: u32,
    connections: u32,
    users: u32,
    warmup: Span,
    measure: Span,
    argon2id: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            blocks: 5,
            connections: 16,
            users: 10_000,
            warmup: Span::from_millis(500),
            measure: Span::from_millis(3000),
            argon2id: true,
        }
    }
}

const CONNECTIONS_MAX: u32 = 1024;
/// Logins that a server of ours lets wait for argon2id; more would be told to come later.
const ARGON2ID_CONNECTIONS_MAX: u32 = 64;
const USERS_MAX: u32 = 10_000_000;
/// Logins before, from which the size of a credential is known.
const SAMPLE: u32 = 64;
/// Many argon2id evaluations may stand before one's own.
const TIMEOUT: Span = Span::from_millis(20_000);
const DRAIN: Span = Span::from_millis(5000);

/// How passwords are checked: the level of a trial, and what `authbench serve` calls it.
const DERIVED: (u32, &str) = (1, "derived");
const ARGON2ID: (u32, &str) = (2, "argon2id");

/// What is taken from a load: its metric there, and its name with a derived password and with
/// argon2id.
const TAKEN: [(&Metric, [&Metric; 2]); 3] = [
    (metric::GOODPUT_RPS, [metric::LOGIN_RPS, metric::ARGON2ID_LOGIN_RPS]),
    (metric::SERVER_CPU_US_PER_REQUEST, [metric::LOGIN_CPU_US, metric::ARGON2ID_LOGIN_CPU_US]),
    (
        metric::STORE_CPU_US_PER_REQUEST,
        [metric::LOGIN_STORE_CPU_US, metric::ARGON2ID_LOGIN_STORE_CPU_US],
    ),
];

impl Experiment for Login {
    fn name(&self) -> &'static str {
        "login"
    }

    fn question(&self) -> &'static str {
        "What does issuing a credential cost?"
    }

    fn method(&self) -> &'static str {
        "Closed load of POST /login and nothing else: each connection logs in the next user once \
         the answer has come, and sends no credential from before. Every login leaves what the \
         scheme leaves: a session stays in the store, a token with the client. Passwords are \
         checked against a digest, which costs next to nothing, so that issuing is what is seen; \
         with argon2id, as real passwords need it, on servers of its own."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        &[]
    }

    /// A metric's name says how passwords were checked.
    fn has_levels(&self) -> bool {
        false
    }

    fn level(&self, level: u32) -> String {
        let (_, hash) = if level == ARGON2ID.0 { ARGON2ID } else { DERIVED };
        format!("{hash} passwords")
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { blocks, connections, users, warmup, measure, argon2id } =
            spec.section::<Table>()?.login;
        let refuse = |field: &str, most: u32, found: u32| {
            spec.refuse(format!("[login] {field}: expected 1 to {most}, found {found}"))
        };
        if !(1..=CONNECTIONS_MAX).contains(&connections) {
            return Err(refuse("connections", CONNECTIONS_MAX, connections));
        }
        if argon2id && connections > ARGON2ID_CONNECTIONS_MAX {
            return Err(spec.refuse(format!(
                "[login] connections: expected 1 to {ARGON2ID_CONNECTIONS_MAX} with argon2id, \
                 because a server lets no more logins wait, found {connections}; use fewer, or \
                 `argon2id = false`"
            )));
        }
        if !(connections..=USERS_MAX).contains(&users) {
            return Err(spec.refuse(format!(
                "[login] users: expected {connections} to {USERS_MAX}, as many as connections at \
                 least, found {users}"
            )));
        }
        if measure < Span::from_millis(100) {
            return Err(
                spec.refuse(format!("[login] measure: expected at least 100ms, found {measure}"))
            );
        }
        let sample = FillPlan {
            first_user: 0,
            users: SAMPLE,
            connections: connections.min(SAMPLE),
            timeout_ns: TIMEOUT.ns(),
            prepare: None,
            keep: false,
        };
        let load = LoadPlan {
            model: LoadModel::Closed(Closed::without_thinking()),
            journey: "login".into(),
            users,
            choice: UserChoice::InTurn,
            connections,
            warmup_ns: warmup.ns(),
            measure_ns: measure.ns(),
            drain_ns: DRAIN.ns(),
            timeout_ns: TIMEOUT.ns(),
            prepare: None,
            renewal: None,
        };
        let cell = |arm: &String, (level, hash): (u32, &str)| Cell {
            arm: arm.clone(),
            level,
            server: vec!["--password-hash".into(), hash.into()],
            actions: vec![Action::Fill(sample.clone()), Action::Load(load.clone())],
        };
        let hashes = if argon2id { vec![DERIVED, ARGON2ID] } else { vec![DERIVED] };
        let cells =
            spec.arms.iter().flat_map(|arm| hashes.iter().map(|hash| cell(arm, *hash))).collect();
        Ok(Cells { blocks, cells })
    }

    fn measures(&self, metric: &Metric) -> bool {
        let taken = TAKEN.iter().flat_map(|(_, names)| names);
        taken.chain(&[metric::CREDENTIAL_BYTES]).any(|own| **own == *metric)
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], _level: u32) -> Option<&'static str> {
        let with_argon2id = TAKEN.iter().any(|(_, [_, with_argon2id])| **with_argon2id == *metric);
        let has_argon2id = trials.iter().any(|trial| trial.level == ARGON2ID.0);
        (with_argon2id && !has_argon2id).then_some("`argon2id = true`")
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let argon2id = record.trial.level == ARGON2ID.0;
        let connections = load(record).map_or(0, |(plan, _)| plan.connections);
        let observation =
            |metric, value| Observation { users: None, connections, rate: None, metric, value };
        let mut seen = Vec::new();
        if let Some((_, load)) = load(record) {
            for (of, names) in TAKEN {
                let value = (of.of_load)(load);
                seen.extend(value.map(|value| observation(names[usize::from(argon2id)], value)));
            }
        }
        // The credential does not depend on how the password is checked.
        for did in record.actions.iter().filter(|_| !argon2id) {
            if let ActionRecord::Fill(fill) = did
                && fill.users > 0
            {
                let bytes = fill.credential_bytes as f64 / f64::from(fill.users);
                seen.push(observation(metric::CREDENTIAL_BYTES, bytes));
            }
        }
        seen
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let mut doubts = load(record).map_or(vec![], |(_, load)| load.doubts(false));
        // No percentile is taken from these loads.
        doubts.retain(|doubt| doubt.code != "few_samples");
        doubts
    }
}

fn load(record: &TrialRecord) -> Option<(&LoadPlan, &LoadRecord)> {
    record.trial.actions.iter().zip(&record.actions).find_map(|pair| match pair {
        (Action::Load(plan), ActionRecord::Load(load)) => Some((plan, &**load)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load, plan, record};
    use super::*;
    use crate::record::LoginRecord;

    #[test]
    fn every_arm_logs_in_with_each_way_to_check_a_password() {
        let plan = plan("[login]\nblocks=1\n").unwrap();
        let mut cells: Vec<_> =
            plan.trials.iter().map(|t| (t.arm.as_str(), t.level, t.server.join(" "))).collect();
        cells.sort();
        let (derived, argon2id) = ("--password-hash derived", "--password-hash argon2id");
        let expected: Vec<_> = ["a", "none"]
            .iter()
            .flat_map(|arm| [(*arm, 1, derived.to_string()), (*arm, 2, argon2id.to_string())])
            .collect();
        assert_eq!(cells, expected);
        let Action::Load(load) = &plan.trials[0].actions[1] else { panic!() };
        assert_eq!((load.journey.as_str(), load.users), ("login", 10_000));
        let one = super::super::sample::plan("[login]\nblocks=1\nargon2id=false\n").unwrap();
        assert_eq!(one.trials.len(), 2);
    }

    #[test]
    fn no_more_logins_are_sent_at_once_than_a_server_lets_wait() {
        let logins = |text: &str| plan(&format!("[login]\nblocks=1\n{text}\n"));
        assert!(logins("connections=64").is_ok());
        assert!(logins("connections=1024\nargon2id=false").is_ok());
        let refused = logins("connections=65").unwrap_err().to_string();
        assert!(refused.contains("1 to 64 with argon2id"), "{refused}");
    }

    #[test]
    fn a_login_with_argon2id_has_names_of_its_own() {
        let plan = plan("[login]\nblocks=1\n").unwrap();
        for trial in &plan.trials {
            let fill = LoginRecord { users: 64, credential_bytes: 6400, ..LoginRecord::default() };
            let load = load(5000);
            let did = vec![ActionRecord::Fill(fill), ActionRecord::Load(Box::new(load))];
            let seen = Login.observe(&record(trial, did));
            let names: Vec<_> = seen.iter().map(|seen| seen.metric).collect();
            let expected: &[&Metric] = match trial.level {
                1 => &[metric::LOGIN_RPS, metric::LOGIN_CPU_US, metric::CREDENTIAL_BYTES],
                _ => &[metric::ARGON2ID_LOGIN_RPS, metric::ARGON2ID_LOGIN_CPU_US],
            };
            assert_eq!(names, expected);
            assert!(seen.iter().all(|seen| seen.users.is_none()));
        }
    }
}
