//! `cookie-sealed`: the whole session, encrypted and authenticated, in the client's own cookie.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue};

use super::credential::{SessionCookie, cookie};
use super::keys::{Ring, random_secret};
use super::scheme::{
    ArmInfo, CartAnswer, Challenge, Credential, Form, Issued, Reason, Rejection, Revoked, Scheme,
    SchemeOptions,
};
use super::sealing::{NONCE_BYTES, Seal, TAG_BYTES, nonce};
use crate::cart::Cart;
use crate::clock::{Clock, Timestamp};
use crate::contract::{CredentialCarrier, CredentialSource};
use crate::error::ServeError;
use crate::users::{Name, Role, User, UserId};

/// The arm `cookie-sealed`.
pub const INFO: ArmInfo = ArmInfo {
    arm: "cookie-sealed",
    scheme: "cookie-sealed",
    store: None,
    summary: "The session itself in a cookie, sealed with AES-256-GCM; the server keeps nothing.",
    authenticates: true,
    stateful: false,
    revokes: false,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Cookies stay valid if the key does; a key made for the run is gone with it.",
};

/// Most bytes of a cookie with its name and attributes that every browser keeps (RFC 6265, 6.1).
pub const COOKIE_BYTES_MAX: usize = 4096;

/// Version of the form of the bytes.
const VERSION: u8 = 1;
/// Version and key id: what is not encrypted, and is authenticated.
const HEAD_BYTES: usize = 1 + 8;

/// The scheme.
///
/// The cookie is base64url of `version | key id | nonce | ciphertext | tag`. What is sealed is when
/// the session was made, when it ends, the user's facts and the cart, in a form of bytes and not of
/// JSON, because a browser keeps 4,096 bytes and no more. The seal binds the name of the cookie,
/// the version and the key id, so that a value moved to another cookie is worth nothing.
///
/// The server keeps nothing, so nothing can be revoked: a copy of the cookie is good until it
/// expires, and so is an older one with an older cart, which a client may put back. There is no
/// idle timeout, as one would need a new cookie with every answer.
#[derive(Debug)]
pub struct SealedCookies {
    keys: Ring<Seal>,
    cookie: SessionCookie,
    clock: Clock,
    ttl: std::time::Duration,
    leeway: std::time::Duration,
}

/// What a cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The user.
    pub user: User,
    /// The cart.
    pub cart: Cart,
    /// When the session began.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// Opens the arm, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open(options: &SchemeOptions) -> Result<SealedCookies, ServeError> {
    Ok(SealedCookies {
        keys: Ring::prepare(options, random_secret, |key| Seal::prepare(INFO.arm, key))?,
        cookie: SessionCookie::new(options.cookie),
        clock: options.clock.clone(),
        ttl: options.ttl,
        leeway: options.leeway,
    })
}

impl SealedCookies {
    /// The `Set-Cookie` that carries this session.
    ///
    /// # Errors
    /// [`Rejection::CookieFull`]; [`Rejection::Issue`] where there are no random bytes.
    pub fn seal(&self, session: &Opened) -> Result<HeaderValue, Rejection> {
        let key = self.keys.current();
        let mut bytes = Vec::with_capacity(128);
        bytes.push(VERSION);
        bytes.extend_from_slice(key.id.as_bytes());
        let nonce = nonce()?;
        bytes.extend_from_slice(&nonce);
        write(session, &mut bytes)?;
        let length = (bytes.len() + TAG_BYTES).div_ceil(3) * 4;
        let needed = self.cookie.overhead() + length;
        if needed > COOKIE_BYTES_MAX {
            return Err(Rejection::CookieFull { limit: COOKIE_BYTES_MAX, needed });
        }
        let beside = self.beside(&bytes[..HEAD_BYTES]);
        let tag = key.seal(nonce, &beside, &mut bytes[HEAD_BYTES + NONCE_BYTES..])?;
        bytes.extend_from_slice(&tag);
        self.cookie.set(length, |text| URL_SAFE_NO_PAD.encode_string(&bytes, text))
    }

    /// What the value of a cookie says, if it is one of ours and valid now.
    ///
    /// # Errors
    /// [`Rejection::Invalid`].
    pub fn unseal(&self, value: &[u8]) -> Result<Opened, Rejection> {
        self.check(value).map_err(Rejection::Invalid)
    }

