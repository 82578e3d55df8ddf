//! What is encrypted: the sealed cookie and the JWE, attacked with the server's own key in hand.
//! Each row differs from a good credential in one thing; after each row the good one still works.

use std::io::Write as _;
use std::path::PathBuf;

use crate::common::{Arm, KEY, OTHER_KEY, START, options};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use servers::ServeError;
use servers::cart::Cart;
use servers::clock::Timestamp;
use servers::schemes::bearer::Tokens;
use servers::schemes::cookie_sealed::{self, COOKIE_BYTES_MAX, Opened, SealedCookies};
use servers::schemes::jwe_dir::{self, EncryptedTokens};
use servers::schemes::keys::KeyId;
use servers::schemes::{CookieSecurity, Reason, Rejection, SchemeOptions};
use servers::users::{User, UserId};

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn encrypt(key: &[u8], nonce: [u8; 12], beside: &[u8], text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    let mut text = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(beside), &mut text).unwrap();
    (text, tag.as_ref().to_vec())
}

fn user() -> User {
    User::of(UserId::new(7).unwrap())
}

// The cookie.

async fn cookies() -> SealedCookies {
    cookie_sealed::open(&options()).await.unwrap()
}

fn session() -> Opened {
    let created = Timestamp::from_seconds(START);
    Opened {
        user: user(),
        cart: Cart::default(),
        created,
        expires: Timestamp::from_seconds(START + 900),
    }
}

fn value(cookies: &SealedCookies, session: &Opened) -> String {
    let header = cookies.seal(session).unwrap();
    let text = header.to_str().unwrap();
    text.strip_prefix("__Host-session=").unwrap().split(';').next().unwrap().into()
}

/// A cookie of these parts, sealed with this key.
fn cookie(key: &[u8], name: &str, version: u8, id: KeyId, text: &[u8]) -> String {
    let head = [&[version][..], id.as_bytes()].concat();
    let beside = [name.as_bytes(), &[0], &head].concat();
    let (text, tag) = encrypt(key, [7; 12], &beside, text);
    b64([&head[..], &[7; 12], &text, &tag].concat())
}

fn content(created: u64, expires: u64, user: u32, role: u8, texts: &[&str]) -> Vec<u8> {
    let mut bytes = [&created.to_be_bytes()[..], &expires.to_be_bytes()].concat();
    bytes.extend(user.to_be_bytes());
    bytes.push(role);
    for text in texts {
        bytes.push(u8::try_from(text.len()).unwrap());
        bytes.extend(text.as_bytes());
    }
    bytes
}

const FROM: u64 = START * 1000;
const TO: u64 = FROM + 900_000;

