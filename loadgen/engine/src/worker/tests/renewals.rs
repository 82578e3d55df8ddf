//! Credentials that end while a load runs, on a server that keeps account of every token.

use std::collections::BTreeMap;

use super::*;
use crate::journey::field;
use crate::plan::RenewalPlan;
use crate::record::{LoadRecord, RenewalRecord};

const REFRESH: &str = "[refresh]\npath = '/refresh'\ntoken = 'json:/refresh'\nfield = 'refresh'\n";
const SAID: &str = "[renewal]\nlifetime = 'json:/expires_in'\n";
const RENEWED: &str = "[renewal]\n";
/// The requests of the script.
const LOGIN: usize = 0;
const ME: usize = 1;
const REFRESHES: usize = 2;

/// A target with a bearer token and these tables.
fn target(tables: &str) -> Script {
    let text = format!(
        r#"
        name = "mock"
        base_url = "http://127.0.0.1:1"
        [login]
        path = "/login"
        fields = {{}}
        credential = "json:/token"
        send = "header:Authorization: Bearer {{credential}}"
        [journeys.browse]
        steps = [{{ name = "me", path = "/me", check = {{ json = "/user_id", equals = "{{n}}" }} }}]
        {tables}
        "#
    );
    Script::renewing(&toml::from_str::<Target>(&text).unwrap(), "browse", None).unwrap()
}

/// A server whose tokens end, and whose refresh tokens are good once.
struct Server {
    lives_ns: u64,
    /// Each user's token, its end, and the refresh token that goes with it.
    users: BTreeMap<u64, (String, u64, String)>,
    issued: u64,
    logins: u64,
    refreshes: u64,
    /// Refresh tokens that were shown a second time.
    reused: u64,
}

impl Server {
    fn new(lives_ns: u64) -> Self {
        let users = BTreeMap::new();
        Self { lives_ns, users, issued: 0, logins: 0, refreshes: 0, reused: 0 }
    }

    fn issue(&mut self, seen: &Seen) -> Reply {
        self.issued += 1;
        let (token, refresh) = (format!("a{}", self.issued), format!("r{}", self.issued));
        let seconds = self.lives_ns as f64 / 1e9;
        let body = format!(r#"{{"token":"{token}","refresh":"{refresh}","expires_in":{seconds}}}"#);
        self.users.insert(seen.user, (token, seen.sent_ns + self.lives_ns, refresh));
        // Nothing takes time before a load.
        Reply::After(if self.issued <= 4 { 0 } else { 5 * MS }, 200, body)
    }

    /// Logins and refreshes take 5 ms, other answers 1 ms.
    fn answer(&mut self, seen: &Seen) -> Reply {
        match seen.request {
            LOGIN => {
                self.logins += 1;
                self.issue(seen)
            }
            ME => {
                let (token, ends_ns, _) = &self.users[&seen.user];
                let shown = field(seen.credential.as_bytes(), 0);
                if shown == token.as_bytes() && seen.sent_ns < *ends_ns {
                    right(seen, MS)
                } else {
                    Reply::After(MS, 401, "ended".into())
                }
            }
            _ => {
                self.refreshes += 1;
                let shown = field(seen.credential.as_bytes(), 1).to_vec();
                if shown == self.users[&seen.user].2.as_bytes() {
                    return self.issue(seen);
                }
                self.reused += 1;
                Reply::After(MS, 400, "reused".into())
            }
        }
    }
}

struct Loaded {
    record: LoadRecord,
    seen: Vec<Seen>,
}

impl Loaded {
    fn renewals(&self) -> &RenewalRecord {
        self.record.renewals.as_ref().unwrap()
    }

