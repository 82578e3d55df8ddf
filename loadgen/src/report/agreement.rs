//! Whether two independent measurements of one thing agree: ours and a witness's. No figure is
//! measured here.

use serde::Serialize;

use crate::record::{Histogram, LoadRecord};
use crate::stats::{Estimate, paired_ratio};

/// Two generators differ in how they batch their reads and writes, and so in what they leave of a
/// saturated server; more than this factor between them is a fault of one.
const RATIO_MAX: f64 = 1.25;

/// Quantiles at which arrivals are compared.
const QUANTILES: [f64; 3] = [0.5, 0.99, 1.0];
/// What a histogram may be off at a quantile: a share, and ns.
const ROUNDING: (f64, u64) = (0.01, 5_000);

/// Throughput of one server under two generators.
///
/// It is a ratio with its interval, from rounds in which both took their turn.
#[derive(Clone, Debug, Serialize)]
pub struct Throughputs {
    /// Our requests per second, round by round.
    pub ours_rps: Vec<f64>,
    /// The witness's.
    pub theirs_rps: Vec<f64>,
    /// Ours divided by theirs.
    pub ratio: Estimate,
    /// The factor up to which they count as the same.
    pub factor_max: f64,
    /// Whether the interval reaches into that factor.
    pub agree: bool,
}

impl Throughputs {
    /// Compares pairs of ours and theirs, one pair per round; `None` without a positive pair.
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let ratio = paired_ratio(pairs)?;
        let (lo, hi) = ratio.interval.unwrap_or((ratio.point, ratio.point));
        Some(Self {
            ours_rps: pairs.iter().map(|(ours, _)| *ours).collect(),
            theirs_rps: pairs.iter().map(|(_, theirs)| *theirs).collect(),
            ratio,
            factor_max: RATIO_MAX,
            agree: lo <= RATIO_MAX && hi >= 1.0 / RATIO_MAX,
        })
    }
}

/// The arrivals of an open load at a constant rate, by the account of a witness.
///
/// Arrivals are compared with the plan one by one: a request reaches the server after it was sent
/// and before it was answered. So at every quantile the lateness that the witness saw lies between
/// our own lateness and the response time that we report. That holds however busy the machine is,
/// and fails for a generator that makes a new plan when it is late.
#[derive(Clone, Debug, Serialize)]
pub struct Arrivals {
    /// Requests per second that were planned.
    pub planned_rps: f64,
    /// Requests per second that arrived, from the first to the last.
    pub arrived_rps: f64,
    /// Requests that we say we sent.
    pub sent: u64,
    /// Requests that arrived.
    pub arrived: u64,
    /// Planned requests that did not arrive.
    pub missing: u64,
    /// Arrivals that were not planned, or came before.
    pub surplus: u64,
    /// How late they were, quantile by quantile.
    pub lateness: Vec<Lateness>,
    /// One sentence per contradiction between the accounts.
    pub contradictions: Vec<String>,
}

/// Lateness against the plan at a quantile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Lateness {
    /// The quantile, 1 for the largest.
    pub quantile: f64,
    /// When requests were sent, as we say, us.
    pub sent_us: f64,
    /// When they arrived, as the witness says, later than the most punctual of them, us.
    pub arrived_us: f64,
    /// When they were answered, as we say, us.
    pub answered_us: f64,
}

