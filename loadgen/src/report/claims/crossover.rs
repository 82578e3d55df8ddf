//! How often users have to ask for two arms to cost the same: with memory `m` and cost per request
//! `k`, `(m_b - m_a) / (k_a - k_b)`. Different experiments measure the two, so both are
//! independent; the interval is Fieller's, which stays right near a denominator of 0.

use super::result::ClaimCell;
use super::seen::{Blocks, Said, Seen, Tested, joined, named};
use crate::experiment::metric::{self, Metric};
use crate::plan::Prices;
use crate::report::analysis::Analysis;
use crate::report::cost;
use crate::report::figure::significant;
use crate::report::key::Place;
use crate::stats::{Estimate, Moments, quotient};

const GIB: f64 = 1_073_741_824.0;
const GB: f64 = 1e9;
const US_PER_HOUR: f64 = 3.6e9;
/// Unit of the rate at which two arms cost the same.
pub(in crate::report) const UNIT: &str = "requests per user and hour";

/// Where `arm` and `against` cost the same: yes where there is such a rate, no where one of them is
/// shown to cost less at any.
pub(super) fn ask(
    seen: &Seen<'_>,
    prices: &Prices,
    experiments: &[String],
    arm: &str,
    against: &str,
) -> Option<(String, Said)> {
    let memory = joined(&login(seen, prices, against)?, &login(seen, prices, arm)?);
    let (at, request) = experiments.iter().find_map(|experiment| {
        let cpu = seen.places(experiment, metric::CPU_US_PER_REQUEST, &[arm, against]);
        let wire = seen.places(experiment, metric::REQUEST_WIRE_BYTES, &[arm, against]);
        // A saturated server's cost per request is not that of one which keeps up.
        let keep_up = |place: &Place| {
            let measurements = &seen.analysis.measurements;
            [arm, against].iter().all(|arm| cost::keeps_up(measurements, experiment, *place, arm))
        };
        let both = cpu.into_iter().filter(|place| wire.contains(place) && keep_up(place));
        let place = both.min_by_key(|place| cost::order(experiment, *place))?;
        let cost = |arm| request(seen, prices, experiment, place, arm);
        let at = format!("requests as in {experiment} with {}; ", named(experiment, place));
        Some((at, joined(&cost(arm)?, &cost(against)?)))
    })?;
    let less =
        |pairs: &[(f64, f64)]| Moments::of(&pairs.iter().map(|(a, b)| a - b).collect::<Vec<_>>());
    let said = match (less(&memory), less(&request)) {
        (Some(memory), Some(request)) => meet(memory, request, arm, against),
        _ => tested((None, None), "one block".into(), None),
    };
    Some((at + &priced(prices), Said::Tested(said)))
}

fn priced(prices: &Prices) -> String {
    let Prices { memory_gib_hour, cpu_hour, traffic_gb, source } = prices;
    let traffic = if *traffic_gb > 0.0 { traffic_gb.to_string() } else { "nothing".to_owned() };
    format!(
        "at {memory_gib_hour} per GiB-hour of memory, {cpu_hour} per CPU hour and {traffic} per GB \
         on the wire ({source})"
    )
}

/// What a login costs per hour, by block.
fn login(seen: &Seen<'_>, prices: &Prices, arm: &str) -> Option<Blocks> {
    // A login without a cart.
    let bytes = |metric: &Metric| seen.at("memory", metric, (Some(0), None), arm);
    let store = bytes(metric::STORE_BYTES_PER_SESSION);
    let cost = |(block, own): (&u32, &f64)| {
        let store = store.map_or(Some(0.0), |store| store.get(block).copied())?;
        Some((*block, (own + store) / GIB * prices.memory_gib_hour))
    };
    Some(bytes(metric::BYTES_PER_SESSION)?.iter().filter_map(cost).collect())
}

/// What a request costs, by block.
fn request(
    seen: &Seen<'_>,
    prices: &Prices,
    experiment: &str,
    place: Place,
    arm: &str,
) -> Option<Blocks> {
    let cpu = seen.at(experiment, metric::CPU_US_PER_REQUEST, place, arm)?;
    let wire = seen.at(experiment, metric::REQUEST_WIRE_BYTES, place, arm)?;
    let cost = |(block, cpu_us): (&u32, &f64)| {
        let bytes = wire.get(block)?;
        Some((*block, cpu_us / US_PER_HOUR * prices.cpu_hour + bytes / GB * prices.traffic_gb))
    };
    Some(cpu.iter().filter_map(cost).collect())
}

