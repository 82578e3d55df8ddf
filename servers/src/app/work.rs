//! What a handler does for a user who was let in: the same for every arm, and nothing by default.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The most CPU time that a handler may burn: 1 s, for which it holds its thread.
pub const CPU_MAX: Duration = Duration::from_secs(1);
/// The longest that a handler may wait: 60 s.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// The work of every protected handler.
///
/// A real handler computes and waits for others, and how much decides whether it matters what
/// authentication costs. The CPU time is burnt by the clock of the thread, so a handler that is
/// preempted burns no less than one that is not; it keeps the core and touches no memory. The wait
/// is a timer of the runtime, which counts in whole milliseconds.
///
/// Whether there is any work is decided once, when the arm is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// CPU time that it burns, at most [`CPU_MAX`].
    pub cpu: Duration,
    /// How long it waits after that, in whole milliseconds, at most [`WAIT_MAX`].
    pub wait: Duration,
}

impl Work {
    /// Whether it is nothing.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.cpu.is_zero() && self.wait.is_zero()
    }
}

/// Work that was measured out on this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calibrated {
    cpu_ns: u64,
    /// How much of the work is done besides what the clock shows at the last look, ns: the read of
    /// the clock itself, and half of a step, because the end falls anywhere within one.
    unseen_ns: u64,
    wait: Duration,
}

/// Steps that are timed to learn what one takes.
const TIMED: u32 = 1_000;
/// Rounds of one step: well below a microsecond.
const ROUNDS: u32 = 128;

impl Calibrated {
    /// Learns what a step takes here; `None` where there is nothing to do.
    pub(super) fn new(work: Work) -> Option<Self> {
        if work.is_nothing() {
            return None;
        }
        let read_ns = timed(|| {});
        let unseen_ns = read_ns + timed(step) / 2;
        Some(Self { cpu_ns: nanos(work.cpu), unseen_ns, wait: work.wait })
    }

    /// Does the work.
    pub(super) async fn carry_out(&self) {
        self.burn();
        if !self.wait.is_zero() {
            // In a box, so that a request without a wait does not carry room for a timer.
            Box::pin(tokio::time::sleep(self.wait)).await;
        }
    }

    fn burn(&self) {
        if self.cpu_ns == 0 {
            return;
        }
        let begun = thread_cpu_ns();
        while thread_cpu_ns() - begun + self.unseen_ns < self.cpu_ns {
            step();
        }
    }
}

/// What `step` and a read of the clock take, ns.
fn timed(step: impl Fn()) -> u64 {
    let begun = thread_cpu_ns();
    let mut now = begun;
    for _ in 0..TIMED {
        step();
        now = thread_cpu_ns();
    }
    (now - begun) / u64::from(TIMED)
}

/// A chain of multiplications: each waits for the one before it, and none can be left out. The
/// processor's hint for spinning would be a trap to the host on some virtual machines.
fn step() {
    let mut value = black_box(1_u64);
    for _ in 0..ROUNDS {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
    black_box(value);
}

/// CPU time of this thread, ns.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + nanos
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    fn calibrated(cpu: Duration) -> Calibrated {
        Calibrated::new(Work { cpu, ..Work::default() }).unwrap()
    }

    /// CPU time that this thread uses for one of so many burns, in microseconds.
    fn burnt_us(work: &Calibrated, times: u32) -> f64 {
        let begun = thread_cpu_ns();
        (0..times).for_each(|_| work.burn());
        (thread_cpu_ns() - begun) as f64 / f64::from(times) / 1e3
    }

    /// Time that the host takes away may be on the thread's bill, so the best of several tries
    /// counts: a wrong amount is wrong in all of them.
    #[test]
    fn as_much_is_burnt_as_was_asked_for() {
        for asked_us in [20_u32, 50, 1_000] {
            let work = calibrated(Duration::from_micros(asked_us.into()));
            let off = |burnt: f64| (burnt / f64::from(asked_us) - 1.0).abs();
            let tries = (0..20).map(|_| off(burnt_us(&work, 20_000 / asked_us)));
            let best = tries.fold(f64::INFINITY, f64::min);
            assert!(best < 0.05, "{asked_us} us: {best} off at best");
        }
    }

    /// By the time of day a thread that seldom has its core would burn a part of it.
    #[test]
    fn a_thread_that_shares_its_core_burns_no_less() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let over = AtomicBool::new(false);
        let burnt = thread::scope(|scope| {
            for _ in 0..4 * cores {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        step();
                    }
                });
            }
            let work = calibrated(Duration::from_millis(5));
            let burnt = burnt_us(&work, 40);
            over.store(true, Ordering::Relaxed);
            burnt
        });
        assert!(burnt > 4_750.0, "{burnt} us of 5,000");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_a_timer_and_burns_nothing() {
        let wait = Duration::from_millis(5);
        let work = Calibrated::new(Work { wait, ..Work::default() }).unwrap();
        let begun = tokio::time::Instant::now();
        work.carry_out().await;
        assert_eq!(begun.elapsed(), wait);
        assert!(Calibrated::new(Work::default()).is_none());
    }
}
