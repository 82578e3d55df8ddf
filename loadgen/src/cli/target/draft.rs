//! Writes a target file out of recorded calls. No password, token or cookie of the recording may
//! be in it, and every text of the recording is quoted so that no character of it is unseen.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use servers::contract::Target;

use super::har::{Call, Named, bare, decoded, fields};
use super::login::{Login, NoLogin, find, is_csrf, source_of, text};
use super::mask::is_secret;
use crate::journey::Script;
use crate::sanitise::{NAME, fit, visible};

/// A target file, and what its reader should know.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) notes: Vec<String>,
}

/// The journey that is written.
pub(super) const JOURNEY: &str = "browse";
/// Steps that are written; a recording of minutes has hundreds.
const STEPS_MAX: usize = 50;
/// The longest body of a step, bytes.
const BODY_MAX: usize = 16 << 10;
/// What stands where the recording has a secret that nothing here can replace.
const FILL_IN: &str = "FILL-IN";
/// A name or a value that is shorter is not looked for in other texts.
const VALUE_LEAST: usize = 3;

/// Drafts a target file with this name; without one it has the name of the host.
///
/// # Errors
/// Why the recording makes none.
pub(super) fn draft(calls: &[Call]) -> Result<Draft, String> {
    let mut notes = Vec::new();
    let login = match find(calls) {
        Ok(login) => Some(login),
        Err(NoLogin::Unusable(why)) => return Err(why),
        Err(NoLogin::NotRecorded) => {
            notes.push(
                "no login was recorded (a POST with a field such as `password`): the journey is \
                 one without"
                    .into(),
            );
            None
        }
    };
    let origin = match &login {
        Some(login) => calls[login.at].origin.clone(),
        None => usual_origin(calls)?,
    };
    let work = Work { calls, origin: &origin, login: login.as_ref() };
    let text = work.text(&mut notes)?;
    notes.extend(login.into_iter().flat_map(|login| login.notes));
    Ok(Draft { text, notes })
}

/// The origin of most calls that are no scripts and pictures.
fn usual_origin(calls: &[Call]) -> Result<String, String> {
    let dynamic = || calls.iter().filter(|call| !call.is_static());
    let count = |origin: &str| dynamic().filter(|call| call.origin == origin).count();
    let most = dynamic().map(|call| call.origin.as_str()).max_by_key(|origin| count(origin));
    most.map(str::to_string).ok_or_else(|| {
        format!(
            "expected recorded requests with answers, found none but for scripts and pictures \
             among {}; record while you log in and use the site",
            calls.len()
        )
    })
}

/// What a file is made of.
struct Work<'a> {
    calls: &'a [Call],
    origin: &'a str,
    login: Option<&'a Login>,
}

/// A step as it is written, and the request that it is from.
struct Step {
    what: String,
    text: String,
}

