//! Attacks that need several servers, or time: a logout that another server or the next one has to
//! know of, a store that hangs, credentials that expire.

use std::time::{Duration, Instant};

use super::logout::{log_out, or_owned};
use super::row::{Finding, OR_OWNED, PASSER_BY, Row, knock, replayed, steps};
use crate::attack::attacker::{Answered, Attacker};
use crate::attack::forge::Form;
use crate::attack::options::patiently;
use crate::error::Result;
use crate::proc::{Fleet, Kept, Server};
use crate::record::CaseOutcome::{Accepted, Failed, Property, Refused};

/// How far behind its store a server may be; our arms promise a second.
const BEHIND_MAX: Duration = Duration::from_secs(3);
/// Pause before a credential that was let in is tried again.
const AGAIN: Duration = Duration::from_millis(50);
/// How soon a server has to recover after its store: ten times what ours take, because the machine
/// may be busy.
const BACK_WITHIN: Duration = Duration::from_secs(20);
/// How long a session may be idle in the row about that, and how long a credential lives in the
/// row about that: tokens count in seconds.
const IDLE: Duration = Duration::from_millis(500);
const LIFE: Duration = Duration::from_secs(2);
/// How long a credential is valid at least: a token may lose the rest of a second.
const LIFE_MIN: Duration = Duration::from_millis(900);
/// How long after its end a credential is tried.
const PAST: Duration = Duration::from_millis(200);

/// Servers are started over what they share, their key and their store, as a deployment starts
/// them; so these rows are for arms of ours. What a server cannot know, because its list is its
/// own, is reported as a property, and so is how far behind it may be.
pub(super) fn rows() -> Vec<Row> {
    vec![
        steps("28a", "a second server after a logout at the first", OR_OWNED, second_server),
        steps("28b", "the next server after a logout and a restart", OR_OWNED, next_server),
        steps("31a", "a good credential while the store hangs", "503, and good again", |a| {
            while_hung(a, credential)
        }),
        steps("31b", "a login while the store hangs", "503, and no credential", |a| {
            while_hung(a, login)
        }),
        steps("39a", "a session that was idle for too long", "refused", idle),
        steps("39b", "a credential past its end, in use until then", "refused", past_its_end),
    ]
}

const NOT_OURS: &str = "needs further servers over the same key and store";

