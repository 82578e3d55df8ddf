//! One server under attack: its logged-in users, its refusals, and the meaning of its answers.

mod logins;
mod requests;
mod verdicts;

use std::time::Instant;

use aws_lc_rs::rand::fill;
use servers::contract::{CredentialCarrier, Target};

use super::forge::{Form, Token};
use super::key::Key;
use super::login::{Login, log_in};
use super::moment::now;
use super::options::{Options, Standard};
use super::request::{Added, Field, written};
use super::signed::Maker;
use super::text::b64;
use super::wire::{Reply, Silence, Wire};
use crate::error::{Error, Interrupt, Result};
use crate::journey::{Mismatch, Script, Who};
use crate::proc::Fleet;

/// Users whom the suite logs in: A, B, and those of the rows that end a session.
const USERS: u64 = 4;
/// Users that an answer may be for; a users' file may have fewer than this, and has four.
const OTHERS: u64 = USERS;
/// How long before its end a credential is replaced, in seconds.
const RENEWED_BEFORE: u64 = 20;
/// Random bytes of a mark.
const MARK_BYTES: usize = 16;

/// An answer, or why none came.
pub(super) type Answered = std::result::Result<Reply, Silence>;

/// A server, and what is known of it.
///
/// All of it comes from the target's descriptor and the server's own answers, so the same code
/// attacks a stranger's server and an arm of ours. A request is the journey's first step with the
/// change that an attack makes.
pub(super) struct Attacker<'a> {
    pub(super) target: &'a Target,
    pub(super) options: &'a Options,
    pub(super) interrupt: &'a Interrupt,
    /// When the suite has to be over.
    pub(super) ends: Instant,
    script: Script,
    step: usize,
    wire: Wire,
    /// A placeholder for a credential that is not known yet. It is random, so no text of a server's
    /// can contain it.
    mark: Vec<u8>,
    pub(super) form: Form,
    pub(super) key: Option<&'a Key>,
    /// What starts further servers of the same arm, where it is one of ours.
    pub(super) fleet: Option<&'a Fleet>,
    /// The credential of A, taken apart where it is a token.
    pub(super) token: Option<Token>,
    pub(super) a: Login,
    pub(super) b: Login,
    /// The answer to a request without a credential.
    pub(super) anonymous: Reply,
    /// The credentials of further logins, once they were asked for, or why they failed.
    pub(super) logins: Option<std::result::Result<Vec<String>, String>>,
    /// Why nothing more can be tried, if the server has shut this client out.
    pub(super) shut_out: Option<String>,
    /// The answer to an invalid credential, with which all other answers are compared.
    pub(super) refusal: Option<Reply>,
}

impl<'a> Attacker<'a> {
    /// Logs two users in, and checks that both are known and no one else is. Nothing is sent after
    /// `ends`.
    ///
    /// # Errors
    /// `Config` where the descriptor cannot be attacked, `Target` where the server does not do what
    /// it says.
    pub(super) fn new(
        target: &'a Target,
        key: Option<&'a Key>,
        options: &'a Options,
        interrupt: &'a Interrupt,
        ends: Instant,
    ) -> Result<Self> {
        let login = target.login.as_ref().ok_or_else(|| {
            Error::Config(format!(
                "target `{}`: expected a [login], found none: without a credential there is \
                 nothing to attack",
                target.name
            ))
        })?;
        let script = Script::new(target, &options.journey)?;
        script.population.require(USERS, "the attack suite", "use another file")?;
        let step = script.steps.start;
        let mut wire = Wire::new(&script, &options.trust, ends)?;
        if options.standard == Standard::Stranger {
            wire = wire.patient();
        }
        let mut log_in = |user| log_in(&script, &mut wire, target, user, Added::default());
        let (a, b) = (log_in(0)?, log_in(1)?);
        let nobody = Reply { status: 0, headers: Vec::new(), body: Vec::new() };
        let in_cookie = matches!(login.send, CredentialCarrier::Cookie(_));
        let form = Form::of(&a.text(), &b.text(), in_cookie);
        let token = Token::read(&a.text(), form, key);
        let mut this = Self {
            target,
            options,
            interrupt,
            ends,
            script,
            step,
            wire,
            mark: mark()?,
            form,
            key,
            fleet: None,
            token,
            a,
            b,
            anonymous: nobody,
            logins: None,
            shut_out: None,
            refusal: None,
        };
        // Its signature is in a second cookie, so the credential alone looks like an id.
        let signed = this.signed().filter(|signed| signed.maker == Maker::CookieSession);
        if form == Form::Id && signed.is_some_and(|signed| signed.says.is_some()) {
            this.form = Form::Sealed;
        }
        this.check_good(&this.a.clone())?;
        this.check_good(&this.b.clone())?;
        let bare = this.bare();
        this.anonymous = this.ask(&bare).map_err(|why| this.broken(&why.to_string()))?;
        if this.script.requests[step].check.is_none() && this.expects(this.anonymous.status) {
            return Err(Error::Config(format!(
                "target `{}`: its first step answers {} without a credential too, so an attack \
                 cannot be told from a refusal; put a step first that needs one, or a check that \
                 names the user",
                this.target.name, this.anonymous.status
            )));
        }
        Ok(this)
    }

