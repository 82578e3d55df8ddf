//! Durations in nanoseconds, counted without loss and written to disk as they are.

use std::borrow::Cow;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The longest duration that is told apart, ns: one hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;
/// How the compressed form begins in base64: its cookie.
const BASE64_HEAD: &str = "HISTF";
const COARSE_DIGITS: u8 = 2;
/// How the compressed form begins in bytes.
const COMPRESSED: [u8; 4] = [0x1c, 0x84, 0x93, 0x14];
/// Length of the head of the plain form, bytes.
const PLAIN_HEAD: usize = 40;
/// The longest plain form, bytes: three times what all places at three digits take.
const PLAIN_BYTES_MAX: u64 = 1 << 20;
/// A histogram counts fewer values than this, so that sums of many still fit.
const COUNT_END: u64 = 1 << 53;
/// So many continued bytes in a row make a number of nine bytes, which starts at 2^55.
const LONGEST_RUN: usize = 8;

/// A count of durations, ns.
///
/// A thin cover over HdrHistogram with three significant digits from 1 ns to 1 h: it never refuses
/// a value (a longer one counts as 1 h), merges by adding counts, and serialises as the standard
/// compressed V2 form in base64, which the Java tools read too. Percentiles of several recordings
/// are those of the merged counts; averaging percentiles is not offered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Histogram(Form);

/// Recording wants a place for every duration that could come, 270 KB of them. Of a campaign's
/// thousands of histograms, which are only read, a report keeps the places that hold something.
#[derive(Clone, Debug)]
enum Form {
    Recording(Hdr<u64>),
    Kept(Kept),
}

#[derive(Clone, Debug, PartialEq)]
struct Kept {
    digits: u8,
    count: u64,
    /// In ascending order.
    places: Box<[Place]>,
}

/// Durations that are not told apart, and how many were counted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    lowest: u64,
    highest: u64,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        *self.kept() == *other.kept()
    }
}

impl Histogram {
    /// An empty histogram.
    ///
    /// # Panics
    /// Never: the bounds are constants that HdrHistogram accepts.
    pub fn new() -> Self {
        Self(Form::Recording(empty(DIGITS)))
    }

    /// An empty histogram with two significant digits, for one of many intervals: it is a seventh
    /// as large.
    ///
    /// # Panics
    /// Never: the bounds are constants that HdrHistogram accepts.
    pub fn coarse() -> Self {
        Self(Form::Recording(empty(COARSE_DIGITS)))
    }

    /// Whether a string in a record is one, which may be long and is never shown.
    pub fn is_one(text: &str) -> bool {
        text.starts_with(BASE64_HEAD) && decode(text).is_ok()
    }

    /// Counts one duration.
    pub fn record(&mut self, ns: u64) {
        self.recording().saturating_record(ns.max(1));
    }

    /// Adds another histogram's counts to this one's.
    ///
    /// # Panics
    /// Never: all have the same bounds.
    pub fn merge(&mut self, other: &Self) {
        let counts = self.recording();
        match &other.0 {
            Form::Recording(hdr) => counts.add(hdr).expect("all histograms have the same bounds"),
            Form::Kept(kept) => kept.add_to(counts),
        }
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Form::Recording(hdr) => hdr.len(),
            Form::Kept(kept) => kept.count,
        }
    }

    /// The duration that a share `quantile` (0 to 1) does not exceed, ns; 0 when empty.
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        match &self.0 {
            Form::Recording(hdr) => hdr.value_at_quantile(quantile),
            Form::Kept(kept) => kept.quantile_ns(quantile),
        }
    }

    /// The shortest duration, ns; 0 when empty.
    pub fn min_ns(&self) -> u64 {
        match &self.0 {
            Form::Recording(hdr) => hdr.min(),
            Form::Kept(kept) => kept.places.first().map_or(0, |place| place.lowest),
        }
    }

    /// The longest duration, ns; 0 when empty.
    pub fn max_ns(&self) -> u64 {
        match &self.0 {
            Form::Recording(hdr) => hdr.max(),
            Form::Kept(kept) => kept.places.last().map_or(0, |place| place.highest),
        }
    }

    /// How many durations lie within each of these bounds (included, ascending, ns) and above the
    /// one before, and last how many exceed them all. Durations that are not told apart count as
    /// the longest of them.
    pub fn counts_between(&self, bounds_ns: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; bounds_ns.len() + 1];
        for place in &self.kept().places {
            counts[bounds_ns.partition_point(|bound| *bound < place.highest)] += place.count;
        }
        counts
    }

    /// The mean, ns; 0 when empty.
    pub fn mean_ns(&self) -> f64 {
        match &self.0 {
            Form::Recording(hdr) => hdr.mean(),
            Form::Kept(kept) => kept.mean_ns(),
        }
    }

    /// As the library knows it.
    pub(super) fn hdr(&self) -> Cow<'_, Hdr<u64>> {
        match &self.0 {
            Form::Recording(hdr) => Cow::Borrowed(hdr),
            Form::Kept(kept) => Cow::Owned(kept.hdr()),
        }
    }

    #[inline]
    fn recording(&mut self) -> &mut Hdr<u64> {
        if let Form::Kept(kept) = &self.0 {
            self.0 = Form::Recording(kept.hdr());
        }
        match &mut self.0 {
            Form::Recording(hdr) => hdr,
            Form::Kept(_) => unreachable!("it was made one that records"),
        }
    }

    fn kept(&self) -> Cow<'_, Kept> {
        match &self.0 {
            Form::Recording(hdr) => Cow::Owned(Kept::from(hdr)),
            Form::Kept(kept) => Cow::Borrowed(kept),
        }
    }
}

