//! What it costs the generator to record one request: planned, sent and ended, with its response
//! time, service time and lag in a histogram each and its second in the timeline. The bar is 100 ns
//! per request.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loadgen::engine::{Moments, Recorder};
use loadgen::journey::Script;
use loadgen::random::{exponential, mix};
use loadgen::record::Histogram;
use loadgen::transport::Outcome;

/// Requests between two looks at what was recorded.
const ROUND: u64 = 100_000;
const WINDOW_NS: u64 = 10_000_000_000;

fn script() -> Script {
    let target = toml::from_str(
        "name = 't'\nbase_url = 'http://127.0.0.1:1'\n[journeys.browse]\n\
         steps = [{ name = 'one', path = '/1' }, { name = 'two', path = '/2' }]\n",
    );
    Script::new(&target.expect("a target"), "browse").expect("a script")
}

/// The moments of requests spread over the window, with latencies spread as those of a server are.
fn moments() -> Vec<Moments> {
    let of = |n: u64| {
        let planned_ns = n * WINDOW_NS / ROUND;
        let lag_ns = mix(1, n) % 20_000;
        let service_ns = 20_000 + (exponential(2, n) * 200_000.0) as u64;
        Moments {
            planned_ns,
            sent_ns: planned_ns + lag_ns,
            done_ns: planned_ns + lag_ns + service_ns,
        }
    };
    (0..ROUND).map(of).collect()
}

/// Records as many of these requests; how long it took.
///
/// Records are counted after every round, so a recorder that records nothing fails here instead of
/// looking fast.
fn round(script: &Script, moments: &[Moments]) -> Duration {
    let mut recorder = Recorder::new(script, script.steps.clone(), 0..WINDOW_NS);
    let began = Instant::now();
    for (n, at) in moments.iter().enumerate() {
        recorder.planned(at.planned_ns);
        recorder.sent(at.planned_ns);
        recorder.ended(script.steps.start + n % 2, black_box(*at), Outcome::Ok);
    }
    let took = began.elapsed();
    let (counts, steps, timeline, _) = recorder.into_parts();
    let count = moments.len() as u64;
    assert!(counts.balanced() && (counts.planned, counts.ok) == (count, count), "{counts:?}");
    for step in &steps {
        let histograms = [&step.response, &step.service, &step.lag];
        let recorded: u64 = histograms.map(Histogram::count).iter().sum();
        assert!(recorded >= count / 2 * 3, "a histogram was passed by");
    }
    let seconds: u64 = timeline.iter().map(|second| second.response.count()).sum();
    assert_eq!(seconds, counts.ok_in_window, "the timeline was passed by");
    took
}

fn record(criterion: &mut Criterion) {
    let (script, moments) = (script(), moments());
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(1));
    group.bench_function("request", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut left = iterations;
            let mut took = Duration::ZERO;
            while left > 0 {
                // The requests go to two steps in turn, so they come in pairs.
                let now = (left & !1).clamp(2, ROUND);
                took += round(&script, &moments[..now as usize]);
                left = left.saturating_sub(now);
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, record);
criterion_main!(benches);
