//! What the memory experiment plans, and what it reads out of records that are a rule.

use super::super::sample::{plan, record};
use super::readings::GIB;
use super::*;
use crate::plan::ADMIN_FILL;
use crate::record::{ActionRecord, LoginRecord, MemoryUse, SnapshotRecord};

const ALL: &str = "[memory]\nsessions=[0,100,200,300,400]\nconnections=10\nblocks=1\ndata=[0,8]\n\
                   idle_connections=[0,5,10,15,20]\nlogout=true\nexpiry='3s'\nfill='login'\n";

/// The trials of arm `a`, by kind.
fn trials(kind: Kind) -> Vec<TrialPlan> {
    trials_of(ALL, kind)
}

fn trials_of(table: &str, kind: Kind) -> Vec<TrialPlan> {
    let plan = plan(table).unwrap();
    let is_wanted = |trial: &&TrialPlan| trial.arm == "a" && Kind::of(trial) == kind;
    let mut trials: Vec<TrialPlan> = plan.trials.iter().filter(is_wanted).cloned().collect();
    trials.sort_by_key(|trial| trial.level);
    trials
}

/// Carries a trial out on a server whose memory and live sessions are a rule of the sessions that
/// should be there and the open connections.
fn carried_out(trial: &TrialPlan, server: impl Fn(u64, u64) -> (u64, Option<u64>)) -> TrialRecord {
    let mut open = 0;
    let did = |action: &Action| match action {
        Action::Fill(fill) => ActionRecord::Fill(LoginRecord {
            users: fill.users,
            wall_ns: 1_000_000_000,
            ..LoginRecord::default()
        }),
        Action::Populate(populate) => ActionRecord::Populate(LoginRecord {
            users: populate.users,
            wall_ns: 1_000_000,
            ..LoginRecord::default()
        }),
        Action::Snapshot(plan) => {
            let (bytes, live_sessions) = server(plan.sessions, open);
            ActionRecord::Snapshot(SnapshotRecord {
                sessions: plan.sessions,
                memory: MemoryUse {
                    allocated_bytes: Some(bytes),
                    pss_bytes: Some(2 * bytes),
                    connections: Some(open),
                    live_sessions,
                    ..MemoryUse::default()
                },
            })
        }
        Action::Logout(_) => {
            ActionRecord::Logout(LoginRecord { users: 400, ..LoginRecord::default() })
        }
        Action::Connect(connect) => {
            open += u64::from(connect.connections);
            ActionRecord::Connect(LoginRecord::default())
        }
        other => panic!("{other:?}"),
    };
    record(trial, trial.actions.iter().map(did).collect())
}

fn value(record: &TrialRecord, metric: &Metric) -> Option<f64> {
    let seen = Memory.observe(record);
    let of: Vec<f64> = seen.iter().filter(|s| s.metric == metric).map(|s| s.value).collect();
    assert!(of.len() < 2 || metric.name.starts_with("server_"), "{metric:?}: {of:?}");
    of.first().copied()
}

#[test]
fn old_campaigns_have_the_plan_they_had() {
    let table = "[memory]\nsessions=[0,100,200,300,400]\nblocks=1\nfill='login'\n";
    let plan = plan(table).unwrap();
    assert_eq!(plan.trials.len(), 2);
    let json = serde_json::to_string(&plan).unwrap();
    for field in ["server", "keep", "prepare"] {
        assert!(!json.contains(&format!("\"{field}\"")), "{field} in {json}");
    }
}

#[test]
fn sessions_of_every_size_connections_and_expiry_have_trials_of_their_own() {
    let sessions = trials(Kind::Sessions);
    assert_eq!(sessions.iter().map(|trial| trial.level).collect::<Vec<_>>(), [0, 8]);
    let Action::Fill(fill) = &sessions[1].actions[0] else { panic!() };
    assert_eq!((fill.keep, fill.prepare.as_ref().unwrap().times), (true, 8));
    let [.., Action::Logout(_), Action::Snapshot(last)] = sessions[0].actions.as_slice() else {
        panic!("{:?}", sessions[0].actions)
    };
    assert_eq!(last.sessions, 0);
    let connections = &trials(Kind::Connections)[0];
    let opened: Vec<u32> = connections
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Connect(connect) => Some(connect.connections),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [5, 5, 5, 5]);
    let expiry = &trials(Kind::Expiry)[0];
    assert_eq!(expiry.server, ["--ttl", "3s", "--sweep-every", "1s"]);
    let Some(Action::Snapshot(last)) = expiry.actions.last() else { panic!() };
    assert_eq!((last.sessions, last.settle_ns), (0, 5_500_000_000));
}

