//! What each arm adds to the bill, over how often a logged-in user asks, at the campaign's prices;
//! and where two arms cost the same, as the claim of the crossover found it.

use maud::{Markup, html};

use super::arms::{arm_name, look};
use super::drawing::{Across, Drawing, Places, Point, Series};
use crate::report::analysis::Analysis;
use crate::report::claims::result::ClaimCell;
use crate::report::claims::{CROSSOVER_UNIT, Costs, costs};
use crate::report::figure::{digits, significant};
use crate::stats::{CONFIDENCE, Estimate, Moments};

/// Requests per user and hour that have a mark; the script of the page has the same.
const RATES: [f64; 16] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
const USERS: f64 = 1e6;
const HOURS_PER_MONTH: f64 = 730.0;
/// What costs less than this share of the dearest is nothing.
const LEAST: f64 = 1e-6;

/// The drawing; `None` where memory or requests were not measured, or nothing has a price.
pub(super) fn crossover(analysis: &Analysis) -> Option<Drawing> {
    let (all, queue): (Vec<_>, Vec<_>) =
        costs(analysis).into_iter().partition(|cost| cost.keeps_up);
    let top = all
        .iter()
        .flat_map(|cost| RATES.map(|rate| per_month(cost, rate).mean))
        .fold(0.0_f64, f64::max);
    let floor = 10f64.powf((top * LEAST).log10().floor());
    let series: Vec<Series> = all
        .iter()
        .filter_map(|cost| {
            let points: Vec<Point> = RATES
                .into_iter()
                .map(|rate| Point::new(rate, estimated(per_month(cost, rate))))
                .filter(|point| top > 0.0 && point.y() >= floor)
                .collect();
            let series = Series { name: cost.arm.clone(), points, ..Series::default() };
            (!series.points.is_empty()).then_some(series)
        })
        .collect();
    let rings = cells(analysis)
        .filter_map(|cell| {
            let rate = cell.estimate.as_ref()?.point;
            let drawn = |arm: &str| all.iter().find(|cost| cost.arm == arm);
            let (cost, _) = drawn(&cell.arm).zip(drawn(cell.against.as_ref()?))?;
            let value = per_month(cost, rate).mean;
            let is_inside = (RATES[0]..=RATES[RATES.len() - 1]).contains(&rate) && value >= floor;
            is_inside.then_some((rate, value))
        })
        .collect();
    (!series.is_empty()).then(|| Drawing {
        id: "crossover".into(),
        title: "Cost over requests per user and hour".into(),
        note: note(&queue),
        is_wide: true,
        across: Across {
            name: "requests per user and hour; cost per month of 1 million users".into(),
            unit: "",
            places: Places::Levels { is_log: true },
        },
        name: "Cost per month of 1 million users".into(),
        unit: "",
        is_log: true,
        series,
        limit: None,
        rings,
    })
}

fn note(queue: &[Costs]) -> String {
    let note = "At the campaign's prices, beyond the baseline. Rings: both arms cost the same.";
    let names: Vec<&str> = queue.iter().map(|cost| cost.arm.as_str()).collect();
    if names.is_empty() {
        return note.into();
    }
    format!("{note} Left out for not keeping up with the load: {}.", names.join(", "))
}

/// Memory and requests are measured apart, so their errors are independent.
fn per_month(cost: &Costs, rate: f64) -> Moments {
    let times = USERS * HOURS_PER_MONTH;
    let request = (cost.request.mean * rate, cost.request.error * rate);
    Moments {
        n: cost.login.n.min(cost.request.n),
        mean: times * (cost.login.mean + request.0),
        error: times * cost.login.error.hypot(request.1),
    }
}

fn estimated(cost: Moments) -> Estimate {
    Estimate {
        point: cost.mean,
        interval: (cost.error > 0.0).then(|| cost.interval(CONFIDENCE)),
        n: cost.n,
        method: "memory and requests apart, Student's t".into(),
    }
}

/// The pairs of the claim, with everything billed.
fn cells(analysis: &Analysis) -> impl Iterator<Item = &ClaimCell> {
    let of_pairs = |cells: &&Vec<ClaimCell>| {
        cells.iter().any(|cell| cell.unit == CROSSOVER_UNIT && cell.against.is_some())
    };
    let matrices = analysis.claims.iter().flat_map(|claim| &claim.matrices);
    matrices.map(|matrix| &matrix.cells).find(of_pairs).into_iter().flatten()
}

