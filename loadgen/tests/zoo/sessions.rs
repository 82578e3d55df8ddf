//! Logins, logouts, and sessions by an id in a cookie.

use std::time::Duration;

use super::http::{Reply, Request};
use super::{Flaw, Kind, Server, WRONG_MAX, ids};

/// What a password ends with, beyond the 72 bytes that bcrypt reads.
const TAIL: &str = "-of-a-length-that-few-people-would-choose-but-a-manager-of-passwords-would";

/// The password of this user.
pub(super) fn password(user: &str) -> String {
    format!("Pass{TAIL}-{user}")
}

/// The number in `user-7`, or in `7`.
pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_prefix("user-").unwrap_or(name).parse().ok()
}

impl Server {
    pub(super) fn log_in(&self, request: &Request) -> Reply {
        let body = request.json();
        let (name, shown) = (body["username"].as_str().unwrap_or_default(), &body["password"]);
        let Some(user) = number(name).filter(|_| name.starts_with("user-")) else {
            let status = if self.flaw == Flaw::TellsNames { 404 } else { 401 };
            return Reply::new(status, "{}");
        };
        let is_object = self.flaw == Flaw::PasswordObject && !shown.is_string();
        let is_right = shown.as_str().is_some_and(|shown| self.is_right(user, shown));
        let mut wrong = self.wrong.lock().unwrap();
        let count = wrong.entry(name.into()).or_default();
        if self.flaw == Flaw::LocksAccounts && *count >= WRONG_MAX {
            return Reply::new(401, "{}");
        }
        if !is_right && !is_object && self.flaw != Flaw::AnyPassword {
            *count += 1;
            return Reply::new(401, "{}");
        }
        *count = 0;
        drop(wrong);
        match self.kind {
            Kind::Session => self.begin(request, user),
            Kind::Jwt(_) => {
                Reply::new(200, self.tokens.log_in(user)).with("Cache-Control", "no-store")
            }
            Kind::Cookie(_) => self.cookies.log_in(user),
        }
    }

    fn is_right(&self, user: u64, shown: &str) -> bool {
        let right = password(&user.to_string());
        let cut = |text: &str, end: usize| text.as_bytes()[..text.len().min(end)].to_vec();
        match self.flaw {
            Flaw::PasswordPrefix => cut(shown, 8) == cut(&right, 8),
            Flaw::Password72 => cut(shown, 72) == cut(&right, 72),
            Flaw::PasswordCase => shown.eq_ignore_ascii_case(&right),
            Flaw::PasswordTrimmed => shown.trim() == right,
            Flaw::PasswordLonger => shown.starts_with(&right),
            _ => shown == right,
        }
    }

    /// Begins a session.
    fn begin(&self, request: &Request, user: u64) -> Reply {
        let planted = match self.flaw {
            Flaw::FixedByCookie => request.cookie("sid"),
            Flaw::FixedByQuery => request.query("sid"),
            Flaw::FixedByHeader => request.all("x-session-id").next(),
            _ => None,
        };
        let id = planted.unwrap_or_else(|| ids::new(self.flaw, user, self.next()));
        let mut sessions = self.sessions.lock().unwrap();
        if let Some(earlier) = request.cookie("sid") {
            sessions.remove(&earlier);
        }
        sessions.insert(id.clone(), user);
        let attributes = match self.flaw {
            Flaw::NoHttpOnly => "SameSite=Lax; Secure",
            Flaw::NoSameSite => "HttpOnly; Secure",
            _ => "HttpOnly; SameSite=Lax; Secure",
        };
        let mut reply = Reply::new(200, "{}")
            .with("Cache-Control", "no-store")
            .with("Set-Cookie", format!("sid={id}; Path=/; {attributes}"));
        if self.flaw == Flaw::UserInCookie {
            reply = reply.with("Set-Cookie", format!("uid={user}; Path=/"));
        }
        if self.flaw == Flaw::IdInLocation {
            reply = reply.with("Location", format!("/home?sid={id}"));
        }
        reply
    }

    /// Who this request is of, with what else the server believes.
    pub(super) fn named(&self, request: &Request) -> Result<Option<u64>, u16> {
        if self.flaw == Flaw::ProxyHeader
            && let Some(user) = number(&request.field("x-remote-user"))
        {
            return Ok(Some(user));
        }
        let known = self.whose(request)?;
        let Some(user) = known.or((self.flaw == Flaw::Nobody).then_some(0)) else {
            return Ok(None);
        };
        let said = match self.flaw {
            Flaw::UserInQuery => request.query("user"),
            Flaw::UserInHeader => request.all("x-user-id").next(),
            Flaw::UserInBody => request.json()["user"].as_str().map(Into::into),
            Flaw::UserInCookie => request.cookie("uid"),
            Flaw::UserInPath => request.path().strip_prefix("/users/").map(Into::into),
            _ => None,
        };
        Ok(Some(said.and_then(|said| number(&said)).unwrap_or(user)))
    }

    /// Whose session this is.
    pub(super) fn session(&self, request: &Request) -> Result<Option<u64>, u16> {
        let mut id = request.cookie("sid");
        let or = |id: Option<String>, other: Option<String>| id.or(other);
        match self.flaw {
            Flaw::IdInQuery => id = or(id, request.query("sid")),
            Flaw::IdInHeader => id = or(id, request.all("x-session-id").next()),
            _ => {}
        }
        let Some(id) = id else { return Ok(None) };
        let is_hex = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        match self.flaw {
            Flaw::Crashes if !is_hex(&id) => return Err(500),
            // The cookie is all that there is.
            Flaw::UserName | Flaw::Base64User | Flaw::Base64Json => {
                let user = (0..16).find(|user| ids::new(self.flaw, *user, 0) == id);
                return Ok(user);
            }
            _ => {}
        }
        let known = self.sessions.lock().unwrap().get(&id).copied();
        Ok(known.or((self.flaw == Flaw::AnyId).then_some(0)))
    }

    /// Reads the session, takes its time, and writes.
    pub(super) fn change(&self, request: &Request, user: u64) -> Reply {
        if self.kind == Kind::Session {
            std::thread::sleep(Duration::from_millis(3));
            let id = request.cookie("sid").unwrap_or_default();
            let mut sessions = self.sessions.lock().unwrap();
            if self.flaw == Flaw::Resurrects || sessions.contains_key(&id) {
                sessions.insert(id, user);
            }
        }
        Reply::new(200, "{}")
    }

    pub(super) fn log_out(&self, request: &Request) -> Reply {
        if self.flaw != Flaw::LogoutOfNobody
            && let Some(id) = request.cookie("sid")
        {
            self.sessions.lock().unwrap().remove(&id);
        }
        if let Some(token) = request.bearer() {
            self.tokens.log_out(&token);
        }
        Reply::new(200, "{}")
    }

    pub(super) fn log_out_everywhere(&self, request: &Request) -> Reply {
        if self.flaw == Flaw::LogoutOfOne {
            return self.log_out(request);
        }
        if let Ok(Some(user)) = self.session(request) {
            self.sessions.lock().unwrap().retain(|_, owner| *owner != user);
        }
        if let Some(token) = request.bearer() {
            self.tokens.log_out_everywhere(&token);
        }
        Reply::new(200, "{}")
    }
}
