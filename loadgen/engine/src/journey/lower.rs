//! Makes a script out of a descriptor, or says why it cannot work.

use contract::{Auth, BodyFormat, CredentialCarrier, Journey, Logout, Share, Step, Target};
use http::Uri;

use super::capture::{Before, Capture, Extract};
use super::login::{self, Logins};
use super::lowering::{AUTHORIZATION, Lowering};
use super::mix;
use super::population::Population;
use super::refreshing;
use super::renewing::Renewing;
use super::{ClientCertificate, Script};
use crate::error::{Error, Result};

impl Script {
    /// Lowers a descriptor and one of its journeys.
    ///
    /// # Errors
    /// `Config` when the address, the journey, a path, a pointer or a header cannot work.
    pub fn new(target: &Target, journey: &str) -> Result<Self> {
        Self::prepared(target, journey, None)
    }

    /// Lowers a descriptor, one of its journeys, and the one that its users make before it.
    ///
    /// # Errors
    /// As [`Script::new`].
    pub fn prepared(target: &Target, journey: &str, prepare: Option<&str>) -> Result<Self> {
        script(target, journey, prepare, false)
            .map_err(|what| Error::Config(format!("target `{}`: {what}", target.name)))
    }

    /// The same for users who renew their credential when it ends during a load, where the
    /// descriptor says how: they hold what that takes.
    ///
    /// # Errors
    /// As [`Script::new`].
    pub fn renewing(target: &Target, journey: &str, prepare: Option<&str>) -> Result<Self> {
        script(target, journey, prepare, true)
            .map_err(|what| Error::Config(format!("target `{}`: {what}", target.name)))
    }
}

/// The share of requests that may end with their connection unless a target says otherwise.
const TRANSPORT_ERRORS: Share = Share::from_ppm(1000);

/// Lowers a descriptor, one of its journeys, and the one that users make before it, where there is
/// one.
///
/// Requests are made in the order in which a user meets them, and each with what is known of the
/// user by then: nothing, then a CSRF token and its cookies, then the credential and what the login
/// left of the others. Where a target has one value per user, that value is all that is held.
fn script(
    target: &Target,
    journey: &str,
    prepare: Option<&str>,
    renews: bool,
) -> Result<Script, String> {
    let (tls, authority) = address(&target.base_url)?;
    let population = Population::new(&target.users).map_err(|what| format!("users: {what}"))?;
    let made = mix::find(target, journey)?;
    let before = prepare.map(|journey| preparing(target, journey)).transpose()?;
    let nobody;
    let target = match before {
        Some(before) if made.anonymous || before.anonymous => {
            return Err(format!(
                "expected users who are logged in to prepare for a journey, found `{journey}` \
                 after {} steps, and one of the two anonymous",
                before.steps.len()
            ));
        }
        _ if made.anonymous => {
            nobody =
                Target { login: None, logout: None, auth: None, refresh: None, ..target.clone() };
            &nobody
        }
        _ => target,
    };
    if target.auth == Some(Auth::Basic) {
        require_basic(target, &population)?;
    }
    let preparing = before.map_or(&[][..], |journey| &journey.steps);
    let after: Vec<Step> = {
        let steps = preparing.iter().chain(&made.steps).cloned();
        steps.chain(target.logout.as_ref().map(logout_step)).collect()
    };
    let renews = renews && (target.refresh.is_some() || target.renewal.is_some());
    let renew = target.cookies.is_some_and(|cookies| cookies.renew);
    for (is_renewed, what) in [(renews, "credentials"), (renew, "cookies")] {
        if is_renewed && target.login.is_none() && !made.anonymous {
            return Err(format!(
                "expected a table [login] for {what} that are renewed, found none"
            ));
        }
    }
    let refresh = target.refresh.as_ref().filter(|_| renews);
    let lowered = target.login.as_ref().map(|login| login::lower(target, login, refresh, &after));
    let has_login = lowered.is_some();
    let Logins { mut requests, csrf, login, known, captured } =
        lowered.transpose()?.unwrap_or_default();
    let login = has_login.then_some(login);
    let logins = 0..requests.len();
    let at = Lowering { target, known: &known, captured: &captured };
    let first = requests.len();
    for step in &after {
        let request =
            replacing(step, &known.fields, renew).and_then(|captures| at.step(step, captures));
        requests.push(request.map_err(|what| format!("step `{}`: {what}", step.name))?);
    }
    let logout = target.logout.as_ref().map(|_| requests.len() - 1);
    let prepare = first..first + preparing.len();
    let steps = prepare.end..logout.unwrap_or(requests.len());
    let mix = made.mix(steps.start);
    let login_concurrency = login_concurrency(target)?;
    let mut renewal = (renews && login.is_some()).then(|| Renewing::new(target)).transpose()?;
    if let Some((renewal, refresh)) = renewal.as_mut().zip(refresh) {
        renewal.refresh = Some(requests.len());
        let request = refreshing::request(at, refresh);
        requests.push(request.map_err(|what| format!("refresh: {what}"))?);
    }
    let name = target.name.clone();
    let client_certificate = client_certificate(target, tls)?;
    let transport_errors_ppm = target.max_transport_errors.unwrap_or(TRANSPORT_ERRORS).ppm();
    Ok(Script {
        name,
        authority,
        tls,
        client_certificate,
        unix_socket: target.unix_socket.clone(),
        requests,
        csrf,
        login,
        logins,
        prepare,
        steps,
        mix,
        logout,
        login_concurrency,
        renew: renew && login.is_some(),
        renewal,
        transport_errors_ppm,
        population,
    })
}

