//! What it costs to turn a refresh token into a new pair: every arm that does so. Each call shows
//! the token that the call before it gave out, so every call rotates a live family.

use std::hint::black_box;

use benches::{USERS, browser_headers, clock, in_process, options, ready, user};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use servers::arms;
use servers::schemes::{Issued, Scheme, SchemeOptions, Token, Visitor, open};

/// A call that was refused would be a panic and no figure. An access token is made, and the
/// answer's JSON is not.
struct Refresh<'a, 'b> {
    group: &'a mut BenchmarkGroup<'b, WallTime>,
    arm: &'static str,
}

fn refresh_token(token: Token) -> String {
    token.refresh_token.expect("a refresh token with the access token")
}

impl Visitor for Refresh<'_, '_> {
    type Output = ();

    fn visit<S: Scheme>(self, scheme: S) {
        let headers = browser_headers();
        let login = |n| match ready(scheme.issue(user(n), &headers)).expect("a credential") {
            Issued::Token(token) => refresh_token(token),
            other => panic!("expected tokens, found {other:?}"),
        };
        let mut held: Vec<String> = (0..USERS).map(login).collect();
        let mut next = (0..held.len()).cycle();
        self.group.bench_function(self.arm, |bencher| {
            bencher.iter(|| {
                let held = &mut held[next.next().expect("an endless cycle")];
                let token = ready(scheme.refresh(black_box(held))).expect("a new pair");
                *held = refresh_token(token);
            });
        });
    }
}

fn refresh(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refresh");
    for info in arms().iter().filter(|info| info.refreshes && in_process(info)) {
        let options = SchemeOptions { clock: clock(), ..options() };
        let refresh = Refresh { group: &mut group, arm: info.arm };
        ready(open(info.arm, &options, refresh)).expect("an arm");
    }
    group.finish();
}

criterion_group!(benches, refresh);
criterion_main!(benches);
