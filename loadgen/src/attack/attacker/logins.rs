//! Logins, logouts and refreshes of a server under attack, right and wrong.

use servers::contract::{Field as Sent, Login as LoginRequest, Refresh, Target, UserPattern};

use super::{Answered, Attacker};
use crate::attack::login::{Login, attempt, log_in};
use crate::attack::request::{Added, Field, rendered, written};
use crate::attack::wire::{Reply, Silence};
use crate::error::Result;
use crate::journey::{Script, Who, field};

impl Attacker<'_> {
    /// Logs a user in.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(in crate::attack) fn log_in(&mut self, user: u64) -> Result<Login> {
        self.log_in_added(user, Added::default())
    }

    /// Logs a user in with these additions.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(in crate::attack) fn log_in_added(&mut self, user: u64, more: Added<'_>) -> Result<Login> {
        log_in(&self.script, &mut self.wire, self.target, user, more)
    }

    /// Logs a user in with this planted where the credential will be.
    ///
    /// # Errors
    /// `Target` where that fails.
    pub(in crate::attack) fn log_in_with(&mut self, user: u64, planted: &[u8]) -> Result<Login> {
        let field = self.carrier(planted);
        self.log_in_added(user, Added { fields: &[field], query: "" })
    }

    /// The name and the password of a user.
    pub(in crate::attack) fn name_and_password(&self, user: u64) -> (String, String) {
        self.script.population.name_and_password(user)
    }

    /// Whether a login is one request, so that its answer says by itself whether it went through.
    pub(in crate::attack) fn logs_in_at_once(&self) -> bool {
        self.target.login.as_ref().is_some_and(LoginRequest::is_one_request)
    }

    /// Whether a login is one request that sends the name and the password of a user as such, so
    /// that others can be sent in their place.
    pub(in crate::attack) fn takes_passwords(&self) -> bool {
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
    pub(in crate::attack) fn try_log_in(&mut self, username: &str, password: &str) -> Answered {
        let (username, password) = (Some(username.into()), Some(password.into()));
        let users = UserPattern { username, password, ..self.target.users.clone() };
        let target = Target { users, ..self.target.clone() };
        let script = Script::new(&target, &self.options.journey)
            .map_err(|e| Silence::Unreachable(e.to_string()))?;
        attempt(&script, &mut self.wire, 0, Added::default()).map(|tried| tried.reply)
    }

    /// Sends the logout with this user's credential.
    pub(in crate::attack) fn log_out(&mut self, login: &Login) -> Option<Answered> {
        self.log_out_with(login, &[])
    }

    /// The same with these further fields.
    pub(in crate::attack) fn log_out_with(
        &mut self,
        login: &Login,
        more: &[Field],
    ) -> Option<Answered> {
        let logout = self.script.logout?;
        let who = Who { n: login.user, credential: login.held() };
        let bytes = written(&self.script, logout, who, Added { fields: more, query: "" });
        Some(self.wire.ask(&bytes))
    }

    /// The answer to a correct login of this user with these further fields.
    pub(in crate::attack) fn try_log_in_with(&mut self, user: u64, more: &[Field]) -> Answered {
        let more = Added { fields: more, query: "" };
        attempt(&self.script, &mut self.wire, user, more).map(|tried| tried.reply)
    }

    /// Sends the logout everywhere with this user's credential.
    pub(in crate::attack) fn log_out_everywhere(&mut self, login: &Login) -> Option<Answered> {
        let logout = Some(self.target.logout_all.clone()?);
        let target = Target { logout, ..self.target.clone() };
        let script = Script::new(&target, &self.options.journey).ok()?;
        let who = Who { n: login.user, credential: login.held() };
        let bytes = written(&script, script.logout?, who, Added::default());
        Some(self.wire.ask(&bytes))
    }

    /// Asks for the next credential with this token; `None` if the server does not refresh.
    pub(in crate::attack) fn refresh(&mut self, token: &str) -> Option<Answered> {
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
    pub(in crate::attack) fn refresh_token(&self, reply: &Reply) -> Option<String> {
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
    pub(in crate::attack) fn logged_out(&self, reply: &Reply) -> bool {
        self.script.logout.is_some_and(|at| self.script.accepts(at, reply.status))
    }

    /// The path, the content type and the body of a right login.
    pub(in crate::attack) fn login_parts(&self) -> Option<(String, String, Vec<u8>)> {
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
    pub(in crate::attack) fn is_login(&self, reply: &Reply) -> bool {
        self.script.login.is_some_and(|at| self.script.accepts(at, reply.status))
    }

    /// Whether a credential is in an answer to a login.
    pub(in crate::attack) fn gives_credential(&self, reply: &Reply) -> bool {
        let Some(at) = self.script.login else { return false };
        let who = Who { n: 0, credential: b"" };
        reply.with(|answer| self.script.capture(at, who, answer)).is_ok()
    }
}
