//! `bff@redis`: a session cookie for the browser, and a token behind it that no browser ever sees.

use super::bearer::Tokens as _;
use super::jwt::SignedTokens;
use super::jwt_es256;
use super::scheme::{ArmInfo, Form, SchemeOptions};
use super::session::Sessions;
use crate::error::ServeError;
use crate::stores::bounded::Bounded;
use crate::stores::redis::{Inside, RedisStore, Space};
use crate::stores::{Found, SessionData};

/// The arm `bff@redis`.
pub const REDIS: ArmInfo = ArmInfo {
    arm: "bff@redis",
    scheme: "bff",
    store: Some("redis"),
    summary: "A backend for a frontend: a session cookie outside, and in the session in Redis a \
              token (JWT, ECDSA P-256) that is verified on every request.",
    authenticates: true,
    stateful: true,
    revokes: true,
    revokes_refresh: false,
    refreshes: false,
    form: Form::Tuned,
    after_restart: "Everyone stays logged in with `--store-url redis://...` and the same key; a \
                    Redis that was started for the run is gone with its sessions.",
};

/// What a session holds here: an access token, and nothing else that the server would believe.
///
/// A backend for a frontend keeps the tokens of its provider away from the browser, and sends one
/// along with every request to the service behind it, which verifies it. Both are here: one round
/// trip for the session, and one verification. Who the user is and what is in the cart are what
/// the token says. So a session whose token is under a key that is no longer known is over.
///
/// The session decides when all ends: a token is given a second more than the session has, and a
/// change of the cart signs a new one. The provider's part of a login, the signature, happens in
/// this process.
pub struct InsideToken(SignedTokens);

impl InsideToken {
    /// Tokens under the key that the options give, or one that is made for the run.
    ///
    /// # Errors
    /// [`ServeError::Key`] where the key is not of P-256, [`ServeError::NoKey`].
    pub fn new(options: &SchemeOptions) -> Result<Self, ServeError> {
        // Tokens count in whole seconds: the second of the login has begun.
        let ttl = options.ttl + std::time::Duration::from_secs(1);
        let options = SchemeOptions { ttl, ..options.clone() };
        SignedTokens::open(REDIS.arm, &jwt_es256::KIND, &options).map(Self)
    }
}

impl Inside for InsideToken {
    fn write(&self, data: &SessionData, to: &mut Vec<u8>) -> Result<(), &'static str> {
        let token = self.0.sign(data.user, &data.cart, None).map_err(|_| "no signature")?;
        to.extend_from_slice(&data.user.id.number().to_be_bytes());
        to.extend_from_slice(token.access_token.as_bytes());
        Ok(())
    }

    fn read(&self, value: &[u8]) -> Found {
        let Some((user, token)) = value.split_first_chunk() else { return Found::Unreadable };
        match self.0.verify(token) {
            Ok(token) if token.user.id.number() == u32::from_be_bytes(*user) => {
                Found::Data(SessionData { user: token.user, cart: token.cart })
            }
            Ok(_) => Found::Unreadable,
            Err(_) => Found::Over,
        }
    }

    fn note(&self) -> Option<String> {
        Some(
            "Each session holds a token (ES256), which the server signed at the login and verifies \
             on every request; the browser never has it."
                .into(),
        )
    }
}

/// Opens the arm, over the Redis of the URL or one that is started for it.
///
/// # Errors
/// See [`InsideToken::new`] and [`RedisStore::open`].
pub async fn open_redis(
    options: &SchemeOptions,
) -> Result<Sessions<Bounded<RedisStore<InsideToken>>>, ServeError> {
    // A wrong key is found before a store is opened or started.
    let inside = InsideToken::new(options)?;
    let (url, patience) = (options.store_url.as_deref(), options.patience);
    let store = RedisStore::holding(inside, Space::Backend, url, options.idle, patience).await?;
    Ok(Sessions::new(Bounded::new(store, patience), options))
}