#[test]
fn a_session_is_a_slope_and_most_of_it_comes_back() {
    // 1,000 bytes of the program, 100 a session, and 8,000 that stay when all have gone.
    let server = |sessions, _| match sessions {
        0 => (9000, Some(0)),
        sessions => (1000 + 100 * sessions, Some(sessions)),
    };
    let record = carried_out(&trials(Kind::Sessions)[0], server);
    assert_eq!(value(&record, metric::BYTES_PER_SESSION), Some(100.0));
    assert_eq!(value(&record, metric::RESIDENT_BYTES_PER_SESSION), Some(200.0));
    assert_eq!(value(&record, metric::USERS_PER_GIB), Some(GIB / 100.0));
    assert_eq!(value(&record, metric::LOGIN_RPS), Some(80.0));
    // 390 users had added 39,000 bytes since the first reading, at 41,000 bytes in all.
    assert_eq!(value(&record, metric::RETURNED_AFTER_LOGOUT), Some(32_000.0 / 39_000.0));
    assert_eq!(value(&record, metric::BYTES_PER_LOGOUT), Some(-80.0));
    assert_eq!(Memory.doubts(&record), []);
    let larger = carried_out(&trials(Kind::Sessions)[1], server);
    assert_eq!(value(&larger, metric::LOGIN_RPS), None, "they did more than log in");
    let record = carried_out(&trials(Kind::Expiry)[0], server);
    assert_eq!(value(&record, metric::RETURNED_AFTER_EXPIRY), Some(32_000.0 / 39_000.0));
    assert_eq!(value(&record, metric::BYTES_PER_SESSION), None);
    assert_eq!(Memory.doubts(&record), []);
}

#[test]
fn a_token_keeps_nothing_and_a_list_of_revoked_ones_grows_at_logout() {
    // No session is counted, and after the logout 400 revoked tokens are, of 50 bytes each.
    let server = |sessions, _| match sessions {
        0 => (21_000, Some(400)),
        _ => (1000, Some(0)),
    };
    let record = carried_out(&trials(Kind::Sessions)[0], server);
    assert_eq!(value(&record, metric::BYTES_PER_SESSION), Some(0.0));
    assert_eq!(value(&record, metric::USERS_PER_GIB), None);
    assert_eq!(value(&record, metric::RETURNED_AFTER_LOGOUT), None, "of nothing there is no share");
    assert_eq!(value(&record, metric::BYTES_PER_LOGOUT), Some(50.0));
    assert_eq!(Memory.doubts(&record), []);
}

/// Fault 23: what a connection takes is measured.
#[test]
fn a_connection_is_a_slope_of_its_own() {
    let server = |sessions, open| (1000 + sessions + 30_000 * open, Some(sessions));
    let mut record = carried_out(&trials(Kind::Connections)[0], server);
    let slope = value(&record, metric::BYTES_PER_CONNECTION).unwrap();
    assert!((slope - 30_000.2).abs() < 1e-6, "a session for every five connections: {slope}");
    assert_eq!(value(&record, metric::BYTES_PER_SESSION), None);
    assert_eq!(Memory.doubts(&record), []);
    let Some(ActionRecord::Snapshot(last)) = record.actions.last_mut() else { panic!() };
    last.memory.connections = Some(19);
    let doubts = Memory.doubts(&record);
    assert!(doubts[0].invalidates && doubts[0].what.contains("19 connections"), "{doubts:?}");
}

/// Fault 16: missing sessions are a doubt.
/// Fault 24: so are those that no sweep took.
#[test]
fn sessions_that_were_lost_or_not_swept_are_doubted() {
    let lost = |sessions: u64, _| (1000, Some(sessions.min(300)));
    let doubts = Memory.doubts(&carried_out(&trials(Kind::Sessions)[0], lost));
    assert!(doubts[0].what.contains("300 sessions instead of 400"), "{doubts:?}");
    let unswept = |sessions: u64, _| (1000, Some(sessions.max(7)));
    let doubts = Memory.doubts(&carried_out(&trials(Kind::Expiry)[0], unswept));
    assert!(doubts[0].invalidates && doubts[0].what.contains("7 sessions instead of 0"));
}