/// Sees that requests can say whose they are by `Authorization: Basic`.
fn require_basic(target: &Target, population: &Population) -> Result<(), String> {
    let send = target.login.as_ref().map(|login| &login.send);
    let is_taken = |name: &str| name.eq_ignore_ascii_case(AUTHORIZATION);
    if matches!(send, Some(CredentialCarrier::Header { name, .. }) if is_taken(name)) {
        return Err(
            "expected one use of the header `Authorization`, found auth = \"basic\" and a \
                    login that sends its credential there; take one of them out"
                .into(),
        );
    }
    population.require_basic()
}

/// The certificate that clients show, where the target names one.
fn client_certificate(target: &Target, tls: bool) -> Result<Option<ClientCertificate>, String> {
    match (&target.client_cert, &target.client_key) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) if !tls => Err(format!(
            "expected an https:// server for a client certificate, found `{}`",
            target.base_url
        )),
        (Some(certificate), Some(key)) => {
            Ok(Some(ClientCertificate { certificate: certificate.clone(), key: key.clone() }))
        }
        (Some(_), None) => Err("expected `client_key` with `client_cert`, found none".into()),
        (None, Some(_)) => Err("expected `client_cert` with `client_key`, found none".into()),
    }
}

/// What is held from the answer to a step on: nothing new, unless it replaces the credential or
/// cookies are renewed. A cookie that was held counts anew where the answer sets it, as with a
/// browser.
fn replacing(step: &Step, held: &[Capture], renew: bool) -> Result<Vec<Capture>, String> {
    let replaced = step.credential.as_ref().map(Extract::new).transpose()?;
    if replaced.is_some() && held.is_empty() {
        return Err("expected no `credential`: nobody logs in who would have one".into());
    } else if replaced.is_none() && !renew {
        return Ok(Vec::new());
    }
    let again = |(index, capture): (usize, &Capture)| {
        // There are no more fields than that: see `Fields::add`.
        let field = u8::try_from(index).unwrap_or(u8::MAX);
        let source = match &capture.source {
            _ if index == 0 && replaced.is_some() => replaced.clone(),
            Some(cookie @ (Extract::Cookie(_) | Extract::Jar(_))) => Some(cookie.clone()),
            _ => None,
        };
        let may_clear = renew && matches!(source, Some(Extract::Cookie(_)));
        let before = if may_clear { Before::Clearable(field) } else { Before::Field(field) };
        Capture { source, before }
    };
    Ok(held.iter().enumerate().map(again).collect())
}

/// Whether an address is spoken to over TLS, and its host and port as they stand there.
fn address(base_url: &str) -> Result<(bool, String), String> {
    let uri: Uri =
        base_url.parse().map_err(|e| format!("base_url `{base_url}` is no address: {e}"))?;
    let refuse =
        || format!("expected base_url as `http://HOST:PORT` or `https://HOST`, found `{base_url}`");
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(refuse()),
    };
    let authority = uri.authority().filter(|_| matches!(uri.path(), "" | "/"));
    let authority = authority.ok_or_else(refuse)?.as_str();
    if authority.contains('@') {
        return Err(format!(
            "expected an address without user and password, found `{base_url}`; a target file says \
             how users log in, and --header sends what a server wants beside"
        ));
    }
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|p| !p.ends_with(']'));
    if port.is_some_and(|port| !matches!(port.parse::<u16>(), Ok(1..))) {
        return Err(format!("expected a port from 1 to 65535, found `{base_url}`"));
    }
    Ok((tls, authority.to_string()))
}

/// The journey that users make before the other.
fn preparing<'a>(target: &'a Target, journey: &str) -> Result<&'a Journey, String> {
    let found = mix::single(target, journey)?;
    if found.steps.is_empty() { Err(format!("journey `{journey}` has no step")) } else { Ok(found) }
}

/// How many users log in at a time, where the target says so.
fn login_concurrency(target: &Target) -> Result<Option<u32>, String> {
    let concurrency = target.login.as_ref().and_then(|login| login.concurrency);
    if concurrency == Some(0) {
        return Err("login: expected `concurrency` of at least 1, found 0".into());
    }
    Ok(concurrency)
}

fn logout_step(logout: &Logout) -> Step {
    Step {
        name: "logout".into(),
        method: logout.method.clone(),
        path: logout.path.clone(),
        headers: logout.headers.clone(),
        body: None,
        format: BodyFormat::Json,
        expect_status: logout.expect_status.clone(),
        check: None,
        credential: None,
    }
}
