//! Credentials that end while `run` loads a server, on sockets: how they are renewed, what is said
//! of it, and what a target file may say; and a campaign whose credentials end.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::field::{
    BOTH, answer, authbench, figures, measured, run, server, stderr, stdout, written,
};
use super::sockets::Request;

/// So many requests are answered with one token: a rule without a clock.
const USES: u32 = 10;

/// What a server knows of a user's token, which a login or a refresh gave last.
#[derive(Default)]
struct Given {
    token: String,
    refresh: String,
    uses: u32,
}

/// What a server has seen.
#[derive(Default)]
struct Account {
    users: HashMap<String, Given>,
    given: u32,
    logins: u32,
    refreshes: u32,
    /// Refresh tokens that were not the newest.
    reused: u32,
    asked: u32,
}

impl Account {
    fn give(&mut self, user: &str) -> Given {
        self.given += 1;
        let (token, refresh) =
            (format!("{user}.a{}", self.given), format!("{user}.r{}", self.given));
        let given = || Given { token: token.clone(), refresh: refresh.clone(), uses: 0 };
        self.users.insert(user.into(), given());
        given()
    }

    fn use_token(&mut self, token: &str) -> Vec<u8> {
        self.asked += 1;
        let user = token.split('.').next().unwrap().to_string();
        match self.users.get_mut(&user) {
            Some(given) if given.token == token && given.uses < USES => {
                given.uses += 1;
                answer(200, "", json!({ "user": user }).to_string().as_bytes())
            }
            _ => answer(401, "", b"{}"),
        }
    }

    /// The user of this refresh token, if it is the newest.
    fn rotate(&mut self, refresh: &str) -> Option<String> {
        self.refreshes += 1;
        let user = refresh.split('.').next().unwrap().to_string();
        let is_newest = self.users.get(&user).is_some_and(|given| given.refresh == refresh);
        self.reused += u32::from(!is_newest);
        is_newest.then_some(user)
    }
}

fn tokens(given: &Given) -> Vec<u8> {
    let body = json!({ "token": given.token, "refresh": given.refresh, "expires_in": 3600 });
    answer(200, "", body.to_string().as_bytes())
}

fn in_body(asked: &Request, field: &str) -> String {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    body[field].as_str().unwrap().into()
}

/// A server of tokens; `refresh` answers what is asked of `/refresh`.
fn of_tokens(
    refresh: impl Fn(&mut Account, &Request) -> Vec<u8> + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Account>>) {
    let account = Arc::new(Mutex::new(Account::default()));
    let kept = Arc::clone(&account);
    let (address, _) = server(move |asked| {
        let mut account = kept.lock().unwrap();
        match asked.path() {
            "/login" => {
                account.logins += 1;
                tokens(&account.give(&in_body(asked, "username")))
            }
            "/refresh" => refresh(&mut account, asked),
            _ => {
                let token = asked.values("authorization").concat();
                account.use_token(token.trim_start_matches("Bearer "))
            }
        }
    });
    (address, account)
}

/// What a server does with the refresh token in this field.
fn rotated(account: &mut Account, asked: &Request) -> Vec<u8> {
    match account.rotate(&in_body(asked, "refresh")) {
        Some(user) => tokens(&account.give(&user)),
        None => answer(400, "", b"{}"),
    }
}

/// A descriptor of such a server, with these tables.
fn described(address: SocketAddr, tables: &str) -> String {
    format!(
        "name = 't'\nbase_url = 'http://{address}'\n[login]\npath = '/login'\n\
         fields = {{ username = '{{username}}' }}\ncredential = 'json:/token'\n\
         send = 'header:Authorization: Bearer {{credential}}'\n[journeys.browse]\n\
         steps = [{{ name = 'me', path = '/me', \
         check = {{ json = '/user', equals = '{{username}}' }} }}]\n{tables}"
    )
}

const REFRESH: &str = "[refresh]\npath = '/refresh'\ntoken = 'json:/refresh'\n";
const FIELD: &str = "field = 'refresh'\n";

