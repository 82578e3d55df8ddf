//! Adds up what several workers did, once, when the load is over. Merging is associative, and an
//! empty record changes nothing: so it does not matter who is added to whom.

use super::{Counts, GeneratorUse, LoginRecord, Second, SliceRecord, StepRecord, VisitCounts};

impl Counts {
    /// Adds another worker's counts, but for the length of the phase, which all share, and the
    /// longest silence, which cannot be had from those of each.
    pub fn merge(&mut self, other: &Self) {
        self.window_ns = self.window_ns.max(other.window_ns);
        self.planned += other.planned;
        self.sent += other.sent;
        self.dropped += other.dropped;
        self.lost += other.lost;
        self.ok += other.ok;
        for (class, count) in &other.errors {
            *self.errors.entry(class.clone()).or_default() += count;
        }
        self.unfinished += other.unfinished;
        self.queued += other.queued;
        self.ended_in_window += other.ended_in_window;
        self.ok_in_window += other.ok_in_window;
    }
}

impl StepRecord {
    /// Adds another worker's requests of the same step.
    pub fn merge(&mut self, other: &Self) {
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.lag.merge(&other.lag);
    }
}

impl Second {
    /// Adds what another worker did in the same second.
    pub fn merge(&mut self, other: &Self) {
        self.ended += other.ended;
        self.ok += other.ok;
        self.response.merge(&other.response);
    }
}

impl SliceRecord {
    /// Adds what another worker did in the same slice. Only one of them reads the CPU time.
    pub fn merge(&mut self, other: &Self) {
        self.ns = self.ns.max(other.ns);
        self.ok += other.ok;
        self.ok_in_window += other.ok_in_window;
        self.server_cpu_ns += other.server_cpu_ns;
        self.store_cpu_ns += other.store_cpu_ns;
        self.relay_cpu_ns += other.relay_cpu_ns;
        self.proxy_cpu_ns += other.proxy_cpu_ns;
        self.server_waited_ns += other.server_waited_ns;
        self.idle_ns = self.idle_ns.max(other.idle_ns);
        self.idle_cpu_ns += other.idle_cpu_ns;
    }
}

impl VisitCounts {
    /// Adds another worker's counts.
    pub const fn merge(&mut self, other: &Self) {
        self.arrived += other.arrived;
        self.completed += other.completed;
        self.failed += other.failed;
        self.turned_away += other.turned_away;
    }
}

impl LoginRecord {
    /// Adds the users of another worker, who did the same at the same time.
    pub fn merge(&mut self, other: &Self) {
        self.users += other.users;
        self.wall_ns = self.wall_ns.max(other.wall_ns);
        self.credential_bytes += other.credential_bytes;
        self.service.merge(&other.service);
    }
}

impl GeneratorUse {
    /// Adds another worker's use; how workers wait is the same for all and stays as it is here.
    pub fn merge(&mut self, other: &Self) {
        self.workers += other.workers;
        self.cpu_ns += other.cpu_ns;
        self.busiest = self.busiest.max(other.busiest);
        self.waited = self.waited.max(other.waited);
        self.absent_ns = self.absent_ns.max(other.absent_ns);
        self.peak_rss_bytes = self.peak_rss_bytes.max(other.peak_rss_bytes);
    }
}