impl Arrivals {
    /// Compares what a witness logged, number and time (ns by its own clock), with a load at this
    /// constant rate in which request n is due n / rate after the start.
    pub fn of(rate_per_s: f64, logged: &[(Option<u64>, u64)], load: &LoadRecord) -> Self {
        let planned = load.counts.planned;
        let mut first: Vec<Option<u64>> = vec![None; usize::try_from(planned).unwrap_or(0)];
        let mut surplus = 0;
        for (number, at_ns) in logged {
            let place = number.and_then(|n| first.get_mut(usize::try_from(n).ok()?));
            match place {
                Some(place @ None) => *place = Some(*at_ns),
                _ => surplus += 1,
            }
        }
        let due_ns = |n: usize| n as f64 * 1e9 / rate_per_s;
        let late: Vec<f64> =
            (0..).zip(&first).filter_map(|(n, at)| Some((*at)? as f64 - due_ns(n))).collect();
        let punctual = late.iter().copied().fold(f64::INFINITY, f64::min);
        let mut arrived = Histogram::new();
        late.iter().for_each(|late| arrived.record((late - punctual) as u64));
        let mut times: Vec<u64> = logged.iter().map(|(_, at_ns)| *at_ns).collect();
        times.sort_unstable();
        let span_ns = times.last().zip(times.first()).map_or(0, |(last, first)| last - first);
        let mut arrivals = Self {
            planned_rps: rate_per_s,
            arrived_rps: (times.len().max(1) - 1) as f64 * 1e9 / span_ns.max(1) as f64,
            sent: load.counts.sent,
            arrived: logged.len() as u64,
            missing: first.iter().filter(|at| at.is_none()).count() as u64,
            surplus,
            lateness: Vec::new(),
            contradictions: Vec::new(),
        };
        arrivals.count(load);
        arrivals.compare(&load.lag(), &arrived, &load.response());
        arrivals
    }

    /// Whether nothing contradicts.
    pub fn agree(&self) -> bool {
        self.contradictions.is_empty()
    }

    fn count(&mut self, load: &LoadRecord) {
        let counts = &load.counts;
        if counts.sent == 0 || counts.ok != counts.planned {
            self.contradictions.push(format!(
                "expected all {} planned requests to be answered, found {}",
                counts.planned, counts.ok
            ));
        }
        if self.missing > 0 || self.surplus > 0 {
            self.contradictions.push(format!(
                "expected each planned request to arrive once, found {} missing and {} not planned",
                self.missing, self.surplus
            ));
        }
    }