#[test]
fn tokens_that_end_are_refreshed_in_closed_and_open_loads() {
    let folder = tempfile::tempdir().unwrap();
    let (address, account) = of_tokens(rotated);
    let target = written(folder.path(), &described(address, &[REFRESH, FIELD].concat()));
    let open = ["--rate", "400/s", "--connections", "8"];
    for transport in BOTH {
        for model in [&[][..], &open[..]] {
            *account.lock().unwrap() = Account::default();
            let how = ["--target", &target, "--users", "8", "--transport", transport];
            let output = run(&[&how[..], model, &["--format", "json"]].concat());
            measured(&output);
            let (found, account) = (figures(&output), account.lock().unwrap());
            let renewals = &found["renewals"];
            assert_eq!(found["errors"], json!({}), "{transport}: {found:#}");
            assert_eq!((account.reused, account.logins), (0, 8), "{transport}");
            assert_eq!(renewals["refreshed"], account.refreshes, "{renewals:#}");
            assert!(account.refreshes > 0, "{renewals:#}");
            assert_eq!((&renewals["logged_in"], &renewals["failed"]), (&0.into(), &0.into()));
            let sent = found["counts"]["sent"].as_u64().unwrap();
            let refused = renewals["refused"].as_u64().unwrap();
            assert_eq!(sent + refused, u64::from(account.asked), "{transport}: {found:#}");
            assert!(renewals["time_us"]["p50"].as_f64().unwrap() > 0.0);
        }
    }
    let text = stdout(&run(&["--target", &target, "--users", "2"]));
    for part in ["  renewals     ", " refreshed, 0 logged in again, 0 failed", "  renewal    "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let passed = ["--fail-if", "renewals_failed > 1%", "--fail-if", "renewals_per_s > 1M/s"];
    measured(&run(&[&["--target", &target][..], &passed].concat()));
    let failed = run(&["--target", &target, "--fail-if", "renewals_per_s > 1"]);
    assert!([Some(3), Some(6)].contains(&failed.status.code()), "{}", stderr(&failed));
}

/// Users who come and go: 25 requests each, with a token for ten of them.
#[test]
fn visitors_refresh_their_tokens_and_what_they_had_is_gone_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let (address, account) = of_tokens(rotated);
    for tables in [[REFRESH, FIELD].concat(), "[renewal]\n".into()] {
        let target = written(folder.path(), &described(address, &tables));
        for transport in BOTH {
            *account.lock().unwrap() = Account::default();
            let load = ["--visits", "20/s", "--requests", "25", "--user-choice", "in-turn"];
            let how = ["run", "--allow-debug", "--target", &target, "--users", "100", "-c", "8"];
            let more = ["--duration", "1s", "--transport", transport, "--format", "json"];
            let output = authbench(&[&how[..], &load, &more].concat());
            let (found, account) = (figures(&output), account.lock().unwrap());
            let (visits, renewals) = (&found["visits"], &found["renewals"]);
            assert_eq!(found["errors"], json!({}), "{transport}: {found:#}");
            assert_eq!((&visits["arrived"], &visits["failed"]), (&20.into(), &0.into()));
            // Each of the twenty logged in once by itself.
            assert_eq!(renewals["refreshed"], account.refreshes, "{renewals:#}");
            assert_eq!(renewals["logged_in"], account.logins - 20, "{renewals:#}");
            assert!(account.reused == 0 && account.refreshes + account.logins > 22, "{renewals:#}");
        }
    }
}

#[test]
fn without_a_refresh_or_after_a_refused_one_users_log_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let (address, account) = of_tokens(|_, _| answer(400, "", b"{\"error\":\"invalid_grant\"}"));
    for (tables, fell_back) in
        [("[renewal]\n".to_string(), false), (REFRESH.to_owned() + FIELD, true)]
    {
        *account.lock().unwrap() = Account::default();
        let target = written(folder.path(), &described(address, &tables));
        let output = run(&["--target", &target, "--users", "4", "--format", "json"]);
        measured(&output);
        let (found, account) = (figures(&output), account.lock().unwrap());
        let renewals = &found["renewals"];
        assert_eq!(found["errors"], json!({}), "{found:#}");
        let again = account.logins - 4;
        assert!(again > 1 && renewals["logged_in"] == again, "{renewals:#}");
        assert_eq!(renewals["fell_back"], if fell_back { again } else { 0 });
        assert_eq!(renewals["errors"]["status_400"].as_u64().is_some(), fell_back);
    }
    // As before: a target that says nothing of it renews nothing.
    let target = written(folder.path(), &described(address, ""));
    let found = figures(&run(&["--target", &target, "--users", "4", "--format", "json"]));
    assert!(found["renewals"].is_null() && found["errors"]["status_401"].as_u64() > Some(1));
}