/// Merges lists place by place; what only one of them has is taken as it is.
pub fn merge_lists<T>(all: &mut Vec<T>, part: Vec<T>, merge: impl Fn(&mut T, &T)) {
    let mut part = part.into_iter();
    for (mine, theirs) in all.iter_mut().zip(part.by_ref()) {
        merge(mine, &theirs);
    }
    all.extend(part);
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;
    use crate::record::{Histogram, RenewalRecord};

    /// Whether (a + b) + c is a + (b + c), and an empty one changes nothing on either side.
    fn obeys<T: Clone + Debug + PartialEq>(
        empty: &T,
        [a, b, c]: &[T; 3],
        merge: impl Fn(&mut T, &T),
    ) -> Result<(), TestCaseError> {
        let sum = |left: &T, right: &T| {
            let mut left = left.clone();
            merge(&mut left, right);
            left
        };
        prop_assert_eq!(sum(&sum(a, b), c), sum(a, &sum(b, c)));
        prop_assert_eq!(&sum(a, empty), a);
        prop_assert_eq!(&sum(empty, a), a);
        Ok(())
    }

    /// Three records, each made from ten numbers.
    fn three<T>(make: impl Fn([u64; 10]) -> T, from: [[u64; 10]; 3]) -> [T; 3] {
        from.map(make)
    }

    fn numbers() -> impl Strategy<Value = [[u64; 10]; 3]> {
        prop::array::uniform3(prop::array::uniform10(0_u64..1_000_000))
    }

    fn histogram(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    fn counts(n: [u64; 10]) -> Counts {
        Counts {
            window_ns: n[0],
            planned: n[1],
            sent: n[2],
            dropped: n[3],
            lost: n[0],
            ok: n[4],
            errors: [(format!("class {}", n[5] % 3), n[5])].into(),
            unfinished: n[6],
            queued: n[7],
            longest_silence_ns: 0,
            ended_in_window: n[8],
            ok_in_window: n[9],
        }
    }

    fn step(n: [u64; 10]) -> StepRecord {
        let [response, service, lag] = [&n[..3], &n[3..6], &n[6..]].map(histogram);
        StepRecord { name: String::new(), response, service, lag }
    }

    fn second(n: [u64; 10]) -> Second {
        Second { ended: n[0], ok: n[1], response: histogram(&n[2..]) }
    }

    fn slice(n: [u64; 10]) -> SliceRecord {
        SliceRecord {
            ns: n[0],
            ok: n[1],
            ok_in_window: n[2],
            server_cpu_ns: n[3],
            store_cpu_ns: n[4],
            relay_cpu_ns: n[5],
            server_waited_ns: n[6],
            idle_ns: n[7],
            idle_cpu_ns: n[8],
            proxy_cpu_ns: n[9],
        }
    }

    fn visits(n: [u64; 10]) -> VisitCounts {
        VisitCounts { arrived: n[0], completed: n[1], failed: n[2], turned_away: n[3] }
    }

    fn renewals(n: [u64; 10]) -> RenewalRecord {
        RenewalRecord {
            refreshed: n[0],
            logged_in: n[1],
            fell_back: n[2],
            failed: n[3],
            errors: [(format!("class {}", n[4] % 3), n[4])].into(),
            refused: n[5],
            waited: n[6],
            rolled: n[7],
            time: histogram(&n[8..]),
        }
    }

    fn login(n: [u64; 10]) -> LoginRecord {
        let service = histogram(&n[3..]);
        LoginRecord { users: n[0] as u32, wall_ns: n[1], credential_bytes: n[2], service }
    }

    fn generator(n: [u64; 10]) -> GeneratorUse {
        GeneratorUse {
            workers: n[0] as u32,
            cpu_ns: n[1],
            busiest: n[2] as f64,
            waited: n[3] as f64,
            absent_ns: n[4],
            peak_rss_bytes: n[5],
            ..GeneratorUse::default()
        }
    }

    proptest! {
        #[test]
        fn merging_is_associative_and_has_an_identity(n in numbers()) {
            let empty = [&[][..], &[], &[]].map(histogram);
            let [response, service, lag] = empty.clone();
            let no_step = StepRecord { name: String::new(), response, service, lag };
            let [response, ..] = empty;
            let no_second = Second { ended: 0, ok: 0, response };
            obeys(&Counts::default(), &three(counts, n), Counts::merge)?;
            obeys(&no_step, &three(step, n), StepRecord::merge)?;
            obeys(&no_second, &three(second, n), Second::merge)?;
            obeys(&SliceRecord::default(), &three(slice, n), SliceRecord::merge)?;
            obeys(&VisitCounts::default(), &three(visits, n), VisitCounts::merge)?;
            obeys(&RenewalRecord::default(), &three(renewals, n), RenewalRecord::merge)?;
            obeys(&LoginRecord::default(), &three(login, n), LoginRecord::merge)?;
            obeys(&GeneratorUse::default(), &three(generator, n), GeneratorUse::merge)?;
        }

        #[test]
        fn lists_merge_likewise_whatever_their_lengths(
            n in numbers(),
            lengths in prop::array::uniform3(0..9_usize),
        ) {
            let list = |part: usize| n[part][..lengths[part]].to_vec();
            let lists = [0, 1, 2].map(list);
            obeys(&Vec::new(), &lists, |all, part| {
                merge_lists(all, part.clone(), |mine: &mut u64, theirs| *mine += theirs);
            })?;
        }
    }
}
