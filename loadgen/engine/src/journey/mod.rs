//! What a user does: a target's descriptor, made into requests that need no more thought.

mod capture;
mod check;
mod holes;
mod html;
mod jar;
mod known;
mod login;
mod lower;
mod lowering;
mod mix;
mod order;
mod population;
mod redirect;
mod refreshing;
mod renewing;
mod scan;
mod template;

use std::ops::Range;
use std::path::PathBuf;

use contract::Statuses;

use check::Lacking;

pub use capture::{Answer, Before, Capture, Extract};
pub use check::{Check, Value};
pub use mix::Mix;
pub use population::Population;
pub use redirect::Astray;
pub use renewing::Renewing;
pub use scan::Pointer;
pub use template::{Escape, FIELD_END, Held, Holes, Template, Who, field};

/// A target's requests, ready to be sent.
///
/// [`Script::new`] lowers a [`Target`](contract::Target) once: every text becomes a [`Template`],
/// every pointer a [`Pointer`], and a descriptor that cannot work is refused before anything is
/// started. While a load runs, a script answers three questions: what does request `r` of user `n`
/// look like, is this the right answer to it, and what has to be held of it. It knows descriptors,
/// never schemes.
#[derive(Clone, Debug)]
pub struct Script {
    /// What reports call the target.
    pub name: String,
    /// Host and port as they stand in the `Host` header.
    pub authority: String,
    /// Whether the target is spoken to over TLS.
    pub tls: bool,
    /// What clients show over TLS; `None`: nothing.
    pub client_certificate: Option<ClientCertificate>,
    /// The Unix socket of the target; `None`: it is at its host and port.
    pub unix_socket: Option<PathBuf>,
    /// Every request there is.
    pub requests: Vec<Request>,
    /// The request before each login that fetches its CSRF token; `None` where it needs none.
    pub csrf: Option<usize>,
    /// The login among them, whose answer gives the credential; `None` where no login is needed.
    pub login: Option<usize>,
    /// All requests of a login, which begins with the first of them.
    pub logins: Range<usize>,
    /// The steps of the journey among them that users make before the other, after their login;
    /// empty where they make none.
    pub prepare: Range<usize>,
    /// The steps of the journey among them; in a mix those of all its journeys.
    pub steps: Range<usize>,
    /// The order of these steps in a mix of journeys; `None`: one after the other.
    pub mix: Option<Mix>,
    /// The logout, which is the last of them but for a refresh; `None` where the descriptor has
    /// none.
    pub logout: Option<usize>,
    /// How many users log in at a time; `None`: as many as there are connections.
    pub login_concurrency: Option<u32>,
    /// Whether answers during a load change the cookies of their users.
    pub renew: bool,
    /// How users renew a credential that ends during a load; `None` where they do not.
    pub renewal: Option<Renewing>,
    /// The share of requests that may end with their connection, millionths.
    pub transport_errors_ppm: u32,
    /// Who the users are.
    pub population: Population,
}

/// The PEM files of a certificate that clients show, and of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those that lead to its issuer.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// One request and what a right answer to it is.
#[derive(Clone, Debug)]
pub struct Request {
    /// What reports call it.
    pub name: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: Template,
    /// Headers but for `Host` and `Content-Length`.
    pub headers: Vec<(String, Template)>,
    /// Body, for a request that has one.
    pub body: Option<Template>,
    /// Statuses of right answers.
    pub expect_status: Statuses,
    /// What is in a right answer.
    pub check: Option<Check>,
    /// What is held of the user from the answer on, in the order of its fields, of which the first
    /// is the credential; empty for a request that changes nothing.
    pub captures: Vec<Capture>,
    /// The request of the login that comes after it; `None` for the last, and outside of logins.
    pub then: Option<usize>,
    /// What to do with a redirect; `None`: it is an answer like others.
    pub redirect: Option<Redirect>,
}

/// How a login follows redirects.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// What is held after one; where it leads is a further field behind these.
    pub captures: Vec<Capture>,
    /// The request that follows it.
    pub request: usize,
    /// How many are followed one after the other.
    pub most: u8,
}