impl Work<'_> {
    fn text(&self, notes: &mut Vec<String>) -> Result<String, String> {
        let head = self.head();
        let (mut steps, logout) = self.steps(notes);
        let valid = |steps: &[&Step]| {
            let steps: Vec<_> = steps.iter().map(|step| step.text.as_str()).collect();
            checked(&format!("{head}{}{logout}", steps.concat()))
        };
        // A step that the format cannot express is left out, and the others stay.
        steps.retain(|step| match valid(&[step]) {
            Ok(()) => true,
            Err(why) => {
                notes.push(format!("{} is left out: {}", step.what, why));
                false
            }
        });
        if steps.is_empty() {
            return Err(format!(
                "expected requests after the login that a journey can repeat, found none at {}; \
                 record some while you are logged in",
                self.origin
            ));
        }
        let all: Vec<&Step> = steps.iter().collect();
        valid(&all)?;
        let steps: Vec<_> = steps.into_iter().map(|step| step.text).collect();
        Ok(format!("{head}{}{logout}", steps.concat()))
    }

    /// Everything before the journey.
    fn head(&self) -> String {
        let host = self.origin.split("://").nth(1).unwrap_or(self.origin);
        let mut out = String::from(
            "# Drafted by `authbench target from-har`. Read it through, then try it with\n\
             # `authbench target check FILE`.\n",
        );
        let _ = writeln!(out, "name = {}", quoted(host));
        let _ = writeln!(out, "base_url = {}", quoted(self.origin));
        if let Some(login) = self.login {
            self.add_login(login, &mut out);
        }
        out
    }

    fn add_login(&self, login: &Login, out: &mut String) {
        let call = &self.calls[login.at];
        let username =
            login.username.as_ref().map_or("user-{n}".into(), |(_, name)| numbered(name));
        out.push_str(
            "\n# {n} is the number of a user, from 0. One user was recorded, and no password is\n\
             # kept: make both match users that the server knows.\n[users]\n",
        );
        let _ = writeln!(out, "username = {}", quoted(&username));
        let _ = writeln!(out, "password = \"password-{{n}}\"");
        out.push_str("\n[login]\n");
        let _ = writeln!(out, "path = {}", quoted(&self.path(&call.path)));
        if !login.is_json {
            out.push_str("format = \"form\"\n");
        }
        let fields = login.fields.iter().map(|(name, value)| (name, value));
        let _ = writeln!(out, "fields = {}", self.table(fields));
        if let Some(header) = login.csrf.as_ref().and_then(|csrf| csrf.header.as_ref()) {
            let _ = writeln!(out, "headers = {{ {} = \"{{csrf}}\" }}", quoted(header));
        }
        if call.status != 200 {
            let _ = writeln!(out, "expect_status = {}", call.status);
        }
        let _ = writeln!(out, "credential = {}", quoted(&login.credential));
        let _ = writeln!(out, "send = {}", quoted(&login.send));
        if let Some(csrf) = &login.csrf {
            let before = &self.calls[csrf.at];
            out.push_str("\n[login.csrf]\n");
            let _ = writeln!(out, "path = {}", quoted(&self.path(&before.path)));
            if before.status != 200 && before.status != 304 {
                let _ = writeln!(out, "expect_status = {}", before.status);
            }
            let _ = writeln!(out, "token = {}", quoted(&csrf.token));
            let cookies = before.new_cookies().into_iter().map(|(name, _)| quoted(name));
            let cookies: Vec<_> = cookies.collect();
            if !cookies.is_empty() {
                let _ = writeln!(out, "cookies = [{}]", cookies.join(", "));
            }
            if let Some(source) = self.token_after_login().filter(|token| *token != csrf.token) {
                let _ = writeln!(out, "after_login = {}", quoted(&source));
            }
        }
    }

    /// Where the login's answer has the token that later requests bring, if it is another one.
    fn token_after_login(&self) -> Option<String> {
        let login = self.login?;
        let first = login.csrf.as_ref()?;
        let later = self.calls[login.at + 1..].iter().filter(|call| call.origin == self.origin);
        let tokens = later.flat_map(|call| &call.headers).filter(|(name, _)| is_csrf(name));
        let token = tokens.map(|(_, value)| value).find(|value| **value != first.value)?;
        source_of(&self.calls[login.at], token)
    }

    /// The steps of the journey, and the logout.
    fn steps(&self, notes: &mut Vec<String>) -> (Vec<Step>, String) {
        let first = self.login.map_or(0, |login| login.at + 1);
        let (mut steps, mut logout) = (Vec::<Step>::new(), String::new());
        let (mut elsewhere, mut further) = (0, 0);
        for call in &self.calls[first..] {
            if call.is_static() || call.method == "OPTIONS" {
                continue;
            }
            if call.origin != self.origin {
                elsewhere += 1;
                continue;
            }
            let path = call.bare_path().to_lowercase();
            let ends =
                ["logout", "log-out", "signout", "sign-out"].iter().any(|w| path.contains(w));
            if ends && self.login.is_some() {
                logout = self.logout(call);
                // What comes after it is nobody's.
                break;
            }
            let step = self.step(call);
            if steps.last().is_some_and(|last| last.text == step.text) {
                continue;
            }
            if steps.len() < STEPS_MAX { steps.push(step) } else { further += 1 }
        }
        let own = |name: &str| ["authorization", "cookie"].contains(&name) || is_csrf(name);
        let headers = self.calls[first..].iter().filter(|call| call.origin == self.origin);
        let headers = headers.flat_map(|call| &call.headers).map(|(name, _)| name.to_lowercase());
        let secret: BTreeSet<_> = headers.filter(|name| is_secret(name) && !own(name)).collect();
        if !secret.is_empty() {
            let secret = secret.into_iter().collect::<Vec<_>>().join(", ");
            notes.push(format!("headers that may be secret are left out: {secret}"));
        }
        if elsewhere > 0 {
            notes.push(format!("{elsewhere} requests to other hosts are left out"));
        }
        if further > 0 {
            notes.push(format!("{further} requests after the first {STEPS_MAX} are left out"));
        }
        if steps.iter().any(|step| step.text.contains(FILL_IN)) {
            notes.push(format!("{FILL_IN} stands where the recording had a secret: replace it"));
        }
        (steps, logout)
    }

    fn step(&self, call: &Call) -> Step {
        let path = self.path(&call.path).replace(['{', '}'], "");
        let path = path.split('?').next().unwrap_or_default();
        let last = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("home");
        let name = match call.method.as_str() {
            "GET" => last.to_string(),
            method => format!("{} {last}", method.to_lowercase()),
        };
        let mut out = format!("\n[[journeys.{JOURNEY}.steps]]\n");
        let _ = writeln!(out, "name = {}", quoted(&fit(&name, NAME)));
        if call.method != "GET" {
            let _ = writeln!(out, "method = {}", quoted(&call.method));
        }
        let _ = writeln!(out, "path = {}", quoted(&self.path(&call.path)));
        let mut headers = self.headers(call);
        if !call.body.is_empty() && call.body.len() <= BODY_MAX {
            let (body, is_form) = self.body(call);
            let is_known = is_form || bare(&call.media_type) == "application/json";
            if is_form {
                out.push_str("format = \"form\"\n");
            }
            if !is_known {
                headers.push(("Content-Type".into(), call.media_type.clone()));
            }
            let _ = writeln!(out, "body = {}", quoted(&body));
        }
        if !headers.is_empty() {
            let all: Vec<_> = headers
                .iter()
                .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)))
                .collect();
            let _ = writeln!(out, "headers = {{ {} }}", all.join(", "));
        }
        // Without the browser's cache there is no 304.
        if ![200, 304].contains(&call.status) {
            let _ = writeln!(out, "expect_status = {}", call.status);
        }
        if let Some(pointer) = self.names_the_user(call) {
            let pointer = quoted(&pointer);
            let _ = writeln!(out, "check = {{ json = {pointer}, equals = \"{{username}}\" }}");
        }
        let what = format!("{} {}", call.method, fit(&self.path(&call.path), NAME));
        Step { what, text: out }
    }

    fn logout(&self, call: &Call) -> String {
        let mut out = String::from("\n[logout]\n");
        if call.method != "POST" {
            let _ = writeln!(out, "method = {}", quoted(&call.method));
        }
        let _ = writeln!(out, "path = {}", quoted(&self.path(&call.path)));
        if let Some((name, _)) = call.headers.iter().find(|(name, _)| is_csrf(name))
            && self.login.is_some_and(|login| login.csrf.is_some())
        {
            let _ = writeln!(out, "headers = {{ {} = \"{{csrf}}\" }}", quoted(name));
        }
        if call.status != 204 {
            let _ = writeln!(out, "expect_status = {}", call.status);
        }
        out
    }

    /// Headers that a server may look at, and no browser's own.
    fn headers(&self, call: &Call) -> Vec<Named> {
        let has_token = self.login.is_some_and(|login| login.csrf.is_some());
        let kept = call.headers.iter().filter_map(|(name, value)| {
            let lower = name.to_lowercase();
            match lower.as_str() {
                "x-requested-with" => Some((name.clone(), value.clone())),
                "accept" if value.starts_with("application/") => {
                    Some((name.clone(), value.clone()))
                }
                _ if is_csrf(&lower) && has_token => Some((name.clone(), "{csrf}".into())),
                _ => None,
            }
        });
        kept.collect()
    }

    /// A path and query with the user's name in holes, and no secret.
    fn path(&self, path: &str) -> String {
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        let parts: Vec<_> = path.split('/').map(|part| self.part(part)).collect();
        let mut out = parts.join("/");
        if let Some(query) = query {
            let pairs = query.split('&').map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{}={FILL_IN}", encoded(name)),
                Some((name, value)) => format!("{}={}", encoded(name), self.part(value)),
                None => encoded(pair),
            });
            out.push('?');
            out.push_str(&pairs.collect::<Vec<_>>().join("&"));
        }
        out
    }

    fn part(&self, part: &str) -> String {
        let hole = self.hole(&decoded(part));
        hole.unwrap_or_else(|| encoded(part))
    }

    /// The hole that stands for a value, where it is one of the recorded user's.
    fn hole(&self, value: &str) -> Option<String> {
        let login = self.login?;
        if value.len() < VALUE_LEAST {
            return None;
        }
        let is_name = login.username.as_ref().is_some_and(|(_, name)| name == value);
        let is_token = login.csrf.as_ref().is_some_and(|csrf| csrf.value == value);
        let holes = [
            (is_name, "{username}"),
            (login.password.1 == value, "{password}"),
            (login.value == value, "{credential}"),
            (is_token, "{csrf}"),
        ];
        holes.into_iter().find(|(is_it, _)| *is_it).map(|(_, hole)| hole.into())
    }

    /// The value of a field of the login.
    fn field(&self, name: &str, value: &str) -> String {
        let Some(login) = self.login else { return value.into() };
        if *name == login.password.0 || value == login.password.1 {
            return "{password}".into();
        }
        if login.username.as_ref().is_some_and(|(field, _)| field == name) {
            return "{username}".into();
        }
        let hole = self.hole(value);
        hole.unwrap_or_else(|| if is_secret(name) { FILL_IN.into() } else { value.into() })
    }

    /// Fields of the login as a table of TOML, without those that are null.
    fn table<'v>(&self, fields: impl Iterator<Item = (&'v String, &'v Value)>) -> String {
        let fields = fields.filter_map(|(name, value)| {
            Some(format!("{} = {}", quoted(name), self.value(name, value)?))
        });
        let fields: Vec<_> = fields.collect();
        if fields.is_empty() { "{}".into() } else { format!("{{ {} }}", fields.join(", ")) }
    }

    /// A value of the login in TOML; `None` for one that is null.
    fn value(&self, name: &str, value: &Value) -> Option<String> {
        Some(match value {
            Value::Null => return None,
            Value::Object(fields) => self.table(fields.iter()),
            Value::Array(values) => {
                let values = values.iter().filter_map(|value| self.value(name, value));
                format!("[{}]", values.collect::<Vec<_>>().join(", "))
            }
            value => {
                let recorded = text(value);
                let written = self.field(name, &recorded);
                let is_kept = written == recorded;
                match value {
                    Value::Bool(_) if is_kept => recorded,
                    // TOML has no larger integers than these.
                    Value::Number(n) if is_kept && (n.is_i64() || n.is_f64()) => recorded,
                    _ => quoted(&written),
                }
            }
        })
    }

    /// A step's body, and whether it is a form.
    fn body(&self, call: &Call) -> (String, bool) {
        if let Ok(mut json @ (Value::Object(_) | Value::Array(_))) =
            serde_json::from_str(&call.body)
        {
            self.fill(&mut json);
            return (json.to_string(), false);
        }
        let Some((fields, false)) = fields(&call.media_type, &call.body) else {
            let mut text = call.body.clone();
            if let Some(login) = self.login {
                let secrets = [&login.password.1, &login.value];
                let secrets = secrets.iter().filter(|secret| secret.len() >= VALUE_LEAST);
                secrets.for_each(|secret| text = text.replace(secret.as_str(), FILL_IN));
            }
            return (text, false);
        };
        let pairs = fields.iter().map(|(name, value)| {
            let value = value.as_str().unwrap_or_default();
            let value = match self.hole(value) {
                Some(hole) => hole,
                None if is_secret(name) => FILL_IN.into(),
                None => encoded_value(value),
            };
            format!("{}={value}", encoded_value(name))
        });
        (pairs.collect::<Vec<_>>().join("&"), true)
    }

    fn fill(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(hole) = self.hole(text) {
                    *text = hole;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.fill(value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.fill(value);
                    let is_filled = value.as_str().is_some_and(|text| text.starts_with('{'));
                    let is_plain = !value.is_object() && !value.is_array() && !value.is_null();
                    if is_secret(name) && is_plain && !is_filled {
                        *value = FILL_IN.into();
                    }
                }
            }
            _ => {}
        }
    }

    /// Where an answer names the user.
    fn names_the_user(&self, call: &Call) -> Option<String> {
        let (_, name) = self.login?.username.as_ref()?;
        let mut texts = call.answer_texts().into_iter();
        texts.find(|(_, text)| text == name).map(|(pointer, _)| pointer)
    }
}