/// The users whom each action of a trial logs in, over HTTP or not, and each level that is read.
fn steps(trial: &TrialPlan) -> Vec<(&'static str, u64, u64)> {
    let step = |action: &Action| match action {
        Action::Fill(fill) => Some(("login", fill.first_user, u64::from(fill.users))),
        Action::Populate(populate) => {
            Some(("admin", u64::from(populate.first_user), u64::from(populate.users)))
        }
        Action::Snapshot(snapshot) => Some(("read", snapshot.sessions, 0)),
        _ => None,
    };
    trial.actions.iter().filter_map(step).collect()
}

#[test]
fn the_server_logs_users_in_by_itself_but_for_the_first_and_those_with_a_cart() {
    let by_server = ALL.replace("fill='login'\n", "");
    let sessions = trials_of(&by_server, Kind::Sessions);
    let expected = [
        ("login", 0, 10),
        ("read", 10, 0),
        ("admin", 10, 90),
        ("read", 100, 0),
        ("admin", 100, 100),
        ("read", 200, 0),
        ("admin", 200, 100),
        ("read", 300, 0),
        ("admin", 300, 100),
        ("read", 400, 0),
        ("read", 0, 0),
    ];
    assert_eq!(steps(&sessions[0]), expected);
    assert_eq!(sessions[0].server, ADMIN_FILL);
    let keeps = |action: &Action| match action {
        Action::Fill(fill) => fill.keep,
        Action::Populate(populate) => populate.keep,
        _ => true,
    };
    assert!(sessions[0].actions.iter().all(keeps), "all of them log out at the end");
    assert!(steps(&sessions[1]).iter().all(|(what, ..)| *what != "admin"), "with items in a cart");
    assert_eq!(sessions[1].server, [""; 0]);

    let expiry = &trials_of(&by_server, Kind::Expiry)[0];
    assert_eq!(
        steps(expiry),
        [("login", 0, 10), ("read", 10, 0), ("admin", 10, 390), ("read", 400, 0), ("read", 0, 0)]
    );
    assert_eq!(expiry.server[..3], ADMIN_FILL);
    assert_eq!(expiry.server[3..], ["--ttl", "3s", "--sweep-every", "1s"]);

    let million = "[memory]\nsessions=[200000,400000,600000,800000,1000000]\nblocks=1\n";
    let million = &trials_of(million, Kind::Sessions)[0];
    assert_eq!(
        steps(million)[..3],
        [("login", 0, 32), ("admin", 32, 199_968), ("read", 200_000, 0)]
    );
    assert_eq!(steps(million)[10], ("read", 1_000_000, 0));
}

#[test]
fn a_stores_own_count_and_its_disk_are_slopes_of_their_own() {
    let by_server = ALL.replace("fill='login'\n", "");
    let trial = &trials_of(&by_server, Kind::Sessions)[0];
    let mut record = carried_out(trial, |sessions, _| (1000, Some(sessions)));
    for did in &mut record.actions {
        let ActionRecord::Snapshot(snapshot) = did else { continue };
        let memory = &mut snapshot.memory;
        // A buffer that was touched once hides what the store keeps from the operating system.
        memory.store_bytes = Some(128 << 20);
        memory.store_used_bytes = Some(8192 + 150 * snapshot.sessions);
        memory.store_disk_bytes = Some(7_000_000 + 160 * snapshot.sessions);
    }
    assert_eq!(value(&record, metric::STORE_BYTES_PER_SESSION), Some(0.0));
    assert_eq!(value(&record, metric::STORE_USED_BYTES_PER_SESSION), Some(150.0));
    assert_eq!(value(&record, metric::STORE_DISK_BYTES_PER_SESSION), Some(160.0));
    assert_eq!(value(&record, metric::LOGIN_RPS), None, "hardly anybody logged in over HTTP");
}

#[test]
fn pages_that_are_mapped_for_nothing_have_no_share_that_comes_back() {
    // Nothing is allocated for a login, and yet the system gives 45 bytes for each.
    let mut record = carried_out(&trials(Kind::Sessions)[0], |sessions, _| (1000, Some(sessions)));
    for action in &mut record.actions {
        if let ActionRecord::Snapshot(snapshot) = action {
            snapshot.memory.pss_bytes = Some(1_000_000 + 45 * snapshot.sessions);
        }
    }
    assert_eq!(value(&record, metric::RESIDENT_BYTES_PER_SESSION), Some(45.0));
    assert_eq!(value(&record, metric::RESIDENT_RETURNED_AFTER_LOGOUT), None);
}