impl From<&Hdr<u64>> for Kept {
    fn from(hdr: &Hdr<u64>) -> Self {
        let place = |value: u64, count| Place {
            lowest: hdr.lowest_equivalent(value),
            highest: hdr.highest_equivalent(value),
            count,
        };
        let places = hdr.iter_recorded().map(|v| place(v.value_iterated_to(), v.count_at_value()));
        Self { digits: hdr.sigfig(), count: hdr.len(), places: places.collect() }
    }
}

impl Kept {
    fn hdr(&self) -> Hdr<u64> {
        let mut hdr = empty(self.digits);
        self.add_to(&mut hdr);
        hdr
    }

    fn add_to(&self, hdr: &mut Hdr<u64>) {
        for place in &self.places {
            hdr.saturating_record_n(place.lowest, place.count);
        }
    }

    fn quantile_ns(&self, quantile: f64) -> u64 {
        let wanted = ((quantile.min(1.0) * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0_u64;
        let place = self.places.iter().find(|place| {
            seen = place.count.saturating_add(seen);
            seen >= wanted
        });
        place.map_or(0, |place| if quantile == 0.0 { place.lowest } else { place.highest })
    }

    fn mean_ns(&self) -> f64 {
        self.places.iter().fold(0.0, |sum, place| {
            let middle = place.lowest + (place.highest - place.lowest).div_ceil(2);
            sum + middle as f64 * place.count as f64 / self.count as f64
        })
    }
}

fn empty(digits: u8) -> Hdr<u64> {
    Hdr::new_with_bounds(1, LONGEST_NS, digits).expect("the bounds are valid")
}

fn decode(text: &str) -> Result<Hdr<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|e| format!("histogram: {e}"))?;
    let plain = inflated(&bytes)?;
    let hdr: Hdr<u64> = Deserializer::new()
        .deserialize(&mut checked(&plain)?)
        .map_err(|e| format!("histogram: {e}"))?;
    let total = hdr.iter_recorded().try_fold(0_u64, |sum, v| sum.checked_add(v.count_at_value()));
    match total {
        Some(total) if total < COUNT_END => Ok(hdr),
        _ => Err(format!("histogram: expected fewer than {COUNT_END} values")),
    }
}

/// The plain V2 form. A stream of a few bytes may inflate to gigabytes, so it is cut off.
fn inflated(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let Some((head, stream)) = bytes.split_at_checked(8).filter(|(h, _)| h[..4] == COMPRESSED)
    else {
        return Err("histogram: expected the compressed V2 form".into());
    };
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let mut plain = Vec::new();
    ZlibDecoder::new(stream.take(length.into()))
        .take(PLAIN_BYTES_MAX + 1)
        .read_to_end(&mut plain)
        .map_err(|e| format!("histogram: {e}"))?;
    if plain.len() as u64 > PLAIN_BYTES_MAX {
        return Err(format!("histogram: expected at most {PLAIN_BYTES_MAX} bytes"));
    }
    Ok(plain)
}