    /// Requests to this one of the script.
    fn asked(&self, request: usize) -> usize {
        self.seen.iter().filter(|seen| seen.request == request).count()
    }
}

/// Logs users in and runs a load.
fn load(script: Script, plan: &LoadPlan, server: impl FnMut(&Seen) -> Reply) -> Loaded {
    let driver = crate::Driver::new(script, Vec::new(), 1, Interrupt::default()).unwrap();
    let stop = AtomicBool::new(false);
    let setup = Setup {
        timeout_ns: plan.timeout_ns,
        ..alone(&driver.script, &driver.interrupt, &stop, plan.connections)
    };
    let mut worker = Worker { transport: Mock::new(server), setup, credentials: Arc::default() };
    let first = if matches!(plan.model, LoadModel::Visits(_)) { 0 } else { plan.users };
    let login = worker.login(0, first, Keep::Credentials).unwrap();
    let harvest = worker.load(plan, 1, None, || Some(0)).unwrap().unwrap();
    let seen = worker.transport.seen;
    let share = crate::merge::Share::new(&driver, driver.client_use(), login, vec![harvest]);
    let record = share.record(plan, 0);
    Loaded { record, seen }
}

/// The longest of these times in whole milliseconds.
fn longest_ms(histogram: &crate::record::Histogram) -> u64 {
    histogram.max_ns() / MS
}

#[test]
fn a_token_that_ends_in_a_closed_load_is_refreshed_and_no_answer_is_counted_wrong() {
    let mut server = Server::new(100 * MS);
    let done = load(target(REFRESH), &plan(closed(0), 4, 4, S), |seen| server.answer(seen));
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!((counts.ok, counts.failed(), counts.unfinished), (counts.sent, 0, 0));
    // A round of each user: 100 answers, a refusal, a refresh; ten in a second, less the last one.
    assert_eq!((renewals.refreshed, renewals.logged_in, renewals.failed), (36, 0, 0));
    assert_eq!((renewals.refused, renewals.waited), (36, 36));
    assert_eq!((server.reused, server.logins, server.refreshes), (0, 4, 36));
    // The user waited for the refusal, the refresh and the answer.
    assert_eq!((longest_ms(&done.record.response()), longest_ms(&done.record.service())), (7, 7));
    assert_eq!(done.record.response().quantile_ns(0.9) / MS, 1);
    assert!(done.record.lag().max_ns() <= 1, "no renewal is the generator's lag");
    assert_eq!((longest_ms(&renewals.time), renewals.time.count()), (5, 36));
    assert_eq!(done.asked(ME) as u64, counts.sent + renewals.refused);
}

#[test]
fn a_token_whose_end_is_known_is_refreshed_before_it_is_refused() {
    let mut server = Server::new(S);
    let script = target(&[REFRESH, SAID].concat());
    let done = load(script, &plan(open(400.0), 4, 4, 5 * S), |seen| server.answer(seen));
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!((counts.planned, counts.ok, counts.failed()), (2000, 2000, 0));
    assert_eq!((renewals.refreshed, renewals.refused, server.reused), (16, 0, 0));
    assert!(renewals.waited >= 16);
    // 5 ms of the refresh, 1 ms of the answer, and no refusal.
    assert_eq!(longest_ms(&done.record.response()), 6);
    // Ahead by half of its life, the most there is, there are twice as many.
    let mut server = Server::new(S);
    let script = target(&format!("{REFRESH}{SAID}ahead = 3\n"));
    let done = load(script, &plan(open(400.0), 4, 4, 5 * S), |seen| server.answer(seen));
    assert!((34..=40).contains(&done.renewals().refreshed), "{:?}", done.renewals());
}

#[test]
fn requests_in_flight_when_a_token_ends_wait_for_one_renewal() {
    // One user with ten requests under way at any time.
    let mut server = Server::new(100 * MS);
    let slow = |seen: &Seen, reply: Reply| match reply {
        Reply::After(ns, status, body) if seen.request == ME => {
            Reply::After(ns + 9 * MS, status, body)
        }
        other => other,
    };
    for tables in [REFRESH.to_string(), [REFRESH, SAID].concat(), RENEWED.to_string()] {
        let answers = |seen: &Seen| {
            let reply = server.answer(seen);
            slow(seen, reply)
        };
        let done = load(target(&tables), &plan(open(1000.0), 1, 64, S), answers);
        let (counts, renewals) = (&done.record.counts, done.renewals());
        assert_eq!((counts.planned, counts.ok, counts.failed()), (1000, 1000, 0), "{tables}");
        assert_eq!((server.reused, counts.dropped, counts.unfinished), (0, 0, 0), "{tables}");
        assert!((8..=10).contains(&renewals.renewed()), "{tables}: {renewals:?}");
        assert!(renewals.waited > renewals.renewed(), "{tables}: {renewals:?}");
        server = Server::new(100 * MS);
    }
}

/// More users than connections, some of them on two connections at a time.
#[test]
fn users_who_share_connections_renew_once_each() {
    for tables in [REFRESH, RENEWED] {
        let mut server = Server::new(50 * MS);
        let done = load(target(tables), &plan(closed(0), 6, 4, S), |seen| server.answer(seen));
        let (counts, renewals) = (&done.record.counts, done.renewals());
        assert_eq!((counts.ok, counts.failed(), server.reused), (counts.sent, 0, 0));
        assert!((80..=120).contains(&renewals.renewed()), "{renewals:?}");
        assert!(renewals.refused > renewals.renewed(), "{renewals:?}");
    }
}

#[test]
fn without_a_refresh_users_log_in_again() {
    let mut server = Server::new(100 * MS);
    let done = load(target(RENEWED), &plan(closed(0), 4, 4, S), |seen| server.answer(seen));
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!((counts.ok, counts.failed()), (counts.sent, 0));
    assert_eq!((renewals.logged_in, renewals.refreshed, renewals.fell_back), (36, 0, 0));
    assert_eq!(server.logins, 40);
    // A target that says nothing of it renews nothing.
    let mut server = Server::new(100 * MS);
    let done = load(target(""), &plan(closed(0), 4, 4, S), |seen| server.answer(seen));
    assert_eq!(done.record.renewals, None);
    assert_eq!(done.record.counts.errors.keys().collect::<Vec<_>>(), ["status_401"]);
}

#[test]
fn a_refresh_that_is_refused_is_followed_by_a_login() {
    for refusal in [Reply::After(MS, 400, "no".into()), Reply::Fail(MS, Failure::Closed)] {
        let mut server = Server::new(100 * MS);
        let answers = |seen: &Seen| match seen.request {
            REFRESHES => refusal.clone(),
            _ => server.answer(seen),
        };
        let done = load(target(REFRESH), &plan(closed(0), 4, 4, S), answers);
        let (counts, renewals) = (&done.record.counts, done.renewals());
        assert_eq!((counts.ok, counts.failed()), (counts.sent, 0));
        assert_eq!((renewals.refreshed, renewals.failed), (0, 0));
        assert_eq!(renewals.logged_in, renewals.fell_back);
        assert_eq!(renewals.errors.values().sum::<u64>(), renewals.fell_back);
        assert!(renewals.logged_in >= 32, "{renewals:?}");
        assert_eq!(longest_ms(&done.record.response()), 8);
        assert_eq!(longest_ms(&renewals.time), 6, "both are part of the renewal");
    }
}

/// A refresh whose answer is lost may have been carried out: the same token is not shown again.
#[test]
fn a_refresh_without_an_answer_is_not_repeated() {
    let mut server = Server::new(100 * MS);
    let answers = |seen: &Seen| match (seen.request, server.answer(seen)) {
        (REFRESHES, _) => Reply::Never,
        (_, reply) => reply,
    };
    let mut plan = plan(closed(0), 1, 1, S);
    plan.timeout_ns = 50 * MS;
    let done = load(target(REFRESH), &plan, answers);
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!((counts.ok, counts.failed(), server.reused), (counts.sent, 0, 0));
    assert_eq!(renewals.logged_in, renewals.fell_back);
    assert_eq!(renewals.errors.keys().collect::<Vec<_>>(), ["timeout"]);
}

#[test]
fn a_refresh_that_is_down_fails_who_waits_and_is_tried_again() {
    let mut server = Server::new(100 * MS);
    let answers = |seen: &Seen| match seen.request {
        REFRESHES if (300 * MS..500 * MS).contains(&seen.sent_ns) => {
            Reply::After(MS, 503, "down".into())
        }
        _ => server.answer(seen),
    };
    let done = load(target(REFRESH), &plan(closed(0), 4, 4, S), answers);
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!(counts.errors.keys().collect::<Vec<_>>(), ["not_renewed"]);
    assert_eq!(counts.errors["not_renewed"], renewals.failed);
    assert_eq!(renewals.errors["status_503"], renewals.failed);
    // Each pauses for 10 ms after a failure.
    assert!((40..=72).contains(&renewals.failed), "{renewals:?}");
    assert_eq!((renewals.logged_in, server.reused), (0, 0), "the token was not looked at");
    assert!(renewals.refreshed >= 24, "{renewals:?}");
    let doubts: Vec<_> = done.record.doubts(false).into_iter().map(|doubt| doubt.code).collect();
    assert!(doubts.contains(&"renewals_failed".into()), "{doubts:?}");
}

#[test]
fn a_user_who_cannot_log_in_again_fails_and_the_load_goes_on() {
    let mut server = Server::new(100 * MS);
    let answers = |seen: &Seen| match (seen.request, seen.user) {
        (LOGIN, 0) if seen.sent_ns > 0 => Reply::After(MS, 403, "locked".into()),
        _ => server.answer(seen),
    };
    let done = load(target(RENEWED), &plan(open(400.0), 4, 8, S), answers);
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!(counts.errors["not_renewed"], counts.failed());
    assert_eq!(renewals.errors.keys().collect::<Vec<_>>(), ["status_403"]);
    // A quarter of what comes after the first 100 ms.
    assert_eq!((counts.planned, counts.ok + counts.failed()), (400, 400));
    assert!((60..=120).contains(&counts.failed()), "{counts:?}");
    assert!(renewals.logged_in > 20, "{renewals:?}");
}

/// A server that refuses whatever it has just given out is asked twice, and no more.
#[test]
fn a_request_is_sent_again_once() {
    let mut server = Server::new(S);
    let answers = |seen: &Seen| match seen.request {
        ME => Reply::After(MS, 401, "never".into()),
        _ => server.answer(seen),
    };
    let done = load(target(REFRESH), &plan(fixed(20, 0), 2, 2, 60 * S), answers);
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!((counts.errors["status_401"], counts.sent), (20, 20));
    assert_eq!((renewals.refused, renewals.refreshed, done.asked(ME)), (20, 20, 40));
    let codes: Vec<_> = done.record.doubts(false).into_iter().map(|doubt| doubt.code).collect();
    assert!(codes.contains(&"mostly_renewals".into()), "{codes:?}");
}

/// With a lifetime of the plan users renew as if they had logged in at any moment of it.
#[test]
fn a_lifetime_of_the_plan_is_renewed_at_its_rate_from_the_beginning() {
    let mut server = Server::new(3600 * S);
    let lifetime_ns = Some(10 * S);
    let plan = LoadPlan {
        renewal: Some(RenewalPlan { lifetime_ns }),
        choice: UserChoice::InTurn,
        ..plan(open(1000.0), 100, 16, 5 * S)
    };
    let done = load(target(REFRESH), &plan, |seen| server.answer(seen));
    let (counts, renewals) = (&done.record.counts, done.renewals());
    assert_eq!((counts.ok, counts.failed(), renewals.refused), (5000, 0, 0));
    assert!((35..=65).contains(&renewals.refreshed), "{renewals:?}");
    let first = done.seen.iter().filter(|s| s.request == REFRESHES && s.sent_ns < S).count();
    assert!((3..=20).contains(&first), "{first} in the first second");
}

/// Twenty visitors, each of them once: a login, five requests, and 100 ms between these.
fn twenty_visitors() -> LoadPlan {
    let plan = plan(visits(10.0, 5, 100 * MS), 1000, 8, 2 * S);
    LoadPlan { choice: UserChoice::InTurn, drain_ns: S, ..plan }
}

/// The fourth request of each visitor finds its token ended, 307 ms after the login.
#[test]
fn visitors_renew_what_ends_during_their_visit() {
    let ways = [REFRESH, &[REFRESH, SAID].concat(), RENEWED, SAID];
    for (tables, is_told) in ways.into_iter().zip([true, false, true, false]) {
        let mut server = Server::new(250 * MS);
        let done = load(target(tables), &twenty_visitors(), |seen| server.answer(seen));
        let (counts, renewals) = (&done.record.counts, done.renewals());
        assert_eq!((counts.failed(), counts.unfinished), (0, 0), "{tables}: {counts:?}");
        let visits = done.record.visits.unwrap();
        assert_eq!((visits.arrived, visits.failed, visits.turned_away), (20, 0, 0), "{tables}");
        // The fourth request of the last three is due after Measure.
        let by_refresh = tables.contains("[refresh]");
        let renewed = if by_refresh { (17, 0) } else { (0, 17) };
        assert_eq!((renewals.refreshed, renewals.logged_in), renewed, "{tables}: {renewals:?}");
        assert_eq!(renewals.refused, if is_told { 17 } else { 0 }, "{tables}: {renewals:?}");
        assert_eq!((renewals.waited, renewals.failed, server.reused), (17, 0, 0), "{tables}");
        assert_eq!(longest_ms(&renewals.time), 5);
        // The login of a visit is one of its requests, and one of a renewal is not.
        let logins = done.record.steps.iter().find(|step| step.name == "login").unwrap();
        assert_eq!(logins.response.count(), 20, "{tables}");
        let me = done.record.steps.iter().find(|step| step.name == "me").unwrap();
        assert_eq!(longest_ms(&me.response), if is_told { 7 } else { 6 }, "{tables}");
    }
}

/// What was known of a visitor's token, and that it may be used up, is not of the next one there.
#[test]
fn a_place_that_another_visitor_takes_has_no_past() {
    let mut server = Server::new(250 * MS);
    let answers = |seen: &Seen| match (seen.request, seen.user) {
        // The token of this one ends at 250 ms, and the next one comes at 300 ms.
        (ME, 0) if seen.sent_ns > 200 * MS => Reply::After(MS, 503, "down".into()),
        (REFRESHES, 4) => Reply::After(MS, 400, "no".into()),
        (LOGIN, 4) if seen.sent_ns > 500 * MS => Reply::After(MS, 403, "locked".into()),
        _ => server.answer(seen),
    };
    let script = target(&[REFRESH, SAID].concat());
    let done = load(script, &twenty_visitors(), answers);
    let (counts, renewals) = (&done.record.counts, done.renewals());
    let errors = [("not_renewed".to_string(), 1), ("status_503".to_string(), 1)];
    assert_eq!(counts.errors, BTreeMap::from(errors));
    assert_eq!((renewals.refreshed, renewals.logged_in, renewals.failed), (15, 0, 1));
    assert_eq!((renewals.refused, server.reused), (0, 0), "{renewals:?}");
}

#[test]
fn a_visitor_whose_credential_cannot_be_renewed_leaves() {
    let mut server = Server::new(250 * MS);
    let answers = |seen: &Seen| match (seen.request, seen.user) {
        (REFRESHES, 0) => Reply::After(MS, 503, "down".into()),
        // A login that is refused is no credential that has ended.
        (LOGIN, 1) => Reply::After(MS, 401, "who?".into()),
        _ => server.answer(seen),
    };
    let done = load(target(REFRESH), &twenty_visitors(), answers);
    let (counts, renewals) = (&done.record.counts, done.renewals());
    let errors = [("not_renewed".to_string(), 1), ("status_401".to_string(), 1)];
    assert_eq!(counts.errors, BTreeMap::from(errors));
    assert_eq!(done.record.visits.unwrap().failed, 2);
    assert_eq!((renewals.failed, renewals.errors["status_503"]), (1, 1));
    assert_eq!((renewals.refreshed, renewals.refused), (15, 16), "{renewals:?}");
}

/// A session that every answer moves on: the one before is no longer good.
#[test]
fn rolling_cookies_are_kept_in_closed_and_open_loads() {
    let text = r#"
        name = "mock"
        base_url = "http://127.0.0.1:1"
        [cookies]
        renew = true
        [login]
        path = "/login"
        fields = {}
        credential = "cookie:sid"
        send = "cookie:sid"
        [journeys.browse]
        steps = [{ name = "me", path = "/me", check = { json = "/user_id", equals = "{n}" } }]
        [renewal]
        "#;
    let script =
        || Script::renewing(&toml::from_str::<Target>(text).unwrap(), "browse", None).unwrap();
    let mut in_turn = plan(open(400.0), 4, 4, S);
    in_turn.choice = UserChoice::InTurn;
    for plan in [plan(closed(0), 4, 4, S), in_turn] {
        let (mut good, mut given, mut logins) = (BTreeMap::new(), 0, 0);
        let answers = |seen: &Seen| {
            given += 1;
            // Every user's session is lost once.
            let is_lost = (500 * MS..505 * MS).contains(&seen.sent_ns);
            let is_login = seen.request == LOGIN;
            if !is_login && (is_lost || good.get(&seen.user) != Some(&seen.credential)) {
                good.remove(&seen.user);
                return Reply::Set(MS, 401, "sid=; Max-Age=0".into(), "ended".into());
            }
            logins += u64::from(is_login);
            good.insert(seen.user, format!("s{given}"));
            let body = format!("{{\"user_id\":{}}}", seen.user);
            Reply::Set(MS, 200, format!("sid=s{given}"), body)
        };
        let done = load(script(), &plan, answers);
        let (counts, renewals) = (&done.record.counts, done.renewals());
        assert!(counts.failed() <= 8, "{:?}", counts.errors);
        assert_eq!(renewals.rolled, counts.ok, "{renewals:?}");
        assert!((2..=20).contains(&renewals.logged_in), "{renewals:?}");
        assert_eq!(renewals.logged_in + 4, logins);
    }
}
