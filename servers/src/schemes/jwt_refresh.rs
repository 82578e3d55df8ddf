//! `jwt-refresh@...`: short HS256 access tokens, and a refresh session that gives out new ones.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::bearer::{self, Tokens};
use super::claims::{Verified, token_id};
use super::credential::bearer;
use super::jwt::SignedTokens;
use super::jwt_hs256;
use super::scheme::{
    ArmInfo, CartAnswer, Challenge, Credential, Form, Issued, Reason, Rejection, Revoked, Scheme,
    SchemeOptions, Token,
};
use crate::cart::Cart;
use crate::clock::Timestamp;
use crate::contract::StoreProcess;
use crate::error::ServeError;
use crate::stores::bounded::Bounded;
use crate::stores::refresh::memory::RefreshMemory;
use crate::stores::refresh::postgres::RefreshPostgres;
use crate::stores::refresh::redis::RefreshRedis;
use crate::stores::refresh::{Family, Housekeeping, RefreshStore, Rotation, SecretDigest};
use crate::stores::{SESSION_ID_CHARS, SessionData, SessionId, Upkeep};
use crate::users::User;

/// The arm `jwt-refresh@memory`.
pub const MEMORY: ArmInfo = ArmInfo {
    arm: "jwt-refresh@memory",
    scheme: "jwt-refresh",
    store: Some("memory"),
    summary: "Short HS256 access tokens, and a rotating refresh token whose session is in memory.",
    authenticates: true,
    stateful: true,
    revokes: false,
    revokes_refresh: true,
    refreshes: true,
    form: Form::Tuned,
    after_restart: "Access tokens stay valid if the key does; nobody can refresh: no sessions.",
};

/// The arm `jwt-refresh@redis`.
pub const REDIS: ArmInfo = ArmInfo {
    arm: "jwt-refresh@redis",
    store: Some("redis"),
    summary: "The same with the refresh sessions in Redis: one round trip per refresh, and shared.",
    after_restart: "Access tokens stay valid if the key does, and everyone can refresh with \
                    `--store-url redis://...`; a Redis that was started for the run is gone.",
    ..MEMORY
};

/// The arm `jwt-refresh@postgres`.
pub const POSTGRES: ArmInfo = ArmInfo {
    arm: "jwt-refresh@postgres",
    store: Some("postgres"),
    summary: "The same with the refresh sessions in a table of PostgreSQL: durable, and shared.",
    after_restart: "Access tokens stay valid if the key does, and everyone can refresh with \
                    `--store-url postgres://...`.",
    ..MEMORY
};

/// How long the refresh token before the current one is only refused, from when it was replaced:
/// 10 s. Two tabs that refresh at once are that far apart at most, a thief hardly ever is.
pub const GRACE: Duration = Duration::from_secs(10);
/// Characters of a refresh token: two numbers of 128 bits and a dot.
pub const REFRESH_TOKEN_CHARS: usize = 2 * SESSION_ID_CHARS + 1;

/// New ids that a login tries before it gives up with a 503.
const BEGIN_TRIES: u32 = 3;

/// The scheme over a store.
///
/// A login begins a refresh session, a family, in a store. Requests carry an access token, and no
/// store is asked about it: that is what the scheme is for, and why an access token that is out
/// outlives its logout, until it expires. `POST /refresh` asks the store, once every few minutes:
/// it replaces the refresh token by another and refuses one that was replaced. A replaced one that
/// is shown later than [`GRACE`] is in two hands, and the server cannot tell which is the thief's,
/// so the family ends.
///
/// A refresh token is opaque: the family's id and a secret, 128 random bits each. The family's id
/// is also the `jti` of its access tokens, so a logout with one of them ends the family. It opens
/// nothing by itself; who has seen it can end the family, by showing a wrong secret, as they could
/// with the access token that it came from. Two access tokens of a family from the same second say
/// the same and are the same text.
///
/// The cart is in the access token and in the family, which has it when the token is gone. So a
/// change of the cart asks the store, and fails after a logout: a slow request brings nothing back.
pub struct RefreshedTokens<St> {
    tokens: SignedTokens,
    families: Arc<St>,
    ttl: Duration,
}

/// Opens `jwt-refresh@memory`, with a random key unless one is given.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
pub async fn open_memory(
    options: &SchemeOptions,
) -> Result<RefreshedTokens<RefreshMemory>, ServeError> {
    RefreshedTokens::new(MEMORY.arm, RefreshMemory::default(), options)
}

