//! The rules that find doubts in the record of a load.

use super::client::TRANSPORT_ERRORS_PPM;
use super::doubt::STALL;
use super::grouped::grouped;
use super::{Counts, Doubt, LoadRecord, ServerUse, SliceRecord};
use crate::limits::Limit;

/// A worker's core that is busier than this may be what limits the figures.
const BUSIEST_MAX: f64 = 0.9;
/// A server that is busier than this is what limits the throughput.
const SERVER_FULL: f64 = 0.95;
/// Lag of an open model beyond this at p99 says that the generator did not keep its schedule, ns.
const LAG_P99_MAX_NS: u64 = 1_000_000;
/// No answer for longer than this, where answers come ten times as often, is a stall, ns.
const SILENCE_NS: u64 = 100_000_000;
/// Answers per second that come often.
pub(crate) const OFTEN_PER_S: f64 = 10e9 / SILENCE_NS as f64;
/// A generator that comes back from a wait later than this did not run when it should have; beyond
/// the second what it says of latency is about itself, ns.
const ABSENT_NS: u64 = 20_000_000;
const ABSENT_INVALID_NS: u64 = 100_000_000;
/// Shares of the time that a thread may wait for its core: beyond the first its figures are
/// doubtful, beyond the second they are another program's.
const WAITED_MAX: f64 = 0.03;
const WAITED_INVALID: f64 = 0.15;
/// The share of a core that a server may use while the load is on others, before it disturbs them.
const IDLE_MAX: f64 = 0.02;
/// The code of the doubt about answers in a content coding.
pub const ENCODED: &str = "encoded";
/// The classes of requests that ended with their connection.
const TRANSPORT: [&str; 5] = ["connect_refused", "connect", "reset", "closed", "truncated"];
/// The code of the doubt about answers that exceeded a limit.
pub const OVER_LIMIT: &str = "over_limit";
/// The code of the doubt about a load that asked for nothing.
pub const NOTHING_SENT: &str = "nothing_sent";
/// A percentile with fewer samples beyond it is a guess.
pub const SAMPLES_BEYOND: u64 = 100;

/// A length of time in seconds, as people write it.
fn seconds(ns: u64) -> f64 {
    (ns / 1_000_000) as f64 / 1e3
}

impl LoadRecord {
    /// What makes this load's figures doubtful. `open` says whether its requests had a schedule to
    /// keep.
    pub fn doubts(&self, open: bool) -> Vec<Doubt> {
        let mut found = Vec::new();
        self.doubt_answers(&mut found);
        self.doubt_limits(&mut found);
        self.doubt_generator(&mut found);
        self.doubt_cores(&mut found);
        found.extend(self.client.doubt());
        self.doubt_agents(&mut found);
        if let Some(renewals) = &self.renewals {
            renewals.doubt(self.counts.sent, &mut found);
        }
        if open {
            self.doubt_schedule(&mut found);
        }
        found
    }

