//! Setup: logins, with their tokens, and what users prepare before a load.

use super::*;

#[test]
fn a_refused_login_ends_setup_and_names_the_user() {
    let script = script();
    let interrupt = Interrupt::default();
    let login = |reply: fn(&Seen) -> Reply| {
        let stop = AtomicBool::new(false);
        let setup = alone(&script, &interrupt, &stop, 3);
        let transport = Mock::new(reply);
        let mut worker = Worker { transport, setup, credentials: Arc::default() };
        match worker.login(100, 50, Keep::Credentials).unwrap_err() {
            SetupFault::Refused(refused) => (refused.user, refused.outcome),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(login(|_| Reply::After(0, 403, String::new())), (100, Outcome::Status(403)));
    assert_eq!(login(|_| Reply::After(0, 200, "{}".into())), (100, Outcome::NoCredential));
    assert_eq!(login(|_| Reply::Never), (100, Outcome::Failed(Failure::Timeout)));
    let refused_later = |seen: &Seen| match seen.user {
        120 => Reply::Fail(0, Failure::Closed),
        _ => Reply::After(0, 200, "{\"token\":\"t\"}".into()),
    };
    assert_eq!(login(refused_later), (120, Outcome::Failed(Failure::Closed)));
}

/// Both requests of a login go over one connection, and each has the timeout for itself.
#[test]
fn a_login_that_needs_a_token_is_two_requests_on_one_connection() {
    let text = r#"
        name = "mock"
        base_url = "http://127.0.0.1:1"
        [login]
        path = "/login"
        fields = { t = "{csrf}" }
        credential = "json:/token"
        send = "header:Authorization: Bearer {credential}"
        [login.csrf]
        path = "/csrf"
        token = "json:/csrf"
        [journeys.browse]
        steps = [{ name = "me", path = "/me?t={csrf}" }]
        "#;
    let script = Script::new(&toml::from_str::<Target>(text).unwrap(), "browse").unwrap();
    let interrupt = Interrupt::default();
    let answers = |seen: &Seen| match seen.request {
        0 => Reply::After(700 * MS, 200, format!("{{\"csrf\":\"c{}\"}}", seen.user)),
        _ => Reply::After(800 * MS, 200, format!("{{\"token\":\"t{}\"}}", seen.user)),
    };
    let worker = |server: fn(&Seen) -> Reply| {
        let part = Part { worker: 0, workers: 1 };
        let (script, interrupt) = (&script, &interrupt);
        static NEVER: AtomicBool = AtomicBool::new(false);
        let stop = &NEVER;
        let setup = Setup {
            script,
            part,
            connections: 2,
            timeout_ns: S,
            ready_by_ns: u64::MAX,
            interrupt,
            stop,
            ready: None,
        };
        Worker { transport: Mock::new(server), setup, credentials: Arc::default() }
    };
    let mut logins = worker(answers);
    let record = logins.login(0, 5, Keep::Credentials).unwrap();
    assert_eq!((record.users, record.service.count(), record.credential_bytes), (5, 5, 10));
    assert_eq!(record.service.quantile_ns(1.0) / MS, 800, "the request for the token is not in it");
    for user in 0..5u64 {
        let held = format!("t{user}\nc{user}");
        assert_eq!(logins.credentials.get(user as u32), held.as_bytes());
        let seen: Vec<_> = logins.transport.seen.iter().filter(|seen| seen.user == user).collect();
        let [first, second] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((first.request, first.credential.as_str()), (0, ""));
        assert_eq!((second.request, &second.credential), (1, &format!("c{user}")));
        assert_eq!(first.connection, second.connection);
    }
    for (server, request, outcome, missing) in [
        ((|_| Reply::Never) as fn(&Seen) -> Reply, 0, Outcome::Failed(Failure::Timeout), None),
        (|_| Reply::After(0, 200, "{}".into()), 0, Outcome::NoCredential, Some(0)),
        (|_| Reply::After(0, 200, "{\"csrf\":\"c\"}".into()), 1, Outcome::NoCredential, Some(0)),
        (
            |seen| match seen.request {
                0 => Reply::After(0, 200, "{\"csrf\":\"c\"}".into()),
                _ => Reply::Never,
            },
            1,
            Outcome::Failed(Failure::Timeout),
            None,
        ),
    ] {
        match worker(server).login(7, 1, Keep::Nothing).unwrap_err() {
            SetupFault::Refused(found) => {
                let found = (found.user, found.request, found.outcome, found.missing);
                assert_eq!(found, (7, request, outcome, missing));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Every user continues with what the answer before gave, and a refusal says how far one came.
#[test]
fn users_prepare_one_request_after_the_other_with_the_credential_of_the_answer_before() {
    let text = r#"
        name = "mock"
        base_url = "http://127.0.0.1:1"
        [login]
        path = "/login"
        fields = {}
        credential = "json:/token"
        send = "header:Authorization: Bearer {credential}"
        [journeys.browse]
        steps = [{ name = "me", path = "/me" }]
        [journeys.grow]
        steps = [
            { name = "add", path = "/add", credential = "json:/token" },
            { name = "look", path = "/look" },
        ]
        "#;
    let target: Target = toml::from_str(text).unwrap();
    let script = Script::prepared(&target, "browse", Some("grow")).unwrap();
    let interrupt = Interrupt::default();
    let run = |server: fn(&Seen) -> Reply| {
        let stop = AtomicBool::new(false);
        let setup = alone(&script, &interrupt, &stop, 2);
        let transport = Mock::new(server);
        let mut worker = Worker { transport, setup, credentials: Arc::default() };
        let route = Route::LogIn { times: 2, keep: Keep::Credentials };
        let outcome = worker.pass(Pass { first: 10, users: 3, route });
        let held = worker.credentials.get(2).to_vec();
        (outcome, held, std::mem::take(&mut worker.transport.seen))
    };
    // Each answer that has a token has the one before with a letter more.
    let answers = |seen: &Seen| match seen.request {
        0 => Reply::After(MS, 200, "{\"token\":\"t\"}".into()),
        1 => Reply::After(MS, 200, format!("{{\"token\":\"{}x\"}}", seen.credential)),
        _ => Reply::After(MS, 200, "{}".into()),
    };
    let (outcome, held, seen) = run(answers);
    let record = outcome.unwrap();
    assert_eq!((record.users, record.credential_bytes), (3, 9), "as they are at the end");
    assert_eq!(record.service.count(), 3, "of the logins alone");
    assert_eq!(held, b"txx");
    let of_one: Vec<_> = seen
        .iter()
        .filter(|seen| seen.user == 12)
        .map(|seen| (seen.request, seen.credential.as_str()))
        .collect();
    assert_eq!(of_one, [(0, ""), (1, "t"), (2, "tx"), (1, "tx"), (2, "txx")]);
    let full = |seen: &Seen| match (seen.request, seen.credential.as_str()) {
        (0, _) => Reply::After(MS, 200, "{\"token\":\"t\"}".into()),
        (1, "tx") => Reply::After(MS, 409, "full".into()),
        (1, _) => Reply::After(MS, 200, "{\"token\":\"tx\"}".into()),
        _ => Reply::After(MS, 200, "{}".into()),
    };
    let SetupFault::Refused(refused) = run(full).0.unwrap_err() else { panic!("not refused") };
    assert_eq!((refused.request, refused.outcome), (1, Outcome::Status(409)));
    assert_eq!((refused.prepared, refused.said.as_str()), (2, "full"));
    let text = crate::setup::refusal(&script, &refused);
    assert!(text.contains("before the load, after 2 requests"), "{text}");
}