/// Opens `jwt-refresh@redis`, in the Redis of the URL or in one that is started for it.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`], and those of
/// [`RefreshRedis::open`].
pub async fn open_redis(
    options: &SchemeOptions,
) -> Result<RefreshedTokens<Bounded<RefreshRedis>>, ServeError> {
    let tokens = access_tokens(REDIS.arm, options)?;
    let (url, patience) = (options.store_url.as_deref(), options.patience);
    let store = RefreshRedis::open(url, options.clock.clone(), patience).await?;
    Ok(RefreshedTokens::over(tokens, Bounded::new(store, patience), options))
}

/// Opens `jwt-refresh@postgres`, at the URL or in a PostgreSQL of its own.
///
/// # Errors
/// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`], and those of
/// [`RefreshPostgres::open`].
pub async fn open_postgres(
    options: &SchemeOptions,
) -> Result<RefreshedTokens<Bounded<RefreshPostgres>>, ServeError> {
    let tokens = access_tokens(POSTGRES.arm, options)?;
    let (url, patience) = (options.store_url.as_deref(), options.patience);
    let store = RefreshPostgres::open(url, patience).await?;
    Ok(RefreshedTokens::over(tokens, Bounded::new(store, patience), options))
}

/// The access tokens of this arm. A wrong key is found before a store is opened or started.
fn access_tokens(arm: &'static str, options: &SchemeOptions) -> Result<SignedTokens, ServeError> {
    let access = SchemeOptions { ttl: options.access_ttl.min(options.ttl), ..options.clone() };
    SignedTokens::open(arm, &jwt_hs256::KIND, &access)
}

/// The two numbers of a refresh token, which have the form of a session id.
struct RefreshToken {
    family: SessionId,
    secret: SessionId,
}

impl RefreshToken {
    /// The next one of a family.
    fn next(family: SessionId) -> Result<Self, Rejection> {
        let secret = SessionId::generate().map_err(|_| Rejection::Issue)?;
        Ok(Self { family, secret })
    }

    /// Reads the one text that [`RefreshToken::text`] writes for it.
    fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != REFRESH_TOKEN_CHARS || text[SESSION_ID_CHARS] != b'.' {
            return None;
        }
        let family = SessionId::parse(&text[..SESSION_ID_CHARS])?;
        let secret = SessionId::parse(&text[SESSION_ID_CHARS + 1..])?;
        Some(Self { family, secret })
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(REFRESH_TOKEN_CHARS);
        self.family.encode(&mut text);
        text.push('.');
        self.secret.encode(&mut text);
        text
    }

    fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.secret.as_bytes())
    }
}

/// The family of an access token.
fn family_of(token: &Verified) -> Result<SessionId, Rejection> {
    SessionId::parse(&token.id).ok_or(Rejection::Invalid(Reason::Claims))
}

impl<St: RefreshStore> RefreshedTokens<St> {
    /// The scheme of this arm over this store.
    ///
    /// # Errors
    /// [`ServeError::ShortKey`], [`ServeError::Key`], [`ServeError::Entropy`].
    pub fn new(arm: &'static str, store: St, options: &SchemeOptions) -> Result<Self, ServeError> {
        Ok(Self::over(access_tokens(arm, options)?, store, options))
    }

    fn over(tokens: SignedTokens, store: St, options: &SchemeOptions) -> Self {
        Self { tokens, families: Arc::new(store), ttl: options.ttl }
    }

    /// The store, for tests that look behind the scheme.
    #[must_use]
    pub fn families(&self) -> &St {
        &self.families
    }

    /// A new family of this user, and its first refresh token.
    fn family(&self, user: User) -> Result<(RefreshToken, Family), Rejection> {
        let refresh = RefreshToken::next(SessionId::generate().map_err(|_| Rejection::Issue)?)?;
        let data = SessionData { user, cart: Cart::default() };
        let expires = self.tokens.profile().clock.now().plus(self.ttl);
        let secret = refresh.digest();
        Ok((refresh, Family { data, secret, expires }))
    }

    /// What the access token of the request says, and its family.
    fn verified(&self, headers: &HeaderMap) -> Result<(Verified, SessionId), Rejection> {
        let token = self.tokens.verify(bearer(headers)?)?;
        let family = family_of(&token)?;
        Ok((token, family))
    }

    /// Both tokens of a family, the access token for no longer than the family has left.
    fn pair(
        &self,
        refresh: &RefreshToken,
        data: &SessionData,
        expires: Timestamp,
    ) -> Result<Token, Rejection> {
        let end = self.tokens.profile().life(None).expires.min(expires.seconds());
        let id = token_id(*refresh.family.as_bytes())?;
        let token = self.tokens.sign_as(&id, data.user, &data.cart, Some(end))?;
        Ok(Token { refresh_token: Some(refresh.text()), ..token })
    }
}

impl<St: RefreshStore> Scheme for RefreshedTokens<St> {
    const CHALLENGE: Challenge = bearer::CHALLENGE;
    const REFRESHES: bool = true;

