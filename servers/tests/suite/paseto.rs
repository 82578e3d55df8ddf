//! PASETO tokens, attacked with the server's own keys in hand, and the public vectors. Each row
//! differs from a good token in one thing; after each row the good one still works.

use std::io::Write as _;
use std::path::PathBuf;

use crate::common::{KEY, key_for, options};
use pasetors::keys::SymmetricKey;
use pasetors::version4::{LocalToken, V4};
use serde_json::Value;
use servers::cart::Cart;
use servers::schemes::bearer::Tokens;
use servers::schemes::keys::KeyId;
use servers::schemes::paseto::Key;
use servers::schemes::paseto_v4_local::{self, LocalKey};
use servers::schemes::paseto_v4_public::{self, PublicKey};
use servers::schemes::{Reason, Rejection, SchemeOptions};
use servers::users::{User, UserId};

const CLAIMS: &str = concat!(
    r#"{"iss":"authbench","aud":"authbench-api","sub":"7","jti":"AAAAAAAAAAAAAAAAAAAAAA","#,
    r#""iat":"2033-05-18T03:33:20Z","nbf":"2033-05-18T03:33:20Z","exp":"2033-05-18T03:48:20Z","#,
    r#""name":"User 7","role":"member"}"#
);

fn footer() -> String {
    format!(r#"{{"kid":"{}"}}"#, KeyId::of("paseto-v4-local", KEY))
}

fn forged(claims: &str, footer: Option<&str>, implicit: Option<&[u8]>) -> String {
    let key = SymmetricKey::<V4>::from(KEY).unwrap();
    LocalToken::encrypt(&key, claims.as_bytes(), footer.map(str::as_bytes), implicit).unwrap()
}

fn user() -> User {
    User::of(UserId::new(7).unwrap())
}

async fn signer() -> impl Tokens {
    let key = key_for(&paseto_v4_public::INFO, KEY);
    paseto_v4_public::open(&SchemeOptions { key: Some(key), ..options() }).await.unwrap()
}

#[tokio::test]
async fn versions_purposes_footers_and_claims() {
    let tokens = paseto_v4_local::open(&options()).await.unwrap();
    let good = forged(CLAIMS, Some(&footer()), None);
    assert_eq!(tokens.verify(good.as_bytes()).unwrap().user, user());
    let signed = signer().await.sign(user(), &Cart::default(), None).unwrap().access_token;
    let body = good.strip_prefix("v4.local.").unwrap();
    let (text, ending) = body.split_once('.').unwrap();
    let claims = |old: &str, new: &str| {
        assert!(CLAIMS.contains(old));
        forged(&CLAIMS.replacen(old, new, 1), Some(&footer()), None)
    };
    let other = KeyId::of("paseto-v4-local", b"another");
    let rows = [
        ("a signed token", signed.clone(), Reason::Type),
        ("called a signed one", format!("v4.public.{body}"), Reason::Type),
        ("version 3", format!("v3.local.{body}"), Reason::Type),
        ("version 2", format!("v2.local.{body}"), Reason::Type),
        ("upper case", format!("V4.LOCAL.{body}"), Reason::Type),
        ("no version", body.into(), Reason::Type),
        ("no footer", forged(CLAIMS, None, None), Reason::Key),
        ("another footer", forged(CLAIMS, Some("x"), None), Reason::Key),
        ("more in the footer", forged(CLAIMS, Some(&format!("{} ", footer())), None), Reason::Key),
        (
            "another key's name",
            forged(CLAIMS, Some(&format!(r#"{{"kid":"{other}"}}"#)), None),
            Reason::Key,
        ),
        ("the footer cut off", format!("v4.local.{text}"), Reason::Key),
        (
            "our footer put on",
            format!("{}.{ending}", forged(CLAIMS, None, None)),
            Reason::Signature,
        ),
        ("an implicit assertion", forged(CLAIMS, Some(&footer()), Some(b"x")), Reason::Signature),
        ("no text", format!("v4.local..{ending}"), Reason::Shape),
        ("a short text", format!("v4.local.AAAA.{ending}"), Reason::Shape),
        ("five parts", format!("v4.local.{text}.x.{ending}"), Reason::Shape),
        ("padding", format!("v4.local.{text}=.{ending}"), Reason::Shape),
        ("exp as a number", claims("\"2033-05-18T03:48:20Z\"", "2000000900"), Reason::Claims),
        ("exp with an offset", claims("48:20Z", "48:20+00:00"), Reason::Claims),
        (
            "exp twice",
            claims("\"name\"", "\"exp\":\"2099-01-01T00:00:00Z\",\"name\""),
            Reason::Claims,
        ),
        ("expired", claims("03:48:20Z", "03:33:18Z"), Reason::Expired),
        ("too long a life", claims("03:48:20Z", "03:48:21Z"), Reason::Expired),
        (
            "nbf in the future",
            claims("\"nbf\":\"2033-05-18T03:33:20Z", "\"nbf\":\"2033-05-18T03:33:23Z"),
            Reason::NotYet,
        ),
        ("issuer", claims("\"authbench\"", "\"x\""), Reason::Issuer),
        ("issuers", claims("\"authbench\"", "[\"authbench\"]"), Reason::Claims),
        ("audience", claims("authbench-api", "authbench-api/"), Reason::Audience),
        ("no such user", claims("\"7\"", "\"100000000\""), Reason::Subject),
        ("an unknown claim", claims("}", ",\"admin\":true}"), Reason::Claims),
        ("a list", forged("[]", Some(&footer()), None), Reason::Claims),
    ];
    for (what, token, reason) in rows {
        let found = tokens.verify(token.as_bytes());
        assert_eq!(found, Err(Rejection::Invalid(reason)), "{what}");
        tokens.verify(good.as_bytes()).unwrap();
    }
    let public = signer().await;
    assert_eq!(public.verify(good.as_bytes()), Err(Rejection::Invalid(Reason::Type)));
    public.verify(signed.as_bytes()).unwrap();
}

#[tokio::test]
async fn every_flipped_bit_is_found() {
    async fn flip(tokens: impl Tokens) {
        let good = tokens.sign(user(), &Cart::default(), None).unwrap().access_token.into_bytes();
        tokens.verify(&good).unwrap();
        for place in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[place] ^= 1 << bit;
                assert!(tokens.verify(&changed).is_err(), "{place} {bit}");
            }
        }
    }
    flip(paseto_v4_local::open(&options()).await.unwrap()).await;
    flip(signer().await).await;
}

#[tokio::test]
async fn keys_of_the_wrong_kind_are_refused() {
    for key in [&b""[..], &[7; 31], &[7; 33]] {
        let options = SchemeOptions { key: Some(key.to_vec()), ..options() };
        assert!(paseto_v4_local::open(&options).await.is_err());
        assert!(paseto_v4_public::open(&options).await.is_err());
    }
}

/// Every case of the file, through the seam below footer and claims. Seeds come as raw bytes there,
/// and as PKCS#8 here.
#[test]
fn the_paseto_vectors() {
    let Some(folder) = std::env::var_os("AUTHBENCH_VECTORS") else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: the PASETO vectors, because AUTHBENCH_VECTORS names no folder"
        );
        return;
    };
    let path = PathBuf::from(folder).join("paseto_v4.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut good, mut bad) = (0, 0);
    for case in file["tests"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let token = text("token");
        let (footer, implicit) = (text("footer").as_bytes(), text("implicit-assertion").as_bytes());
        let opened = match case["key"].as_str() {
            Some(key) => {
                let (_, key) = LocalKey::prepare(&hex(key).try_into().unwrap()).unwrap();
                open(&key, token, footer, implicit)
            }
            None => {
                let prefix = hex("302e020100300506032b657004220420");
                let der = [prefix, hex(text("secret-key-seed"))].concat();
                let (_, key) = PublicKey::read(&der).unwrap();
                open(&key, token, footer, implicit)
            }
        };
        if case["expect-fail"] == true {
            bad += 1;
            assert!(opened.is_err(), "{}", text("name"));
        } else {
            good += 1;
            assert_eq!(opened.unwrap(), text("payload"), "{}", text("name"));
        }
    }
    assert_eq!((good, bad), (12, 5));
}

fn open(key: &impl Key, token: &str, footer: &[u8], implicit: &[u8]) -> Result<String, Reason> {
    key.open(token, footer, implicit).map(|token| token.payload().to_owned())
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}
