//! What the experiment `context` says of two arms: how much handler work hides their difference,
//! and what the distance of a store adds to it.

use super::file::{Compared, Direction};
use super::seen::{
    Cell, Said, Seen, Tested, contrast, ends, joined, ratio_or_difference, shown, with_interval,
};
use crate::experiment::Metric;
use crate::experiment::context::Point;
use crate::report::figure::{figure, range};
use crate::report::key::Place;
use crate::stats::{Moments, log_ratios};

impl Seen<'_> {
    /// Whether two arms differ by less than the margin at the most handler work, and from how much
    /// work on they should, by what they cost without any.
    pub(super) fn work(&self, experiment: &str, metric: &Metric, arm: &str, against: &str) -> Cell {
        let mut places = self.places(experiment, metric, &[arm, against]);
        let nearest = places.iter().map(|place| point(*place).distance_us).min()?;
        places.retain(|place| {
            let Point { distance_us, wait_ms, .. } = point(*place);
            distance_us == nearest && wait_ms == 0
        });
        let (none, most) = ends(&places)?;
        let values = |place, arm| self.at(experiment, metric, place, arm);
        let (own, other) = (values(most, arm)?, values(most, against)?);
        let pairs = joined(own, other);
        let ratio = log_ratios(&pairs).and_then(|logs| Moments::of(&logs));
        let bound = self.analysis.margin.ln_1p();
        let beyond = |m: Moments| m.p_above(bound).min(m.p_below(-bound));
        let mut tested = Tested::ratio(ratio, &pairs);
        tested.yes = ratio.map(|ratio| ratio.p_equivalence(bound));
        tested.no = ratio.map(beyond);
        let percent = self.analysis.margin * 100.0;
        tested.undecided = format!("lies on both sides of the margin, {percent:.0} %");
        let enough = |(a, b): (f64, f64)| (a - b).abs() / self.analysis.margin - a.min(b);
        let enough: Vec<f64> =
            joined(values(none, arm)?, values(none, against)?).into_iter().map(enough).collect();
        if let Some(work) = Moments::of(&enough) {
            let work = shown(work, "mean of blocks, Student's t", |us| us.max(0.0));
            let from = with_interval(&figure(work.point, "us"), &work, |of| range(of, "us"));
            tested.found.push_str(&format!("; {percent:.0} % from {from} of work on"));
        }
        let at = format!("at {} of handler work", figure(f64::from(point(most).cpu_us), "us"));
        Some((at, Said::Tested(tested)))
    }

    /// Whether the ratio of two arms grows with the distance of the store. An arm that has none was
    /// measured at one distance, which stands for all.
    pub(super) fn distance(
        &self,
        experiment: &str,
        (metric, margin): (&Metric, Option<f64>),
        arm: &str,
        against: &str,
    ) -> Cell {
        let idle = |arm: &str| {
            let mut places = self.places(experiment, metric, &[arm]);
            places.retain(|place| point(*place).cpu_us == 0 && point(*place).wait_ms == 0);
            places
        };
        let (own, other) = (idle(arm), idle(against));
        let (near, far) = ends(&own).or_else(|| ends(&other))?;
        let values = |places: &[Place], arm, wanted| {
            let place = if places.len() > 1 { wanted } else { *places.first()? };
            self.at(experiment, metric, place, arm)
        };
        let change = |places: &[Place], arm| {
            let (far, near) = (values(places, arm, far)?, values(places, arm, near)?);
            Some(ratio_or_difference(Compared::Ratio, far, near))
        };
        let pairs = joined(&change(&own, arm)?, &change(&other, against)?);
        let margin = self.margin(metric, margin);
        // The reference was measured at one distance: how its ratio grows has no A/A pair.
        let tested = contrast(&pairs, Compared::Ratio, Direction::Higher, 1.0, (margin, &[]));
        let [near, far] = [near, far].map(|place| figure(point(place).distance_us.into(), "us"));
        Some((format!("from {near} to {far} away"), tested))
    }
}

/// The point that a place of `context` stands for.
fn point((level, _): Place) -> Point {
    Point::of_level(level.unwrap_or(0))
}