#[tokio::test]
async fn a_cookie_is_what_we_forge_here_and_nothing_beside_it() {
    let cookies = cookies().await;
    let id = KeyId::of("cookie-sealed", KEY);
    let good = content(FROM, TO, 7, 0, &["User 7"]);
    let forged = cookie(KEY, "__Host-session", 1, id, &good);
    assert_eq!(cookies.unseal(forged.as_bytes()).unwrap(), session());
    let sealed = |text: &[u8]| cookie(KEY, "__Host-session", 1, id, text);
    let long = vec!["x"; 65];
    let rows = [
        ("another cookie's", cookie(KEY, "session", 1, id, &good), Reason::Signature),
        ("another version", cookie(KEY, "__Host-session", 2, id, &good), Reason::Type),
        ("another key", cookie(OTHER_KEY, "__Host-session", 1, id, &good), Reason::Signature),
        (
            "another key, named",
            cookie(OTHER_KEY, "__Host-session", 1, KeyId::of("cookie-sealed", OTHER_KEY), &good),
            Reason::Key,
        ),
        ("expired", sealed(&content(FROM - 902_000, FROM - 2_000, 7, 0, &["U"])), Reason::Expired),
        ("too long a life", sealed(&content(FROM, TO + 1, 7, 0, &["U"])), Reason::Expired),
        ("for ever", sealed(&content(FROM, u64::MAX, 7, 0, &["U"])), Reason::Expired),
        ("of the future", sealed(&content(FROM + 2_001, TO, 7, 0, &["U"])), Reason::NotYet),
        ("no such user", sealed(&content(FROM, TO, 100_000_000, 0, &["U"])), Reason::Claims),
        ("no such role", sealed(&content(FROM, TO, 7, 2, &["U"])), Reason::Claims),
        ("no name", sealed(&content(FROM, TO, 7, 0, &[])), Reason::Claims),
        (
            "a long name",
            sealed(&content(FROM, TO, 7, 0, &["a name of twenty-four by"])),
            Reason::Claims,
        ),
        ("an empty item", sealed(&content(FROM, TO, 7, 0, &["U", ""])), Reason::Claims),
        (
            "65 items",
            sealed(&content(FROM, TO, 7, 0, &[&["U"], &long[..]].concat())),
            Reason::Claims,
        ),
        ("a byte left over", sealed(&[&good[..], &[1]].concat()), Reason::Claims),
        ("a byte short", sealed(&good[..good.len() - 1]), Reason::Claims),
        ("no UTF-8", sealed(&[&good[..], &[1, 0xff]].concat()), Reason::Claims),
        ("nothing in it", sealed(&[]), Reason::Claims),
        ("empty", String::new(), Reason::Shape),
        ("head only", b64([&[1][..], id.as_bytes()].concat()), Reason::Shape),
        ("no tag", b64([&[1][..], id.as_bytes(), &[7; 12]].concat()), Reason::Signature),
        ("padded", format!("{forged}="), Reason::Shape),
        ("quoted", format!("\"{forged}\""), Reason::Shape),
        ("the other alphabet", forged.replacen(&forged[20..21], "+", 1), Reason::Shape),
        ("100 kB", "A".repeat(100_000), Reason::Shape),
    ];
    for (what, text, reason) in rows {
        let found = cookies.unseal(text.as_bytes());
        assert_eq!(found, Err(Rejection::Invalid(reason)), "{what}");
        cookies.unseal(forged.as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn every_flipped_bit_of_a_cookie_is_found() {
    let cookies = cookies().await;
    let good = value(&cookies, &session());
    assert_ne!(good, value(&cookies, &session()), "no nonce twice");
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone().into_bytes();
            changed[place] ^= 1 << bit;
            assert!(cookies.unseal(&changed).is_err(), "{place} {bit}");
        }
    }
    let bytes = URL_SAFE_NO_PAD.decode(&good).unwrap();
    for length in 0..bytes.len() {
        assert!(cookies.unseal(b64(&bytes[..length]).as_bytes()).is_err(), "{length}");
    }
    assert!(!good.contains("User") && !bytes.windows(4).any(|four| four == b"User"));
}

/// 4,096 bytes with name and attributes is taken, one more is an error that says so, and what the
/// client holds stays as it was.
#[tokio::test]
async fn a_cookie_that_no_browser_would_keep_is_an_error() {
    let cookies = cookies().await;
    let mut lengths = Vec::new();
    let mut refused = 0;
    for n in 0..64 {
        for last in [1, 30, 64] {
            let items: Vec<_> = (0..n).map(|_| "x".repeat(64)).chain(["y".repeat(last)]).collect();
            let cart = Cart::of(items.iter().map(String::as_str)).unwrap();
            match cookies.seal(&Opened { cart, ..session() }) {
                Ok(header) => lengths.push(header.len()),
                Err(Rejection::CookieFull { limit: 4096, needed }) => {
                    assert!(needed > 4096, "{needed}");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    let longest = *lengths.iter().max().unwrap();
    assert!((4_000..=COOKIE_BYTES_MAX).contains(&longest), "{longest}");
    assert!(refused > 0);
}

#[tokio::test]
async fn a_cookie_logout_removes_it_from_the_client_and_says_what_that_is_worth() {
    for (cookie, name) in
        [(CookieSecurity::Secure, "__Host-session"), (CookieSecurity::Insecure, "session")]
    {
        let arm = Arm::named("cookie-sealed", SchemeOptions { cookie, ..options() }).await;
        let login = arm.login_as("user-7", "password-7").await.expect(200);
        assert!(login.header("set-cookie").starts_with(&format!("{name}=")));
        assert_eq!(login.header("set-cookie").contains("; Secure;"), name.starts_with("__Host-"));
        let held = crate::common::credential_of(&login, &arm.open.credential);
        let logout = arm.post("/logout", &held, &Value::Null).await.expect(200);
        assert!(logout.header("set-cookie").starts_with(&format!("{name}=;")));
        assert!(logout.header("set-cookie").ends_with("; Max-Age=0"));
        assert_eq!(logout.json()["revoked"], json!(false));
        arm.me(&held).await.expect(200);
    }
}

// The encrypted token.

const CLAIMS: &str = concat!(
    r#"{"iss":"authbench","aud":"authbench-api","sub":"7","jti":"AAAAAAAAAAAAAAAAAAAAAA","#,
    r#""iat":2000000000,"nbf":2000000000,"exp":2000000900,"name":"User 7","role":"member"}"#
);

async fn tokens() -> EncryptedTokens {
    jwe_dir::open(&options()).await.unwrap()
}

fn header() -> String {
    format!(
        r#"{{"typ":"at+jwt","alg":"dir","enc":"A256GCM","kid":"{}"}}"#,
        KeyId::of("jwe-dir", KEY)
    )
}

/// The five parts of a token, encrypted with the server's key.
fn parts(header: &str, claims: &str) -> [String; 5] {
    let header = b64(header);
    let (text, tag) = encrypt(KEY, [7; 12], header.as_bytes(), claims.as_bytes());
    [header, String::new(), b64([7; 12]), b64(text), b64(tag)]
}

fn token(header: &str, claims: &str) -> String {
    parts(header, claims).join(".")
}

#[tokio::test]
async fn jwe_headers() {
    let tokens = tokens().await;
    let good = token(&header(), CLAIMS);
    assert_eq!(tokens.verify(good.as_bytes()).unwrap().user, user());
    for same in [
        header().replace("at+jwt", "application/AT+JWT"),
        header().replace("\":\"", "\" : \""),
        header().replace("dir", "\\u0064ir"),
    ] {
        tokens.verify(token(&same, CLAIMS).as_bytes()).unwrap();
    }
    let alg = |alg: &str| header().replace("\"dir\"", &format!("\"{alg}\""));
    let enc = |enc: &str| header().replace("A256GCM", enc);
    let mut rows = Vec::new();
    for other in
        ["none", "Dir", "DIR", "RSA1_5", "RSA-OAEP", "A256KW", "A256GCMKW", "ECDH-ES", "HS256"]
    {
        rows.push((alg(other), Reason::Algorithm));
    }
    for other in ["A128GCM", "A192GCM", "a256gcm", "A256CBC-HS512", "none", ""] {
        rows.push((enc(other), Reason::Algorithm));
    }
    for more in [
        r#""zip":"DEF""#,
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""cty":"JWT""#,
        r#""p2c":2147483648,"p2s":"AAAA""#,
        r#""epk":{"kty":"EC"}"#,
        r#""jwk":{}"#,
        r#""jku":"http://127.0.0.1:9/""#,
        r#""alg":"dir""#,
        r#""enc":"A256GCM""#,
        r#""apu":"x""#,
    ] {
        let all = header();
        rows.push((format!("{},{more}}}", &all[..all.len() - 1]), Reason::Header));
    }
    for typ in ["JWT", "", "rt+jwt"] {
        rows.push((header().replace("at+jwt", typ), Reason::Type));
    }
    for kid in ["", "../../dev/null", "AAAAAAAAAAA"] {
        rows.push((header().replace(&KeyId::of("jwe-dir", KEY).to_string(), kid), Reason::Key));
    }
    rows.push((header().replace("\"enc\":\"A256GCM\",", ""), Reason::Header));
    rows.push(("{}".into(), Reason::Header));
    rows.push(("[]".into(), Reason::Header));
    for (header, reason) in rows {
        let found = tokens.verify(token(&header, CLAIMS).as_bytes());
        assert_eq!(found, Err(Rejection::Invalid(reason)), "{header}");
        tokens.verify(good.as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn jwe_parts() {
    let tokens = tokens().await;
    let good = parts(&header(), CLAIMS);
    let with = |place: usize, text: String| {
        let mut parts = good.clone();
        parts[place] = text;
        parts.join(".")
    };
    let tag = URL_SAFE_NO_PAD.decode(&good[4]).unwrap();
    let (stream, _) = encrypt(OTHER_KEY, [7; 12], good[0].as_bytes(), CLAIMS.as_bytes());
    let rows = [
        ("an encrypted key", with(1, "AAAA".into()), Reason::Shape),
        ("no nonce", with(2, String::new()), Reason::Shape),
        ("a nonce of 8 bytes", with(2, b64([7; 8])), Reason::Shape),
        ("a nonce of 16 bytes", with(2, b64([7; 16])), Reason::Shape),
        ("another nonce", with(2, b64([8; 12])), Reason::Signature),
        ("no text", with(3, String::new()), Reason::Signature),
        ("no tag", with(4, String::new()), Reason::Shape),
        ("a tag of 15 bytes", with(4, b64(&tag[..15])), Reason::Shape),
        ("a tag of 12 bytes", with(4, b64(&tag[..12])), Reason::Shape),
        ("a tag of 17 bytes", with(4, b64([&tag[..], &[0]].concat())), Reason::Shape),
        ("a tag of zeros", with(4, b64([0; 16])), Reason::Signature),
        ("another key's text", with(3, b64(stream)), Reason::Signature),
        ("padding", with(4, format!("{}==", good[4])), Reason::Shape),
        ("four parts", good[..4].join("."), Reason::Shape),
        ("six parts", format!("{}.x", good.join(".")), Reason::Shape),
        ("a signed token", format!("{}.{}.{}", good[0], good[3], good[4]), Reason::Shape),
        ("a header of one dot", format!("{}.", good[0]), Reason::Shape),
        ("nothing", String::new(), Reason::Shape),
    ];
    for (what, token, reason) in rows {
        let found = tokens.verify(token.as_bytes());
        assert_eq!(found, Err(Rejection::Invalid(reason)), "{what}");
        tokens.verify(good.join(".").as_bytes()).unwrap();
    }
    let claims = [
        ("expired", CLAIMS.replace("2000000900", "1999999998"), Reason::Expired),
        ("unknown claim", CLAIMS.replace('}', r#","admin":true}"#), Reason::Claims),
        ("exp twice", CLAIMS.replace('}', r#","exp":2000000900}"#), Reason::Claims),
        ("issuer", CLAIMS.replace("\"authbench\"", "\"x\""), Reason::Issuer),
        ("issuers", CLAIMS.replace("\"authbench\"", "[\"authbench\"]"), Reason::Claims),
    ];
    for (what, claims, reason) in claims {
        let found = tokens.verify(token(&header(), &claims).as_bytes());
        assert_eq!(found, Err(Rejection::Invalid(reason)), "{what}");
    }
}

#[tokio::test]
async fn every_flipped_bit_of_an_encrypted_token_is_found() {
    let tokens = tokens().await;
    let good = tokens.sign(user(), &Cart::default(), None).unwrap().access_token.into_bytes();
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[place] ^= 1 << bit;
            assert!(tokens.verify(&changed).is_err(), "{place} {bit}");
        }
    }
}

#[tokio::test]
async fn a_key_is_of_256_bits() {
    for length in [0, 31, 33, 64] {
        let key = [KEY, OTHER_KEY].concat()[..length].to_vec();
        let options = SchemeOptions { key: Some(key), ..options() };
        let errors =
            [jwe_dir::open(&options).await.err(), cookie_sealed::open(&options).await.err()];
        for error in errors {
            let error = error.unwrap();
            let short = matches!(error, ServeError::ShortKey { needed: 32, .. });
            assert!(short == (length < 32) && error.to_string().contains("32 bytes"), "{error}");
        }
    }
}

/// Of the file's cases only those in this profile can be run: `dir` with A256GCM. The others must
/// all be refused by their header, whatever the file says of them.
#[tokio::test]
async fn the_wycheproof_encryptions_are_outside_of_the_profile() {
    let Some(folder) = std::env::var_os("AUTHBENCH_VECTORS") else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: the JWE vectors, because AUTHBENCH_VECTORS names no folder"
        );
        return;
    };
    let path = PathBuf::from(folder).join("wycheproof_json_web_encryption_test.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let tokens = tokens().await;
    let mut run = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            run += 1;
            let jwe = case["jwe"].as_str().unwrap_or_default();
            assert!(tokens.verify(jwe.as_bytes()).is_err(), "{}", case["tcId"]);
        }
    }
    assert_eq!(run, 139);
}
