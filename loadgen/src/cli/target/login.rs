//! Finds the login among recorded calls: a POST with a password whose answer sets a cookie or gives
//! a token, what it is made of, and how later requests carry what it gave.

use serde_json::Value;

use super::har::{Call, Named, fields};

/// A login that was recorded.
#[derive(Clone, Debug)]
pub(super) struct Login {
    /// Its place among the calls.
    pub(super) at: usize,
    /// The fields of its body, which may be nested in JSON.
    pub(super) fields: Vec<(String, Value)>,
    pub(super) is_json: bool,
    /// The name of the field that names the user, and what it was.
    pub(super) username: Option<Named>,
    pub(super) password: Named,
    /// Where the credential is, as a target file says it.
    pub(super) credential: String,
    /// How later requests carry it.
    pub(super) send: String,
    /// The credential itself.
    pub(super) value: String,
    /// The token against forgery that it brings.
    pub(super) csrf: Option<Csrf>,
    /// What a reader should look at.
    pub(super) notes: Vec<String>,
}

/// A token against forgery.
#[derive(Clone, Debug)]
pub(super) struct Csrf {
    /// The place of the call whose answer has it.
    pub(super) at: usize,
    /// Where in that answer.
    pub(super) token: String,
    /// Its value.
    pub(super) value: String,
    /// The header of the login that brings it, if it is not a field of the body.
    pub(super) header: Option<String>,
}

/// Why there is no login to describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoLogin {
    /// Nobody logged in.
    NotRecorded,
    /// Somebody did, and a target file cannot say how.
    Unusable(String),
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn is_password(name: &str) -> bool {
    let name = plain(name);
    name.contains("pass") || name.contains("pwd")
}

fn is_username(name: &str) -> bool {
    let name = plain(name);
    ["user", "mail", "login", "account", "identifier", "phone"]
        .iter()
        .any(|part| name.contains(part))
        || name == "name"
}

/// Whether a field or header of this name has a token against forgery.
pub(super) fn is_csrf(name: &str) -> bool {
    let name = plain(name);
    ["csrf", "xsrf", "authenticitytoken", "requestverificationtoken"]
        .iter()
        .any(|part| name.contains(part))
}

/// The first login that went through.
///
/// # Errors
/// Why none can be described.
pub(super) fn find(calls: &[Call]) -> Result<Login, NoLogin> {
    let mut unusable = None;
    // Who registers sends a password too.
    let is_registration = |call: &Call| {
        let path = call.bare_path().to_lowercase();
        ["register", "registration", "signup", "sign-up", "sign_up"]
            .iter()
            .any(|w| path.contains(w))
    };
    let (last, first): (Vec<_>, Vec<_>) =
        calls.iter().enumerate().partition(|(_, call)| is_registration(call));
    for (at, call) in first.into_iter().chain(last) {
        if call.method != "POST" || call.status >= 400 {
            continue;
        }
        let Some((fields, is_json)) = fields(&call.media_type, &call.body) else { continue };
        match read(calls, at, fields, is_json) {
            Some(Ok(login)) => return Ok(login),
            Some(Err(why)) => unusable = unusable.or(Some(why)),
            None => {}
        }
    }
    Err(unusable.map_or(NoLogin::NotRecorded, NoLogin::Unusable))
}

/// The login that this call is; `None` where it has no password.
fn read(
    calls: &[Call],
    at: usize,
    fields: Vec<(String, Value)>,
    is_json: bool,
) -> Option<Result<Login, String>> {
    let path = calls[at].bare_path();
    let (mut notes, mut texts) = (Vec::new(), Vec::new());
    fields.iter().for_each(|(name, value)| leaves(name, value, &mut texts));
    let password = texts.iter().find(|(name, text)| is_password(name) && !text.is_empty())?.clone();
    let username = texts.iter().find(|(name, text)| is_username(name) && !text.is_empty()).cloned();
    if username.is_none() {
        notes.push("no field of the login names the user: put {username} where it belongs".into());
    }
    let Some((credential, send, value)) = credential(calls, at, &mut notes) else {
        return Some(Err(format!(
            "the answer to the login at {path} sets no cookie and has no token; browsers leave \
             these out of a HAR file unless they are told to keep sensitive data: export it again \
             with them"
        )));
    };
    if fields.iter().any(|(_, value)| has_null(value)) {
        notes.push("fields of the login that are null are left out: TOML has no such value".into());
    }
    let csrf = csrf(calls, at, &texts, &mut notes);
    Some(Ok(Login {
        at,
        fields,
        is_json,
        username,
        password,
        credential,
        send,
        value,
        csrf,
        notes,
    }))
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().any(has_null),
        Value::Array(values) => values.iter().any(has_null),
        _ => false,
    }
}

/// The texts within a value, by the names that are next to them.
fn leaves(name: &str, value: &Value, found: &mut Vec<Named>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, v)| leaves(name, v, found)),
        Value::Array(values) => values.iter().for_each(|value| leaves(name, value, found)),
        value => found.push((name.into(), text(value))),
    }
}

/// A value of JSON as the text of a field.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// Words in the names of what is most likely a credential, the likeliest first.
const TOKENS: [&str; 5] = ["accesstoken", "authtoken", "jwt", "token", "idtoken"];
const SESSIONS: [&str; 4] = ["sess", "sid", "auth", "token"];
/// A text of an answer that is shorter is no credential.
const VALUE_LEAST: usize = 8;

