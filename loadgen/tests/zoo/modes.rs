//! The modes of the zoo: a flaw each, and the rows of the suite that find it; or a sound server.

/// How a server knows its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By an id in a cookie.
    Session,
    /// By a JWT of this algorithm in `Authorization`.
    Jwt(Alg),
    /// By a signed cookie, as this framework makes it.
    Cookie(Framework),
}

/// An algorithm of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alg {
    Hs256,
    Rs256,
    Es256,
}

/// Who makes a signed cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framework {
    Flask,
    Django,
    Rails,
    /// cookie-parser: `s:VALUE.SIGNATURE`.
    ExpressValue,
    /// cookie-session: a cookie, and its signature in another.
    ExpressSession,
}

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    // What an id is made of.
    Sequential,
    Padded,
    Timestamp,
    Clock,
    UserName,
    Base64User,
    Base64Json,
    Md5User,
    Md5Counter,
    Sha1Number,
    SixteenBits,
    MathRandom,
    // Who says for whom a request is.
    UserInQuery,
    UserInHeader,
    UserInBody,
    UserInCookie,
    UserInPath,
    ProxyHeader,
    AnyId,
    Nobody,
    // Where an id may stand.
    IdInQuery,
    IdInHeader,
    IdInLocation,
    FixedByCookie,
    FixedByQuery,
    FixedByHeader,
    // What a logout ends.
    LogoutOfNobody,
    LogoutOfOne,
    Resurrects,
    // Which passwords are right.
    AnyPassword,
    PasswordPrefix,
    Password72,
    PasswordCase,
    PasswordTrimmed,
    PasswordLonger,
    PasswordObject,
    TellsNames,
    // What an answer allows.
    CorsReflects,
    CorsNull,
    CorsSuffix,
    Cacheable,
    CacheableForAges,
    NoHttpOnly,
    NoSameSite,
    // How it reads requests.
    TwoLengths,
    Crashes,
    // Which tokens are good.
    AlgNone,
    AlgNoneAnyCase,
    Unverified,
    Stripped,
    WeakSecret,
    EmptySecret,
    Confused,
    ConfusedByJwks,
    EmbeddedJwk,
    Jku,
    X5c,
    KidPath,
    KidQuery,
    ZeroSignature,
    NoExpiry,
    TenYears,
    ExpIgnored,
    ExpUnchecked,
    NbfUnchecked,
    AudUnchecked,
    IssUnchecked,
    RefreshReused,
    RefreshOutlives,
    AccessRefreshes,
    // Which cookies are good.
    DefaultKey,
    Unsigned,
    // Sound, and hard to test.
    OrderedIds,
    Slow,
    LimitsLogins,
    LimitsAll,
    LocksAccounts,
    Blocks,
    Flaky,
    Dies,
    ShortLived,
    ListsOrigins,
}

/// What the suite says of a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// Its rows are ACCEPTED.
    Accepted,
    /// Its rows are FAILED.
    Failed,
    /// Its rows are properties, which fail with `--strict`.
    Property,
    /// Nothing.
    Nothing,
    /// Nothing of the server, and of some rows that they could not be tried.
    Untried,
}

/// A server of the zoo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) does: &'static str,
    pub(crate) kind: Kind,
    pub(crate) flaw: Flaw,
    pub(crate) says: Says,
    /// The rows of the suite that find it.
    pub(crate) rows: &'static [&'static str],
}

/// The mode of this name.
pub(crate) fn find(name: &str) -> Option<&'static Mode> {
    MODES.iter().find(|mode| mode.name == name)
}

use Alg::{Es256, Hs256, Rs256};
use Framework::{Django, ExpressSession, ExpressValue, Flask, Rails};
use Kind::{Cookie, Jwt, Session};
use Says::{Accepted, Failed, Nothing, Property, Untried};