/// What an arm costs beyond the baseline, at the campaign's prices.
pub(in crate::report) struct Costs {
    /// The arm.
    pub(in crate::report) arm: String,
    /// Of a login per hour.
    pub(in crate::report) login: Moments,
    /// Of a request.
    pub(in crate::report) request: Moments,
    /// Whether the arm held the rate at which its requests were measured.
    pub(in crate::report) keeps_up: bool,
}

/// The costs of every arm but the baseline whose memory and requests were measured, where requests
/// are those of the first experiment that has them, at its best place.
pub(in crate::report) fn costs(analysis: &Analysis) -> Vec<Costs> {
    let seen = Seen { analysis };
    let (prices, baseline) = (&analysis.prices, analysis.baseline.as_str());
    let less = |own: &Blocks, other: &Blocks| {
        let pairs = joined(own, other);
        Moments::of(&pairs.iter().map(|(a, b)| a - b).collect::<Vec<_>>())
    };
    let cost = |arm: &String| {
        let login = less(&login(&seen, prices, arm)?, &login(&seen, prices, baseline)?)?;
        let (request, keeps_up) = cost::EXPERIMENTS.into_iter().find_map(|experiment| {
            let cpu = seen.places(experiment, metric::CPU_US_PER_REQUEST, &[arm, baseline]);
            let place = cpu.into_iter().min_by_key(|place| cost::order(experiment, *place))?;
            let cost = |arm| request(&seen, prices, experiment, place, arm);
            let keeps_up = cost::keeps_up(&analysis.measurements, experiment, place, arm);
            Some((less(&cost(arm)?, &cost(baseline)?)?, keeps_up))
        })?;
        Some(Costs { arm: arm.clone(), login, request, keeps_up })
    };
    analysis.arms.iter().filter(|arm| **arm != analysis.baseline).filter_map(cost).collect()
}

/// The rate at which two arms cost the same, for a line: an interval that spans more than twofold
/// stands for its point. `None` where a cell has no such rate.
pub(super) fn in_short(cell: &ClaimCell) -> Option<String> {
    let rate = cell.estimate.as_ref().filter(|_| cell.unit == UNIT)?;
    let (lo, hi) = rate.interval.unwrap_or((rate.point, rate.point));
    let wide = hi > 2.0 * lo;
    Some(if wide {
        format!("{} to {}", significant(lo), significant(hi))
    } else {
        significant(rate.point)
    })
}

/// From what `arm` saves per login and what it adds per request.
fn meet(saved: Moments, added: Moments, arm: &str, against: &str) -> Tested {
    // The costs cross where both have the same sign. Two things are shown by the weaker evidence.
    let crosses = saved.p_above(0.0).max(added.p_above(0.0));
    let crosses_back = saved.p_below(0.0).max(added.p_below(0.0));
    let cheaper = saved.p_above(0.0).max(added.p_below(0.0));
    let dearer = saved.p_below(0.0).max(added.p_above(0.0));
    let (yes, no) = (crosses.min(crosses_back), cheaper.min(dearer));
    let estimate = quotient(saved, added).filter(|_| yes < no);
    let found = match &estimate {
        Some(rate) => {
            let below = if crosses < crosses_back { arm } else { against };
            let interval = rate.interval.map(|(lo, hi)| (significant(lo), significant(hi)));
            let interval = interval.map_or_else(String::new, |(lo, hi)| format!(" ({lo} to {hi})"));
            format!("{}{interval}; below it {below} costs less", significant(rate.point))
        }
        None if no < yes => {
            let least = if cheaper < dearer { arm } else { against };
            format!("{least} costs less at any rate")
        }
        None => "no rate with an interval".into(),
    };
    tested((Some(yes), Some(no)), found, estimate)
}

/// Costs of two experiments, of which no A/A pair says anything together.
fn tested((yes, no): (Option<f64>, Option<f64>), found: String, rate: Option<Estimate>) -> Tested {
    let undecided = "may be any rate or none".into();
    Tested { yes, no, found, estimate: rate, unit: UNIT, undecided, ..Tested::default() }
}