/// Where a user stands in a login after an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Onward {
    /// What is held of the user.
    pub held: Vec<u8>,
    /// The next request of the login; `None` at its end.
    pub next: Option<usize>,
    /// How many redirects led to it.
    pub hops: u8,
}

/// How an answer is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// It has another status than a right answer; this one.
    Status(u16),
    /// It does not name the user who asked.
    WrongUser,
    /// Something else that it is checked for is not there.
    Check,
    /// Its body is in a coding that nobody here decodes, so it cannot be read.
    Encoded,
    /// It lacks this one of the request's captures.
    Missing(u8),
    /// This one of its captures is longer than [`CREDENTIAL_BYTES_MAX`].
    TooLong(u8),
    /// It is a redirect that is not followed.
    Redirect(Astray),
}

/// The longest value that is taken out of an answer, bytes: no server reads a request with a longer
/// one, and every user holds theirs.
pub const CREDENTIAL_BYTES_MAX: usize = 64 << 10;

/// Most characters of a body that a message repeats.
const SAID_MAX: usize = 200;

impl Script {
    /// The journey and the request that come at this place of a load, counted from 0: all users
    /// make the journey's steps in turn, or those of the mix.
    #[inline]
    pub fn step_at(&self, place: u64) -> (u64, u32) {
        if let Some(mix) = &self.mix {
            return mix.step_at(place);
        }
        let steps = self.steps.len() as u64;
        (place / steps, self.steps.start as u32 + (place % steps) as u32)
    }

    /// The place at which a user begins whose draw is this one: the first, or in a mix the first
    /// of any journey, so that not all begin with the same.
    #[inline]
    pub fn begins(&self, draw: u64) -> u64 {
        self.mix.as_ref().map_or(0, |mix| mix.begins(draw))
    }

    /// Scheme, host and port, as a URL begins.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// What to add to its name in a message, where it is at a Unix socket.
    pub fn at_socket(&self) -> String {
        let place = |path: &PathBuf| format!(" at the Unix socket {}", path.display());
        self.unix_socket.as_ref().map(place).unwrap_or_default()
    }