    fn compare(&mut self, sent: &Histogram, arrived: &Histogram, answered: &Histogram) {
        // The most punctual request arrived no later than the quickest answer to one came.
        let offset_max = answered.min_ns();
        for quantile in QUANTILES {
            let [sent_ns, arrived_ns, answered_ns] =
                [sent, arrived, answered].map(|of| of.quantile_ns(quantile));
            let slack = |ns: u64| (ns as f64 * ROUNDING.0) as u64 + ROUNDING.1;
            let us = |ns: u64| ns as f64 / 1e3;
            let lateness = Lateness {
                quantile,
                sent_us: us(sent_ns),
                arrived_us: us(arrived_ns),
                answered_us: us(answered_ns),
            };
            self.lateness.push(lateness);
            if arrived_ns + offset_max + slack(sent_ns) < sent_ns {
                self.contradictions.push(format!(
                    "expected arrivals no earlier than they were sent, found {:.1} us late where \
                     we say {:.1} us (quantile {quantile})",
                    lateness.arrived_us, lateness.sent_us
                ));
            }
            if arrived_ns > answered_ns + slack(answered_ns) {
                self.contradictions.push(format!(
                    "expected arrivals before their answers, found {:.1} us late where we say that \
                     they were answered after {:.1} us (quantile {quantile})",
                    lateness.arrived_us, lateness.answered_us
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ClientUse, Counts, GeneratorUse, StepRecord};

    const RATE: f64 = 1000.0;
    const MS: u64 = 1_000_000;

    /// A load of as many requests, whose lateness at sending and at the answer is as told, ns.
    fn load(lateness: &[(u64, u64)]) -> LoadRecord {
        let (mut lag, mut response) = (Histogram::new(), Histogram::new());
        for (sent, answered) in lateness {
            lag.record(*sent);
            response.record(*answered);
        }
        let planned = lateness.len() as u64;
        let step = StepRecord { name: "get".into(), service: response.clone(), response, lag };
        LoadRecord {
            model: "open".into(),
            offered_rps: None,
            login: None,
            connections: 1,
            usable_connections: 1,
            request_wire_bytes: 1,
            counts: Counts { planned, sent: planned, ok: planned, ..Counts::default() },
            steps: vec![step],
            visits: None,
            renewals: None,
            aborted: false,
            timeline: Vec::new(),
            bytes_sent: None,
            requests_written: None,
            bytes_received: None,
            closed_by_server: None,
            client: ClientUse::default(),
            generator: GeneratorUse::default(),
            server: None,
            slices: Vec::new(),
            agents: Vec::new(),
        }
    }

    /// What the witness saw of requests that arrived so late, by a clock of its own.
    fn logged(late_ns: impl IntoIterator<Item = u64>) -> Vec<(Option<u64>, u64)> {
        (0..).zip(late_ns).map(|(n, late)| (Some(n), 77 * MS + n * MS + late)).collect()
    }

    #[test]
    fn an_honest_account_agrees_on_a_quiet_machine_and_on_a_busy_one() {
        for stall in [0, 50 * MS] {
            let late = |n: u64| if (200..250).contains(&n) { stall } else { 0 };
            let account: Vec<_> =
                (0..1000).map(|n| (10_000 + late(n), 90_000 + late(n) + n % 7 * 100)).collect();
            let seen =
                Arrivals::of(RATE, &logged((0..1000).map(|n| 40_000 + late(n))), &load(&account));
            assert!(seen.agree(), "{:?}", seen.contradictions);
            assert_eq!((seen.missing, seen.surplus, seen.arrived), (0, 0, 1000));
            assert!((seen.arrived_rps - RATE).abs() < 1.0, "{}", seen.arrived_rps);
            let largest = seen.lateness[2].arrived_us;
            assert!((largest - stall as f64 / 1e3).abs() <= 0.01 * largest + 0.01, "{largest}");
        }
    }

    #[test]
    fn a_plan_that_moves_when_it_is_late_is_seen() {
        // The load stands still for 50 ms, and what follows is sent 50 ms later than planned, each
        // request as if it had been due then: coordinated omission.
        let account = vec![(10_000, 90_000); 1000];
        let late = (0..1000).map(|n| if n >= 500 { 50 * MS } else { 0 });
        let seen = Arrivals::of(RATE, &logged(late), &load(&account));
        assert!(seen.contradictions.iter().any(|c| c.contains("before their answers")), "{seen:?}");
    }

    #[test]
    fn an_account_of_lateness_that_did_not_happen_is_seen() {
        let account: Vec<_> = (0..1000).map(|n| (n * 9000, 50_000 + n * 9000)).collect();
        let seen = Arrivals::of(RATE, &logged(vec![0; 1000]), &load(&account));
        assert!(seen.contradictions.iter().any(|c| c.contains("no earlier")), "{seen:?}");
    }

    /// Fault 34: a server's own log of arrivals agrees.
    #[test]
    fn a_request_that_is_lost_or_sent_twice_is_seen() {
        let account = load(&[(10_000, 90_000); 10]);
        let mut log = logged(vec![0; 10]);
        log[4] = log[3];
        log.push((None, 78 * MS));
        let seen = Arrivals::of(RATE, &log, &account);
        assert_eq!((seen.missing, seen.surplus, seen.arrived), (1, 2, 11));
        assert!(!seen.agree());
        let unanswered = LoadRecord {
            counts: Counts { planned: 10, sent: 10, ok: 9, ..Counts::default() },
            ..account
        };
        assert!(!Arrivals::of(RATE, &logged(vec![0; 10]), &unanswered).agree());
    }

    #[test]
    fn throughputs_disagree_where_no_ratio_of_the_interval_is_near_one() {
        let pairs =
            |ratio: f64| [(ratio * 100.0, 100.0), (ratio * 204.0, 200.0), (ratio * 98.0, 100.0)];
        let compared = |ratio| Throughputs::of(&pairs(ratio)).unwrap();
        assert!(compared(1.0).agree && compared(1.27).agree && compared(0.8).agree);
        assert!(!compared(1.6).agree && !compared(0.6).agree);
        assert!(Throughputs::of(&[]).is_none() && Throughputs::of(&[(0.0, 1.0)]).is_none());
    }
}
