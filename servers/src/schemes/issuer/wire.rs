//! What server and issuer say to each other about a user.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::schemes::claims;
use crate::stores::{Session, SessionData};
use crate::users::{Name, Role, User};

/// The facts about a user, as they are sent.
#[derive(Serialize)]
pub(in crate::schemes) struct NewFacts<'a> {
    sub: String,
    username: Name,
    role: Role,
    #[serde(skip_serializing_if = "Cart::is_empty")]
    cart: &'a Cart,
}

impl<'a> NewFacts<'a> {
    pub(in crate::schemes) fn new(user: User, cart: &'a Cart) -> Self {
        Self { sub: user.id.to_string(), username: user.name, role: user.role, cart }
    }

    pub(super) fn of(data: &'a SessionData) -> Self {
        Self::new(data.user, &data.cart)
    }
}

/// The same as they are read.
#[derive(Deserialize)]
pub(in crate::schemes) struct Facts<'a> {
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    cart: Vec<Cow<'a, str>>,
}

impl Facts<'_> {
    /// What they say; `None` where that is no user or no cart.
    pub(in crate::schemes) fn data(&self) -> Option<SessionData> {
        let user = claims::user(&self.sub, &self.username, &self.role).ok()?;
        let cart = Cart::of(self.cart.iter().map(|item| &**item)).ok()?;
        Some(SessionData { user, cart })
    }
}

/// Moments of a session, milliseconds since the epoch. RFC 7662 has `iat` and `exp` in seconds; a
/// session of ours ends at a millisecond, so these stand next to them.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Moments {
    created_ms: u64,
    expires_ms: u64,
    last_seen_ms: u64,
}

impl Moments {
    pub(super) const fn of(session: &Session) -> Self {
        Self {
            created_ms: session.created.millis(),
            expires_ms: session.expires.millis(),
            last_seen_ms: session.last_seen.millis(),
        }
    }

    pub(super) const fn session(self, data: SessionData) -> Session {
        Session {
            data,
            created: Timestamp::from_millis(self.created_ms),
            expires: Timestamp::from_millis(self.expires_ms),
            last_seen: Timestamp::from_millis(self.last_seen_ms),
        }
    }
}

/// An opaque token that is to be valid from now on.
#[derive(Serialize)]
pub(super) struct NewToken<'a> {
    pub(super) token: String,
    pub(super) facts: NewFacts<'a>,
    pub(super) moments: Moments,
}

/// The same as it is read.
#[derive(Deserialize)]
pub(super) struct ReadToken<'a> {
    #[serde(borrow)]
    pub(super) token: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) facts: Facts<'a>,
    pub(super) moments: Moments,
}

/// When a client asks, and after how long without use it takes a token for ended.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) now_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) idle_ms: Option<u64>,
}

/// New facts for a token.
#[derive(Serialize)]
pub(super) struct NewUpdate<'a> {
    pub(super) token: String,
    pub(super) facts: NewFacts<'a>,
    pub(super) asked: Asked,
}

/// The same as they are read.
#[derive(Deserialize)]
pub(super) struct ReadUpdate<'a> {
    #[serde(borrow)]
    pub(super) token: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) facts: Facts<'a>,
    pub(super) asked: Asked,
}

/// What an opaque token stands for (RFC 7662, 2.2).
#[derive(Serialize)]
pub(super) struct Introspection<'a> {
    pub(super) active: bool,
    #[serde(flatten)]
    pub(super) token: Option<Active<'a>>,
}

/// What is said of an active one.
#[derive(Serialize)]
pub(super) struct Active<'a> {
    pub(super) token_type: &'static str,
    #[serde(flatten)]
    pub(super) facts: NewFacts<'a>,
    pub(super) iat: u64,
    pub(super) exp: u64,
    #[serde(flatten)]
    pub(super) moments: Moments,
}

/// The answer as a client reads it. It may hold more than that.
#[derive(Deserialize)]
pub(super) struct Introspected {
    pub(super) active: bool,
}

/// The rest of an answer about an active token.
#[derive(Deserialize)]
pub(super) struct ReadActive<'a> {
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    username: Cow<'a, str>,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    cart: Vec<Cow<'a, str>>,
    created_ms: u64,
    expires_ms: u64,
    last_seen_ms: u64,
}

impl ReadActive<'_> {
    /// The session; `None` where it is not about a user of ours.
    pub(super) fn session(self) -> Option<Session> {
        let Self { sub, username, role, cart, created_ms, expires_ms, last_seen_ms } = self;
        let data = Facts { sub, username, role, cart }.data()?;
        Some(Moments { created_ms, expires_ms, last_seen_ms }.session(data))
    }
}

/// How many tokens were ended, created or found, or whether one was.
#[derive(Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) count: u64,
}

/// What the issuer holds.
#[derive(Serialize, Deserialize)]
pub(super) struct Holdings {
    pub(super) tokens: u64,
    pub(super) swept: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) used_bytes: Option<u64>,
}

/// A token that is to be signed, and its end in seconds.
#[derive(Deserialize)]
pub(super) struct ReadClaims<'a> {
    #[serde(borrow)]
    pub(super) facts: Facts<'a>,
    pub(super) exp: u64,
}
