//! How the id of a session travels: in the session cookie, or as a bearer token.

use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, HeaderValue};

use super::bearer;
use super::credential::{SessionCookie, bearer, cookie};
use super::scheme::{Challenge, Credential, Issued, Reason, Rejection, SchemeOptions, Token};
use crate::contract::{CredentialCarrier, CredentialSource};
use crate::stores::{SESSION_ID_CHARS, SessionId};

/// Where the credential of a session is.
///
/// What a server does with a session does not depend on it, so `session` is written once and takes
/// a carrier. A carrier also says under which id the store keeps the session of a credential, which
/// need not be the credential itself. It must refuse what is not a credential in form, before any
/// store is asked.
pub trait Carrier: Send + Sync + 'static {
    /// The challenges of a 401.
    const CHALLENGE: Challenge;

    /// Whether it is in a cookie.
    const IN_COOKIE: bool;

    /// The carrier that these options ask for.
    fn new(options: &SchemeOptions) -> Self;

    /// Where the credential is and how it is sent.
    fn credential(&self) -> Credential;

    /// What a reader of figures should know of it.
    fn note(&self) -> Option<String>;

    /// The credential of a request.
    ///
    /// # Errors
    /// [`Rejection::Missing`], [`Rejection::Ambiguous`] or [`Rejection::Invalid`].
    fn presented(&self, headers: &HeaderMap) -> Result<SessionId, Rejection>;

    /// The id under which the store keeps the session of this credential.
    fn stored(credential: SessionId) -> SessionId;

    /// The credential as the answer to a login.
    ///
    /// # Errors
    /// [`Rejection::Issue`].
    fn issue(&self, credential: SessionId) -> Result<Issued, Rejection>;

    /// The `Set-Cookie` that removes the credential from the client, where it is in a cookie.
    fn removal(&self) -> Option<HeaderValue>;
}

/// In the session cookie; the store keeps the session under the id itself.
#[derive(Clone, Copy, Debug)]
pub struct InCookie(SessionCookie);

impl Carrier for InCookie {
    const CHALLENGE: Challenge = Challenge {
        missing: "Session realm=\"authbench\"",
        invalid: "Session realm=\"authbench\"",
    };
    const IN_COOKIE: bool = true;

    fn new(options: &SchemeOptions) -> Self {
        Self(SessionCookie::new(options.cookie))
    }

    fn credential(&self) -> Credential {
        Credential {
            source: CredentialSource::Cookie(self.0.name.into()),
            carrier: CredentialCarrier::Cookie(self.0.name.into()),
        }
    }

    fn note(&self) -> Option<String> {
        self.0.note()
    }

    fn presented(&self, headers: &HeaderMap) -> Result<SessionId, Rejection> {
        parsed(cookie(headers, self.0.name)?)
    }

    fn stored(credential: SessionId) -> SessionId {
        credential
    }

    fn issue(&self, credential: SessionId) -> Result<Issued, Rejection> {
        let cookie = self.0.set(SESSION_ID_CHARS, |text| credential.encode(text))?;
        Ok(Issued::Cookie(cookie))
    }

    fn removal(&self) -> Option<HeaderValue> {
        Some(self.0.remove())
    }
}

/// As a bearer token; the store keeps the session under a digest of it, so that who reads the store
/// has no credential. 128 bits of SHA-256: as many as the token has.
#[derive(Clone, Copy, Debug)]
pub struct AsBearer {
    expires_in: u64,
}

impl Carrier for AsBearer {
    const CHALLENGE: Challenge = bearer::CHALLENGE;
    const IN_COOKIE: bool = false;

    fn new(options: &SchemeOptions) -> Self {
        Self { expires_in: options.ttl.as_secs() }
    }

    fn credential(&self) -> Credential {
        bearer::credential()
    }

    fn note(&self) -> Option<String> {
        Some("The store knows a digest of each token and not the token.".into())
    }

    fn presented(&self, headers: &HeaderMap) -> Result<SessionId, Rejection> {
        parsed(bearer(headers)?)
    }

    fn stored(credential: SessionId) -> SessionId {
        let digest = digest(&SHA256, credential.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        SessionId::from_bytes(id)
    }

    fn issue(&self, credential: SessionId) -> Result<Issued, Rejection> {
        let mut access_token = String::with_capacity(SESSION_ID_CHARS);
        credential.encode(&mut access_token);
        Ok(Issued::Token(Token { access_token, expires_in: self.expires_in, refresh_token: None }))
    }

    fn removal(&self) -> Option<HeaderValue> {
        None
    }
}

/// As a bearer token that is passed on as it is to the store, which knows it: an issuer that is
/// asked what it stands for.
#[derive(Clone, Copy, Debug)]
pub struct PassedOn(AsBearer);

impl Carrier for PassedOn {
    const CHALLENGE: Challenge = AsBearer::CHALLENGE;
    const IN_COOKIE: bool = false;

    fn new(options: &SchemeOptions) -> Self {
        Self(AsBearer::new(options))
    }

    fn credential(&self) -> Credential {
        self.0.credential()
    }

    fn note(&self) -> Option<String> {
        Some("The issuer knows a digest of each token and not the token.".into())
    }

    fn presented(&self, headers: &HeaderMap) -> Result<SessionId, Rejection> {
        self.0.presented(headers)
    }

    fn stored(credential: SessionId) -> SessionId {
        credential
    }

    fn issue(&self, credential: SessionId) -> Result<Issued, Rejection> {
        self.0.issue(credential)
    }

    fn removal(&self) -> Option<HeaderValue> {
        None
    }
}

fn parsed(text: &[u8]) -> Result<SessionId, Rejection> {
    SessionId::parse(text).ok_or(Rejection::Invalid(Reason::Shape))
}