    /// A fast wrong answer is no result.
    fn doubt_answers(&self, found: &mut Vec<Doubt>) {
        let counts = &self.counts;
        let wrong = counts.errors.get("wrong_user").copied().unwrap_or(0);
        if counts.sent == 0 {
            found.push(Doubt::invalid(
                NOTHING_SENT,
                format!("no request was due within {} s", seconds(counts.window_ns)),
                "measure for longer (--duration), or raise the rate",
            ));
        } else if counts.ok > 0 && counts.ok_in_window == 0 {
            found.push(Doubt::invalid(
                "none_in_time",
                format!(
                    "no right answer came within the {} s of the measurement",
                    seconds(counts.window_ns)
                ),
                "measure for several times as long as an answer takes (--duration)",
            ));
        } else if counts.ok == 0 {
            found.push(Doubt::invalid(
                "no_answers",
                "no request got the right answer",
                "see the errors by class; check the address, the journey and the credentials",
            ));
        } else if counts.ok < SAMPLES_BEYOND * 100 {
            found.push(Doubt::caution(
                "few_samples",
                "fewer than 100 right answers lie beyond p99",
                "measure for longer before quoting p99",
            ));
        }
        if wrong > 0 {
            found.push(Doubt::invalid(
                "wrong_answers",
                format!("{} answers did not name the user who asked", grouped(wrong)),
                "mend the server, or the check in the target file",
            ));
        } else if counts.without_answer() > 0 {
            let without = counts.without_answer();
            // Where connections hang, a closed load asks less, and its latencies miss the worst.
            let hung = counts.unfinished + counts.errors.get("timeout").copied().unwrap_or(0);
            let too_many = self.has_too_many(without);
            found.push(Doubt::graded(
                too_many || hung * 10 >= self.connections.into(),
                "errors",
                self.unanswered(without),
                "see the errors by class; latencies are those of right answers only",
            ));
        }
        let encoded = counts.errors.get("encoded").copied().unwrap_or(0);
        if encoded > 0 {
            found.push(Doubt::invalid(
                ENCODED,
                format!("{} answers came compressed, and cannot be checked", grouped(encoded)),
                "take Accept-Encoding out of the headers, or let the server send them as they are",
            ));
        }
        if self.is_stalled() {
            let ms = counts.longest_silence_ns / 1_000_000;
            if self.is_stopped_from_outside() {
                found.push(Doubt::graded(
                    counts.longest_silence_ns * 20 > counts.window_ns,
                    STALL,
                    format!("nothing was answered for {ms} ms: something else had the cores"),
                    "find out what stopped this program or the server, and repeat",
                ));
            } else {
                found.push(Doubt::caution(
                    STALL,
                    format!("the server answered nothing for {ms} ms"),
                    "this is in its figures; find out what it waits for",
                ));
            }
        }
    }

    /// Whether so many requests without a right answer are too many: of those that ended with
    /// their connection a user may allow more, as where a server closes idle connections.
    fn has_too_many(&self, without: u64) -> bool {
        let Counts { sent, errors, .. } = &self.counts;
        let broken: u64 = TRANSPORT.iter().filter_map(|class| errors.get(*class)).sum();
        let allowed = self.client.transport_errors_ppm;
        let over = |count: u64, ppm: u32| count * 1_000_000 > sent * u64::from(ppm);
        over(without - broken, TRANSPORT_ERRORS_PPM)
            || over(broken, allowed)
            || over(without, allowed.max(TRANSPORT_ERRORS_PPM))
    }

    /// How many requests got no right answer, and whether they only came too late for one.
    fn unanswered(&self, without: u64) -> String {
        let sent = grouped(self.counts.sent);
        let is_of_end = without == self.counts.unfinished;
        let without = grouped(without);
        if is_of_end {
            return format!("{without} of {sent} requests were still waiting when the load ended");
        }
        format!("{without} of {sent} requests got no right answer{}", self.allowance())
    }

    /// Which share may end with its connection, where somebody said so.
    fn allowance(&self) -> String {
        let ppm = self.client.transport_errors_ppm;
        let percent = f64::from(ppm) / 1e4;
        let is_usual = ppm == TRANSPORT_ERRORS_PPM;
        let text = || format!(" ({percent} % may end with their connection)");
        if is_usual { String::new() } else { text() }
    }

    /// Whether no answer came for long where answers come often.
    pub fn is_stalled(&self) -> bool {
        let counts = &self.counts;
        let ended_often = counts.ended_in_window * SILENCE_NS > counts.window_ns * 10;
        // Where answers take long by nature, all may be on their way at the same time.
        let usual_ns = self.steps.iter().map(|step| step.service.quantile_ns(0.5)).max();
        let unusual = counts.longest_silence_ns > usual_ns.unwrap_or(0).saturating_mul(3);
        ended_often && unusual && counts.longest_silence_ns > SILENCE_NS
    }

