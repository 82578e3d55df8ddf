//! Which rate is tried next: a search for the highest one that a server holds, as arithmetic.

use crate::load::{LoadModel, Poisson, UserChoice};
use crate::plan::{LoadPlan, SearchPlan};
use crate::random::{mix, uniform};
use crate::record::{LoadRecord, ProbeRecord, ProbeVerdict};
use crate::units::grouped;

/// What to do after the probes so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Try this load.
    Probe {
        /// The load.
        load: Box<LoadPlan>,
        /// Its seed.
        seed: u64,
        /// Its rate, requests per second.
        rate_rps: f64,
        /// Whether it is a longer one, to confirm a rate.
        confirms: bool,
    },
    /// The search is over.
    Done(Found),
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The highest rate that held and was confirmed, requests per second.
    pub held_rps: Option<f64>,
    /// The lowest rate above it that did not hold.
    pub failed_rps: Option<f64>,
    /// Why it was over.
    pub end: End,
}

/// Why a search was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The rate was found.
    Bracketed,
    /// Not even the lowest rate held.
    Nowhere,
    /// The highest rate that may be tried held.
    Limit,
    /// The generator could not offer more.
    NotOffered,
    /// There were as many probes as there may be, and no rate was confirmed.
    Exhausted,
    /// Something else had the cores, probe after probe.
    Disturbed,
}

/// How often in a row a probe may be disturbed.
const DISTURBED_MAX: u32 = 3;
/// How often a confirmation may fail before the search gives up; each step back is twice as long.
const STEPS_BACK_MAX: u32 = 4;
/// A server that is less busy than this was not what kept a late generator waiting.
const BUSY_MIN: f64 = 0.75;
/// Lag beyond this says that requests left late, ns.
const LATE_NS: u64 = 1_000_000;

/// What is known after some probes.
#[derive(Default)]
struct Known {
    held: Option<f64>,
    failed: Option<f64>,
    confirmed: Option<f64>,
    /// The last probe says nothing yet, and is made again.
    again: bool,
    /// A rate that failed once.
    suspect: Option<f64>,
    disturbed: u32,
    steps_back: u32,
    /// The generator could not offer more.
    ceiling: bool,
}

/// What to do next.
///
/// [`next`] is a function of the plan, the seed and the probes so far, and nothing else: it starts
/// no load and reads no clock. It doubles the rate until one fails, bisects between the last that
/// held and the first that did not, on a scale of ratios, and confirms what it found with a longer
/// probe. Where that fails it steps back, and closes the gap by bisecting with longer probes. A
/// machine that others use fails a probe now and then, so a rate has failed only when it failed
/// twice in a row. What the generator could not offer is no failure of the server: the search goes
/// no higher then, and its result says "at least".
pub fn next(plan: &SearchPlan, seed: u64, probes: &[ProbeRecord]) -> Next {
    let known = probes.iter().fold(Known::default(), |known, probe| known.after(plan, probe));
    let done = |end| {
        let Known { confirmed: held_rps, failed: failed_rps, .. } = known;
        Next::Done(Found { held_rps, failed_rps, end })
    };
    let probe = |rate_rps, confirms| Next::Probe {
        load: Box::new(load(plan, rate_rps, confirms)),
        seed: mix(seed, probes.len() as u64),
        rate_rps,
        confirms,
    };
    if let Some(confirmed) = known.confirmed {
        // What is known by now is a bracket, however wide it is.
        let over = known.disturbed >= DISTURBED_MAX || probes.len() >= plan.probes_max as usize;
        return match known.failed {
            _ if known.ceiling => done(End::NotOffered),
            None => done(End::Limit),
            Some(failed) if over || is_narrow(plan, confirmed, failed) => done(End::Bracketed),
            Some(_) if known.again => probe(probes[probes.len() - 1].rate_rps, true),
            // A step back has left a gap; what closes it has to hold for as long.
            Some(failed) => probe((confirmed * failed).sqrt(), true),
        };
    }
    if known.disturbed >= DISTURBED_MAX {
        return done(End::Disturbed);
    }
    if known.steps_back > STEPS_BACK_MAX || probes.len() >= plan.probes_max as usize {
        return done(End::Exhausted);
    }
    if let (true, Some(last)) = (known.again, probes.last()) {
        return probe(last.rate_rps, last.confirms);
    }
    match (known.held, known.failed) {
        (Some(held), _) if known.ceiling || known.steps_back > 0 => probe(held, true),
        (None, _) if known.ceiling => done(End::NotOffered),
        (None, None) => probe(first(plan, seed), false),
        (None, Some(failed)) if failed > plan.from_rps => {
            probe((failed / 2.0).max(plan.from_rps), false)
        }
        (None, Some(_)) => done(End::Nowhere),
        (Some(held), None) if held >= plan.to_rps => probe(held, true),
        (Some(held), None) => probe((held * 2.0).min(plan.to_rps), false),
        (Some(held), Some(failed)) if is_narrow(plan, held, failed) => probe(held, true),
        (Some(held), Some(failed)) => probe((held * failed).sqrt(), false),
    }
}

/// The first rate. It differs from trial to trial: else all would try the same few rates, agree on
/// one of them, and the interval over them would be narrower than what is known.
fn first(plan: &SearchPlan, seed: u64) -> f64 {
    let doubled = plan.from_rps * 2f64.powf(uniform(seed, u64::MAX));
    doubled.min(plan.to_rps)
}

/// Whether a bracket is as narrow as it is to be.
fn is_narrow(plan: &SearchPlan, held: f64, failed: f64) -> bool {
    failed <= held * (1.0 + plan.resolution)
}