    /// The host, an IPv6 address without its brackets, and the port, the scheme's own where none is
    /// given.
    pub fn host_and_port(&self) -> (&str, u16) {
        let standard = if self.tls { 443 } else { 80 };
        let (host, port) = match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(standard)),
            _ => (self.authority.as_str(), standard),
        };
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }

    /// What an answer to user `n` says, as one line for people, without the user's secrets: where
    /// it leads, for a redirect, or how its body begins.
    pub fn told(&self, n: u64, answer: &Answer<'_>) -> String {
        match answer.header("location") {
            Some(location) if redirect::is_redirect(answer.status) => {
                format!("Location: {}", self.said(n, location))
            }
            _ => self.said(n, answer.body),
        }
    }

    /// How the body of an answer to user `n` begins, as one line for people, without the user's
    /// secrets.
    pub fn said(&self, n: u64, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(&body[..body.len().min(SAID_MAX * 4)]);
        let text = self.population.masked(n, &text);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(SAID_MAX).collect()
    }

    /// Whether the right answer to a request may have this status.
    pub fn accepts(&self, request: usize, status: u16) -> bool {
        self.requests[request].expect_status.accept(status)
    }

    /// Whether `answer` is the right one to request `request` of this user.
    ///
    /// # Errors
    /// How it is wrong.
    pub fn judge(&self, request: usize, who: Who<'_>, answer: &Answer<'_>) -> Result<(), Mismatch> {
        let request = &self.requests[request];
        if !request.expect_status.accept(answer.status) {
            return Err(Mismatch::Status(answer.status));
        }
        let Some(check) = &request.check else { return Ok(()) };
        check.judge(who, answer).map_err(|lacking| match lacking {
            _ if answer.is_encoded() => Mismatch::Encoded,
            Lacking::User => Mismatch::WrongUser,
            Lacking::Other => Mismatch::Check,
        })
    }

    /// Where the answer to a `request` of a login leads, to which `hops` redirects led. `who` has
    /// what was held until then.
    ///
    /// # Errors
    /// How it is wrong.
    pub fn onward(
        &self,
        request: usize,
        hops: u8,
        who: Who<'_>,
        answer: &Answer<'_>,
    ) -> Result<Onward, Mismatch> {
        let asked = &self.requests[request];
        match &asked.redirect {
            Some(followed) if redirect::is_redirect(answer.status) => {
                let location = self.location(request, who, answer).map_err(Mismatch::Redirect)?;
                if hops >= followed.most {
                    return Err(Mismatch::Redirect(Astray::Often));
                }
                let mut held = self.gather(&followed.captures, request, who, answer)?;
                held.push(FIELD_END);
                held.extend_from_slice(&location);
                Ok(Onward { held, next: Some(followed.request), hops: hops + 1 })
            }
            _ => {
                self.judge(request, who, answer)?;
                let held = self.capture(request, who, answer)?;
                Ok(Onward { held, next: asked.then, hops: 0 })
            }
        }
    }

    /// The path that a redirect leads to.
    fn location(
        &self,
        request: usize,
        who: Who<'_>,
        answer: &Answer<'_>,
    ) -> Result<Vec<u8>, Astray> {
        let asked = &self.requests[request];
        let is_repeated = matches!(answer.status, 307 | 308);
        if is_repeated && !matches!(asked.method.as_str(), "GET" | "HEAD") {
            return Err(Astray::Again);
        }
        let location = answer.header("location").ok_or(Astray::Nowhere)?;
        redirect::target(location, &asked.path.bytes(who), &self.origin())
    }

    /// The value of a cookie in what is `held` of a user after the answer to `request`.
    pub fn cookie<'a>(&self, request: usize, held: &'a [u8], name: &str) -> Option<&'a [u8]> {
        let captures = self.requests[request].captures.iter();
        let found = (0u8..).zip(captures).find_map(|(index, capture)| match &capture.source {
            Some(Extract::Cookie(cookie)) if cookie == name => Some(field(held, index)),
            Some(Extract::Jar(_)) => jar::value(field(held, index), name),
            _ => None,
        });
        found.filter(|value| !value.is_empty())
    }

    /// Whether this answer can change what is held of a user.
    pub fn changes(&self, request: usize, answer: &Answer<'_>) -> bool {
        let captures = &self.requests[request].captures;
        let is_of_cookies = || captures.iter().all(Capture::is_of_cookies);
        !captures.is_empty() && (answer.sets_cookies() || !is_of_cookies())
    }

    /// What is held of the user after the answer to `request`: a field for each of its captures,
    /// [`FIELD_END`] between them. A jar behind them is left out while it has no cookies, so that
    /// who has one cookie holds and sends its value and nothing else. `who` has what was held until
    /// then.
    ///
    /// # Errors
    /// `Missing` when a value is not where the descriptor says, is empty, or has a control
    /// character in it; `TooLong` when one is too long.
    pub fn capture(
        &self,
        request: usize,
        who: Who<'_>,
        answer: &Answer<'_>,
    ) -> Result<Vec<u8>, Mismatch> {
        let captures = &self.requests[request].captures;
        let mut held = self.gather(captures, request, who, answer)?;
        let is_jar = captures.last().is_some_and(Capture::is_jar);
        if is_jar && held.last() == Some(&FIELD_END) {
            held.pop();
        }
        Ok(held)
    }

    fn gather(
        &self,
        captures: &[Capture],
        request: usize,
        who: Who<'_>,
        answer: &Answer<'_>,
    ) -> Result<Vec<u8>, Mismatch> {
        let mut held = Vec::new();
        if captures.is_empty() {
            return Ok(held);
        }
        let path = self.requests[request].path.bytes(who);
        for (index, capture) in captures.iter().enumerate() {
            let index = index as u8;
            let missing = || {
                let unreadable = capture.is_in_body() && answer.is_encoded();
                if unreadable { Mismatch::Encoded } else { Mismatch::Missing(index) }
            };
            let value = capture.value(who.credential, &path, answer).ok_or_else(missing)?;
            if value.len() > CREDENTIAL_BYTES_MAX {
                return Err(Mismatch::TooLong(index));
            }
            if index > 0 {
                held.push(FIELD_END);
            }
            held.extend_from_slice(&value);
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests;
