//! One server under attack: its logged-in users, its refusals, and the meaning of its answers.

use std::time::Instant;

use aws_lc_rs::rand::fill;
use servers::contract::{
    CredentialCarrier, Field as Sent, Login as LoginRequest, Refresh, Target, UserPattern,
};

use super::forge::{Form, Token};
use super::key::Key;
use super::login::{Login, attempt, log_in};
use super::moment::now;
use super::options::{Options, Standard};
use super::recipe::Person;
use super::request::{Added, Field, assembled, push_query, rendered, replaced, with_body, written};
use super::signed::{Maker, Signed};
use super::text::b64;
use super::wire::{Reply, Silence, Wire};

use crate::error::{Error, Interrupt, Result};
use crate::journey::{FIELD_END, Mismatch, Script, Template, Value, Who, field};
use crate::proc::Fleet;
use crate::sanitise::{NAME, fit};

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

    /// Logs a user in.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(super) fn log_in(&mut self, user: u64) -> Result<Login> {
        self.log_in_added(user, Added::default())
    }

    /// Logs a user in with these additions.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(super) fn log_in_added(&mut self, user: u64, more: Added<'_>) -> Result<Login> {
        log_in(&self.script, &mut self.wire, self.target, user, more)
    }

    /// Logs a user in with this planted where the credential will be.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(super) fn log_in_with(&mut self, user: u64, planted: &[u8]) -> Result<Login> {
        let field = self.carrier(planted);
        self.log_in_added(user, Added { fields: &[field], query: "" })
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
        attempt(&script, &mut self.wire, 0, Added::default()).map(|tried| tried.reply)
    }

    /// Sends the logout with this user's credential.
    pub(super) fn log_out(&mut self, login: &Login) -> Option<Answered> {
        self.log_out_with(login, &[])
    }

    /// The same with these further fields.
    pub(super) fn log_out_with(&mut self, login: &Login, more: &[Field]) -> Option<Answered> {
        let logout = self.script.logout?;
        let who = Who { n: login.user, credential: login.held() };
        let bytes = written(&self.script, logout, who, Added { fields: more, query: "" });
        Some(self.wire.ask(&bytes))
    }

    /// The answer to a correct login of this user with these further fields.
    pub(super) fn try_log_in_with(&mut self, user: u64, more: &[Field]) -> Answered {
        let more = Added { fields: more, query: "" };
        attempt(&self.script, &mut self.wire, user, more).map(|tried| tried.reply)
    }

    /// Sends the logout everywhere with this user's credential.
    pub(super) fn log_out_everywhere(&mut self, login: &Login) -> Option<Answered> {
        let logout = Some(self.target.logout_all.clone()?);
        let target = Target { logout, ..self.target.clone() };
        let script = Script::new(&target, &self.options.journey).ok()?;
        let who = Who { n: login.user, credential: login.held() };
        let bytes = written(&script, script.logout?, who, Added::default());
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
        // A token that was replaced by an answer that failed must not be sent again.
        Some(self.wire.ask_once(request.as_bytes()))
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
    pub(super) fn fields_of(&self, login: &Login, credential: &[u8]) -> Vec<Field> {
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

    pub(super) fn ask_as(&mut self, user: u64, fields: &[Field]) -> Answered {
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
        push_query(&mut path, query);
        assembled(&self.script, self.step, who, &path, fields)
    }

    /// The bytes of the step with these fields and this body.
    pub(super) fn request_with_body(&self, fields: &[Field], body: &[u8]) -> Vec<u8> {
        let who = Who { n: self.a.user, credential: self.a.held() };
        let mut path = Vec::new();
        self.script.requests[self.step].path.write(who, &mut path);
        with_body(&self.script, self.step, &path, fields, body)
    }

    /// The body of the step for A.
    pub(super) fn body(&self) -> Vec<u8> {
        let who = Who { n: self.a.user, credential: self.a.held() };
        let mut body = Vec::new();
        if let Some(template) = &self.script.requests[self.step].body {
            template.write(who, &mut body);
        }
        body
    }

    /// The bytes of B's step with A's credential; `None` if its path names no user.
    pub(super) fn step_of_b(&self) -> Option<Vec<u8>> {
        let path = |user| {
            let who = Who { n: user, credential: self.a.held() };
            let mut path = Vec::new();
            self.script.requests[self.step].path.write(who, &mut path);
            path
        };
        (path(self.a.user) != path(self.b.user))
            .then(|| self.request_of(self.b.user, "", &self.fields(self.a.credential())))
    }

    /// The name and the number of a user, as the server knows them.
    pub(super) fn person(&self, user: u64) -> Person {
        let number = self.script.population.number(user).to_string();
        Person { name: self.name_and_password(user).0, number }
    }

    /// The cookies of A's step, name and value.
    pub(super) fn jar(&self) -> Vec<(String, String)> {
        let fields = self.fields(self.a.credential());
        let cookies = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let texts = cookies.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        let pairs: Vec<String> =
            texts.flat_map(|text| text.split(';').map(str::to_owned).collect::<Vec<_>>()).collect();
        let pairs = pairs.iter().filter_map(|pair| pair.trim().split_once('='));
        pairs.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// A's step with these cookies in the place of its own.
    pub(super) fn with_jar(&self, jar: &[(String, String)]) -> Vec<Field> {
        let mut fields = self.fields(self.a.credential());
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
        let pairs: Vec<String> =
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fields.push(("Cookie".into(), pairs.join("; ").into_bytes()));
        fields
    }

    /// A's cookie, where it is one that a framework signs.
    pub(super) fn signed(&self) -> Option<Signed> {
        let name = self.cookie()?;
        let signature = self.jar().into_iter().find(|(other, _)| *other == format!("{name}.sig"));
        Signed::read(name, &self.a.text(), signature.as_ref().map(|(_, value)| value.as_str()))
    }

    /// How many requests were answered with a 5xx that their repetition did not have.
    pub(super) fn mended(&self) -> usize {
        self.wire.mended()
    }

    /// Whether an answer of the step says for whom it is.
    pub(super) fn is_named(&self) -> bool {
        let check = self.script.requests[self.step].check.as_ref();
        check.is_some_and(|check| {
            let text = |template: &Template| {
                let of_user = |user| template.text(Who { n: user, credential: b"" });
                of_user(self.a.user) != of_user(self.b.user)
            };
            let in_json = match &check.json {
                Some((_, Value::Text(template))) => text(template),
                _ => false,
            };
            in_json || check.contains.as_ref().is_some_and(text)
        })
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
            return self.user_in(reply);
        };
        let found = pointer.find(&reply.body).filter(|value| !value.is_empty())?;
        let nobody = (self.anonymous.status == reply.status)
            .then(|| pointer.find(&self.anonymous.body))
            .flatten();
        (nobody.as_ref() != Some(&found)).then(|| fit(&String::from_utf8_lossy(&found), NAME))
    }

    /// The first user for whom this is the right answer, where no place in it names one.
    fn user_in(&self, reply: &Reply) -> Option<String> {
        if self.is_for_a(reply) {
            return Some("somebody".into());
        }
        if !self.is_named() {
            return None;
        }
        let is_for = |user: &u64| {
            let who = Who { n: *user, credential: self.a.held() };
            reply.with(|answer| self.script.judge(self.step, who, answer)).is_ok()
        };
        let user = (0..OTHERS).find(is_for)?;
        let (name, _) = self.name_and_password(user);
        let name = if name.is_empty() { self.person(user).number } else { name };
        Some(fit(&name, NAME))
    }

    /// Whether it is the right answer for B.
    pub(super) fn is_for_b(&self, reply: &Reply) -> bool {
        let who = Who { n: self.b.user, credential: self.b.held() };
        self.is_named() && reply.with(|answer| self.script.judge(self.step, who, answer)).is_ok()
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