impl Known {
    fn after(mut self, plan: &SearchPlan, probe: &ProbeRecord) -> Self {
        let rate = probe.rate_rps;
        self.again = false;
        let disturbed = std::mem::take(&mut self.disturbed);
        match probe.verdict {
            ProbeVerdict::Disturbed => {
                self.again = true;
                self.disturbed = disturbed + 1;
            }
            ProbeVerdict::Held => {
                self.suspect = None;
                if probe.confirms {
                    self.confirmed = Some(self.confirmed.map_or(rate, |known| known.max(rate)));
                } else {
                    self.held = Some(self.held.map_or(rate, |held| held.max(rate)));
                }
            }
            ProbeVerdict::Failed if self.suspect != Some(rate) => {
                self.suspect = Some(rate);
                self.again = true;
            }
            ProbeVerdict::Failed => {
                self.suspect = None;
                self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
                if probe.confirms && self.confirmed.is_none() {
                    self.step_back(plan, rate);
                }
            }
            ProbeVerdict::NotOffered => {
                self.suspect = None;
                self.ceiling = true;
                if probe.confirms && self.confirmed.is_none() {
                    self.step_back(plan, rate);
                }
            }
        }
        self
    }

    /// A rate that was not confirmed is left for a lower one.
    fn step_back(&mut self, plan: &SearchPlan, rate: f64) {
        let steps = 1 << self.steps_back.min(STEPS_BACK_MAX);
        self.steps_back += 1;
        let lower = rate / (1.0 + plan.resolution).powi(steps);
        self.held = (lower >= plan.from_rps).then_some(lower);
    }
}

/// The load of a probe. Its arrivals are a Poisson process: users come independently of each other,
/// and a constant rate would leave out the bursts that make a queue.
fn load(plan: &SearchPlan, rate_per_s: f64, confirms: bool) -> LoadPlan {
    LoadPlan {
        model: LoadModel::Poisson(Poisson { rate_per_s }),
        journey: plan.journey.clone(),
        users: plan.users,
        choice: UserChoice::Uniform,
        connections: plan.connections,
        warmup_ns: plan.warmup_ns,
        measure_ns: if confirms { plan.confirm_ns } else { plan.probe_ns },
        drain_ns: plan.drain_ns,
        timeout_ns: plan.timeout_ns,
        prepare: None,
        renewal: None,
    }
}

/// What a load says of its rate.
pub fn judged(plan: &SearchPlan, rate_rps: f64, confirms: bool, load: &LoadRecord) -> ProbeRecord {
    let counts = &load.counts;
    let server_busy = load.server.as_ref().map_or(1.0, |server| {
        let had = server.interval_ns as f64 * f64::from(server.threads);
        let others = [server.store_cpu_ns, server.proxy_cpu_ns];
        (server.cpu_ns + others.into_iter().flatten().sum::<u64>()) as f64 / had.max(1.0)
    });
    let mut probe = ProbeRecord {
        rate_rps,
        confirms,
        planned: counts.planned,
        dropped: counts.dropped,
        without_answer: counts.without_answer(),
        wrong_user: counts.errors.get("wrong_user").copied().unwrap_or(0),
        achieved_rps: counts.achieved_rps(),
        response_ns_p99: load.response().quantile_ns(0.99),
        lag_ns_p99: load.lag().quantile_ns(0.99),
        server_busy,
        verdict: ProbeVerdict::Held,
        why: String::new(),
    };
    if let Some(why) = probe.missed(plan) {
        (probe.verdict, probe.why) = excuse(&probe, load).unwrap_or((ProbeVerdict::Failed, why));
    }
    probe
}

impl ProbeRecord {
    /// What was asked of a rate and missed. Response time counts from the plan, so a rate that was
    /// held was held, however the generator felt.
    fn missed(&self, plan: &SearchPlan) -> Option<String> {
        let lost = self.without_answer + self.dropped;
        if self.wrong_user > 0 {
            return Some(format!("{} answers named another user", self.wrong_user));
        }
        if self.planned == 0 || lost as f64 > plan.errors_max * self.planned as f64 {
            return Some(format!(
                "{} of {} requests got no right answer",
                grouped(lost),
                grouped(self.planned)
            ));
        }
        (self.response_ns_p99 > plan.slo_ns).then(|| {
            format!("the p99 response time was {:.1} ms", self.response_ns_p99 as f64 / 1e6)
        })
    }
}

/// Why a rate that was not held is no failure of the server, if so.
fn excuse(probe: &ProbeRecord, load: &LoadRecord) -> Option<(ProbeVerdict, String)> {
    let doubts = load.doubts(true);
    let among = |codes: &[&str]| {
        let doubt = doubts.iter().find(|d| d.invalidates && codes.contains(&d.code.as_str()));
        doubt.map(|doubt| doubt.what.clone())
    };
    if let Some(why) = among(&["generator_absent", "generator_contended", "server_contended"]) {
        return Some((ProbeVerdict::Disturbed, why));
    }
    if let Some(why) = among(&["generator_limits", "generator_saturated", "connections", "lag"]) {
        return Some((ProbeVerdict::NotOffered, why));
    }
    // Requests that left late, waiting for connections whose answers the generator had not read
    // yet.
    (probe.lag_ns_p99 > LATE_NS && probe.server_busy < BUSY_MIN).then(|| {
        let busy = probe.server_busy * 100.0;
        let why =
            format!("requests left late while the server was busy for {busy:.0} % of the time");
        (ProbeVerdict::NotOffered, why)
    })
}

#[cfg(test)]
mod tests;
