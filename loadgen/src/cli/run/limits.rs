//! Flags of `authbench run` that say how much of an answer is read, and how long a load may take
//! to get ready.

use std::time::Duration;

use clap::Args;

use crate::error::{Error, Result};
use crate::limits::{FIELDS_MOST, Limit, Limits};
use crate::units::{Size, Span};

/// How much of an answer is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits on the server's answers")]
pub(super) struct LimitArgs {
    /// Accept a body of up to this size
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    max_body: Size,
    /// Accept a head of up to this size, including interim answers (1xx)
    #[arg(long, value_name = "SIZE", default_value = "64KiB")]
    max_head: Size,
    /// Accept up to this many header fields, and as many trailer fields
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=FIELDS_MOST as i64))]
    max_fields: u32,
    /// Accept up to this many interim answers (1xx) before the final one
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(0..=1000))]
    max_interim: u32,
    /// Accept up to this many bytes of chunk extensions and trailers per answer
    #[arg(long, value_name = "SIZE", default_value = "16KiB")]
    max_framing: Size,
    /// Hold this many bytes of incomplete answers [default: 1.25 x --max-body, at least 20MiB]
    ///
    /// All connections together.
    #[arg(long, value_name = "SIZE")]
    max_buffered: Option<Size>,
    /// Give up when logins and opening connections take longer than this
    #[arg(long, value_name = "SPAN", env = "AUTHBENCH_SETUP_TIMEOUT", default_value = "10m")]
    setup_timeout: Span,
}

/// What a flag of a size may be.
const LEAST: u64 = 64;
const HEAD_MOST: Size = Size(16 << 20);
const BODY_MOST: Size = Size(4 << 30);
const SETUP_LEAST: Span = Span::from_millis(10);

impl LimitArgs {
    /// The limits that were asked for.
    ///
    /// The defaults let a run end within its time and memory whatever the server sends; a server
    /// that is meant to send more has a flag for each limit. A value that no run could hold to is
    /// refused.
    ///
    /// # Errors
    /// `Config` when one is too small to read any answer with, too large for a process, or does not
    /// go with another.
    pub(super) fn limits(&self) -> Result<Limits> {
        let head_bytes = within(Limit::Head, self.max_head, HEAD_MOST)?;
        let body_bytes = within(Limit::Body, self.max_body, BODY_MOST)?;
        let framing_bytes = within(Limit::Framing, self.max_framing, HEAD_MOST)?;
        let default = Limits::DEFAULT.buffered_bytes.max(body_bytes / 4 * 5) as u64;
        let buffered = self.max_buffered.unwrap_or(Size(default));
        let needed = Size((head_bytes + body_bytes + framing_bytes) as u64);
        if buffered < needed {
            return Err(Error::Config(format!(
                "expected --max-buffered of at least {needed}, which one answer may take, found \
                 {buffered}; raise it, or lower --max-body"
            )));
        }
        let buffered_bytes = within(Limit::Buffered, buffered, Size(4 * BODY_MOST.0))?;
        Ok(Limits {
            head_bytes,
            fields: self.max_fields as usize,
            interim: self.max_interim as usize,
            body_bytes,
            framing_bytes,
            buffered_bytes,
        })
    }
}

impl LimitArgs {
    /// How long a load may take to get ready.
    ///
    /// # Errors
    /// `Config` when no load could.
    pub(super) fn setup_within(&self) -> Result<Duration> {
        let (least, found) = (SETUP_LEAST, self.setup_timeout);
        if found < least {
            return Err(Error::flag("--setup-timeout", format!("of at least {least}"), found));
        }
        Ok(found.duration())
    }
}

fn within(limit: Limit, found: Size, most: Size) -> Result<usize> {
    let bytes = usize::try_from(found.0).ok().filter(|_| (LEAST..=most.0).contains(&found.0));
    bytes.ok_or_else(|| {
        let (flag, least) = (limit.flag(), Size(LEAST));
        Error::flag(flag, format!("from {least} to {most}"), found)
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn limits(flags: &[&str]) -> Result<Limits, String> {
        let flags = [&["run"], flags].concat();
        let parsed = Flags::try_parse_from(flags).map_err(|e| e.to_string())?;
        let limits = parsed.limits.setup_within().and_then(|_| parsed.limits.limits());
        limits.map_err(|e| e.to_string())
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        assert_eq!(limits(&[]), Ok(Limits::DEFAULT));
    }

    #[test]
    fn each_flag_raises_its_limit() {
        for (limit, value) in [
            (Limit::Head, "128KiB"),
            (Limit::Fields, "256"),
            (Limit::Interim, "100"),
            (Limit::Body, "64MiB"),
            (Limit::Framing, "1MiB"),
            (Limit::Buffered, "64MiB"),
        ] {
            let raised = limits(&[limit.flag(), value]).unwrap();
            let changed = match limit {
                Limit::Head => (raised.head_bytes, Limits::DEFAULT.head_bytes),
                Limit::Fields => (raised.fields, Limits::DEFAULT.fields),
                Limit::Interim => (raised.interim, Limits::DEFAULT.interim),
                Limit::Body => (raised.body_bytes, Limits::DEFAULT.body_bytes),
                Limit::Framing => (raised.framing_bytes, Limits::DEFAULT.framing_bytes),
                Limit::Buffered => (raised.buffered_bytes, Limits::DEFAULT.buffered_bytes),
            };
            assert!(changed.0 > changed.1, "{}", limit.flag());
        }
        let both = limits(&["--max-body", "64MiB"]).unwrap();
        assert_eq!(both.buffered_bytes, 80 << 20, "a body over the budget could not be read");
    }

    #[test]
    fn nonsense_is_refused_and_its_flag_named() {
        for (flag, value) in [
            ("--max-body", "0B"),
            ("--max-body", "100GiB"),
            ("--max-body", "16"),
            ("--max-head", "0B"),
            ("--max-head", "1GiB"),
            ("--max-fields", "0"),
            ("--max-fields", "257"),
            ("--max-interim", "1001"),
            ("--max-framing", "0B"),
            ("--setup-timeout", "0s"),
            ("--max-buffered", "1MiB"),
            ("--max-buffered", "1000GiB"),
        ] {
            let refused = limits(&[flag, value]).unwrap_err();
            assert!(
                refused.contains(flag) && refused.contains("found")
                    || refused.contains("invalid value"),
                "{flag} {value}: {refused}"
            );
        }
    }
}
