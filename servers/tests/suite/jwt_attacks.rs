//! Attacks on tokens, one row each, with the check that must refuse it and the one answer it gets.
//! Tokens are signed with the server's own key unless the row is about the signature. After each
//! row the good token still works.

use crate::common::{Arm, KEY, START, options};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use servers::clock::Timestamp;
use servers::schemes::bearer::Tokens;
use servers::schemes::jwt::SignedTokens;
use servers::schemes::keys::KeyId;
use servers::schemes::{Reason, Rejection, SchemeOptions, jwt_hs256};
use servers::users::{User, UserId};
use servers::{ServeError, cart::Cart};

const HEADER: &str = r#"{"typ":"at+jwt","alg":"HS256","kid":"t_xPDK7NVpc"}"#;

fn claims() -> String {
    format!(
        concat!(
            r#"{{"iss":"authbench","aud":"authbench-api","sub":"7","#,
            r#""jti":"AAAAAAAAAAAAAAAAAAAAAA","#,
            r#""iat":{0},"nbf":{0},"exp":{1},"name":"User 7","role":"member"}}"#
        ),
        START,
        START + 900
    )
}

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn mac(algorithm: hmac::Algorithm, key: &[u8], message: &str) -> String {
    b64(hmac::sign(&hmac::Key::new(algorithm, key), message.as_bytes()))
}

/// Header and claims as they are, signed with the server's key.
fn token(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", b64(header), b64(claims));
    let signature = mac(hmac::HMAC_SHA256, KEY, &message);
    format!("{message}.{signature}")
}

/// The good claims with one piece of their text replaced.
fn with(old: &str, new: &str) -> String {
    let claims = claims();
    assert!(claims.contains(old), "{old}");
    claims.replacen(old, new, 1)
}

/// The good claims with this claim's value replaced by any JSON, or the claim left out.
fn claim(name: &str, value: Option<&str>) -> String {
    let mut all: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&claims()).unwrap();
    all.remove(name).unwrap();
    let text = serde_json::to_string(&all).unwrap();
    match value {
        None => text,
        Some(value) => text.replacen('{', &format!("{{\"{name}\":{value},"), 1),
    }
}

async fn verifier() -> SignedTokens {
    jwt_hs256::open(&options()).await.unwrap()
}

/// Runs the rows against the verifier and against the whole app.
async fn run(rows: Vec<(String, String, Reason)>) {
    let (tokens, arm) = (verifier().await, Arm::named("jwt-hs256", options()).await);
    let good = token(HEADER, claims());
    let expected = arm.me("x").await.expect_refused();
    for (what, token, reason) in rows {
        let found = tokens.verify(token.as_bytes());
        assert_eq!(found, Err(Rejection::Invalid(reason)), "{what}: {token}");
        // What no header may hold cannot be sent, and is left to the verifier.
        if token.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            assert_eq!(arm.me(&token).await.expect_refused(), expected, "{what}");
        }
        arm.me(&good).await.expect(200);
    }
    assert_eq!(arm.open.app.panics(), 0);
}