macro_rules! modes {
    (
        $($name:literal, $kind:expr, $flaw:ident, $says:ident[$($row:literal),*]:
            $does:literal;)+
    ) => {
        /// Every mode.
        pub(crate) const MODES: &[Mode] = &[$(Mode {
            name: $name,
            does: $does,
            kind: $kind,
            flaw: Flaw::$flaw,
            says: $says,
            rows: &[$($row),*],
        }),+];
    };
}

modes! {
    // What an id is made of.
    "sequential-ids", Session, Sequential, Accepted["51c"]:
        "ids are 1001, 1002, ...";
    "padded-ids", Session, Padded, Accepted["51c"]:
        "ids are 00001001, 00001002, ...";
    "timestamp-ids", Session, Timestamp, Failed["51a"]:
        "ids are the microseconds since 1970";
    "clock-ids", Session, Clock, Accepted["51c"]:
        "ids are a clock, a machine and a counter";
    "user-name-ids", Session, UserName, Accepted["51d"]:
        "the id is the user's name";
    "base64-user", Session, Base64User, Accepted["51d"]:
        "the id is the user's name in base64";
    "base64-json", Session, Base64Json, Accepted["51d"]:
        "the cookie is unsigned JSON in base64";
    "md5-of-user", Session, Md5User, Accepted["51d"]:
        "the id is the MD5 of the user's name";
    "md5-of-counter", Session, Md5Counter, Accepted["51c"]:
        "the id is the MD5 of a counter";
    "sha1-of-user-number", Session, Sha1Number, Accepted["51d"]:
        "the id is the SHA-1 of the user's number";
    "16-bit-ids", Session, SixteenBits, Failed["51a"]:
        "ids are 16 random bits";
    "math-random-ids", Session, MathRandom, Failed["51a"]:
        "ids are a Math.random() in base 36";
    // Who says for whom a request is.
    "user-in-query", Session, UserInQuery, Accepted["52a"]:
        "`?user=` is believed";
    "user-in-header", Session, UserInHeader, Accepted["52b"]:
        "`X-User-Id` is believed";
    "user-in-body", Session, UserInBody, Accepted["52c"]:
        "`user` in a body is believed";
    "user-in-cookie", Session, UserInCookie, Accepted["52d"]:
        "the user is in an unsigned cookie next to the session";
    "user-in-path", Session, UserInPath, Accepted["52e"]:
        "any user may ask for `/users/N`";
    "proxy-header", Session, ProxyHeader, Accepted["46c"]:
        "`X-Remote-User` needs no session";
    "any-id", Session, AnyId, Accepted["35a", "36a", "43a", "49a"]:
        "any id is that of user 0";
    "no-credential", Session, Nobody, Accepted["1a"]:
        "every client is user 0";
    // Where an id may stand.
    "id-in-query", Session, IdInQuery, Accepted["50a"]:
        "`?sid=` is a session";
    "id-in-header", Session, IdInHeader, Property["50b"]:
        "`X-Session-Id` is a session";
    "id-in-location", Session, IdInLocation, Failed["50c"]:
        "a login leads to an address with the id in it";
    "fixed-by-cookie", Session, FixedByCookie, Accepted["35b", "37a"]:
        "a login keeps the id in the cookie";
    "fixed-by-query", Session, FixedByQuery, Accepted["37b"]:
        "a login takes the id in `?sid=`";
    "fixed-by-header", Session, FixedByHeader, Accepted["37c"]:
        "a login takes the id in `X-Session-Id`";
    // What a logout ends.
    "logout-of-nobody", Session, LogoutOfNobody, Accepted["38a"]:
        "a logout ends nothing";
    "logout-of-one", Session, LogoutOfOne, Accepted["38c"]:
        "a logout everywhere ends one login";
    "resurrects", Session, Resurrects, Accepted["38d"]:
        "a slow change brings a session back";
    // Which passwords are right.
    "any-password", Session, AnyPassword, Accepted["48b", "48d", "48e"]:
        "every password is right";
    "password-prefix", Session, PasswordPrefix, Accepted["48e"]:
        "8 characters of a password are compared";
    "password-72", Session, Password72, Accepted["48e", "48f"]:
        "72 bytes of a password are compared, as by bcrypt";
    "password-case", Session, PasswordCase, Accepted["48g"]:
        "passwords are compared in lower case";
    "password-trimmed", Session, PasswordTrimmed, Property["48h"]:
        "passwords are trimmed";
    "password-longer", Session, PasswordLonger, Accepted["48f"]:
        "what begins with the password is right";
    "password-object", Session, PasswordObject, Accepted["48d"]:
        "a password that is no string is right";
    "tells-names", Session, TellsNames, Failed["48a"]:
        "an unknown name is a 404";
    // What an answer allows.
    "cors-reflects", Session, CorsReflects, Accepted["53a", "53b"]:
        "any origin may read answers with cookies";
    "cors-null", Session, CorsNull, Accepted["53a"]:
        "the origin `null` may read answers with cookies";
    "cors-suffix", Session, CorsSuffix, Accepted["53a"]:
        "origins that end in its name may read answers";
    "cacheable", Session, Cacheable, Failed["54a"]:
        "`/me` is `public, max-age=600`";
    "cacheable-for-ages", Session, CacheableForAges, Failed["54a"]:
        "`/me` is `s-maxage=600`";
    "no-httponly", Session, NoHttpOnly, Property["42a"]:
        "scripts may read the cookie";
    "no-samesite", Session, NoSameSite, Property["42b"]:
        "other sites make a browser send the cookie";
    // How it reads requests.
    "two-lengths", Session, TwoLengths, Accepted["47f"]:
        "of two lengths the first one counts";
    "crashes", Session, Crashes, Failed["36b", "43b"]:
        "an id of another form is a 500";
    // Which tokens are good.
    "alg-none", Jwt(Hs256), AlgNone, Accepted["4a"]:
        "`none` is an algorithm";
    "alg-none-any-case", Jwt(Hs256), AlgNoneAnyCase, Accepted["4b", "4c", "4d"]:
        "`nOnE` is an algorithm";
    "unverified", Jwt(Hs256), Unverified, Accepted["5a", "5f", "5g", "6b"]:
        "signatures are not verified";
    "stripped", Jwt(Hs256), Stripped, Accepted["5a"]:
        "a token without a signature is good";
    "weak-secret", Jwt(Hs256), WeakSecret, Accepted["6b"]:
        "the secret is `secret`";
    "empty-secret", Jwt(Hs256), EmptySecret, Accepted["6a"]:
        "the secret is empty";
    "confused", Jwt(Rs256), Confused, Accepted["7a"]:
        "the public key is taken for an HS256 secret";
    "confused-by-jwks", Jwt(Rs256), ConfusedByJwks, Accepted["7a"]:
        "the same, and the key is in a JWKS";
    "embedded-jwk", Jwt(Es256), EmbeddedJwk, Accepted["9b"]:
        "a key in `jwk` is used";
    "jku", Jwt(Hs256), Jku, Accepted["10a"]:
        "an address in `jku` is fetched";
    "x5c", Jwt(Es256), X5c, Accepted["11a"]:
        "the key of a certificate in `x5c` is used";
    "kid-path", Jwt(Hs256), KidPath, Accepted["12h"]:
        "`kid` is the path of the key";
    "kid-query", Jwt(Hs256), KidQuery, Accepted["12i"]:
        "`kid` is part of a query for the key";
    "zero-signature", Jwt(Es256), ZeroSignature, Accepted["26c"]:
        "r = s = 0 is a good ECDSA signature";
    "no-expiry", Jwt(Hs256), NoExpiry, Failed["15k"]:
        "tokens have no `exp`";
    "ten-years", Jwt(Hs256), TenYears, Failed["15k"]:
        "tokens live for ten years";
    "exp-ignored", Jwt(Hs256), ExpIgnored, Accepted["15l"]:
        "tokens of four seconds are good for ever";
    "exp-unchecked", Jwt(Hs256), ExpUnchecked, Accepted["15a"]:
        "`exp` is not checked";
    "nbf-unchecked", Jwt(Rs256), NbfUnchecked, Accepted["16a"]:
        "`nbf` is not checked";
    "aud-unchecked", Jwt(Hs256), AudUnchecked, Accepted["19a"]:
        "`aud` is not checked";
    "iss-unchecked", Jwt(Es256), IssUnchecked, Accepted["18a"]:
        "`iss` is not checked";
    "refresh-reused", Jwt(Hs256), RefreshReused, Accepted["29a"]:
        "a refresh token is good again and again";
    "refresh-outlives", Jwt(Hs256), RefreshOutlives, Accepted["29c"]:
        "a logout leaves refresh tokens alone";
    "access-refreshes", Jwt(Hs256), AccessRefreshes, Accepted["30b"]:
        "an access token is a refresh token";
    // Which cookies are good.
    "flask-default-key", Cookie(Flask), DefaultKey, Accepted["57a"]:
        "Flask's cookie, signed with `dev`";
    "flask-unsigned", Cookie(Flask), Unsigned, Accepted["43a", "51d"]:
        "Flask's cookie, not verified";
    "django-default-key", Cookie(Django), DefaultKey, Accepted["57a"]:
        "Django's cookie, signed with `change-me`";
    "django-unsigned", Cookie(Django), Unsigned, Accepted["51d"]:
        "Django's cookie, not verified";
    "rails-default-key", Cookie(Rails), DefaultKey, Accepted["57a"]:
        "Rails' cookie, signed with `secret`";
    "express-default-key", Cookie(ExpressValue), DefaultKey, Accepted["57a"]:
        "cookie-parser's cookie, signed with `keyboard cat`";
    "cookie-session-default-key", Cookie(ExpressSession), DefaultKey, Accepted["57a"]:
        "cookie-session's, signed with `keyboard cat`";
    "cookie-session-unsigned", Cookie(ExpressSession), Unsigned, Accepted["51d"]:
        "cookie-session's, not verified";
    // Sound.
    "sound-session", Session, None, Nothing[]:
        "random ids in a cookie";
    "sound-ordered-ids", Session, OrderedIds, Nothing[]:
        "UUIDs of version 7: a clock, and 74 random bits";
    "sound-origins", Session, ListsOrigins, Nothing[]:
        "one other origin may read answers";
    "sound-hs256", Jwt(Hs256), None, Nothing[]:
        "JWT with HS256, and refresh tokens";
    "sound-rs256", Jwt(Rs256), None, Nothing[]:
        "JWT with RS256, its public key known";
    "sound-es256", Jwt(Es256), None, Nothing[]:
        "JWT with ES256";
    "sound-short-lived", Jwt(Hs256), ShortLived, Nothing[]:
        "JWT that live for four seconds";
    "sound-flask", Cookie(Flask), None, Nothing[]:
        "Flask's cookie, a random key";
    "sound-django", Cookie(Django), None, Nothing[]:
        "Django's cookie, a random key";
    "sound-rails", Cookie(Rails), None, Nothing[]:
        "Rails' cookie, a random key";
    "sound-express", Cookie(ExpressSession), None, Nothing[]:
        "cookie-session's cookie, a random key";
    "sound-slow", Session, Slow, Nothing[]:
        "answers take 3 ms";
    "sound-flaky", Session, Flaky, Nothing[]:
        "one answer in 40 is a 503";
    "sound-locks-accounts", Session, LocksAccounts, Nothing[]:
        "five wrong passwords lock an account";
    "sound-limits-logins", Session, LimitsLogins, Untried[]:
        "30 logins, then 429 and Retry-After";
    "sound-limits-all", Session, LimitsAll, Untried[]:
        "500 requests, then 429 and Retry-After";
    "sound-blocks", Session, Blocks, Untried[]:
        "200 failures, then 403 for everything";
    "sound-dies", Session, Dies, Untried[]:
        "500 requests, then it is gone";
}
