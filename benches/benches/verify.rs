//! What it costs to know whose request this is: every arm, through the trait that the server
//! calls.
//!
//! Beside the arms stands a named floor, `jsonwebtoken::decode` with key and validation prepared,
//! on the same tokens: ours checks more, and reads header and claims once.

use std::hint::black_box;

use benches::{KEY, in_process, options, ready, requests, user};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use servers::arms;
use servers::schemes::jwt::{AUDIENCE, ISSUER};
use servers::schemes::{Scheme, SchemeOptions, Visitor, jwt_hs256, open};

struct Verify<'a, 'b> {
    group: &'a mut BenchmarkGroup<'b, WallTime>,
    arm: &'static str,
}

impl Visitor for Verify<'_, '_> {
    type Output = ();

    fn visit<S: Scheme>(self, scheme: S) {
        let requests = requests(&scheme);
        let mut next = requests.iter().cycle();
        self.group.bench_function(self.arm, |bencher| {
            bencher.iter(|| {
                let headers = next.next().expect("an endless cycle");
                ready(scheme.authenticate(black_box(headers))).expect("a user")
            });
        });
    }
}

/// What a program that uses the crate in the ordinary way reads from a token.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    name: String,
    role: String,
}

fn bare_jsonwebtoken(group: &mut BenchmarkGroup<'_, WallTime>) {
    let keyed = SchemeOptions { key: Some(KEY.to_vec()), ..options() };
    let scheme = ready(jwt_hs256::open(&keyed)).expect("an arm");
    let tokens: Vec<String> = (0..benches::USERS).map(|n| benches::login(&scheme, n)).collect();
    let key = DecodingKey::from_secret(KEY);
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 2;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    let decode = |token: &str| {
        jsonwebtoken::decode::<Claims>(token, &key, &validation).expect("a valid token").claims
    };
    for (n, token) in (0..).zip(&tokens) {
        let (claims, user) = (decode(token), user(n));
        assert_eq!(claims.sub, user.id.to_string());
        assert_eq!((&*claims.name, &*claims.role), (user.name.as_str(), user.role.as_str()));
    }
    let mut next = tokens.iter().cycle();
    group.bench_function("floor: bare jsonwebtoken HS256", |bencher| {
        bencher.iter(|| decode(black_box(next.next().expect("an endless cycle"))));
    });
}

fn verify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for info in arms().iter().filter(|info| in_process(info)) {
        let verify = Verify { group: &mut group, arm: info.arm };
        ready(open(info.arm, &options(), verify)).expect("an arm");
    }
    bare_jsonwebtoken(&mut group);
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
