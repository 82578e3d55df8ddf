//! The ways to authenticate and the registry of arms. To add one, write a file with a type that
//! implements [`Scheme`], an [`ArmInfo`] and an `open`, and a line in the `registry!` below; the
//! conformance suite runs for every line.

use crate::error::ServeError;
use crate::stores::{self, Touch};

pub mod bearer;
pub mod bff;
pub mod carrier;
pub mod claims;
pub mod cookie_sealed;
mod credential;
pub mod introspection_http;
pub mod issuer;
pub mod jwe_dir;
pub mod jwt;
pub mod jwt_cached;
pub mod jwt_crate;
pub mod jwt_denylist;
pub mod jwt_eddsa;
pub mod jwt_es256;
pub mod jwt_hs256;
pub mod jwt_jwks;
pub mod jwt_refresh;
pub mod jwt_rs256;
pub mod keys;
pub mod knobs;
pub mod none;
pub mod opaque_introspection;
pub mod paseto;
pub mod paseto_v4_local;
pub mod paseto_v4_public;
mod scheme;
mod sealing;
pub mod session;
pub mod session_cached;

pub use credential::{COOKIE_INSECURE, COOKIE_SECURE};
pub use scheme::{
    ArmInfo, CartAnswer, Challenge, CookieSecurity, Credential, Form, Issued, REALM, Reason,
    Rejection, Revoked, Scheme, SchemeOptions, Token, Visitor,
};

/// Refuses a URL that is not one of the arm's store: it would be passed over in silence.
fn check_store_url(info: &ArmInfo, url: Option<&str>) -> Result<(), ServeError> {
    let Some(url) = url else { return Ok(()) };
    let place = info.store.and_then(stores::place);
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let fits = place.is_some_and(|place| place.url.starts_with(&format!("{scheme}:")));
    if fits && !rest.is_empty() {
        return Ok(());
    }
    let expected =
        place.map_or("left out for a store without a place of its own", |place| place.url);
    // Not the rest of it: a URL may hold a password, and what is no URL may be one.
    let found = match url.split_once("://") {
        Some((scheme, _)) => format!("`{scheme}://...`"),
        None if scheme == "sqlite" => "`sqlite:...`".into(),
        None => "something that is no URL".into(),
    };
    Err(ServeError::Option { option: "store_url", expected, found })
}

/// Refuses a rule for idle timeouts without a timeout, or one that would log out an active user.
fn check_touch(info: &ArmInfo, options: &SchemeOptions) -> Result<(), ServeError> {
    let refuse =
        |expected, found: String| Err(ServeError::Option { option: "touch", expected, found });
    let Some(touch) = options.touch else { return Ok(()) };
    if !session::SCHEMES.contains(&info.scheme) {
        return refuse("left out for an arm without sessions", format!("`{}`", info.arm));
    }
    match (options.idle, touch) {
        (None, _) => refuse("used with an idle timeout", "none (give idle)".into()),
        (Some(idle), Touch::AtMostEvery(span)) if span.is_zero() || idle <= span => {
            refuse("more than nothing and shorter than idle", format!("{span:?} and {idle:?}"))
        }
        _ => Ok(()),
    }
}

macro_rules! registry {
    ($($info:path => $open:path),+ $(,)?) => {
        /// Every arm there is.
        #[must_use]
        pub fn arms() -> &'static [ArmInfo] {
            const ARMS: &[ArmInfo] = &[$($info),+];
            ARMS
        }

        /// Opens an arm by its name and hands its scheme to the visitor.
        ///
        /// # Errors
        /// [`ServeError::UnknownArm`] with the list of arms, or what opening the scheme or its
        /// store said.
        pub async fn open<V: Visitor>(
            arm: &str,
            options: &SchemeOptions,
            visitor: V,
        ) -> Result<V::Output, ServeError> {
            $(if arm == $info.arm {
                check_store_url(&$info, options.store_url.as_deref())?;
                check_touch(&$info, options)?;
                return Ok(visitor.visit($open(options).await?));
            })+
            let known: Vec<_> = arms().iter().map(|info| info.arm).collect();
            Err(ServeError::UnknownArm { found: arm.into(), known: known.join(", ") })
        }
    };
}

registry! {
    none::INFO => none::open,
    session::MEMORY => session::open_memory,
    session::MUTEX => session::open_mutex,
    session::TOWER => session::open_tower,
    session::SQLITE => session::open_sqlite,
    session::REDIS => session::open_redis,
    session_cached::REDIS => session_cached::open_redis,
    opaque_introspection::REDIS => opaque_introspection::open_redis,
    introspection_http::INFO => introspection_http::open,
    session::POSTGRES => session::open_postgres,
    bff::REDIS => bff::open_redis,
    jwt_hs256::INFO => jwt_hs256::open,
    jwt_crate::INFO => jwt_crate::open,
    jwt_rs256::INFO => jwt_rs256::open,
    jwt_es256::INFO => jwt_es256::open,
    jwt_eddsa::INFO => jwt_eddsa::open,
    jwt_jwks::INFO => jwt_jwks::open,
    cookie_sealed::INFO => cookie_sealed::open,
    jwe_dir::INFO => jwe_dir::open,
    paseto_v4_local::INFO => paseto_v4_local::open,
    paseto_v4_public::INFO => paseto_v4_public::open,
    jwt_cached::INFO => jwt_cached::open,
    jwt_denylist::MEMORY => jwt_denylist::open_memory,
    jwt_denylist::FILTER => jwt_denylist::open_filter,
    jwt_denylist::REDIS => jwt_denylist::open_redis,
    jwt_refresh::MEMORY => jwt_refresh::open_memory,
    jwt_refresh::REDIS => jwt_refresh::open_redis,
    jwt_refresh::POSTGRES => jwt_refresh::open_postgres,
}
