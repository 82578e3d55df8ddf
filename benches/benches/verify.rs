//! What it costs to know whose request this is: every arm, through the trait that the server calls,
//! and next to each kind of token the library that the arm is built on, alone.

use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use benches::{USERS, in_process, login, options, ready, requests, user};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use jsonwebtoken::Validation;
use pasetors::claims::ClaimsValidationRules;
use pasetors::keys::{AsymmetricPublicKey, SymmetricKey};
use pasetors::token::{Local, Public, TrustedToken, UntrustedToken};
use pasetors::version4::V4;
use pasetors::{local, public};
use serde::Deserialize;
use servers::arms;
use servers::schemes::jwt::{AUDIENCE, ISSUER, Kind};
use servers::schemes::open;
use servers::schemes::{
    Scheme, SchemeOptions, Visitor, jwt_eddsa, jwt_es256, jwt_hs256, jwt_rs256,
};

struct Verify<'a, 'b> {
    group: &'a mut BenchmarkGroup<'b, WallTime>,
    arm: &'static str,
}

impl Visitor for Verify<'_, '_> {
    type Output = ();

    fn visit<S: Scheme>(self, scheme: S) {
        let requests = ready(requests(&scheme, USERS));
        let mut next = requests.iter().cycle();
        self.group.bench_function(self.arm, |bencher| {
            bencher.iter(|| {
                let headers = next.next().expect("an endless cycle");
                ready(scheme.authenticate(black_box(headers))).expect("a user")
            });
        });
    }
}

/// The credentials of all users, of the arm that is opened.
struct Logins;

impl Visitor for Logins {
    type Output = Vec<String>;

    fn visit<S: Scheme>(self, scheme: S) -> Vec<String> {
        (0..USERS).map(|n| ready(login(&scheme, n))).collect()
    }
}

/// What a program that uses the library in the ordinary way reads from a token.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: String,
    role: String,
}

/// Times a library alone on tokens of an arm, with its key prepared: `prepare` turns the key file
/// into a reader of tokens.
///
/// Ours checks more than any library, and may be faster anyway, because it reads header and claims
/// once.
fn library<F: Fn(&str) -> Claims>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    arm: &str,
    prepare: impl FnOnce(&[u8]) -> F,
) {
    let made = Arc::new(OnceLock::new());
    let keyed = SchemeOptions { made_key: Some(Arc::clone(&made)), ..options() };
    let tokens = ready(open(arm, &keyed, Logins)).expect("an arm");
    let read = prepare(made.get().expect("a key that was made"));
    for (n, token) in (0..).zip(&tokens) {
        let (claims, user) = (read(token), user(n));
        assert_eq!(claims.sub, user.id.to_string());
        assert_eq!((&*claims.name, &*claims.role), (user.name.as_str(), user.role.as_str()));
    }
    let mut next = tokens.iter().cycle();
    group.bench_function(format!("{arm}/library"), |bencher| {
        bencher.iter(|| read(black_box(next.next().expect("an endless cycle"))));
    });
}

/// `jsonwebtoken::decode`.
fn jsonwebtoken(arm: &'static str, key: &[u8], kind: &Kind) -> impl Fn(&str) -> Claims + use<> {
    let key = (kind.read)(arm, key).expect("a key").verifying;
    let mut validation = Validation::new(kind.algorithm);
    validation.leeway = 2;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    move |token| {
        jsonwebtoken::decode::<Claims>(token, &key, &validation).expect("a valid token").claims
    }
}

/// What pasetors asks of claims, prepared: issuer, audience and times.
fn rules() -> ClaimsValidationRules {
    let mut rules = ClaimsValidationRules::new();
    rules.validate_issuer_with(ISSUER);
    rules.validate_audience_with(AUDIENCE);
    rules
}

fn claims_of(opened: &TrustedToken) -> Claims {
    let claims = opened.payload_claims().expect("claims");
    let text = |name| claims.get_claim(name).and_then(|claim| claim.as_str()).expect("a text");
    Claims { sub: text("sub").into(), name: text("name").into(), role: text("role").into() }
}

/// `pasetors::local::decrypt`.
fn paseto_local(key: &[u8]) -> impl Fn(&str) -> Claims + use<> {
    let (key, rules) = (SymmetricKey::<V4>::from(key).expect("a key"), rules());
    move |token| {
        let token = UntrustedToken::<Local, V4>::try_from(token).expect("a token");
        claims_of(&local::decrypt(&key, &token, &rules, None, None).expect("a valid token"))
    }
}

/// `pasetors::public::verify`.
fn paseto_public(key: &[u8]) -> impl Fn(&str) -> Claims + use<> {
    let pair = Ed25519KeyPair::from_pkcs8(key).expect("a key");
    let key = AsymmetricPublicKey::<V4>::from(pair.public_key().as_ref()).expect("a key");
    let rules = rules();
    move |token| {
        let token = UntrustedToken::<Public, V4>::try_from(token).expect("a token");
        claims_of(&public::verify(&key, &token, &rules, None, None).expect("a valid token"))
    }
}

/// The parts of a JWE, opened by aws-lc-rs, and its claims, with what the other libraries ask of
/// them.
fn jwe(key: &[u8]) -> impl Fn(&str) -> Claims + use<> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        iss: &'a str,
        aud: &'a str,
        nbf: u64,
        exp: u64,
        sub: String,
        name: String,
        role: String,
    }
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key"));
    move |token| {
        let mut parts = token.split('.');
        let mut part = || parts.next().expect("five parts");
        let (header, _) = (part(), part());
        let nonce = URL_SAFE_NO_PAD.decode(part()).expect("base64url");
        let nonce = Nonce::try_assume_unique_for_key(&nonce).expect("a nonce");
        let mut sealed = URL_SAFE_NO_PAD.decode(part()).expect("base64url");
        URL_SAFE_NO_PAD.decode_vec(part(), &mut sealed).expect("base64url");
        let opened = key.open_in_place(nonce, Aad::from(header.as_bytes()), &mut sealed);
        let opened: Whole<'_> =
            serde_json::from_slice(opened.expect("a valid token")).expect("claims");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        assert!(opened.iss == ISSUER && opened.aud == AUDIENCE);
        assert!(opened.nbf <= now + 2 && now < opened.exp + 2);
        Claims { sub: opened.sub, name: opened.name, role: opened.role }
    }
}

fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for info in arms().iter().filter(|info| in_process(info)) {
        let verify = Verify { group: &mut group, arm: info.arm };
        ready(open(info.arm, &options(), verify)).expect("an arm");
    }
    for (arm, kind) in [
        ("jwt-hs256", &jwt_hs256::KIND),
        ("jwt-rs256", &jwt_rs256::KIND),
        ("jwt-es256", &jwt_es256::KIND),
        ("jwt-eddsa", &jwt_eddsa::KIND),
    ] {
        library(&mut group, arm, |key| jsonwebtoken(arm, key, kind));
    }
    library(&mut group, "jwe-dir", jwe);
    library(&mut group, "paseto-v4-local", paseto_local);
    library(&mut group, "paseto-v4-public", paseto_public);
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