/// Starts a server with these further arguments, and returns what attacks it.
fn with_server(
    attacker: &Attacker<'_>,
    arguments: &[&str],
    attack: impl FnOnce(&Fleet, &mut Attacker<'_>) -> Result<Finding>,
) -> Result<Finding> {
    let Some(fleet) = attacker.fleet else { return Ok(Finding::not_applicable(NOT_OURS)) };
    let server = start(fleet, arguments)?;
    attack(fleet, &mut over(attacker, &server)?)
}

fn start(fleet: &Fleet, arguments: &[&str]) -> Result<Server> {
    let mut all = patiently();
    all.extend(arguments.iter().map(ToString::to_string));
    fleet.start(Kept::ALL, &all)
}

/// The same attacker at another server.
fn over<'a>(attacker: &Attacker<'a>, server: &'a Server) -> Result<Attacker<'a>> {
    let Attacker { key, options, interrupt, ends, .. } = *attacker;
    Attacker::new(&server.ready().target, key, options, interrupt, ends)
}

/// What succeeds within [`BACK_WITHIN`] and before this moment, or its last error.
fn soon<T>(ends: Instant, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let since = Instant::now();
    loop {
        match attempt() {
            Err(_) if since.elapsed() < BACK_WITHIN && Instant::now() < ends => {
                std::thread::sleep(AGAIN);
            }
            outcome => return outcome,
        }
    }
}

fn second_server(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let login = attacker.log_in(PASSER_BY)?;
    let Some(fleet) = attacker.fleet else { return Ok(Finding::not_applicable(NOT_OURS)) };
    let server = start(fleet, &[])?;
    let mut there = over(attacker, &server)?;
    if there.good(&login).is_err() {
        return Ok(Finding::not_applicable("a second server does not know the credential at all"));
    }
    match log_out(attacker, &login) {
        Ok(owned) => Ok(until_refused(&mut there, fleet, login.credential(), owned)),
        Err(finding) => Ok(finding),
    }
}

fn next_server(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let Some(fleet) = attacker.fleet else { return Ok(Finding::not_applicable(NOT_OURS)) };
    let (credential, owned) = {
        let server = start(fleet, &[])?;
        let mut there = over(attacker, &server)?;
        let login = there.log_in(PASSER_BY)?;
        match log_out(&mut there, &login) {
            Ok(owned) => (login.credential().to_vec(), owned),
            Err(finding) => return Ok(finding),
        }
    };
    with_server(attacker, &[], |fleet, there| Ok(until_refused(there, fleet, &credential, owned)))
}

/// Whether a credential is refused after a logout on another server, or the server declares that it
/// is not.
fn until_refused(
    there: &mut Attacker<'_>,
    fleet: &Fleet,
    credential: &[u8],
    owned: Option<String>,
) -> Finding {
    let since = Instant::now();
    let mut behind = None;
    loop {
        let mut finding = knock(there, credential);
        if finding.outcome != Accepted {
            if let Some(behind) = behind
                && finding.outcome == Refused
            {
                finding = Finding::new(Property, format!("{}, {}", finding.found, after(behind)));
            }
            return finding;
        }
        if owned.is_some() {
            return or_owned(finding, owned);
        }
        if !fleet.has_store() {
            return Finding::new(Property, format!("{}: its list is its own", finding.found));
        }
        if since.elapsed() > BEHIND_MAX {
            return finding;
        }
        std::thread::sleep(AGAIN);
        behind = Some(since.elapsed());
    }
}

fn after(behind: Duration) -> String {
    format!("after it was let in for up to {:.1} s", behind.as_secs_f64())
}

/// The findings while the store does not answer, and whether the server recovers after it.
fn while_hung(
    attacker: &mut Attacker<'_>,
    attack: fn(&mut Attacker<'_>, Option<&str>) -> Finding,
) -> Result<Finding> {
    let Some(fleet) = attacker.fleet else { return Ok(Finding::not_applicable(NOT_OURS)) };
    let passer_by = attacker.log_in(PASSER_BY)?;
    let owned = match log_out(attacker, &passer_by) {
        Ok(owned) => owned,
        Err(finding) => return Ok(finding),
    };
    if fleet.store_name().is_none() {
        return Ok(Finding::not_applicable("it has no store with a server that could hang"));
    }
    // A server as it is shipped, which gives up soon.
    let server = fleet.start(Kept::ALL, &[])?;
    let mut there = soon(attacker.ends, || over(attacker, &server))?;
    let hung = fleet.hang_store();
    let found = attack(&mut there, owned.as_deref());
    drop(hung);
    let since = Instant::now();
    while let Err(wrong) = there.good(&there.a.clone()) {
        if since.elapsed() > BACK_WITHIN || there.is_time_up() {
            let seconds = since.elapsed().as_secs();
            let found =
                format!("{}; {wrong} for {seconds} s after the store was back", found.found);
            return Ok(Finding::new(Failed, found));
        }
        std::thread::sleep(AGAIN);
    }
    Ok(found)
}

fn credential(attacker: &mut Attacker<'_>, owned: Option<&str>) -> Finding {
    let fields = attacker.fields(attacker.a.credential());
    let since = Instant::now();
    let mut behind = None;
    loop {
        let answered = attacker.ask(&fields);
        let let_in = answered.as_ref().is_ok_and(|reply| attacker.is_for_a(reply));
        if !let_in {
            let found = unavailable(&answered);
            return match behind {
                Some(behind) if found.outcome == Refused => {
                    Finding::new(Property, format!("{}, {}", found.found, after(behind)))
                }
                _ => found,
            };
        }
        if owned.is_some() {
            return Finding::new(Property, "let in: no store is asked about it");
        }
        if since.elapsed() > BEHIND_MAX {
            return Finding::new(Accepted, "let in, though nobody could look it up");
        }
        std::thread::sleep(AGAIN);
        behind = Some(since.elapsed());
    }
}

fn login(attacker: &mut Attacker<'_>, _: Option<&str>) -> Finding {
    let (username, password) = attacker.name_and_password(PASSER_BY);
    let answered = attacker.try_log_in(&username, &password);
    let given = answered.as_ref().is_ok_and(|reply| attacker.gives_credential(reply));
    let is_kept = attacker.form == Form::Id || attacker.target.refresh.is_some();
    if !given {
        unavailable(&answered)
    } else if is_kept {
        Finding::new(Accepted, "a credential that no store has")
    } else {
        Finding::new(Property, "a credential: a login asks no store")
    }
}

/// Whether this says that the store is not there, and when to come again.
fn unavailable(answered: &Answered) -> Finding {
    match answered {
        Ok(reply) if reply.status != 503 => Finding::new(Failed, reply.status.to_string()),
        Ok(reply) if reply.header("retry-after").is_none() => {
            Finding::new(Failed, "503 without Retry-After")
        }
        Ok(_) => Finding::new(Refused, "503"),
        Err(silence) => Finding::new(Failed, silence.to_string()),
    }
}

fn idle(attacker: &mut Attacker<'_>) -> Result<Finding> {
    // A server that keeps no session has no idle timeout either, and refuses the flag.
    let keeps_session = attacker.form == Form::Id;
    let arguments: &[&str] = if keeps_session { &["--idle", "500ms"] } else { &[] };
    with_server(attacker, arguments, |_, there| {
        let login = there.log_in(PASSER_BY)?;
        std::thread::sleep(IDLE + PAST);
        let finding = replayed(there, &login);
        Ok(match finding.outcome {
            Accepted if there.form != Form::Id => {
                Finding::new(Property, "still good: nobody sees whether it is used")
            }
            _ => finding,
        })
    })
}

fn past_its_end(attacker: &mut Attacker<'_>) -> Result<Finding> {
    let arguments = ["--ttl", "2s", "--access-ttl", "2s", "--leeway", "0s"];
    with_server(attacker, &arguments, |_, there| {
        let before = Instant::now();
        let login = there.log_in(PASSER_BY)?;
        let since = Instant::now();
        while before.elapsed() + 2 * AGAIN < LIFE_MIN {
            std::thread::sleep(AGAIN);
            let found = there.good(&login);
            if let Err(found) = found
                && before.elapsed() < LIFE_MIN
            {
                return Ok(Finding::new(Failed, format!("{found} before its end")));
            }
        }
        std::thread::sleep((LIFE + PAST).saturating_sub(since.elapsed()));
        Ok(replayed(there, &login))
    })
}
