//! The drills against real servers, from campaign file to `measurements.csv`. Who is let in is
//! exact and asserted, how long it took is not; the table follows from where an arm keeps what it
//! knows.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The figures of a campaign by experiment, arm, users and metric.
type Figures = BTreeMap<(String, String, String, String), f64>;

/// Runs a campaign of these tables and reads what it measured. On a machine that is too busy a
/// campaign says that its figures are invalid (exit code 3): then another one is tried.
fn figures(arms: &[&str], tables: &str) -> Figures {
    let mut attempts = (0..5).filter_map(|_| valid_figures(arms, tables));
    attempts.next().expect("valid figures in one of five campaigns")
}

fn valid_figures(arms: &[&str], tables: &str) -> Option<Figures> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drill.toml");
    std::fs::write(&file, format!("name = 'drill'\narms = {arms:?}\n{tables}")).unwrap();
    let out = folder.path().join("out");
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["campaign", file.to_str().unwrap(), "--allow-debug", "--skip-attacks"])
        .args(["--skip-missing", "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(3) {
        return None;
    }
    assert!(output.status.success(), "{text}");
    let csv = std::fs::read_to_string(out.join("measurements.csv")).unwrap();
    let lines = csv.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let figure = |fields: Vec<&str>| {
        let key = [fields[0], fields[1], fields[4], fields[8]].map(String::from);
        (fields[14] == "true").then(|| (key.into(), fields[10].parse().unwrap()))
    };
    lines.map(figure).collect()
}

/// The arms with a shared store that were there to be measured.
fn shared(figures: &Figures) -> Vec<&'static str> {
    let there = |arm: &&&str| figures.keys().any(|(_, measured, ..)| measured == **arm);
    let arms: Vec<_> = SHARED.iter().filter(there).copied().collect();
    assert!(arms.contains(&"session@sqlite"));
    arms
}

/// The figure of an experiment and arm.
#[track_caller]
fn assert_at(figures: &Figures, place: [&str; 4], expected: Option<f64>) {
    let [experiment, arm, users, metric] = place.map(String::from);
    let found = figures.get(&(experiment, arm, users, metric)).copied();
    assert_eq!(found, expected, "{place:?}");
}

/// Stores that are outside of a server; those whose program is missing here are left out.
const SHARED: [&str; 3] = ["session@sqlite", "session@redis", "session@postgres"];

const ARMS: [&str; 8] = [
    "none",
    "session@memory",
    "session@sqlite",
    "session@redis",
    "session@postgres",
    "jwt-hs256",
    "jwt-denylist@memory",
    "jwt-refresh@memory",
];

/// What one campaign found of all drills but that of expiry.
static FOUND: LazyLock<Figures> = LazyLock::new(|| {
    let tables = "[revocation]\nusers = 10\nblocks = 1\nwindow = '20ms'\n\
                  [restart]\nusers = 20\nblocks = 1\n\
                  [replicas]\nservers = [1, 2, 4]\nusers = 4\nblocks = 1\nwarmup = '10ms'\n\
                  measure = '100ms'\n";
    figures(&ARMS, tables)
});

#[test]
fn a_logout_ends_what_the_server_can_end() {
    let found = &*FOUND;
    let assert_figure = |arm: &str, metric: &str, expected| {
        assert_at(found, ["revocation", arm, "10", metric], expected);
    };
    for arm in [shared(found), vec!["session@memory", "jwt-denylist@memory"]].concat() {
        assert_figure(arm, "stale_accepts", Some(0.0));
        assert_figure(arm, "still_accepted", Some(0.0));
        assert_figure(arm, "everywhere_stale_accepts", Some(0.0));
    }
    for arm in ["none", "jwt-hs256"] {
        assert_figure(arm, "still_accepted", Some(1.0));
        assert_figure(arm, "time_to_reject_us", None);
        assert_figure(arm, "everywhere_still_accepted", Some(1.0));
        assert_figure(arm, "restart_accepted", Some(1.0));
    }
    // An access token outlives its logout; what could have replaced it does not.
    assert_figure("jwt-refresh@memory", "still_accepted", Some(1.0));
    assert_figure("jwt-refresh@memory", "refreshed_after_logout", Some(0.0));
    assert_figure("jwt-refresh@memory", "everywhere_refreshed_after_logout", Some(0.0));
    assert_figure("jwt-hs256", "refreshed_after_logout", None);
    // A second server has no part in what the first one keeps in its memory.
    assert_figure("session@memory", "replica_unknown", Some(1.0));
    assert_figure("session@memory", "replica_stale_accepts", None);
    for arm in shared(found) {
        assert_figure(arm, "replica_stale_accepts", Some(0.0));
        assert_figure(arm, "everywhere_replica_stale_accepts", Some(0.0));
        assert_figure(arm, "restart_accepted", Some(0.0));
        assert_figure(arm, "everywhere_restart_accepted", Some(0.0));
        assert_figure(arm, "restart_others_accepted", Some(1.0));
    }
    assert_figure("jwt-denylist@memory", "replica_still_accepted", Some(1.0));
    // A restart logs everybody out, or nobody, or those back in who had logged out.
    assert_figure("session@memory", "restart_others_accepted", Some(0.0));
    assert_figure("jwt-denylist@memory", "restart_accepted", Some(1.0));
}