    fn check(&self, value: &[u8]) -> Result<Opened, Reason> {
        // No browser sends more, so nothing longer is worth decoding.
        if value.len() > COOKIE_BYTES_MAX {
            return Err(Reason::Shape);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(value).map_err(|_| Reason::Shape)?;
        let (head, rest) = bytes.split_at_mut_checked(HEAD_BYTES).ok_or(Reason::Shape)?;
        if head[0] != VERSION {
            return Err(Reason::Type);
        }
        let key = self.keys.find(|key| key.id.as_bytes() == &head[1..]).ok_or(Reason::Key)?;
        let (nonce, sealed) = rest.split_at_mut_checked(NONCE_BYTES).ok_or(Reason::Shape)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(&*nonce).map_err(|_| Reason::Shape)?;
        let text = key.open(nonce, &self.beside(head), sealed)?;
        let session = read(text).ok_or(Reason::Claims)?;
        self.check_times(&session)?;
        Ok(session)
    }

    /// What the seal binds without hiding it: the cookie's name, a NUL, version and key id.
    fn beside(&self, head: &[u8]) -> Vec<u8> {
        [self.cookie.name.as_bytes(), &[0], head].concat()
    }

    /// The rules of a token's times, since another server's clock may have set them.
    fn check_times(&self, session: &Opened) -> Result<(), Reason> {
        let now = self.clock.now();
        let ends_in_time = session.expires <= session.created.plus(self.ttl);
        if now >= session.expires.plus(self.leeway) || !ends_in_time {
            return Err(Reason::Expired);
        }
        if now.plus(self.leeway) < session.created {
            return Err(Reason::NotYet);
        }
        Ok(())
    }

    fn presented(&self, headers: &HeaderMap) -> Result<Opened, Rejection> {
        self.unseal(cookie(headers, self.cookie.name)?)
    }
}

/// Appends a session: two times in milliseconds, the user's number and role, and then texts, each
/// after a byte that says how long it is: the name, and the items of the cart.
fn write(session: &Opened, bytes: &mut Vec<u8>) -> Result<(), Rejection> {
    bytes.extend_from_slice(&session.created.millis().to_be_bytes());
    bytes.extend_from_slice(&session.expires.millis().to_be_bytes());
    bytes.extend_from_slice(&session.user.id.number().to_be_bytes());
    bytes.push(u8::from(session.user.role == Role::Admin));
    let items = session.cart.items().iter().map(|item| &**item);
    for text in std::iter::once(session.user.name.as_str()).chain(items) {
        bytes.push(u8::try_from(text.len()).map_err(|_| Rejection::Issue)?);
        bytes.extend_from_slice(text.as_bytes());
    }
    Ok(())
}

/// Reads what [`write`] wrote, and nothing else.
fn read(bytes: &[u8]) -> Option<Opened> {
    let (created, bytes) = bytes.split_first_chunk()?;
    let (expires, bytes) = bytes.split_first_chunk()?;
    let (id, bytes) = bytes.split_first_chunk()?;
    let (role, mut bytes) = bytes.split_first()?;
    let role = match role {
        0 => Role::Member,
        1 => Role::Admin,
        _ => return None,
    };
    let mut texts = Vec::new();
    while let Some((&length, rest)) = bytes.split_first() {
        let (text, rest) = rest.split_at_checked(length.into())?;
        texts.push(str::from_utf8(text).ok()?);
        bytes = rest;
    }
    let (name, items) = texts.split_first()?;
    let id = UserId::new(u32::from_be_bytes(*id))?;
    Some(Opened {
        user: User { id, name: Name::new(name)?, role },
        cart: Cart::of(items.iter().copied()).ok()?,
        created: Timestamp::from_millis(u64::from_be_bytes(*created)),
        expires: Timestamp::from_millis(u64::from_be_bytes(*expires)),
    })
}

impl Scheme for SealedCookies {
    const CHALLENGE: Challenge = Challenge {
        missing: "Session realm=\"authbench\"",
        invalid: "Session realm=\"authbench\"",
    };
    const IN_COOKIE: bool = true;

    fn credential(&self) -> Credential {
        Credential {
            source: CredentialSource::Cookie(self.cookie.name.into()),
            carrier: CredentialCarrier::Cookie(self.cookie.name.into()),
        }
    }

    fn removal(&self) -> Option<HeaderValue> {
        Some(self.cookie.remove())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!(
            "Cookies are sealed with AES-256-GCM and cannot be revoked; there is no idle timeout; \
             the leeway for clocks is {} s.",
            self.leeway.as_secs_f64()
        )];
        notes.extend(self.cookie.note());
        notes
    }

    async fn issue(&self, user: User, headers: &HeaderMap) -> Result<Issued, Rejection> {
        // The new cookie takes the place of a presented one, even one that another server made.
        if let Err(Rejection::Ambiguous) = self.presented(headers) {
            return Err(Rejection::Ambiguous);
        }
        let created = self.clock.now();
        let expires = created.plus(self.ttl);
        let session = Opened { user, cart: Cart::default(), created, expires };
        Ok(Issued::Cookie(self.seal(&session)?))
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        self.presented(headers).map(|session| session.user)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        self.presented(headers).map(|session| session.cart)
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        let session = self.presented(headers)?;
        let cart = session.cart.with(item)?;
        // The times stay as they were: filling a cart is no login.
        let cookie = self.seal(&Opened { cart: cart.clone(), ..session })?;
        Ok(CartAnswer { cart, reissued: Some(Issued::Cookie(cookie)) })
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        self.presented(headers)?;
        // An honest client forgets its cookie. A thief who has copied it still has it.
        Ok(Revoked::Nothing)
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        self.logout(headers).await
    }
}
