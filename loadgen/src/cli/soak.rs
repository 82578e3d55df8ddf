//! `authbench soak`: users come and go at a fixed rate, and what the server keeps must not grow.

use clap::Args;

use super::attack::Spinner;
use super::shared::{Format, minutes};
use super::{output, serve, signals};
use crate::error::{Error, Result};
use crate::plan::Variant;
use crate::report::figure;
use crate::sanitise::Page;
use crate::soak::{self, DURATION_MIN, Grown, RATE_MAX, Soak, SoakPlan};
use crate::units::{Span, grouped};

/// Flags of `authbench soak`.
#[derive(Debug, Args)]
pub(super) struct SoakArgs {
    /// Start a server of this arm and have users come and go
    #[arg(long, value_name = "ARM")]
    arm: String,
    /// For how long; the longer, the smaller a growth that is found
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    duration: Span,
    /// Logins per second, each with a request; half of them log out
    #[arg(long, value_name = "N", default_value_t = 100)]
    rate: u32,
    /// How long a session lives that nobody logs out [default: duration/20, 2s to 1m]
    #[arg(long, value_name = "SPAN")]
    ttl: Option<Span>,
    /// Print text for people, or JSON with every reading for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Soaks a server. What was found is printed in any case, also after an interrupt.
///
/// # Errors
/// `Config` for flags that make no sense, `Target` when the server grows or fails.
pub(super) fn soak(args: &SoakArgs) -> Result<()> {
    let plan = args.plan()?;
    let interrupt = signals::listen()?;
    let bar = Spinner::new();
    let found = soak::soak(&plan, &interrupt, &mut |reading, left| {
        let allocated = reading
            .allocated_bytes
            .map_or(String::new(), |bytes| format!(", {} allocated", figure(bytes, "bytes")));
        let left = minutes(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
        bar.say(&format!("{} logins{allocated}, {left} left", grouped(reading.logins)));
    })?;
    drop(bar);
    match args.format {
        Format::Text => output::page(&text(&found))?,
        Format::Json => {
            let json = serde_json::to_string_pretty(&found)
                .map_err(|e| Error::Bug(format!("the soak cannot be written: {e}")))?;
            output::json(&json)?;
        }
    }
    interrupt.check_or("interrupted; what is printed was read until then")?;
    soak::judge(&found)
}

impl SoakArgs {
    fn plan(&self) -> Result<SoakPlan> {
        serve::require_arm(&self.arm)?;
        if Variant::of(&self.arm).is_deployed() {
            return Err(Error::Config(format!(
                "expected one server to watch, found the deployment `{}`; soak the arm alone",
                self.arm
            )));
        }
        if self.duration < DURATION_MIN {
            let expected = format!("of at least {DURATION_MIN}");
            return Err(Error::flag("--duration", expected, self.duration));
        }
        if !(1..=RATE_MAX).contains(&self.rate) {
            return Err(Error::flag("--rate", format!("of 1 to {RATE_MAX}"), self.rate));
        }
        let is_whole = |ttl: Span| ttl.ns() > 0 && ttl.ns().is_multiple_of(1_000_000_000);
        if let Some(ttl) = self.ttl.filter(|ttl| !is_whole(*ttl)) {
            return Err(Error::flag("--ttl", "of whole seconds, at least 1s", ttl));
        }
        Ok(SoakPlan {
            arm: self.arm.clone(),
            duration: self.duration.duration(),
            rate: self.rate,
            ttl: self.ttl.map(Span::duration),
        })
    }
}

fn text(soak: &Soak) -> Page {
    let mut page = Page::default();
    let head = ["resource", "last", "growth per login (95 %)", "allowed", ""].map(String::from);
    let rows: Vec<_> = std::iter::once(head).chain(soak.grown.iter().map(row)).collect();
    page.table("", &rows, &(1..4));
    let churned = &soak.churned;
    page.line("");
    page.line(&format!(
        "{}: {} logins in {}, {} refreshes, {} logouts; the other sessions expired after {} s",
        soak.arm,
        grouped(churned.logins),
        minutes((soak.lasted_s * 1e3) as u64),
        grouped(churned.refreshes),
        grouped(churned.logouts),
        soak.ttl_s,
    ));
    page.line(&format!(
        "{} cycles failed, {} were left out; slopes leave out the first {:.0} s",
        grouped(churned.failed),
        grouped(churned.left_out),
        soak.left_out_s,
    ));
    if soak.ttl_s * 3.0 > soak.lasted_s {
        page.line("sessions outlive most of this soak, so those that nobody logs out pile up");
    }
    page
}

fn row(grown: &Grown) -> [String; 5] {
    let slope = grown.range().unwrap_or_else(|| "too short".into());
    let last = if grown.unit == "bytes" {
        figure(grown.last, "bytes")
    } else {
        grouped(grown.last as u64)
    };
    let allowed = grown.allowed.map_or(String::new(), |allowed| allowed.to_string());
    [grown.name.into(), last, slope, allowed, grown.outcome.word().into()]
}
