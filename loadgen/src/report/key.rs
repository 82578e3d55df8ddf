//! Where a figure stands: its key, by which figures, and what is said of them, are looked up. A key
//! knows what may be compared: the same thing, of different arms. Files have its fields flat beside
//! those of what it belongs to.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::experiment::Metric;
use crate::plan::Arm;

/// At which level and with how many users a figure was measured, in the order of the tables.
pub(super) type Place = (Option<u32>, Option<u64>);

/// Which figure: what was measured, of which arm, and where.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Key {
    /// The experiment.
    pub experiment: String,
    /// The arm.
    pub arm: Arm,
    /// Level of the trials, where the experiment sweeps something else than users.
    pub level: Option<u32>,
    /// Users who were logged in; `None` for a figure of all levels.
    pub users: Option<u64>,
    /// Connections that carried the load.
    pub connections: u32,
    /// The rate that was asked for, requests per second; the mean over blocks where it follows from
    /// a pilot.
    pub rate: Option<f64>,
    /// The metric.
    pub metric: &'static Metric,
}

impl Key {
    /// Its place.
    pub(super) const fn place(&self) -> Place {
        (self.level, self.users)
    }

    /// Whether it is of this metric of this experiment.
    pub(super) fn measures(&self, experiment: &str, metric: &Metric) -> bool {
        self.experiment == experiment && self.metric == metric
    }

    /// Whether another figure was measured under the same load.
    pub(super) fn same_load(&self, other: &Self) -> bool {
        self.experiment == other.experiment
            && self.place() == other.place()
            && self.connections == other.connections
            && self.rate == other.rate
    }

    /// Whether another figure is of the same thing, and perhaps of another arm.
    pub(super) fn same_thing(&self, other: &Self) -> bool {
        self.metric == other.metric && self.same_load(other)
    }

    /// Whether a figure of another campaign is the same. Where a level stands for a rate, the rate
    /// itself follows from what the machine does that day.
    pub(super) fn same_figure(&self, other: &Self) -> bool {
        let rate = if self.level.is_some() { other.rate } else { self.rate };
        self.arm == other.arm && Self { rate, ..self.clone() }.same_thing(other)
    }

    /// Its fields in the order of a comparison, without the load.
    pub(super) fn without_load<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { experiment, metric, level, users, arm, .. } = self;
        KeyOfComparison { experiment, metric, level: *level, users: *users, arm }
            .serialize(serializer)
    }
}

/// The fields of a key in files that hold comparisons of one campaign.
#[derive(Serialize, JsonSchema)]
pub(super) struct KeyOfComparison<'a> {
    /// The experiment.
    experiment: &'a str,
    /// The metric.
    metric: &'a Metric,
    /// Level of the trials, where the experiment sweeps something else than users.
    level: Option<u32>,
    /// Users who were logged in; `null` for a figure of all levels.
    users: Option<u64>,
    /// The arm.
    arm: &'a str,
}

/// A figure, or what is said of one.
pub(super) trait Keyed: 'static {
    /// Which figure.
    fn key(&self) -> &Key;
}

/// Looking up figures, or what is said of them.
pub(super) trait Lookup<T: Keyed> {
    /// All of this metric of this experiment.
    fn all_of(&self, experiment: &str, metric: &Metric) -> impl DoubleEndedIterator<Item = &T>;

    /// That of an arm at a place.
    fn find(&self, experiment: &str, metric: &Metric, place: Place, arm: &str) -> Option<&T> {
        self.all_of(experiment, metric).find(|of| of.key().place() == place && of.key().arm == arm)
    }

    /// That of the wanted ones with the most users.
    fn top(&self, experiment: &str, metric: &Metric, is_wanted: impl Fn(&T) -> bool) -> Option<&T> {
        let wanted = self.all_of(experiment, metric).filter(|of| is_wanted(of));
        wanted.max_by_key(|of| of.key().users)
    }

    /// Where it was measured, ascending.
    fn places(&self, experiment: &str, metric: &Metric) -> Vec<Place> {
        let mut places: Vec<_> =
            self.all_of(experiment, metric).map(|of| of.key().place()).collect();
        places.sort_unstable();
        places.dedup();
        places
    }
}

impl<T: Keyed> Lookup<T> for [T] {
    fn all_of(&self, experiment: &str, metric: &Metric) -> impl DoubleEndedIterator<Item = &T> {
        self.iter().filter(move |of| of.key().measures(experiment, metric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::metric;

    fn key(level: Option<u32>, rate: f64) -> Key {
        Key {
            experiment: "curve".into(),
            arm: "none".into(),
            level,
            users: Some(64),
            connections: 64,
            rate: Some(rate),
            metric: metric::CPU_US_PER_REQUEST,
        }
    }

    #[test]
    fn only_the_same_thing_of_other_arms_is_compared() {
        let own = key(None, 100.0);
        assert!(own.same_thing(&Key { arm: "jwt".into(), ..own.clone() }));
        for other in [
            Key { experiment: "population".into(), ..own.clone() },
            Key { metric: metric::RESPONSE_P99_US, ..own.clone() },
            Key { users: Some(65), ..own.clone() },
            Key { connections: 65, ..own.clone() },
            key(None, 101.0),
        ] {
            assert!(!own.same_thing(&other), "{other:?}");
        }
    }

    #[test]
    fn a_level_stands_for_its_rate_in_another_campaign() {
        assert!(key(Some(50), 100.0).same_figure(&key(Some(50), 101.0)));
        assert!(!key(Some(50), 100.0).same_figure(&key(Some(80), 100.0)));
        assert!(!key(None, 100.0).same_figure(&key(None, 101.0)));
        let other_arm = Key { arm: "jwt".into(), ..key(None, 100.0) };
        assert!(!key(None, 100.0).same_figure(&other_arm));
    }

    #[test]
    fn files_have_the_fields_that_they_always_had() {
        let names = |text: String| -> Vec<String> {
            let fields = text.split(',').map(|field| field.split('"').nth(1).unwrap().to_string());
            fields.collect()
        };
        #[derive(Serialize)]
        struct Compared(#[serde(serialize_with = "Key::without_load")] Key);
        let text = serde_json::to_string(&Compared(key(None, 1.0))).unwrap();
        assert_eq!(names(text), ["experiment", "metric", "level", "users", "arm"]);
    }
}
