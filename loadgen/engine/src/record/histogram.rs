//! Durations in nanoseconds, counted without loss and written to disk as they are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The longest duration that is told apart, ns: one hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// How the compressed form begins in base64: its cookie.
const BASE64_HEAD: &str = "HISTF";
const COARSE_DIGITS: u8 = 2;

/// A count of durations, ns.
///
/// A thin cover over HdrHistogram with three significant digits from 1 ns to 1 h: it never refuses
/// a value (a longer one counts as 1 h), merges by adding counts, and serialises as the standard
/// compressed V2 form in base64, which the Java tools read too. Percentiles of several recordings
/// are those of the merged counts; averaging percentiles is not offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Histogram(Hdr<u64>);

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    ///
    /// # Panics
    /// Never: the bounds are constants that HdrHistogram accepts.
    pub fn new() -> Self {
        Self(Hdr::new_with_bounds(1, LONGEST_NS, DIGITS).expect("constant bounds are valid"))
    }

    /// An empty histogram with two significant digits, for one of many intervals: it is a seventh
    /// as large.
    ///
    /// # Panics
    /// Never: the bounds are constants that HdrHistogram accepts.
    pub fn coarse() -> Self {
        let hdr = Hdr::new_with_bounds(1, LONGEST_NS, COARSE_DIGITS);
        Self(hdr.expect("constant bounds are valid"))
    }

    /// Whether a string in a record is one, which may be long and is never shown.
    pub fn is_one(text: &str) -> bool {
        text.starts_with(BASE64_HEAD) && Self::try_from(text.to_owned()).is_ok()
    }

    /// Counts one duration.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns.max(1));
    }

    /// Adds another histogram's counts to this one's.
    ///
    /// # Panics
    /// Never: all have the same bounds.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration that a share `quantile` (0 to 1) does not exceed, ns; 0 when empty.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    /// The shortest duration, ns; 0 when empty.
    pub fn min_ns(&self) -> u64 {
        self.0.min()
    }

    /// The longest duration, ns; 0 when empty.
    pub fn max_ns(&self) -> u64 {
        self.0.max()
    }

    /// How many durations lie within each of these bounds (included, ascending, ns) and above the
    /// one before, and last how many exceed them all. Durations that are not told apart count as
    /// the longest of them.
    pub fn counts_between(&self, bounds_ns: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; bounds_ns.len() + 1];
        for slot in self.0.iter_recorded() {
            let place = bounds_ns.partition_point(|bound| *bound < slot.value_iterated_to());
            counts[place] += slot.count_since_last_iteration();
        }
        counts
    }

    /// The mean, ns; 0 when empty.
    pub fn mean_ns(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.mean() }
    }
}

impl AsRef<Hdr<u64>> for Histogram {
    fn as_ref(&self) -> &Hdr<u64> {
        &self.0
    }
}

impl From<Histogram> for String {
    fn from(histogram: Histogram) -> Self {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&histogram.0, &mut bytes)
            .expect("writing to memory does not fail");
        STANDARD.encode(bytes)
    }
}

impl TryFrom<String> for Histogram {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|e| format!("histogram: {e}"))?;
        let hdr: Hdr<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|e| format!("histogram: {e}"))?;
        // A file may hold any histogram; one with other bounds could not be merged with ours.
        if (hdr.low(), hdr.high()) != (1, LONGEST_NS) {
            return Err(format!("histogram: expected bounds 1 to {LONGEST_NS} ns"));
        }
        Ok(Self(hdr))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values.iter().for_each(|v| histogram.record(*v));
        histogram
    }

    #[test]
    fn quantiles_are_those_of_the_values_within_the_precision() {
        let values: Vec<u64> = (1..=10_000).map(|i| i * 1000).collect();
        let histogram = of(&values);
        for (quantile, expected) in [(0.5, 5_000_000.0), (0.99, 9_900_000.0), (1.0, 10_000_000.0)] {
            let found = histogram.quantile_ns(quantile) as f64;
            assert!((found / expected - 1.0).abs() < 0.001, "{quantile}: {found}");
        }
        assert_eq!((histogram.count(), of(&[]).quantile_ns(0.5)), (10_000, 0));
    }

    #[test]
    fn a_duration_beyond_the_bounds_is_counted_at_the_bound() {
        let histogram = of(&[0, u64::MAX]);
        assert_eq!(histogram.count(), 2);
        assert!(histogram.max_ns() >= LONGEST_NS);
    }

    #[test]
    fn a_coarse_one_keeps_two_digits_and_merges() {
        let mut coarse = Histogram::coarse();
        (1..=1000).for_each(|i| coarse.record(i * 1_000_000));
        assert!((coarse.quantile_ns(0.5) as f64 / 5e8 - 1.0).abs() < 0.01);
        let text = String::from(coarse.clone());
        assert_eq!(Histogram::try_from(text).unwrap(), coarse);
        let mut whole = Histogram::new();
        whole.merge(&coarse);
        assert_eq!(whole.count(), 1000);
    }

    proptest! {
        #[test]
        fn the_merge_of_the_parts_is_the_whole(
            a in prop::collection::vec(0u64..1 << 40, 0..50),
            b in prop::collection::vec(0u64..1 << 40, 0..50),
        ) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn it_reads_back_what_it_wrote(values in prop::collection::vec(0u64..1 << 41, 0..50)) {
            let text = serde_json::to_string(&of(&values)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Histogram>(&text).unwrap(), of(&values));
        }
    }
}