    /// Whether the generator, or a server that was ready to run, had no core for half of the
    /// longest silence. A silence without that is the server's own.
    fn is_stopped_from_outside(&self) -> bool {
        let generator_ns = (self.generator.waited * self.counts.window_ns as f64) as u64;
        let server_ns = self
            .server
            .as_ref()
            .map_or(0, |server| (server.waited_for_strangers() * server.interval_ns as f64) as u64);
        let longest = self.generator.absent_ns.max(generator_ns).max(server_ns);
        longest * 2 >= self.counts.longest_silence_ns
    }

    /// What was not read may have been right.
    fn doubt_limits(&self, found: &mut Vec<Doubt>) {
        for limit in Limit::ALL {
            if let Some(count) = self.counts.errors.get(limit.class()) {
                found.push(Doubt::caution(
                    OVER_LIMIT,
                    format!("{} answers had {}", grouped(*count), limit.exceeded()),
                    format!("where the server is meant to answer so, raise {}", limit.flag()),
                ));
            }
        }
    }

    /// A generator at its limits measures itself.
    fn doubt_generator(&self, found: &mut Vec<Doubt>) {
        let errors = &self.counts.errors;
        let own = ["no_descriptors", "no_ports"].iter().filter_map(|class| errors.get(*class));
        let own: u64 = own.sum();
        if own > 0 {
            found.push(Doubt::invalid(
                "generator_limits",
                format!("{} requests failed for want of descriptors or ports here", grouped(own)),
                "raise `ulimit -n`, or use fewer connections",
            ));
        }
        let usable = self.usable_connections;
        if self.connections < usable {
            found.push(Doubt::invalid(
                "connections",
                format!(
                    "{} of {} connections were used",
                    grouped(self.connections.into()),
                    grouped(usable.into())
                ),
                "lengthen the run or the warm-up, or ask for fewer connections",
            ));
        }
        if self.generator.absent_ns > ABSENT_NS {
            let ms = self.generator.absent_ns / 1_000_000;
            found.push(Doubt::graded(
                self.generator.absent_ns > ABSENT_INVALID_NS,
                "generator_absent",
                format!("the generator itself stood still for {ms} ms"),
                "something stopped this program or took its core: repeat without it",
            ));
        }
        if self.generator.busiest > BUSIEST_MAX && !self.generator.spins {
            // Where the server had no time left either, it and not the generator set the pace.
            let server_full = self.server.as_ref().is_some_and(|s| s.busy() > SERVER_FULL);
            found.push(Doubt::graded(
                !server_full,
                "generator_saturated",
                format!(
                    "a generator thread used {:.0} % of its core, so it may have measured itself",
                    self.generator.busiest * 100.0
                ),
                "give the generator more cores (--workers), or the server fewer",
            ));
        }
    }

    /// A thread that waits for its core is measured together with what had that core.
    fn doubt_cores(&self, found: &mut Vec<Doubt>) {
        let server = self.server.as_ref().map_or(0.0, ServerUse::waited_for_strangers);
        for (who, waited) in [("generator", self.generator.waited), ("server", server)] {
            if waited > WAITED_MAX {
                found.push(Doubt::graded(
                    waited > WAITED_INVALID,
                    &format!("{who}_contended"),
                    format!(
                        "the {who} waited for its core for {} the {} % of the time that invalidate \
                         a trial: something else ran there",
                        if waited > WAITED_INVALID { "more than" } else { "less than" },
                        WAITED_INVALID * 100.0
                    ),
                    "stop what else runs on this machine, and repeat",
                ));
            }
        }
        let sum = |part: fn(&SliceRecord) -> u64| self.slices.iter().map(part).sum::<u64>() as f64;
        let idle = sum(|slice| slice.idle_cpu_ns) / sum(|slice| slice.idle_ns).max(1.0);
        if idle > IDLE_MAX {
            found.push(Doubt::caution(
                "not_idle",
                format!("{:.1} % of a core went to it while others were measured", idle * 100.0),
                "measure what works on its own account, such as a sweep, in a campaign without it",
            ));
        }
    }