#[test]
fn a_refresh_that_is_down_fails_the_requests_and_not_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (address, account) = of_tokens(|account, asked| {
        account.refreshes += 1;
        if account.refreshes <= 4 {
            return answer(503, "Retry-After: 1\r\n", b"{}");
        }
        rotated(account, asked)
    });
    let target = written(folder.path(), &described(address, &[REFRESH, FIELD].concat()));
    let output = run(&["--target", &target, "--users", "4", "--format", "json"]);
    let found = figures(&output);
    assert_eq!(found["errors"], json!({ "not_renewed": 4 }), "{found:#}");
    assert_eq!(found["renewals"]["failed"], 4);
    assert_eq!(found["renewals"]["errors"], json!({ "status_503": 4 }));
    assert!(found["renewals"]["refreshed"].as_u64() > Some(1), "{found:#}");
    let doubts = found["doubts"].as_array().unwrap();
    assert!(doubts.iter().any(|doubt| doubt["code"] == "renewals_failed"), "{doubts:?}");
    let account = account.lock().unwrap();
    assert_eq!((account.reused, account.logins), (0, 4));
}

/// A form with the client's name, a header, and a cookie of its path.
#[test]
fn a_refresh_token_goes_back_as_the_target_says() {
    let folder = tempfile::tempdir().unwrap();
    let (address, account) = of_tokens(|account, asked| {
        let form = asked.body.strip_prefix("client_id=web&grant_type=refresh_token&refresh=");
        let bearer = asked.values("authorization").concat();
        let token = form.or(bearer.strip_prefix("Bearer ")).unwrap_or_default();
        match account.rotate(token) {
            Some(user) => tokens(&account.give(&user)),
            None => answer(401, "", b"{}"),
        }
    });
    let form = "field = 'refresh'\nformat = 'form'\n\
                fields = { grant_type = 'refresh_token', client_id = 'web' }\n";
    let header = "headers = { Authorization = 'Bearer {refresh_token}' }\n";
    for more in [form, header] {
        *account.lock().unwrap() = Account::default();
        let target = written(folder.path(), &described(address, &[REFRESH, more].concat()));
        let output = run(&["--target", &target, "--users", "2", "--format", "json"]);
        measured(&output);
        let account = account.lock().unwrap();
        assert_eq!(figures(&output)["errors"], json!({}), "{more}");
        assert!(account.reused == 0 && account.logins == 2 && account.refreshes > 1, "{more}");
    }
}

#[test]
fn a_refresh_token_in_a_cookie_goes_back_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let account = Arc::new(Mutex::new(Account::default()));
    let kept = Arc::clone(&account);
    let (address, _) = server(move |asked| {
        let mut account = kept.lock().unwrap();
        let cookie = asked.values("cookie").concat();
        let user = match asked.path() {
            "/login" => {
                account.logins += 1;
                in_body(asked, "username")
            }
            "/refresh" => match account.rotate(cookie.trim_start_matches("rt=")) {
                Some(user) => user,
                None => return answer(401, "", b"{}"),
            },
            _ => {
                let token = asked.values("authorization").concat();
                return account.use_token(token.trim_start_matches("Bearer "));
            }
        };
        let given = account.give(&user);
        let cookie = format!("Set-Cookie: rt={}; Path=/refresh; HttpOnly\r\n", given.refresh);
        answer(200, &cookie, json!({ "token": given.token }).to_string().as_bytes())
    });
    let refresh = "[refresh]\npath = '/refresh'\ntoken = 'cookie:rt'\n";
    for cookies in ["", "[cookies]\n"] {
        *account.lock().unwrap() = Account::default();
        let target = written(folder.path(), &described(address, &[refresh, cookies].concat()));
        let output = run(&["--target", &target, "--users", "2", "--format", "json"]);
        measured(&output);
        let account = account.lock().unwrap();
        assert_eq!(figures(&output)["errors"], json!({}), "{cookies}");
        assert!(account.reused == 0 && account.logins == 2 && account.refreshes > 1);
    }
}