/// The plain V2 form, if the library can read it safely: it takes as much memory as the head says,
/// and negates the number of empty places.
fn checked(plain: &[u8]) -> Result<&[u8], String> {
    let number = |at: usize, length: usize| {
        let bytes = plain.get(at..at + length)?;
        Some(bytes.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let body = plain.get(PLAIN_HEAD..).unwrap_or_default();
    if number(4, 4) != Some(body.len() as u64) {
        return Err("histogram: expected as many bytes as its head says".into());
    }
    // One with other bounds could not be merged with ours.
    if (number(16, 8), number(24, 8)) != (Some(1), Some(LONGEST_NS)) {
        return Err(format!("histogram: expected bounds 1 to {LONGEST_NS} ns"));
    }
    if body.split(|byte| byte & 0x80 == 0).any(|run| run.len() >= LONGEST_RUN) {
        return Err(format!("histogram: expected counts below {COUNT_END}"));
    }
    Ok(plain)
}

impl From<Histogram> for String {
    fn from(histogram: Histogram) -> Self {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&histogram.hdr(), &mut bytes)
            .expect("writing to memory does not fail");
        STANDARD.encode(bytes)
    }
}

impl TryFrom<String> for Histogram {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(Self(Form::Kept(Kept::from(&decode(&text)?))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

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

    /// A histogram in the plain form, and how a file holds what is made of that.
    fn plain(values: &[u64]) -> Vec<u8> {
        inflated(&STANDARD.decode(String::from(of(values))).unwrap()).unwrap()
    }

    fn packed(plain: &[u8]) -> String {
        let mut stream = Vec::new();
        let mut packer = flate2::write::ZlibEncoder::new(&mut stream, flate2::Compression::fast());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap();
        let length = u32::try_from(stream.len()).unwrap().to_be_bytes();
        STANDARD.encode([&COMPRESSED[..], &length, &stream].concat())
    }

    #[test]
    fn a_histogram_that_would_take_all_memory_or_overflow_is_refused() {
        let refused = |plain: &[u8]| Histogram::try_from(packed(plain)).unwrap_err();
        let good = plain(&[5, 7]);
        assert_eq!(Histogram::try_from(packed(&good)).unwrap(), of(&[5, 7]));
        // The library makes room for what the head says before it reads.
        let mut long = good.clone();
        long[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(refused(&long).contains("as many bytes"), "{}", refused(&long));
        let mut bomb = good.clone();
        bomb.resize(4 << 20, 0);
        assert!(refused(&bomb).contains("at most"), "{}", refused(&bomb));
        let with_body = |body: &[u8]| {
            let mut plain = good[..PLAIN_HEAD].to_vec();
            plain[4..8].copy_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
            [plain, body.to_vec()].concat()
        };
        // As many empty places as cannot be negated.
        assert!(refused(&with_body(&[0xff; 9])).contains("counts below"));
        // Two counts of 2^53 values, each a number of eight bytes.
        let much = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
        assert!(refused(&with_body(&much.repeat(2))).contains("fewer than"));
        for short in 0..good.len() {
            let error = refused(&good[..short]);
            assert!(error.starts_with("histogram: expected"), "{short}: {error}");
        }
    }

    proptest! {
        /// Fault 34: the intervals make the whole.
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
            let mut read: Histogram = serde_json::from_str(&text).unwrap();
            let written = of(&values);
            for quantile in [0.0, 0.01, 0.5, 0.9, 0.999, 1.0, 2.0] {
                prop_assert_eq!(read.quantile_ns(quantile), written.quantile_ns(quantile));
            }
            prop_assert_eq!(read.count(), written.count());
            prop_assert_eq!((read.min_ns(), read.max_ns()), (written.min_ns(), written.max_ns()));
            prop_assert_eq!(read.mean_ns(), written.mean_ns());
            prop_assert_eq!(&read, &written);
            prop_assert_eq!(String::from(read.clone()), String::from(written.clone()));

            // What was read goes on counting where it stood.
            let mut both = written;
            both.merge(&read);
            read.merge(&both);
            read.record(7);
            prop_assert_eq!(read, of(&[&values[..], &values, &values, &[7]].concat()));
        }
    }
}