/// Whether a text is a target file that works.
fn checked(text: &str) -> Result<(), String> {
    let target: Target = toml::from_str(text).map_err(|e| e.message().to_string())?;
    Script::new(&target, JOURNEY).map(drop).map_err(|e| e.to_string())
}

/// A name with a hole for the number of a user: in place of the number at its end, or behind it.
fn numbered(name: &str) -> String {
    let name = name.replace(['{', '}'], "");
    let (local, host) = match name.split_once('@') {
        Some((local, host)) => (local, format!("@{host}")),
        None => (name.as_str(), String::new()),
    };
    let stem = local.trim_end_matches(|c: char| c.is_ascii_digit());
    let between = if stem.len() == local.len() { "-" } else { "" };
    format!("{stem}{between}{{n}}{host}")
}

/// A part of a path as a target file may have it: in ASCII, without braces.
fn encoded(part: &str) -> String {
    let mut out = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_graphic() && !b"{}#\"<>\\^`|".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A name or a value of a form.
fn encoded_value(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-._*".contains(&b) => out.push(char::from(b)),
            b => {
                let _ = write!(out, "%{b:02X}");
            }
        }
    }
    out
}

/// A string of TOML that shows every character of the text: what is not seen is escaped.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    let mut one = [0; 4];
    for c in text.chars() {
        let is_unseen = visible(c.encode_utf8(&mut one)) != c.to_string();
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            _ if is_unseen => {
                let _ = write!(out, "\\U{:08X}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