    /// Whether the time for the suite is over.
    pub(super) fn is_time_up(&self) -> bool {
        Instant::now() >= self.ends
    }

    pub(super) fn ours(&self) -> bool {
        self.options.standard == Standard::Ours
    }

    fn broken(&self, why: &str) -> Error {
        Error::Target(format!("`{}` cannot be attacked: {why}", self.target.name))
    }

    fn check_good(&mut self, login: &Login) -> Result<()> {
        self.good(login).map_err(|found| {
            self.broken(&format!(
                "a user who has just logged in got the wrong answer to `{}`: found {found}",
                self.script.requests[self.step].name
            ))
        })
    }

    /// Whether this user's own credential is valid and theirs; the finding if not.
    pub(super) fn good(&mut self, login: &Login) -> std::result::Result<(), String> {
        let fields = self.fields_of(login, login.credential());
        let reply = self.ask_as(login.user, &fields).map_err(|why| why.to_string())?;
        let who = Who { n: login.user, credential: login.held() };
        reply.with(|answer| self.script.judge(self.step, who, answer)).map_err(
            |wrong| match wrong {
                Mismatch::Status(status) => status.to_string(),
                _ => format!("{} for somebody else", reply.status),
            },
        )
    }

    /// The answer to the step with these fields.
    pub(super) fn ask(&mut self, fields: &[Field]) -> Answered {
        self.ask_as(self.a.user, fields)
    }

    /// The answers to the step with each of these credentials.
    pub(super) fn ask_all(&mut self, credentials: &[String]) -> Vec<Answered> {
        let request = |credential: &String| {
            self.request_of(self.a.user, "", &self.fields(credential.as_bytes()))
        };
        let requests: Vec<_> = credentials.iter().map(request).collect();
        self.wire.ask_all(&requests)
    }

    pub(super) fn ask_as(&mut self, user: u64, fields: &[Field]) -> Answered {
        let bytes = self.request_of(user, "", fields);
        self.wire.ask(&bytes)
    }

    /// How many requests were answered with a 5xx that their repetition did not have.
    pub(super) fn mended(&self) -> usize {
        self.wire.mended()
    }

    /// Sends bytes as they are, on a connection of their own; once more if a stranger's server
    /// answers with a 5xx.
    pub(super) fn raw(&self, bytes: &[u8]) -> std::result::Result<Vec<Reply>, Silence> {
        let replies = self.wire.raw(bytes)?;
        let is_failed = replies.first().is_some_and(|reply| reply.status >= 500);
        if is_failed && !self.ours() { self.wire.raw(bytes) } else { Ok(replies) }
    }

    /// Whether A's or B's token ends in so many seconds, where that can be read.
    pub(super) fn ends_soon(&self) -> bool {
        let is_near = |login: &Login| {
            let token = Token::read(&login.text(), self.form, None);
            let claims = token.map(|token| token.claims).unwrap_or_default();
            let moment = |name: &str| claims.get(name).and_then(serde_json::Value::as_u64);
            moment("exp").is_some_and(|exp| {
                let life = exp.saturating_sub(moment("iat").unwrap_or_else(now));
                exp <= now() + (life / 2).min(RENEWED_BEFORE)
            })
        };
        is_near(&self.a) || is_near(&self.b)
    }

    /// What stands at this address, or at this path of the server.
    ///
    /// # Errors
    /// Why nothing could be read there.
    pub(super) fn fetched(&self, address: &str) -> std::result::Result<String, String> {
        let (base_url, path) = match address.split_once("://") {
            None => (self.target.base_url.clone(), address.into()),
            Some((scheme, rest)) => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                (format!("{scheme}://{host}"), format!("/{path}"))
            }
        };
        let steps = serde_json::json!([{ "name": "fetched", "path": path }]);
        let target = serde_json::json!({
            "name": self.target.name, "base_url": base_url,
            "journeys": { "fetched": { "anonymous": true, "steps": steps } },
        });
        let target: Target = serde_json::from_value(target).map_err(|e| e.to_string())?;
        let script = Script::new(&target, "fetched").map_err(|e| e.to_string())?;
        let mut wire =
            Wire::new(&script, &self.options.trust, self.ends).map_err(|e| e.to_string())?;
        let who = Who { n: 0, credential: b"" };
        let request = written(&script, script.steps.start, who, Added::default());
        let reply = wire.ask(&request).map_err(|why| why.to_string())?;
        if reply.status != 200 {
            return Err(format!("{} at {address}", reply.status));
        }
        String::from_utf8(reply.body).map_err(|_| format!("no text at {address}"))
    }

    /// Logs A and B in anew.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(super) fn renew(&mut self) -> Result<()> {
        self.a = self.log_in(0)?;
        self.b = self.log_in(1)?;
        self.token = Token::read(&self.a.text(), self.form, self.key);
        Ok(())
    }

    /// Sends a whole request over the kept connection.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Answered {
        self.wire.ask(bytes)
    }
}

fn mark() -> Result<Vec<u8>> {
    let mut bytes = [0; MARK_BYTES];
    fill(&mut bytes).map_err(|_| Error::Bug("no random bytes for a mark".into()))?;
    Ok(b64(bytes).into_bytes())
}