/// Where the login's answer has the credential, how later requests carry it, and what it is.
fn credential(
    calls: &[Call],
    at: usize,
    notes: &mut Vec<String>,
) -> Option<(String, String, String)> {
    let (login, later) = (&calls[at], &calls[at + 1..]);
    let later = || later.iter().filter(|call| call.origin == login.origin);
    let texts =
        login.answer_texts().into_iter().map(|(place, text)| (format!("json:{place}"), text));
    let own = |name: &str| !["set-cookie", "location", "date", "etag"].contains(&name);
    let headers = login.answer_headers.iter().filter(|(name, _)| own(&name.to_lowercase()));
    let headers = headers.map(|(name, text)| (format!("header:{name}"), text.clone()));
    let values: Vec<Named> =
        texts.chain(headers).filter(|(_, text)| text.len() >= VALUE_LEAST).collect();
    // What a later request carries is one.
    for (source, value) in &values {
        let carried = later().find_map(|call| {
            let own = call.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
            let mut own = own.filter(|(_, text)| text.contains(value.as_str()));
            own.next().filter(|(name, _)| !is_csrf(name)).cloned()
        });
        if let Some((name, text)) = carried {
            let template = text.replace(value.as_str(), "{credential}");
            return Some((source.clone(), format!("header:{name}: {template}"), value.clone()));
        }
    }
    let mut cookies: Vec<(&str, &str)> = login.new_cookies();
    cookies.retain(|(name, _)| !is_csrf(name));
    let carried = |cookie: &&(&str, &str)| later().any(|call| call.cookies().contains(cookie));
    let is_session = |(name, _): &&(&str, &str)| SESSIONS.iter().any(|s| plain(name).contains(s));
    let used: Vec<_> = cookies.iter().filter(carried).copied().collect();
    let chosen = used.iter().find(is_session).or(used.first()).copied();
    let named = TOKENS.iter().find_map(|token| {
        values.iter().find(|(source, _)| {
            let last = source.rsplit('/').next().unwrap_or_default();
            source.starts_with("json:") && plain(last) == *token
        })
    });
    if chosen.is_none()
        && let Some((source, value)) = named
    {
        notes.push("no later request shows how the token is sent: see that `send` is right".into());
        let send = "header:Authorization: Bearer {credential}".into();
        return Some((source.clone(), send, value.clone()));
    }
    let chosen = chosen.or_else(|| cookies.iter().find(is_session).or(cookies.first()).copied());
    let (name, value) = chosen?;
    if cookies.len() > 1 {
        let others: Vec<_> = cookies.iter().map(|(n, _)| *n).filter(|n| *n != name).collect();
        notes.push(format!(
            "the login sets other cookies too, which are not sent: {}",
            others.join(", ")
        ));
    }
    let place = format!("cookie:{name}");
    Some((place.clone(), place, value.into()))
}

/// The token against forgery that a login brings, and the earlier answer that it is from.
fn csrf(calls: &[Call], at: usize, fields: &[Named], notes: &mut Vec<String>) -> Option<Csrf> {
    let login = &calls[at];
    let in_header = login.headers.iter().find(|(name, value)| is_csrf(name) && !value.is_empty());
    let in_field = fields.iter().find(|(name, value)| is_csrf(name) && !value.is_empty());
    let (name, value) = in_field.or(in_header)?;
    let header = in_field.is_none().then(|| name.clone());
    let earlier = calls[..at].iter().enumerate().rev();
    let mut earlier =
        earlier.filter(|(_, call)| call.origin == login.origin && call.method == "GET");
    let found = earlier.find_map(|(place, call)| Some((place, source_of(call, value)?)));
    if found.is_none() {
        notes.push(format!(
            "no earlier answer has the token `{name}` of the login: record from the login page on, \
             or say in [login.csrf] where it is from"
        ));
    }
    let (at, token) = found?;
    Some(Csrf { at, token, value: value.clone(), header })
}

/// Where an answer has a value.
pub(super) fn source_of(call: &Call, value: &str) -> Option<String> {
    let texts = call.answer_texts();
    if let Some((pointer, _)) = texts.iter().find(|(_, text)| text == value) {
        return Some(format!("json:{pointer}"));
    }
    if let Some((name, _)) = call.new_cookies().into_iter().find(|(_, text)| *text == value) {
        return Some(format!("cookie:{name}"));
    }
    named_in_html(&call.answer, value).map(|name| format!("html:{name}"))
}

/// The name of the input or meta element that has this value.
fn named_in_html(page: &str, value: &str) -> Option<String> {
    let tags = page.split('<').filter_map(|tag| tag.split('>').next());
    let mut tags = tags.filter(|tag| tag.starts_with("input") || tag.starts_with("meta"));
    let quoted = [format!("\"{value}\""), format!("'{value}'")];
    let tag = tags.find(|tag| quoted.iter().any(|text| tag.contains(text.as_str())))?;
    let name = tag.split("name=").nth(1)?;
    let quote = name.chars().next().filter(|c| ['"', '\''].contains(c))?;
    name[1..].split(quote).next().map(str::to_string)
}
