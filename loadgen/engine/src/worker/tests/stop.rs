//! Loads that are interrupted, stopped or watched.

use super::*;

/// Fault 7: what was measured counts.
#[test]
fn an_interrupt_ends_the_load_and_what_was_measured_counts() {
    let script = script();
    let interrupt = Interrupt::default();
    let flag = interrupt.flag().clone();
    let transport = Mock::new(move |seen: &Seen| {
        if seen.sent_ns >= 300 * MS {
            flag.store(crate::error::SIGINT, Ordering::Relaxed);
        }
        right(seen, MS)
    });
    let stop = AtomicBool::new(false);
    let setup = alone(&script, &interrupt, &stop, 1);
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let harvest =
        worker.load(&plan(open(100.0), 1, 1, 10 * S), 1, None, || Some(0)).unwrap().unwrap();
    let (counts, ..) = harvest.recorder.into_parts();
    assert!(counts.balanced());
    assert!((300 * MS..320 * MS).contains(&counts.window_ns), "{counts:?}");
    assert!((30..=32).contains(&counts.ok), "{counts:?}");
}

/// Fault 7: Drain ends too.
#[test]
fn an_interrupt_in_drain_sends_nothing_more() {
    let script = script();
    let interrupt = Interrupt::default();
    let flag = interrupt.flag().clone();
    // Twice what the server does, so that a thousand wait when the second is over.
    let transport = Mock::new(move |seen: &Seen| {
        if seen.sent_ns >= 1100 * MS {
            flag.store(crate::error::SIGINT, Ordering::Relaxed);
        }
        right(seen, MS)
    });
    let stop = AtomicBool::new(false);
    let setup = alone(&script, &interrupt, &stop, 1);
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let harvest = worker.load(&plan(open(2000.0), 1, 1, S), 1, None, || Some(0)).unwrap().unwrap();
    let (counts, ..) = harvest.recorder.into_parts();
    assert!(counts.balanced() && !harvest.aborted, "{counts:?}");
    assert_eq!((counts.planned, counts.unfinished), (2000, 0));
    assert!((1100..=1102).contains(&counts.ok), "{counts:?}");
}

#[test]
fn a_load_that_is_stopped_counts_what_was_measured_until_then() {
    let script = script();
    let (interrupt, stop) = (Interrupt::default(), AtomicBool::new(false));
    let transport = Mock::new(|seen: &Seen| {
        stop.store(seen.sent_ns >= 300 * MS, Ordering::Relaxed);
        right(seen, MS)
    });
    let setup = alone(&script, &interrupt, &stop, 1);
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let harvest =
        worker.load(&plan(open(100.0), 1, 1, 10 * S), 1, None, || Some(0)).unwrap().unwrap();
    assert!(harvest.aborted);
    let (counts, ..) = harvest.recorder.into_parts();
    assert!((300 * MS..320 * MS).contains(&counts.window_ns), "{counts:?}");
}

#[test]
fn every_second_is_reported_to_a_watcher_that_wants_it() {
    let script = script();
    let interrupt = Interrupt::default();
    let (send, receive) = std::sync::mpsc::channel();
    let stop = AtomicBool::new(false);
    let setup = alone(&script, &interrupt, &stop, 4);
    let transport = Mock::new(|seen: &Seen| right(seen, MS));
    let mut worker = Worker { transport, setup, credentials: Arc::default() };
    let mut plan = plan(open(100.0), 4, 4, 3 * S);
    plan.warmup_ns = S;
    worker.load(&plan, 1, Some(&send), || Some(0)).unwrap().unwrap();
    drop(send);
    let ticks: Vec<_> = receive.iter().map(|tick| (tick.seconds, tick.ok)).collect();
    assert_eq!(ticks, [(1, 100), (2, 200), (3, 300)]);
}