    fn credential(&self) -> Credential {
        bearer::credential()
    }

    fn notes(&self) -> Vec<String> {
        let profile = self.tokens.profile();
        let (access, leeway) = (profile.ttl, profile.leeway);
        let mut notes = vec![
            format!(
                "Access tokens are HS256 and live for {} s at most; the leeway for clocks is {} s. \
                 No store is asked about one, so it is accepted for up to {} s after its logout.",
                access.as_secs_f64(),
                leeway.as_secs_f64(),
                (access + leeway).as_secs_f64()
            ),
            format!(
                "A refresh replaces the refresh token. The one before is refused for {} s after \
                 that; later, or an older one at any time, it ends the refresh session.",
                GRACE.as_secs()
            ),
            format!(
                "Refresh sessions end {} s after their login; there is no idle timeout. They hold \
                 the cart too, so a change of it is a write of the store.",
                self.ttl.as_secs_f64()
            ),
        ];
        notes.extend(self.families.notes());
        notes
    }

    async fn issue(&self, user: User, headers: &HeaderMap) -> Result<Issued, Rejection> {
        match self.verified(headers) {
            Ok((_, old)) => drop(self.families.end(old).await?),
            Err(Rejection::Ambiguous) => return Err(Rejection::Ambiguous),
            Err(_) => {}
        }
        // An id that is taken is so unlikely that more than one of them is a fault of the store.
        for _ in 0..BEGIN_TRIES {
            let (refresh, family) = self.family(user)?;
            if self.families.begin(refresh.family, family.clone()).await? {
                return Ok(Issued::Token(self.pair(&refresh, &family.data, family.expires)?));
            }
        }
        Err(Rejection::Issue)
    }

    async fn issue_many(&self, users: Vec<User>) -> Result<Vec<Issued>, Rejection> {
        let new = users.into_iter().map(|user| self.family(user));
        let new: Vec<(RefreshToken, Family)> = new.collect::<Result<_, _>>()?;
        let families = new.iter().map(|(refresh, family)| (refresh.family, family.clone()));
        let families: Vec<_> = families.collect();
        if self.families.begin_many(families).await? != new.len() as u64 {
            return Err(Rejection::Issue);
        }
        let issued = |(refresh, family): &(RefreshToken, Family)| {
            self.pair(refresh, &family.data, family.expires).map(Issued::Token)
        };
        new.iter().map(issued).collect()
    }

    async fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        self.verified(headers).map(|(token, _)| token.user)
    }

    async fn cart(&self, headers: &HeaderMap) -> Result<Cart, Rejection> {
        self.verified(headers).map(|(token, _)| token.cart)
    }

    async fn add_to_cart(&self, headers: &HeaderMap, item: &str) -> Result<CartAnswer, Rejection> {
        let (token, family) = self.verified(headers)?;
        let cart = token.cart.with(item)?;
        let data = SessionData { user: token.user, cart: cart.clone() };
        let now = self.tokens.profile().clock.now();
        if !self.families.update(family, data, now).await? {
            return Err(Rejection::Invalid(Reason::Unknown));
        }
        let new = self.tokens.sign_as(&token.id, token.user, &cart, Some(token.expires))?;
        Ok(CartAnswer { cart, reissued: Some(Issued::Token(new)) })
    }

    async fn refresh(&self, refresh_token: &str) -> Result<Token, Rejection> {
        let shown = RefreshToken::parse(refresh_token).ok_or(Rejection::Invalid(Reason::Shape))?;
        let next = RefreshToken::next(shown.family)?;
        let now = self.tokens.profile().clock.now();
        let rotation =
            self.families.rotate(shown.family, shown.digest(), next.digest(), now, GRACE).await?;
        match rotation {
            Rotation::Rotated { data, expires } => self.pair(&next, &data, expires),
            Rotation::Late => Err(Rejection::Invalid(Reason::Replaced)),
            Rotation::Reused => Err(Rejection::Invalid(Reason::Reused)),
            Rotation::Unknown => Err(Rejection::Invalid(Reason::Unknown)),
        }
    }

    async fn logout(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        let (_, family) = self.verified(headers)?;
        let ended = self.families.end(family).await?.into();
        Ok(Revoked::RefreshSessions(ended))
    }

    async fn logout_all(&self, headers: &HeaderMap) -> Result<Revoked, Rejection> {
        let (token, _) = self.verified(headers)?;
        let ended = self.families.end_all_of_user(token.user.id).await?;
        Ok(Revoked::RefreshSessions(ended))
    }

    fn upkeep(&self) -> Option<Arc<dyn Upkeep>> {
        Some(Arc::new(Housekeeping(Arc::clone(&self.families))))
    }

    fn store_process(&self) -> Option<StoreProcess> {
        self.families.process()
    }
}
