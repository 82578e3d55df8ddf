//! One server under attack: its logged-in users, its refusals, and the meaning of its answers.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::fill;
use servers::contract::{
    CredentialCarrier, Field as Sent, Login as LoginRequest, Refresh, Target, UserPattern,
};

use super::forge::{Form, Token};
use super::key::Key;
use super::login::{Login, attempt, log_in};
use super::options::{Options, Standard};
use super::request::{Field, assembled, rendered, replaced, written};
use super::text::b64;
use super::wire::{Reply, Silence, Wire};

use crate::error::{Error, Interrupt, Result};
use crate::journey::{FIELD_END, Mismatch, Script, Value, Who, field};
use crate::proc::Fleet;
use crate::sanitise::{NAME, fit};

/// Users whom the suite logs in: A, B, and those of the rows that end a session.
const USERS: u64 = 4;
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
        let mut log_in = |user| log_in(&script, &mut wire, target, user, &[]);
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
            refusal: None,
        };
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

    /// Logs a user in.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(super) fn log_in(&mut self, user: u64) -> Result<Login> {
        log_in(&self.script, &mut self.wire, self.target, user, &[])
    }

    /// Logs a user in with this planted where the credential will be.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(super) fn log_in_with(&mut self, user: u64, planted: &[u8]) -> Result<Login> {
        let field = self.carrier(planted);
        log_in(&self.script, &mut self.wire, self.target, user, &[field])
    }

    /// The field that carries a credential, and nothing else.
    pub(super) fn carrier(&self, credential: &[u8]) -> Field {
        match (self.header(), self.cookie()) {
            (Some((name, template)), _) => {
                (name.into(), replaced(template.as_bytes(), b"{credential}", credential))
            }
            (None, name) => {
                let name = name.unwrap_or_default();
                ("Cookie".into(), [name.as_bytes(), b"=", credential].concat())
            }
        }
    }

    /// The name and the password of a user.
    pub(super) fn name_and_password(&self, user: u64) -> (String, String) {
        self.script.population.name_and_password(user)
    }

    /// Whether a login is one request, so that its answer says by itself whether it went through.
    pub(super) fn logs_in_at_once(&self) -> bool {
        self.target.login.as_ref().is_some_and(LoginRequest::is_one_request)
    }

    /// Whether a login is one request that sends the name and the password of a user as such, so
    /// that others can be sent in their place.
    pub(super) fn takes_passwords(&self) -> bool {
        self.target.login.as_ref().filter(|login| login.is_one_request()).is_some_and(|login| {
            let texts: Vec<&str> = login
                .fields
                .values()
                .flat_map(Sent::texts)
                .chain(login.body.as_deref())
                .chain([login.path.as_str()])
                .collect();
            ["{username}", "{password}"].iter().all(|hole| texts.iter().any(|t| t.contains(hole)))
        })
    }

    /// The answer to a login with this name and password, right or not.
    pub(super) fn try_log_in(&mut self, username: &str, password: &str) -> Answered {
        let (username, password) = (Some(username.into()), Some(password.into()));
        let users = UserPattern { username, password, ..self.target.users.clone() };
        let target = Target { users, ..self.target.clone() };
        let script = Script::new(&target, &self.options.journey)
            .map_err(|e| Silence::Unreachable(e.to_string()))?;
        attempt(&script, &mut self.wire, 0, &[]).map(|tried| tried.reply)
    }

    /// Sends the logout with this user's credential.
    pub(super) fn log_out(&mut self, login: &Login) -> Option<Answered> {
        self.log_out_with(login, &[])
    }

    /// The same with these further fields.
    pub(super) fn log_out_with(&mut self, login: &Login, more: &[Field]) -> Option<Answered> {
        let logout = self.script.logout?;
        let who = Who { n: login.user, credential: login.held() };
        let bytes = written(&self.script, logout, who, more);
        Some(self.wire.ask(&bytes))
    }

    /// The answer to a correct login of this user with these further fields.
    pub(super) fn try_log_in_with(&mut self, user: u64, more: &[Field]) -> Answered {
        attempt(&self.script, &mut self.wire, user, more).map(|tried| tried.reply)
    }

    /// Sends the logout everywhere with this user's credential.
    pub(super) fn log_out_everywhere(&mut self, login: &Login) -> Option<Answered> {
        let logout = Some(self.target.logout_all.clone()?);
        let target = Target { logout, ..self.target.clone() };
        let script = Script::new(&target, &self.options.journey).ok()?;
        let who = Who { n: login.user, credential: login.held() };
        let bytes = written(&script, script.logout?, who, &[]);
        Some(self.wire.ask(&bytes))
    }

    /// Asks for the next credential with this token; `None` if the server does not refresh.
    pub(super) fn refresh(&mut self, token: &str) -> Option<Answered> {
        let refresh = self.plain_refresh()?;
        let body = serde_json::json!({ &*refresh.field: token }).to_string();
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            refresh.path,
            self.script.authority,
            body.len()
        );
        Some(self.wire.ask(request.as_bytes()))
    }

    /// The refresh that can be attacked: one whose token is in a field of JSON.
    fn plain_refresh(&self) -> Option<&Refresh> {
        self.target.refresh.as_ref().filter(|refresh| refresh.is_plain())
    }

    /// The token for the next credential in the answer to a login or a refresh.
    pub(super) fn refresh_token(&self, reply: &Reply) -> Option<String> {
        let refresh = self.plain_refresh()?;
        let login = self.target.login.clone()?;
        if ![&login.expect_status, &refresh.expect_status].iter().any(|s| s.accept(reply.status)) {
            return None;
        }
        let login = Some(LoginRequest { credential: refresh.token.clone(), ..login });
        let target = Target { login, ..self.target.clone() };
        let script = Script::new(&target, &self.options.journey).ok()?;
        let who = Who { n: 0, credential: b"" };
        let held = reply.with(|answer| script.capture(script.login?, who, answer).ok())?;
        Some(String::from_utf8_lossy(field(&held, 0)).into_owned())
    }

    /// Whether the answer to the logout is the right one.
    pub(super) fn logged_out(&self, reply: &Reply) -> bool {
        self.script.logout.is_some_and(|at| self.script.accepts(at, reply.status))
    }

    /// The step's fields for this user, with another credential.
    fn fields_of(&self, login: &Login, credential: &[u8]) -> Vec<Field> {
        let mut held = self.mark.clone();
        if let Some(end) = login.held().iter().position(|byte| *byte == FIELD_END) {
            held.extend_from_slice(&login.held()[end..]);
        }
        let who = Who { n: login.user, credential: &held };
        rendered(&self.script, self.step, who)
            .into_iter()
            .map(|(name, value)| (name, replaced(&value, &self.mark, credential)))
            .collect()
    }

    /// A's step with this in the place of the credential.
    pub(super) fn fields(&self, credential: &[u8]) -> Vec<Field> {
        self.fields_of(&self.a, credential)
    }

    /// A's step without what carries the credential.
    pub(super) fn bare(&self) -> Vec<Field> {
        let marked =
            |value: &[u8]| value.windows(self.mark.len()).any(|window| window == self.mark);
        let mut fields = self.fields(&self.mark);
        for (name, value) in &mut fields {
            if name.eq_ignore_ascii_case("cookie") && marked(value) {
                let rest: Vec<_> =
                    value.split(|b| *b == b';').filter(|cookie| !marked(cookie)).collect();
                *value = rest.join(&b';').trim_ascii().to_vec();
            }
        }
        fields.retain(|(name, value)| {
            let empty = name.eq_ignore_ascii_case("cookie") && value.is_empty();
            !marked(value) && !empty
        });
        fields
    }

    /// The header and the text around the credential, where a header of its own carries it.
    pub(super) fn header(&self) -> Option<(&'a str, &'a str)> {
        match self.target.login.as_ref().map(|login| &login.send) {
            Some(CredentialCarrier::Header { name, template }) => Some((name, template)),
            _ => None,
        }
    }

    /// The cookie that carries the credential.
    pub(super) fn cookie(&self) -> Option<&'a str> {
        match self.target.login.as_ref().map(|login| &login.send) {
            Some(CredentialCarrier::Cookie(name)) => Some(name),
            _ => None,
        }
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

    fn ask_as(&mut self, user: u64, fields: &[Field]) -> Answered {
        let bytes = self.request_of(user, "", fields);
        self.wire.ask(&bytes)
    }

    /// The bytes of the step with these fields and this behind its path.
    pub(super) fn request(&self, query: &str, fields: &[Field]) -> Vec<u8> {
        self.request_of(self.a.user, query, fields)
    }

    fn request_of(&self, user: u64, query: &str, fields: &[Field]) -> Vec<u8> {
        let who = Who { n: user, credential: self.a.held() };
        let request = &self.script.requests[self.step];
        let mut path = Vec::new();
        request.path.write(who, &mut path);
        if !query.is_empty() {
            path.push(if path.contains(&b'?') { b'&' } else { b'?' });
            path.extend_from_slice(query.as_bytes());
        }
        assembled(&self.script, self.step, who, &path, fields)
    }

    /// The method and the path of the step, as they stand in its first line.
    pub(super) fn line(&self) -> String {
        let request = &self.script.requests[self.step];
        let who = Who { n: self.a.user, credential: self.a.held() };
        format!("{} {}", request.method, request.path.text(who))
    }

    /// The host as it stands in a request.
    pub(super) fn authority(&self) -> &str {
        &self.script.authority
    }

    /// The path, the content type and the body of a right login.
    pub(super) fn login_parts(&self) -> Option<(String, String, Vec<u8>)> {
        let at = self.script.login.filter(|_| self.logs_in_at_once())?;
        let request = &self.script.requests[at];
        let who = Who { n: 2, credential: b"" };
        let fields = rendered(&self.script, at, who);
        let kind = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"))?;
        let mut body = Vec::new();
        request.body.as_ref()?.write(who, &mut body);
        Some((request.path.text(who), String::from_utf8_lossy(&kind.1).into_owned(), body))
    }

    /// Whether this is the answer to a login that went through.
    pub(super) fn is_login(&self, reply: &Reply) -> bool {
        self.script.login.is_some_and(|at| self.script.accepts(at, reply.status))
    }

    /// Whether a credential is in an answer to a login.
    pub(super) fn gives_credential(&self, reply: &Reply) -> bool {
        let Some(at) = self.script.login else { return false };
        let who = Who { n: 0, credential: b"" };
        reply.with(|answer| self.script.capture(at, who, answer)).is_ok()
    }

    /// Sends bytes as they are, on a connection of their own.
    pub(super) fn raw(&self, bytes: &[u8]) -> std::result::Result<Vec<Reply>, Silence> {
        self.wire.raw(bytes)
    }

    /// Sends a whole request over the kept connection.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Answered {
        self.wire.ask(bytes)
    }

    fn expects(&self, status: u16) -> bool {
        self.script.accepts(self.step, status)
    }

    /// The user that the answer names; `None` if it names none.
    pub(super) fn whose(&self, reply: &Reply) -> Option<String> {
        if !self.expects(reply.status) {
            return None;
        }
        let check = self.script.requests[self.step].check.as_ref();
        let Some((pointer, Value::Text(_))) = check.and_then(|check| check.json.as_ref()) else {
            return self.is_for_a(reply).then(|| "somebody".into());
        };
        let found = pointer.find(&reply.body).filter(|value| !value.is_empty())?;
        let nobody = (self.anonymous.status == reply.status)
            .then(|| pointer.find(&self.anonymous.body))
            .flatten();
        (nobody.as_ref() != Some(&found)).then(|| fit(&String::from_utf8_lossy(&found), NAME))
    }

    /// Whether it is the right answer for A.
    pub(super) fn is_for_a(&self, reply: &Reply) -> bool {
        let who = Who { n: self.a.user, credential: self.a.held() };
        reply.with(|answer| self.script.judge(self.step, who, answer)).is_ok()
    }
}

fn mark() -> Result<Vec<u8>> {
    let mut bytes = [0; MARK_BYTES];
    fill(&mut bytes).map_err(|_| Error::Bug("no random bytes for a mark".into()))?;
    Ok(b64(bytes).into_bytes())
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
