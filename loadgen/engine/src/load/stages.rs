//! The open model whose rate changes: each stage leads in a straight line from the rate before it
//! to its own. The first begins at 0, so a single stage is a ramp; a stage with the rate of the one
//! before it holds, and one without length jumps.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Arrivals whose rate goes through stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stages {
    /// The stages in order, at least one.
    pub stages: Vec<Stage>,
}

/// A stretch of time and the rate at its end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stage {
    /// Requests per second at its end.
    pub rate_per_s: f64,
    /// Its length, ns.
    pub length_ns: u64,
}

impl Stages {
    /// When arrival `n` is due, ns after the start: where the area under the rate reaches n. `None`
    /// when the stages end before that.
    pub fn arrival_ns(&self, n: u64) -> Option<u64> {
        let (mut before, mut arrived, mut began) = (0.0, 0.0, 0.0);
        for stage in &self.stages {
            let length = stage.length_ns as f64 / 1e9;
            let of_stage = f64::midpoint(before, stage.rate_per_s) * length;
            let wanted = n as f64 - arrived;
            if wanted < of_stage {
                let slope = (stage.rate_per_s - before) / length;
                return Some(((began + time_to(wanted, before, slope)) * 1e9) as u64);
            }
            arrived += of_stage;
            began += length;
            before = stage.rate_per_s;
        }
        None
    }

    /// The stretches in which requests are due at less than this rate, per second; ns after the
    /// start, in order.
    pub fn calm(&self, below_per_s: f64) -> Vec<Range<u64>> {
        let (mut before, mut began) = (0.0, 0);
        let calm = |stage: &Stage| {
            let (from, to) = (before, stage.rate_per_s);
            let start = began;
            before = to;
            began += stage.length_ns;
            // Where on its way from one rate to the other the stage crosses this one.
            let share = (below_per_s - from) / (to - from);
            let crossing = || start + (share * stage.length_ns as f64) as u64;
            match (from < below_per_s, to < below_per_s) {
                (true, true) => start..began,
                (true, false) => start..crossing(),
                (false, true) => crossing()..began,
                (false, false) => start..start,
            }
        };
        self.stages.iter().map(calm).filter(|calm| !calm.is_empty()).collect()
    }

    /// Length of all stages, ns.
    pub fn length_ns(&self) -> u64 {
        self.stages.iter().map(|stage| stage.length_ns).sum()
    }

    /// Mean rate over all stages, requests per second.
    pub fn mean_per_s(&self) -> f64 {
        let mut before = 0.0;
        let area = |stage: &Stage| {
            let area = f64::midpoint(before, stage.rate_per_s) * stage.length_ns as f64;
            before = stage.rate_per_s;
            area
        };
        self.stages.iter().map(area).sum::<f64>() / self.length_ns() as f64
    }
}

/// Seconds until `wanted` arrivals at a rate that starts at `rate` and grows by `slope` a second:
/// the smaller root of slope/2 t^2 + rate t = wanted, in the form that loses no digits.
fn time_to(wanted: f64, rate: f64, slope: f64) -> f64 {
    let root = (rate * rate + 2.0 * slope * wanted).max(0.0).sqrt();
    if wanted == 0.0 { 0.0 } else { 2.0 * wanted / (rate + root) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stages(of: &[(f64, u64)]) -> Stages {
        let stage = |(rate_per_s, ms): &(f64, u64)| Stage {
            rate_per_s: *rate_per_s,
            length_ns: ms * 1_000_000,
        };
        Stages { stages: of.iter().map(stage).collect() }
    }

    #[test]
    fn arrivals_are_where_the_area_under_the_rate_puts_them() {
        // Up to 100/s in 2 s (100 arrivals), 100/s for 1 s (100), down to 50/s in 1 s (75).
        let load = stages(&[(100.0, 2000), (100.0, 1000), (50.0, 1000)]);
        for (n, due_ms) in [(0, 0.0), (25, 1000.0), (100, 2000.0), (150, 2500.0), (200, 3000.0)] {
            let found = load.arrival_ns(n).unwrap() as f64 / 1e6;
            assert!((found - due_ms).abs() < 0.001, "{n}: {found}");
        }
        assert!(load.arrival_ns(274).is_some());
        assert_eq!(load.arrival_ns(275), None);
        assert_eq!(load.mean_per_s(), 275.0 / 4.0);
    }

    #[test]
    fn it_is_calm_where_the_rate_is_low() {
        // Nothing for 1 s, up to 200/s in 1 s, held, down to 50/s, a jump to 300/s and down to 0.
        let load = stages(&[
            (0.0, 1000),
            (200.0, 1000),
            (200.0, 1000),
            (50.0, 300),
            (300.0, 0),
            (0.0, 300),
        ]);
        let ms = |calm: &Range<u64>| (calm.start / 1_000_000, calm.end / 1_000_000);
        let calm: Vec<_> = load.calm(100.0).iter().map(ms).collect();
        assert_eq!(calm, [(0, 1000), (1000, 1500), (3200, 3300), (3500, 3600)]);
        assert!(load.calm(0.0).is_empty());
    }

    proptest! {
        #[test]
        fn arrivals_come_in_order_and_as_many_as_the_area(
            of in prop::collection::vec((1.0f64..500.0, 10u64..3000), 1..5),
        ) {
            let load = stages(&of);
            let due: Vec<u64> = (0..).map_while(|n| load.arrival_ns(n)).collect();
            prop_assert!(due.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(due.iter().all(|ns| *ns <= load.length_ns()));
            let area = load.mean_per_s() * load.length_ns() as f64 / 1e9;
            prop_assert!((due.len() as f64 - area).abs() <= 1.0, "{} of {area}", due.len());
        }
    }
}
