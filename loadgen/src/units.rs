//! Quantities that parse and print themselves, the same in flags, files and reports: [`Span`],
//! [`Rate`] and [`Size`]. A value that makes no sense is refused when it is read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use engine::record::grouped;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A text that is not the quantity it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found `{found}`")]
pub struct UnitError {
    /// What would have been understood.
    pub expected: &'static str,
    /// What stood there.
    pub found: String,
}

/// A length of time of at most a day, written `250ms`, `30s`, `1m30s`, `1h` or `0s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Span(Duration);

impl Span {
    /// A span of whole milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// A span of whole microseconds.
    pub const fn from_micros(us: u64) -> Self {
        Self(Duration::from_micros(us))
    }

    /// The span in nanoseconds.
    pub fn ns(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// The span as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

const SPAN_FORM: &str = "a duration such as `250ms`, `30s` or `1m30s`, at most `24h`";

impl FromStr for Span {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let refuse = || UnitError { expected: SPAN_FORM, found: text.into() };
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (mut rest, mut ns, mut unit_before) = (text, 0.0, f64::INFINITY);
        // Parts from the largest unit to the smallest: `1h30m`.
        loop {
            let unit = rest.find(|c| !is_number(c)).ok_or_else(refuse)?;
            let number = decimal(&rest[..unit]).ok_or_else(refuse)?;
            let end = rest[unit..].find(is_number).map_or(rest.len(), |length| unit + length);
            let unit_ns = match &rest[unit..end] {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(refuse()),
            };
            if unit_ns >= unit_before {
                return Err(refuse());
            }
            ns += number * unit_ns;
            (rest, unit_before) = (&rest[end..], unit_ns);
            if rest.is_empty() {
                break;
            }
        }
        if !(0.0..=86_400e9).contains(&ns) {
            return Err(refuse());
        }
        Ok(Self(Duration::from_nanos(ns.round() as u64)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.ns();
        let (value, unit) = match ns {
            0 => (0.0, "s"),
            _ if ns.is_multiple_of(3_600_000_000_000) => (ns as f64 / 3.6e12, "h"),
            _ if ns.is_multiple_of(60_000_000_000) => (ns as f64 / 6e10, "m"),
            1_000_000_000.. => (ns as f64 / 1e9, "s"),
            1_000_000.. => (ns as f64 / 1e6, "ms"),
            1_000.. => (ns as f64 / 1e3, "us"),
            _ => (ns as f64, "ns"),
        };
        write!(f, "{value}{unit}")
    }
}

/// Requests per second, above 0 and at most ten million, written `5000/s` or `5k/s`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String")]
pub struct Rate(f64);

impl Rate {
    /// Requests per second.
    pub const fn per_second(self) -> f64 {
        self.0
    }
}

/// The highest rate that is accepted: far above what one machine can offer, and low enough that
/// planned moments a nanosecond apart never coincide.
const RATE_MAX: f64 = 1e7;
const RATE_FORM: &str = "a rate such as `5000/s`, `5k/s` or `0.5/s`, above 0 and at most \
                         10,000,000 requests per second";

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let refuse = || UnitError { expected: RATE_FORM, found: text.into() };
        let number = text.strip_suffix("/s").unwrap_or(text);
        let (number, factor) = match number.strip_suffix('k') {
            Some(thousands) => (thousands, 1e3),
            None => number.strip_suffix('M').map_or((number, 1.0), |millions| (millions, 1e6)),
        };
        let rate = decimal(number).ok_or_else(refuse)? * factor;
        if rate > 0.0 && rate <= RATE_MAX { Ok(Self(rate)) } else { Err(refuse()) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A number of bytes, written `512B`, `64KiB`, `10MiB` or `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_FORM: &str = "a size such as `512B`, `64KiB` or `16MiB`, at most `1024GiB`";

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let refuse = || UnitError { expected: SIZE_FORM, found: text.into() };
        let digits = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(refuse)?;
        let (number, unit) = text.split_at(digits);
        let number = decimal(number).ok_or_else(refuse)?;
        let unit_bytes = match unit {
            "B" => 1u64,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(refuse()),
        };
        let bytes = number * unit_bytes as f64;
        let is_whole = bytes.fract() == 0.0 && bytes <= (1u64 << 40) as f64;
        if is_whole { Ok(Self(bytes as u64)) } else { Err(refuse()) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0x4000_0000.. => write!(f, "{:.2} GiB", bytes / f64::from(1 << 30)),
            0x10_0000.. => write!(f, "{:.1} MiB", bytes / f64::from(1 << 20)),
            0x400.. => write!(f, "{:.1} KiB", bytes / 1024.0),
            _ => write!(f, "{} B", self.0),
        }
    }
}

/// Reads digits with at most one point: no sign, exponent, `inf` or `NaN`.
fn decimal(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| text.parse().ok()).flatten()
}

macro_rules! string_serde {
    ($($type:ty, $form:expr);*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
                struct Form;

                impl Visitor<'_> for Form {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($form)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }

                text.deserialize_str(Form)
            }
        }

        impl From<$type> for String {
            fn from(quantity: $type) -> Self {
                quantity.to_string()
            }
        }
    )*};
}

string_serde!(Span, SPAN_FORM; Rate, RATE_FORM);

/// So many of something: `1 user`, `1,234 users`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        assert_eq!(counted(1, "user"), "1 user");
        assert_eq!(counted(0, "user"), "0 users");
        assert_eq!(counted(1_234, "trial"), "1,234 trials");
    }

    #[test]
    fn spans() {
        for (text, ns, printed) in [
            ("0s", 0, "0s"),
            ("250ms", 250_000_000, "250ms"),
            ("1.5s", 1_500_000_000, "1.5s"),
            ("15m", 900_000_000_000, "15m"),
            ("2h", 7_200_000_000_000, "2h"),
            ("90s", 90_000_000_000, "90s"),
            ("7us", 7_000, "7us"),
            ("3ns", 3, "3ns"),
            ("3µs", 3_000, "3us"),
            ("1m30s", 90_000_000_000, "90s"),
            ("1h30m", 5_400_000_000_000, "90m"),
            ("1h0m0.5s", 3_600_500_000_000, "3600.5s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.ns(), span.to_string().as_str()), (ns, printed), "{text}");
        }
        for text in [
            "", "5", "s", "-1s", "1e3s", "NaNs", "25h", "1 s", "1.2.3s", "5x", "1m30", "1m s",
            "30s1m", "1m1m", "24h1s", "1m-30s",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!("5000/s".parse::<Rate>().unwrap().per_second(), 5000.0);
        assert_eq!("0.5/s".parse::<Rate>().unwrap().to_string(), "0.5/s");
        for (text, rate) in [("5000", 5e3), ("5k/s", 5e3), ("2.5k", 2500.0), ("10M/s", 1e7)] {
            assert_eq!(text.parse::<Rate>().unwrap().per_second(), rate, "{text}");
        }
        for text in [
            "0",
            "0/s",
            "-1/s",
            "NaN",
            "inf/s",
            "1e12",
            "1000000000000/s",
            "",
            "/s",
            "5/m",
            "k",
            "k/s",
            "5K/s",
            "5kk/s",
            "11M/s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("1.5MiB", 1_572_864), ("1GiB", 1 << 30)]
        {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "5", "5k", "5KB", "-1B", "0.5B", "NaNB", "1e3B", "5 MiB", "2000GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn printed() {
        assert_eq!(Size(1536).to_string(), "1.5 KiB");
        assert_eq!(Size(900).to_string(), "900 B");
        assert_eq!(Size(3 << 30).to_string(), "3.00 GiB");
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
