//! What it costs to make a credential for a user whose password was right: every arm. Sessions are
//! swept between rounds, untimed, so a store holds up to ten thousand of them.

use std::hint::black_box;

use benches::{
    NOW, TTL, USERS, browser_headers, clock, in_process, in_rounds, options, ready, requests, user,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use servers::arms;
use servers::clock::Timestamp;
use servers::schemes::{Scheme, SchemeOptions, Visitor, open};
use tokio::runtime::{Builder, Runtime};

const ROUND: u64 = 10_000;

struct Issue<'a, 'b> {
    group: &'a mut BenchmarkGroup<'b, WallTime>,
    arm: &'static str,
    runtime: &'a Runtime,
}

impl Visitor for Issue<'_, '_> {
    type Output = ();

    fn visit<S: Scheme>(self, scheme: S) {
        // Makes, and checks, a credential for every user.
        drop(ready(requests(&scheme, USERS)));
        let upkeep = scheme.upkeep();
        let headers = browser_headers();
        let issue = |n: u64| {
            let user = user(u32::try_from(n).unwrap_or_default() % USERS);
            black_box(ready(scheme.issue(user, black_box(&headers))).expect("a credential"));
        };
        let sweep = || {
            if let Some(store) = &upkeep {
                let end = Timestamp::from_seconds(NOW).plus(TTL);
                self.runtime.block_on(store.sweep(end)).expect("a store");
            }
        };
        self.group.bench_function(self.arm, |bencher| {
            bencher.iter_custom(|iterations| in_rounds(iterations, ROUND, issue, sweep));
        });
    }
}

fn issue(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut group = criterion.benchmark_group("issue");
    for info in arms().iter().filter(|info| in_process(info)) {
        let options = SchemeOptions { clock: clock(), ..options() };
        let issue = Issue { group: &mut group, arm: info.arm, runtime: &runtime };
        ready(open(info.arm, &options, issue)).expect("an arm");
    }
    group.finish();
}

criterion_group!(benches, issue);
criterion_main!(benches);