#[tokio::test]
async fn what_we_forge_here_is_what_the_server_issues() {
    let tokens = verifier().await;
    let user = User::of(UserId::new(7).unwrap());
    assert_eq!(tokens.verify(token(HEADER, claims()).as_bytes()).unwrap().user, user);
    let issued = tokens.sign(user, &Cart::default(), None).unwrap();
    let parts: Vec<_> = issued.access_token.split('.').collect();
    assert_eq!(parts[0], b64(HEADER));
    assert!(HEADER.contains(&KeyId::of("jwt-hs256", KEY).to_string()));
    let decoded = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let jti = decoded.split(r#""jti":""#).nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(decoded, claims().replace("AAAAAAAAAAAAAAAAAAAAAA", jti));
    assert_eq!(parts[2], mac(hmac::HMAC_SHA256, KEY, &format!("{}.{}", parts[0], parts[1])));
}

/// Other spellings of the same header are the same header (RFC 7515, 4.1.9; RFC 8259).
#[tokio::test]
async fn the_same_header_in_other_words_is_accepted() {
    let tokens = verifier().await;
    for header in [
        r#"{"kid":"t_xPDK7NVpc","alg":"HS256","typ":"at+jwt"}"#,
        r#" { "typ" : "AT+JWT" , "alg" : "HS256" , "kid" : "t_xPDK7NVpc" } "#,
        r#"{"typ":"application/at+jwt","alg":"HS256","kid":"t_xPDK7NVpc"}"#,
        r#"{"typ":"Application/At+Jwt","alg":"HS256","kid":"t_xPDK7NVpc"}"#,
        r#"{"typ":"at+jwt","alg":"\u0048S256","kid":"t_xPDK7NVpc"}"#,
    ] {
        tokens.verify(token(header, claims()).as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn headers() {
    let header = |header: &str, reason| (header.to_owned(), token(header, claims()), reason);
    let mut rows = Vec::new();
    for alg in
        ["none", "None", "NONE", "nOnE", "hs256", "HS384", "HS512", "RS256", "ES256", "EdDSA"]
    {
        rows.push(header(
            &format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"t_xPDK7NVpc"}}"#),
            Reason::Algorithm,
        ));
        let text = format!(r#"{{"typ":"at+jwt","alg":"{alg}","kid":"t_xPDK7NVpc"}}"#);
        let unsigned = format!("{}.{}.", b64(text), b64(claims()));
        rows.push((format!("{alg} without a signature"), unsigned, Reason::Algorithm));
    }
    for typ in ["JWT", "rt+jwt", "id+jwt", "jwt", "", "at+jwt ", "application/JWT", "text/at+jwt"] {
        rows.push(header(
            &format!(r#"{{"typ":"{typ}","alg":"HS256","kid":"t_xPDK7NVpc"}}"#),
            Reason::Type,
        ));
    }
    for more in [
        r#""crit":["exp"]"#,
        r#""crit":["b64"],"b64":false"#,
        r#""crit":[]"#,
        r#""crit":"exp""#,
        r#""crit":["absent"]"#,
        r#""cty":"JWT""#,
        r#""kid":"t_xPDK7NVpc""#,
        r#""kid":"../../dev/null""#,
        r#""jwk":{"kty":"oct","k":"AAAA"}"#,
        r#""jku":"http://127.0.0.1:9/keys""#,
        r#""x5u":"http://127.0.0.1:9/chain""#,
        r#""x5c":["MIIB"]"#,
        r#""enc":"A256GCM""#,
        r#""zip":"DEF""#,
        r#""alg":"HS256""#,
        r#""alg":"none""#,
        r#""typ":"at+jwt""#,
        r#""unknown":1"#,
        r#""\u0061lg":"none""#,
    ] {
        let text = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"t_xPDK7NVpc",{more}}}"#);
        rows.push(header(&text, Reason::Header));
    }
    let deep = format!(r#"{{"typ":{},"alg":"HS256","kid":"t_xPDK7NVpc"}}"#, "[".repeat(10_000));
    for text in [
        r#"{"alg":"HS256","kid":"t_xPDK7NVpc"}"#,
        r#"{"typ":"at+jwt","kid":"t_xPDK7NVpc"}"#,
        "{}",
        "",
        "null",
        "[]",
        "x",
        r#"["at+jwt","HS256"]"#,
        r#"{"typ":"at+jwt","alg":["HS256"],"kid":"t_xPDK7NVpc"}"#,
        r#"{"typ":"at+jwt","alg":null,"kid":"t_xPDK7NVpc"}"#,
        r#"{"typ":null,"alg":"HS256","kid":"t_xPDK7NVpc"}"#,
        r#"{"typ":"at+jwt","alg":"HS256","kid":"t_xPDK7NVpc"}{}"#,
        r#"{"typ":"at+jwt","alg":"HS256","kid":"t_xPDK7NVpc",}"#,
        r#"{"typ":"at+jwt","alg":NaN,"kid":"t_xPDK7NVpc"}"#,
        r#"{"typ":"at+jwt","alg":"\ud800","kid":"t_xPDK7NVpc"}"#,
        &deep,
        "\u{feff}{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"kid\":\"t_xPDK7NVpc\"}",
    ] {
        rows.push(header(text, Reason::Header));
    }
    rows.push(header(r#"{"typ":"at+jwt","alg":"HS256"}"#, Reason::Header));
    for kid in ["null", "7", "[]", "{}", r#"["t_xPDK7NVpc"]"#] {
        let text = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":{kid}}}"#);
        rows.push(header(&text, Reason::Header));
    }
    for kid in [
        "",
        "../../dev/null",
        "/dev/null",
        "/invalid_path",
        "|sleep 10",
        "x' UNION SELECT '1';--",
        "http://127.0.0.1:9/key",
        "t_xPDK7NVpc ",
        "t_xPDK7NVpc\\u0000",
        "a\\u0000b",
        &"k".repeat(10_000),
    ] {
        let text = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}"}}"#);
        rows.push(header(&text, Reason::Key));
    }
    let invalid = b"{\"typ\":\"at+jwt\",\"alg\":\"HS\xff\",\"kid\":\"t_xPDK7NVpc\"}";
    rows.push(("invalid UTF-8".into(), token(invalid, claims()), Reason::Header));
    run(rows).await;
}

#[tokio::test]
async fn signatures() {
    let good = token(HEADER, claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let signed = |key: &[u8]| format!("{message}.{}", mac(hmac::HMAC_SHA256, key, message));
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let sized = |bytes: &[u8]| format!("{message}.{}", b64(bytes));
    let sha512 = format!("{message}.{}", mac(hmac::HMAC_SHA512, KEY, message));
    let mut rows = vec![
        ("no signature".into(), format!("{message}."), Reason::Signature),
        ("one byte".into(), sized(&raw[..1]), Reason::Signature),
        ("one byte short".into(), sized(&raw[..31]), Reason::Signature),
        ("one byte long".into(), sized(&[&raw[..], &[0]].concat()), Reason::Signature),
        ("three characters short".into(), good[..good.len() - 3].into(), Reason::Signature),
        ("two characters short".into(), good[..good.len() - 2].into(), Reason::Shape),
        ("all zero".into(), sized(&[0; 32]), Reason::Signature),
        ("blank key".into(), signed(b""), Reason::Signature),
        ("key and newline".into(), signed(&[KEY, b"\n"].concat()), Reason::Signature),
        ("HMAC of SHA-512".into(), sha512, Reason::Signature),
    ];
    for secret in ["secret", "password", "changeme", "your-256-bit-secret", "HS256", "key"] {
        rows.push((secret.into(), signed(secret.as_bytes()), Reason::Signature));
    }
    for public in
        ["-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", r#"{"kty":"RSA"}"#]
    {
        rows.push((public.into(), signed(public.as_bytes()), Reason::Signature));
    }
    for bit in 0..256 {
        let mut flipped = raw.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        rows.push((format!("bit {bit}"), format!("{message}.{}", b64(flipped)), Reason::Signature));
    }
    let other = token(HEADER, with(r#""sub":"7""#, r#""sub":"8""#));
    let spliced = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    rows.push(("another's claims".into(), spliced, Reason::Signature));
    run(rows).await;
}

#[tokio::test]
async fn shapes() {
    let good = token(HEADER, claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let resigned = |message: String| format!("{message}.{}", mac(hmac::HMAC_SHA256, KEY, &message));
    let row = |what: &str, token: String, reason| (what.to_owned(), token, reason);
    let padded = URL_SAFE.encode(claims() + &" ".repeat((4 - claims().len() % 3) % 3));
    assert!(padded.ends_with('='));
    let standard = STANDARD.encode(claims().replace("User 7", "\u{3ff}\u{3fe}\u{fff}"));
    let standard = standard.trim_end_matches('=');
    assert!(standard.contains(['+', '/']));
    let json = format!(r#"{{"payload":"{payload}","signature":"{signature}"}}"#);
    let jwe = format!("{header}..x.{payload}");
    let mut rows = vec![
        row("nothing", String::new(), Reason::Shape),
        row("one part", header.into(), Reason::Shape),
        row("two parts", message.into(), Reason::Shape),
        row("header and signature", resigned(header.into()), Reason::Shape),
        row("one dot", ".".into(), Reason::Header),
        row("two dots", "..".into(), Reason::Header),
        row("no header", format!(".{payload}.{signature}"), Reason::Header),
        row("no payload", resigned(format!("{header}.")), Reason::Claims),
        row("four parts", resigned(format!("{message}.x")), Reason::Shape),
        row("five parts, as a JWE has", resigned(jwe), Reason::Shape),
        row("dot first", format!(".{good}"), Reason::Header),
        row("dot last", format!("{good}."), Reason::Signature),
        row("space first", format!(" {good}"), Reason::Shape),
        row("space last", format!("{good} "), Reason::Shape),
        row("two tokens", format!("{good} {good}"), Reason::Signature),
        row("two tokens and a comma", format!("{good},{good}"), Reason::Signature),
        row("JSON serialisation", json, Reason::Shape),
        row("padded payload", resigned(format!("{header}.{padded}")), Reason::Shape),
        row("padded signature", format!("{good}="), Reason::Shape),
        row("padded header", resigned(format!("{header}=.{payload}")), Reason::Shape),
        row("newline in the payload", resigned(format!("{message}\n")), Reason::Shape),
        row("question mark in the payload", resigned(format!("{message}?")), Reason::Shape),
        row("the other alphabet", resigned(format!("{header}.{standard}")), Reason::Shape),
    ];
    // The last character of these carries bits beyond the last byte, which must be zero.
    let spare = padded.trim_end_matches('=');
    for (what, left, end) in [("payload", header, spare), ("signature", message, signature)] {
        let (body, last) = end.split_at(end.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let at = alphabet.find(last).unwrap();
        for bits in 1..4 {
            let text = format!("{left}.{body}{}", &alphabet[at + bits..=at + bits]);
            let text = if what == "payload" { resigned(text) } else { text };
            rows.push(row(&format!("{bits} left over in the {what}"), text, Reason::Shape));
        }
    }
    run(rows).await;
}

/// Fault 20: tokens follow the clock.
#[tokio::test]
async fn times() {
    let mut rows = Vec::new();
    let wrong =
        ["null", "[]", "{}", "true", "\"\"", "-1", "1e400", "1.5", "1e9", "18446744073709551616"];
    for name in ["exp", "nbf", "iat"] {
        rows.push((format!("no {name}"), token(HEADER, claim(name, None)), Reason::Claims));
        for value in wrong.into_iter().chain([format!("\"{START}\"").as_str()]) {
            let claims = claim(name, Some(value));
            rows.push((format!("{name} {value}"), token(HEADER, claims), Reason::Claims));
        }
        let twice = with(&format!(r#""{name}":"#), &format!(r#""{name}":{START},"{name}":"#));
        rows.push((format!("{name} twice"), token(HEADER, twice), Reason::Claims));
    }
    for (name, value, reason) in [
        ("exp", START - 3, Reason::Expired),
        ("exp", START - 2, Reason::Expired),
        ("exp", 0, Reason::Expired),
        ("exp", START + 901, Reason::Expired),
        ("exp", 9_007_199_254_740_993, Reason::Expired),
        ("exp", u64::MAX, Reason::Expired),
        ("iat", 0, Reason::Expired),
        ("iat", START + 3, Reason::NotYet),
        ("iat", u64::MAX, Reason::NotYet),
        ("nbf", START + 3, Reason::NotYet),
        ("nbf", u64::MAX, Reason::NotYet),
    ] {
        let claims = claim(name, Some(&value.to_string()));
        rows.push((format!("{name} {value}"), token(HEADER, claims), reason));
    }
    run(rows).await;
}

#[tokio::test]
async fn the_boundaries_are_exact_with_and_without_leeway() {
    for leeway in [0, 2, 5] {
        let options = SchemeOptions { leeway: std::time::Duration::from_secs(leeway), ..options() };
        let tokens = jwt_hs256::open(&options).await.unwrap();
        let good = token(HEADER, claims());
        let first = START - leeway;
        let end = START + 900 + leeway;
        for (millis, expected) in [
            (first * 1000 - 1, Some(Reason::NotYet)),
            (first * 1000, None),
            (end * 1000 - 1, None),
            (end * 1000, Some(Reason::Expired)),
        ] {
            options.clock.set(Timestamp::from_millis(millis));
            let found = tokens.verify(good.as_bytes()).err();
            assert_eq!(found, expected.map(Rejection::Invalid), "leeway {leeway} at {millis}");
        }
    }
}

#[tokio::test]
async fn who_issued_it_for_whom_about_whom() {
    let mut rows = Vec::new();
    for name in ["iss", "aud", "sub", "jti", "name", "role"] {
        rows.push((format!("no {name}"), token(HEADER, claim(name, None)), Reason::Claims));
        for value in ["null", "1", "[]", "{}", "true", r#"["authbench"]"#, r#"["authbench-api"]"#] {
            let claims = claim(name, Some(value));
            rows.push((format!("{name} {value}"), token(HEADER, claims), Reason::Claims));
        }
        let twice = with(&format!(r#""{name}":"#), &format!(r#""{name}":"x","{name}":"#));
        rows.push((format!("{name} twice"), token(HEADER, twice), Reason::Claims));
    }
    for (name, value, reason) in [
        ("iss", "", Reason::Issuer),
        ("iss", "Authbench", Reason::Issuer),
        ("iss", "authbench/", Reason::Issuer),
        ("aud", "", Reason::Audience),
        ("aud", "authbench-api/", Reason::Audience),
        ("aud", "AUTHBENCH-API", Reason::Audience),
        ("sub", "", Reason::Subject),
        ("sub", "07", Reason::Subject),
        ("sub", "7 ", Reason::Subject),
        ("sub", "7\\u0000", Reason::Subject),
        ("sub", "user-7", Reason::Subject),
        ("sub", "100000000", Reason::Subject),
        ("jti", "", Reason::Claims),
        ("role", "root", Reason::Claims),
        ("role", "Member", Reason::Claims),
        ("name", "a name of twenty-four by", Reason::Claims),
        ("name", "\\ud800", Reason::Claims),
    ] {
        let claims = claim(name, Some(&format!("\"{value}\"")));
        rows.push((format!("{name} {value}"), token(HEADER, claims), reason));
    }
    let long = claim("sub", Some(&format!("\"{}\"", "7".repeat(1 << 20))));
    rows.push(("a sub of a megabyte".into(), token(HEADER, long), Reason::Subject));
    run(rows).await;
}

#[tokio::test]
async fn claims_that_are_no_claims() {
    let mut rows = Vec::new();
    let deep = with("}", &format!(r#","cart":{}}}"#, "[".repeat(10_000)));
    let full = with("}", &format!(r#","cart":[{}]}}"#, vec![r#""x""#; 65].join(",")));
    for claims in [
        String::new(),
        "null".into(),
        "[]".into(),
        "{}".into(),
        "x".into(),
        "NaN".into(),
        format!("{}{{}}", claims()),
        format!("\u{feff}{}", claims()),
        deep,
        full,
        with("}", r#","admin":true}"#),
        with("}", r#","cart":"x"}"#),
        with("}", r#","cart":null}"#),
        with("}", r#","cart":[1]}"#),
        with("}", r#","cart":[""]}"#),
        with("}", ",}"),
        with("}", r#","cart":[],"cart":["x"]}"#),
        with("}", r#","\u0065xp":9999999999}"#),
    ] {
        rows.push((format!("{claims:.60}"), token(HEADER, &claims), Reason::Claims));
    }
    let list: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&claims()).unwrap();
    let list = serde_json::to_string(&list.values().collect::<Vec<_>>()).unwrap();
    rows.push(("a list".into(), token(HEADER, list), Reason::Claims));
    let invalid = claims().replace("User 7", "User ?").into_bytes();
    let invalid: Vec<u8> = invalid.iter().map(|&b| if b == b'?' { 0xff } else { b }).collect();
    rows.push(("invalid UTF-8".into(), token(HEADER, invalid), Reason::Claims));
    run(rows).await;
}

#[tokio::test]
async fn the_authorization_header() {
    let arm = Arm::named("jwt-hs256", options()).await;
    let good = token(HEADER, claims());
    let mut same = Vec::new();
    for (value, status) in [
        (format!("Bearer {good}"), 200),
        (format!("bearer {good}"), 200),
        (format!("BEARER {good}"), 200),
        (format!("Basic {good}"), 401),
        ("Basic dXNlcjpwYXNz".into(), 401),
        ("Bearer".into(), 401),
        ("Bearer ".into(), 401),
        (format!("Bearer  {good}"), 401),
        (format!("Bearer\t{good}"), 401),
        (format!("Bearer {good} {good}"), 401),
        (format!("Bearer {good},Bearer {good}"), 401),
        (format!("Bearer \"{good}\""), 401),
        (format!("Bearer{good}"), 401),
        (good.clone(), 401),
        (String::new(), 401),
    ] {
        let request = axum::extract::Request::get("/me").header("authorization", &value);
        let answer = arm.call(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{value}");
        if status == 401 {
            assert!(answer.header("www-authenticate").contains("invalid_token"), "{value}");
            same.push(answer.expect_refused());
        }
    }
    assert!(same.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn a_short_key_is_refused_at_the_start() {
    for length in [0, 1, 16, 31] {
        let options = SchemeOptions { key: Some(vec![7; length]), ..options() };
        match jwt_hs256::open(&options).await {
            Err(ServeError::ShortKey { needed: 32, found, .. }) => assert_eq!(found, length),
            _ => panic!("a key of {length} bytes was taken"),
        }
    }
    assert!(jwt_hs256::open(&options()).await.is_ok());
}