/// The sentence of the pair that is asked for first: the reference and the first token.
pub(super) fn says(analysis: &Analysis) -> String {
    let with_reference = |cell: &&ClaimCell| {
        cell.against.as_ref() == Some(&analysis.reference) && look(&cell.arm).family == "token"
    };
    let cell = cells(analysis).find(with_reference).or_else(|| cells(analysis).next());
    let Some((cell, against)) = cell.and_then(|cell| Some((cell, cell.against.as_ref()?))) else {
        return "At the campaign's prices.".into();
    };
    let (arm, found) = (&cell.arm, &cell.found);
    let same = format!("At the campaign's prices, {arm} and {against}");
    let Some(rate) = &cell.estimate else {
        return match found.strip_suffix(" costs less at any rate") {
            Some(least) => {
                let other = if least == arm { against } else { arm };
                format!("At the campaign's prices, {least} costs less than {other} at any rate.")
            }
            None => format!("{same} are not told apart by cost: {found}."),
        };
    };
    // Few requests cost little, so memory decides there.
    let login = |name: &String| costs(analysis).into_iter().find(|cost| cost.arm == *name);
    let less = match (login(arm), login(against)) {
        (Some(own), Some(other)) => {
            Some(if own.login.mean < other.login.mean { arm } else { against })
        }
        _ => None,
    };
    let below = less.map_or_else(String::new, |least| format!("; below that {least} is cheaper"));
    let interval = rate.interval.map(|(lo, hi)| (significant(lo), significant(hi)));
    let interval = interval.filter(|(lo, hi)| lo != hi);
    let interval = interval.map_or_else(String::new, |(lo, hi)| format!(" ({lo} to {hi})"));
    format!(
        "{same} cost the same at {}{interval} requests per user and hour{below}.",
        significant(rate.point)
    )
}

/// Every pair, tokens as rows and sessions as columns.
pub(super) fn table(analysis: &Analysis) -> Markup {
    let mut against: Vec<&String> = Vec::new();
    let mut arms: Vec<&String> = Vec::new();
    for cell in cells(analysis) {
        arms.push(&cell.arm);
        against.extend(&cell.against);
    }
    arms.dedup();
    against.sort();
    against.dedup();
    let cell = |arm: &String, other: &String| {
        cells(analysis).find(|cell| cell.arm == *arm && cell.against.as_ref() == Some(other))
    };
    html! {
        table #crossings {
            caption {
                "Requests per user and hour at which both cost the same, paired by block; "
                "prices per GiB-hour of memory, CPU hour and GB on the wire: "
                (analysis.prices.memory_gib_hour) ", " (analysis.prices.cpu_hour) ", "
                (digits(analysis.prices.traffic_gb))
            }
            thead {
                tr {
                    td {}
                    @for other in &against { th scope="col" { (arm_name(other)) } }
                }
            }
            tbody {
                @for arm in arms {
                    tr data-arm=(arm) {
                        th scope="row" { (arm_name(arm)) }
                        @for other in &against {
                            td { @if let Some(cell) = cell(arm, other) { (cell.found) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    #[test]
    fn lines_cross_where_the_claim_says_and_nowhere_else() {
        let analysis = sample::analysis();
        let all = costs(&analysis);
        let cost = |arm: &str, rate| {
            per_month(all.iter().find(|cost| cost.arm == arm).unwrap(), rate).mean
        };
        let crossing: Vec<&ClaimCell> =
            cells(&analysis).filter(|cell| cell.estimate.is_some()).collect();
        assert!(!crossing.is_empty());
        for cell in crossing {
            let (against, rate) = (cell.against.as_ref().unwrap(), cell.estimate.as_ref().unwrap());
            let [own, other] = [cell.arm.as_str(), against].map(|arm| cost(arm, rate.point));
            assert!((own / other - 1.0).abs() < 1e-9, "{own} {other}");
            let [own, other] = [cell.arm.as_str(), against].map(|arm| cost(arm, rate.point * 2.0));
            assert!((own / other - 1.0).abs() > 1e-3, "{own} {other}");
        }
        // The second arm keeps 280 bytes, and the first none.
        let says = says(&analysis);
        let (start, end) = ("jwt-hs256 and session@memory cost the same at ", "; below that ");
        assert!(says.contains(start) && says.contains(end), "{says}");
        assert!(
            says.ends_with("requests per user and hour; below that jwt-hs256 is cheaper."),
            "{says}"
        );
    }

    #[test]
    fn a_campaign_without_memory_has_no_crossover() {
        let mut analysis = sample::analysis();
        analysis.measurements.retain(|m| m.key.experiment != "memory");
        assert!(crossover(&analysis).is_none());
    }
}