#[test]
fn a_restart_logs_out_whoever_depends_on_what_is_gone() {
    let found = &*FOUND;
    let assert_figure = |arm: &str, metric: &str, expected| {
        assert_at(found, ["restart", arm, "20", metric], expected);
    };
    for (arm, kept, new_key, new_store) in [
        ("none", 0.0, None, None),
        ("session@memory", 1.0, None, None),
        ("jwt-hs256", 0.0, Some(1.0), None),
        ("jwt-denylist@memory", 0.0, Some(1.0), None),
        ("jwt-refresh@memory", 0.0, Some(1.0), None),
    ] {
        assert_figure(arm, "logged_out_share", Some(kept));
        assert_figure(arm, "new_key_logged_out_share", new_key);
        assert_figure(arm, "new_store_logged_out_share", new_store);
    }
    for arm in shared(found) {
        assert_figure(arm, "logged_out_share", Some(0.0));
        assert_figure(arm, "new_key_logged_out_share", None);
        assert_figure(arm, "new_store_logged_out_share", Some(1.0));
    }
    assert_figure("jwt-refresh@memory", "cannot_refresh_share", Some(1.0));
    assert_figure("jwt-hs256", "cannot_refresh_share", None);
    let storm = |arm: &str, metric: &str| {
        let key = ["restart", arm, "20", metric].map(String::from);
        found.contains_key(&key.into())
    };
    assert!(storm("session@memory", "storm_us") && !storm("jwt-hs256", "storm_us"));
    assert!(storm("jwt-hs256", "new_key_storm_us"));
}

#[test]
fn several_servers_know_what_is_shared_and_nothing_else() {
    let found = &*FOUND;
    let assert_figure = |arm: &str, users: &str, metric: &str, expected| {
        assert_at(found, ["replicas", arm, users, metric], expected);
    };
    let local = ARMS.into_iter().filter(|arm| !SHARED.contains(arm));
    for arm in local.chain(shared(found)) {
        assert_figure(arm, "8", "sticky_refused_share", Some(0.0));
        let alone = arm == "session@memory";
        assert_figure(arm, "8", "round_robin_refused_share", Some(if alone { 0.5 } else { 0.0 }));
        assert_figure(arm, "16", "round_robin_refused_share", Some(if alone { 0.75 } else { 0.0 }));
        assert_figure(arm, "16", "lost_after_death_share", Some(if alone { 0.25 } else { 0.0 }));
        assert_figure(arm, "4", "lost_after_death_share", None);
        let refreshes = arm == "jwt-refresh@memory";
        assert_figure(arm, "4", "round_robin_unrefreshed_share", refreshes.then_some(0.0));
        assert_figure(arm, "8", "round_robin_unrefreshed_share", refreshes.then_some(1.0));
    }
}

#[test]
fn a_credential_ends_and_not_much_later_than_it_should() {
    let tables = "[expiry]\nusers = 8\nblocks = 1\nttl = '2s'\nrenewals = 100\nactive_users = 10\n";
    let found = figures(&["none", "session@memory", "jwt-refresh@memory"], tables);
    let assert_figure = |arm: &str, metric: &str, expected| {
        assert_at(&found, ["expiry", arm, "8", metric], expected);
    };
    assert_figure("none", "expiry_still_accepted", Some(1.0));
    assert_figure("none", "expiry_latest_us", None);
    for arm in ["session@memory", "jwt-refresh@memory"] {
        assert_figure(arm, "expiry_still_accepted", Some(0.0));
        assert_figure(arm, "expiry_leeway_still_accepted", Some(0.0));
        let figure = |metric: &str| {
            let key = ["expiry", arm, "8", metric].map(String::from);
            found[&key.into()]
        };
        // Nobody is let in after the end by the server's clock, however slow the machine is.
        assert!(figure("expiry_latest_us") <= 0.0, "{arm}: {}", figure("expiry_latest_us"));
        assert!(figure("expiry_leeway_latest_us") <= 2e6, "{arm}");
    }
}