    /// A load at a rate has to keep it.
    fn doubt_schedule(&self, found: &mut Vec<Doubt>) {
        let counts = &self.counts;
        if counts.dropped > 0 {
            found.push(Doubt::invalid(
                "dropped",
                format!(
                    "{} of {} planned requests were dropped",
                    grouped(counts.dropped),
                    grouped(counts.planned)
                ),
                "the server or its connections do not keep up: lower the rate, or add connections",
            ));
        }
        let turned_away = self.visits.map_or(0, |visits| visits.turned_away);
        if turned_away > 0 {
            found.push(Doubt::invalid(
                "turned_away",
                format!("{} users came while too many others were there", grouped(turned_away)),
                "the server does not keep up: let fewer users arrive, or stay for less",
            ));
        }
        let lag = self.lag().quantile_ns(0.99);
        if lag <= LAG_P99_MAX_NS {
            return;
        }
        let lag = format!("requests left {:.1} ms behind their schedule at p99", lag as f64 / 1e6);
        if counts.queued * 100 > counts.planned {
            found.push(Doubt::caution(
                "lag",
                format!("{lag}, waiting for a free connection"),
                "the response time holds it; for the server's own part add connections",
            ));
        } else {
            let remedy = "give the generator a core of its own, or lower the rate";
            found.push(Doubt::invalid("lag", lag, remedy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answered;
    use crate::record::{Histogram, ServerUse, StepRecord};

    fn load(ok: u64) -> LoadRecord {
        let step = StepRecord {
            name: String::new(),
            response: Histogram::new(),
            service: Histogram::new(),
            lag: Histogram::new(),
        };
        LoadRecord { steps: vec![step], ..answered(ok) }
    }

    fn codes(load: &LoadRecord, open: bool) -> Vec<(String, bool)> {
        load.doubts(open).into_iter().map(|d| (d.code, d.invalidates)).collect()
    }

    #[test]
    fn a_clean_load_leaves_no_doubt() {
        assert_eq!(codes(&load(20_000), false), []);
        assert_eq!(codes(&load(20_000), true), []);
    }

    /// What the words of two doubts depend on.
    #[test]
    fn a_doubt_says_on_which_side_of_its_bound_it_is_and_what_was_only_waiting() {
        let words = |change: &dyn Fn(&mut LoadRecord)| {
            let mut load = load(20_000);
            change(&mut load);
            load.doubts(false).remove(0).what
        };
        let waited = |share: f64| words(&|load| load.generator.waited = share);
        assert!(waited(0.05).contains("less than the 15 % of the time that invalidate"));
        assert!(waited(0.5).contains("more than the 15 %"));
        let waiting = words(&|load| {
            (load.counts.unfinished, load.counts.sent) = (64, 20_064);
        });
        assert_eq!(waiting, "64 of 20,064 requests were still waiting when the load ended");
        let mixed = words(&|load| {
            load.counts.unfinished = 64;
            load.counts.errors.insert("reset".into(), 1);
        });
        assert!(mixed.starts_with("65 of 20,000 requests got no right answer"), "{mixed}");
    }

    /// Fault 2: drops and a saturated generator invalidate.
    /// Fault 3: lag invalidates.
    /// Fault 12: one wrong user invalidates.
    /// Fault 33: a machine that others use invalidates.
    #[test]
    fn each_fault_has_its_doubt() {
        let doubted = |change: &dyn Fn(&mut LoadRecord), open| {
            let mut load = load(20_000);
            change(&mut load);
            codes(&load, open)
        };
        let alone = |code: &str, invalidates| vec![(code.to_string(), invalidates)];
        assert_eq!(doubted(&|l| l.connections = 7, false), alone("connections", true));
        assert_eq!(
            doubted(&|l| l.generator.busiest = 0.95, false),
            alone("generator_saturated", true)
        );
        let both_full = |l: &mut LoadRecord| {
            l.generator.busiest = 0.95;
            let (interval_ns, cpu_ns) = (100, 199);
            l.server = Some(ServerUse { interval_ns, cpu_ns, threads: 2, ..ServerUse::default() });
        };
        assert_eq!(doubted(&both_full, false), alone("generator_saturated", false));
        let error = |class: &'static str, n| {
            move |l: &mut LoadRecord| {
                l.counts.errors.insert(class.into(), n);
            }
        };
        assert_eq!(doubted(&error("wrong_user", 1), false), alone("wrong_answers", true));
        let unchecked = |l: &mut LoadRecord| l.client.verified = Some(false);
        assert_eq!(doubted(&unchecked, false), alone("certificate_unchecked", false));
        assert_eq!(doubted(&error("reset", 1), false), alone("errors", false));
        assert_eq!(doubted(&error("reset", 1000), false), alone("errors", true));
        for limit in Limit::ALL {
            let both = [alone("errors", false), alone(OVER_LIMIT, false)].concat();
            assert_eq!(doubted(&error(limit.class(), 1), false), both);
        }
        let unfinished = |n| {
            move |l: &mut LoadRecord| {
                (l.counts.unfinished, l.counts.sent) = (n, l.counts.sent + n);
            }
        };
        assert_eq!(
            doubted(&unfinished(1), false),
            alone("errors", true),
            "of 8 connections one hangs"
        );
        assert_eq!(doubted(&error("timeout", 1), false), alone("errors", true), "likewise");
        assert_eq!(
            doubted(&|l| l.generator.waited = 0.05, false),
            alone("generator_contended", false)
        );
        assert_eq!(
            doubted(&|l| l.generator.waited = 0.5, false),
            alone("generator_contended", true)
        );
        let waited = |l: &mut LoadRecord| {
            l.server = Some(ServerUse { interval_ns: 100, waited_ns: 50, ..ServerUse::default() });
        };
        assert_eq!(doubted(&waited, false), alone("server_contended", true));
        let for_its_store = |l: &mut LoadRecord| {
            let (cpu_ns, store_cpu_ns) = (50, Some(50));
            let used = ServerUse { interval_ns: 100, waited_ns: 50, ..ServerUse::default() };
            l.server = Some(ServerUse { cpu_ns, store_cpu_ns, ..used });
        };
        assert_eq!(doubted(&for_its_store, false), []);
        // session@redis at 15 % of what a core can do: it waits while its store runs.
        for (waited_ns, doubts) in [(17, vec![]), (39, alone("server_contended", true))] {
            let at_low_load = |l: &mut LoadRecord| {
                let (cpu_ns, store_cpu_ns) = (41, Some(19));
                let used = ServerUse { interval_ns: 100, waited_ns, ..ServerUse::default() };
                l.server = Some(ServerUse { cpu_ns, store_cpu_ns, ..used });
            };
            assert_eq!(doubted(&at_low_load, false), doubts);
        }
        let idle = |cpu_ns| {
            move |l: &mut LoadRecord| {
                let slice = SliceRecord { idle_ns: 1_000, ..SliceRecord::default() };
                l.slices = vec![slice, SliceRecord { idle_cpu_ns: cpu_ns, ..slice }];
            }
        };
        assert_eq!(doubted(&idle(30), false), []);
        assert_eq!(doubted(&idle(50), false), alone("not_idle", false));
        assert_eq!(doubted(&|l| l.counts.dropped = 1, true), alone("dropped", true));
        assert_eq!(doubted(&|l| l.steps[0].lag.record(5_000_000), true), alone("lag", true));
        assert_eq!(doubted(&|l| l.steps[0].lag.record(5_000_000), false), []);
        let waited = |l: &mut LoadRecord| {
            l.steps[0].lag.record(5_000_000);
            l.counts.queued = 1000;
        };
        assert_eq!(doubted(&waited, true), alone("lag", false));
        assert_eq!(codes(&load(500), false), alone("few_samples", false));
        assert_eq!(codes(&load(0), false), alone(NOTHING_SENT, true));
    }

    #[test]
    fn a_load_without_a_right_answer_in_time_says_which_kind_it_is() {
        let doubted = |change: &dyn Fn(&mut LoadRecord)| {
            let mut load = load(20_000);
            change(&mut load);
            codes(&load, false)
        };
        let alone = |code: &str| vec![(code.to_string(), true)];
        assert_eq!(
            doubted(&|l| (l.counts.ok, l.counts.ok_in_window) = (0, 0)),
            alone("no_answers")
        );
        assert_eq!(doubted(&|l| l.counts.ok_in_window = 0), alone("none_in_time"));
        assert_eq!(doubted(&|l| l.counts = Counts::default()), alone(NOTHING_SENT));
    }

    #[test]
    fn a_user_sets_how_many_requests_may_end_with_their_connection() {
        let invalidates = |class: &str, count, ppm| {
            let mut load = load(10_000);
            load.counts.errors.insert(class.into(), count);
            load.client.transport_errors_ppm = ppm;
            let errors = load.doubts(false).into_iter().find(|doubt| doubt.code == "errors");
            errors.unwrap().invalidates
        };
        assert!(!invalidates("closed", 100, 10_000));
        assert!(invalidates("closed", 100, 9_999));
        assert!(invalidates("status_500", 100, 10_000), "another kind of error");
        assert!(invalidates("reset", 1, 0));
        assert!(!invalidates("reset", 10, TRANSPORT_ERRORS_PPM));
    }

    /// Fault 1: a silence is a doubt.
    /// Fault 21: a silence of the machine invalidates.
    #[test]
    fn a_silence_excludes_only_where_it_was_not_the_servers_own() {
        const MS: u64 = 1_000_000;
        let silent = |change: &dyn Fn(&mut LoadRecord)| {
            let mut load = load(20_000);
            load.counts.longest_silence_ns = 150 * MS;
            change(&mut load);
            codes(&load, false)
        };
        let own = [("stall".to_string(), false)];
        let machine = ("stall".to_string(), true);
        assert_eq!(silent(&|_| {}), own, "a server that pauses by itself stays in");
        let used = |waited_ns, cpu_ns| {
            let interval_ns = 1000 * MS;
            Some(ServerUse { interval_ns, threads: 1, waited_ns, cpu_ns, ..ServerUse::default() })
        };
        assert_eq!(silent(&|l| l.server = used(0, 500 * MS)), own);
        assert_eq!(silent(&|l| l.server = used(20 * MS, 500 * MS)), own);
        let stopped = silent(&|l| l.server = used(140 * MS, 500 * MS));
        assert!(stopped.contains(&machine), "ready to run and without a core: {stopped:?}");
        let absent = silent(&|l| l.generator.absent_ns = 90 * MS);
        assert!(absent.contains(&machine), "{absent:?}");
        let contended = silent(&|l| l.generator.waited = 0.1);
        assert!(contended.contains(&machine), "{contended:?}");
    }

    #[test]
    fn a_doubt_is_about_the_server_or_about_the_measurement() {
        let mut load = load(20_000);
        load.counts.errors.insert("status_503".into(), 1000);
        load.generator.absent_ns = 200_000_000;
        let with_kind = |doubt: Doubt| (doubt.code.clone(), doubt.is_outcome());
        let found: Vec<_> = load.doubts(false).into_iter().map(with_kind).collect();
        assert_eq!(found, [("errors".into(), true), ("generator_absent".into(), false)]);
    }

    /// Fault 34: planned, sent and answered add up.
    #[test]
    fn counts_balance_or_say_so() {
        let mut counts = load(10).counts;
        assert!(counts.balanced());
        counts.planned += 1;
        assert!(!counts.balanced());
        counts.dropped += 1;
        assert!(counts.balanced());
        counts.sent += 1;
        assert!(!counts.balanced());
    }
}