#[test]
fn what_a_target_says_wrongly_of_renewals_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    for (tables, part) in [
        ("[renewal]\nlifetime = 0\n", "found 0"),
        ("[renewal]\nlifetime = 'soon'\n", "expected seconds such as 900, or where an answer"),
        ("[renewal]\nended = []\n", "found an empty list"),
        ("[renewal]\nahaed = 3\n", "did you mean `ahead`?"),
        ("[refresh]\npath = 'x'\ntoken = 'json:/r'\n", "refresh: expected a path"),
        ("[refresh]\npath = '/r'\ntoken = 'json:/token'\nfield = 'r'\n", "elsewhere than the"),
        (
            "[refresh]\npath = '/r'\ntoken = 'json:/r'\nfield = 'r'\nfields = { r = 'x' }\n",
            "in both",
        ),
        (
            "[refresh]\npath = '/r'\ntoken = 'json:/r'\nfields = { r = '{refresh_tokn}' }\n",
            "did you mean {refresh_token}?",
        ),
    ] {
        let target = written(folder.path(), &described(address, tables));
        let refused = run(&["--target", &target]);
        assert_eq!(refused.status.code(), Some(2), "{tables}: {}", stderr(&refused));
        assert!(stderr(&refused).contains(part), "{tables}: {}", stderr(&refused));
    }
    let nobody = format!(
        "name = 't'\nbase_url = 'http://{address}'\n[renewal]\n[journeys.browse]\n\
         steps = [{{ name = 'me', path = '/' }}]\n"
    );
    let refused = run(&["--target", &written(folder.path(), &nobody)]);
    assert!(stderr(&refused).contains("expected a table [login]"), "{}", stderr(&refused));
    // A login without a refresh token ends the run before the load.
    let (address, _) = server(|_| answer(200, "", b"{\"token\":\"t\"}"));
    let target = written(folder.path(), &described(address, &[REFRESH, FIELD].concat()));
    let refused = run(&["--target", &target]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(stderr(&refused).contains("without `json:/refresh`"), "{}", stderr(&refused));
}

/// A second of life; our servers allow two more, for clocks that differ.
#[test]
fn a_campaign_renews_what_ends_and_compares_the_ways() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let arms = "['none', 'session@memory', 'jwt-hs256', 'jwt-refresh@memory']";
    let text = format!(
        "name = 'renewal'\narms = {arms}\n[renewal]\nlifetime = ['1s', '1h']\nusers = 40\n\
         connections = 4\nrate = '400/s'\nblocks = 1\nwarmup = '100ms'\nmeasure = '1500ms'\n"
    );
    fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("campaign")
        .arg(&file)
        .args(["--allow-debug", "--skip-attacks", "--out"])
        .arg(folder.path().join("out"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    // A figure of a debug build on a busy machine may be invalid, which is 3.
    let said = stderr(&output);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
    let entries = fs::read_dir(folder.path().join("out/trials")).unwrap();
    let mut looked_at = 0;
    for entry in entries {
        let record: Value =
            serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let (arm, level) = (&record["trial"]["arm"], &record["trial"]["level"]);
        let load = &record["actions"][0];
        let renewals = &load["renewals"];
        let count = |name: &str| renewals[name].as_u64().unwrap();
        assert_eq!(load["counts"]["errors"], json!({}), "{arm} {level}");
        match (arm.as_str().unwrap(), level.as_u64().unwrap()) {
            ("none", _) => assert!(renewals.is_null()),
            ("session@memory", _) => assert_eq!((count("logged_in"), count("refused")), (0, 0)),
            ("jwt-hs256", 1) => assert!(count("logged_in") >= 20 && count("refreshed") == 0),
            ("jwt-refresh@memory", 1) => {
                assert!(count("refreshed") >= 20 && count("logged_in") == 0, "{renewals:#}");
            }
            _ => assert!(count("logged_in") + count("refreshed") <= 2, "{renewals:#}"),
        }
        if arm == "session@memory" {
            let server = &load["server"];
            assert!(server["store_writes"].as_u64() > Some(100), "each use is written: {server:#}");
        }
        looked_at += 1;
    }
    assert_eq!(looked_at, 10, "four arms and the reference again, at two lifetimes");
    let csv = fs::read_to_string(folder.path().join("out/measurements.csv")).unwrap();
    assert!(csv.contains("renewals_per_s"), "{csv}");
    let page = fs::read_to_string(folder.path().join("out/report.md"));
    assert!(page.is_ok_and(|page| page.contains("What renewing costs")));
}
