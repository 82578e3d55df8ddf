//! `authbench attack`: every attack against one live server, and its outcome in the form that was
//! asked for.

mod json;
mod sarif;
mod text;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::place::PlaceArgs;
use super::run::target_file;
use super::trust::TrustArgs;
use super::{output, serve, signals};
use crate::attack::{self, CUT_SHORT, GUESSES, Options, Standard, weakness};
use crate::error::{Error, Result};
use crate::plan::Variant;
use crate::record::{Attacked, CaseOutcome, CaseRecord};
use crate::report::{CaseTold, attack_junit};
use crate::sanitise::{NAME, fit};
use crate::spec::located;
use crate::units::Span;

/// The shortest time that a suite may take.
const WITHIN_LEAST: Span = Span::from_millis(1000);

/// Flags of `authbench attack`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whom").required(true))]
pub(super) struct AttackArgs {
    /// Start a server of this arm and attack it
    #[arg(long, value_name = "ARM", group = "whom")]
    arm: Option<String>,
    /// Attack the server that this target file describes; only one that you may attack
    #[arg(long, value_name = "FILE.toml", group = "whom")]
    target: Option<PathBuf>,
    /// Send the first step of this journey
    #[arg(long, default_value = "browse", value_name = "NAME")]
    journey: String,
    /// Fail on properties too: what a server may choose, and should not
    #[arg(long)]
    strict: bool,
    /// Let a token be good for this long after its end
    #[arg(long, value_name = "SPAN", default_value = "60s")]
    leeway: Span,
    /// Try this many random credentials
    #[arg(long, default_value_t = GUESSES, value_name = "N")]
    guesses: u32,
    /// Limit the suite to this time; a case not tried by then has failed
    #[arg(long, value_name = "SPAN", default_value = "30m")]
    within: Span,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Print text for people, json for programs, junit for a CI, or sarif for code scanning
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// Every case, for programs.
    Json,
    /// Every case as a test case, for a CI.
    Junit,
    /// What is wrong, for code scanning (SARIF 2.1.0).
    Sarif,
}

/// Attacks a server.
///
/// # Errors
/// `Config` when it cannot be attacked, `Target` when an attack got through or an answer was wrong,
/// or when it does not do what its descriptor says. The cases are printed in any case.
pub(super) fn attack(args: &AttackArgs) -> Result<()> {
    if args.within < WITHIN_LEAST {
        return Err(Error::flag("--within", format!("of at least {WITHIN_LEAST}"), args.within));
    }
    let interrupt = signals::listen()?;
    let bar = Spinner::new();
    let mut progress = |case: &str| bar.say(case);
    let attacked = match (&args.arm, &args.target) {
        (Some(arm), _) => {
            serve::require_arm(arm)?;
            if Variant::of(arm).is_deployed() {
                return Err(Error::Config(format!(
                    "expected one server to attack, found the deployment `{arm}`, whose proxy \
                     would answer for it; attack `{}`",
                    Variant::alone(arm)
                )));
            }
            args.place.refuse(arm)?;
            match serve::spared(arm) {
                Some(why) => Attacked::spared(arm, why),
                None => {
                    let options = args.options(Standard::Ours);
                    attack::arm(arm, &options, &interrupt, &mut progress)?
                }
            }
        }
        (None, path) => {
            let path = path.as_deref().unwrap_or(Path::new(""));
            let mut target = target_file(path)?;
            args.place.shape(&mut target, None)?;
            let options = args.options(Standard::Stranger);
            attack::target(&target, &options, &interrupt, &mut progress)
                .map_err(|error| located(error, path))?
        }
    };
    drop(bar);
    if let Some(signal) = interrupt.signal() {
        // A part of a document would pass for the whole.
        if args.format == Form::Text {
            output::page(&text::text(&attacked, args.strict))?;
        }
        return Err(Error::Interrupted(CUT_SHORT.into(), signal));
    }
    match args.format {
        Form::Text => output::page(&text::text(&attacked, args.strict))?,
        Form::Json => output::json(&json::json(&attacked)?)?,
        Form::Junit => output::document(&attack_junit(&attacked, &|case| told(case, args.strict)))?,
        Form::Sarif => {
            output::json(&sarif::sarif(&attacked, args.target.as_deref(), args.strict)?)?;
        }
    }
    if args.strict { attack::judge_strictly(&attacked) } else { attack::judge(&attacked) }
}

impl AttackArgs {
    fn options(&self, standard: Standard) -> Options {
        let trust = self.trust.trust();
        let (journey, within) = (self.journey.clone(), self.within.duration());
        let leeway = self.leeway.duration();
        Options { journey, trust, standard, guesses: self.guesses, leeway, within }
    }
}

/// The meaning of a case for a CI.
fn told(case: &CaseRecord, strict: bool) -> CaseTold {
    let word = case.outcome.word();
    if case.outcome == CaseOutcome::NotApplicable || attack::was_untried(case) {
        CaseTold::Skipped(case.found.clone())
    } else if attack::is_finding(case, strict) {
        let about = weakness(&case.id);
        let remedy = about.map_or_else(String::new, |about| {
            format!("; {}: {} (CWE-{})", about.name, about.remedy, about.cwe)
        });
        let found = format!("{word}: expected {}, found {}", case.expected, case.found);
        CaseTold::Failed(found + &remedy)
    } else {
        CaseTold::Passed(format!("{word}: {}", case.found))
    }
}

/// A line on a terminal that says what is being tried; nothing elsewhere.
pub(super) struct Spinner(Option<ProgressBar>);

impl Spinner {
    pub(super) fn new() -> Self {
        Self(output::watched().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        }))
    }

    pub(super) fn say(&self, what: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(fit(what, NAME));
            bar.tick();
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(id: &str, outcome: CaseOutcome, found: &str) -> CaseRecord {
        CaseRecord {
            id: id.into(),
            what: "a thing".into(),
            expected: "401".into(),
            found: found.into(),
            outcome,
        }
    }

    pub(super) fn attacked() -> Attacked {
        let mut cases = vec![
            case("1a", CaseOutcome::Refused, "401"),
            case("2a", CaseOutcome::Accepted, "200 as `0`"),
            case("2b", CaseOutcome::Property, "200"),
        ];
        let not = |n| case(&format!("{n}x"), CaseOutcome::NotApplicable, "no token");
        cases.extend((0..60).map(not));
        Attacked { target: "t".into(), spared: None, cases }
    }

    #[test]
    fn programs_get_every_case_and_the_counts() {
        let page: serde_json::Value =
            serde_json::from_str(&json::json(&attacked()).unwrap()).unwrap();
        assert_eq!((&page["target"], &page["run"]), (&"t".into(), &3.into()));
        assert_eq!(page["cases"].as_array().unwrap().len(), 63);
        assert_eq!(page["cases"][1]["outcome"], "accepted");
        assert_eq!(
            (&page["cases"][1]["cwe"], &page["cases"][1]["id"]),
            (&1286.into(), &"2a".into())
        );
        assert_eq!(page["counts"]["accepted"], 1);
        assert_eq!(page["counts"]["not_applicable"], 60);
    }

    #[test]
    fn a_ci_gets_every_case() {
        let page = attack_junit(&attacked(), &|case| told(case, false));
        assert!(page.contains("tests=\"63\" failures=\"1\" errors=\"0\" skipped=\"60\""), "{page}");
        assert!(page.contains("ACCEPTED: expected 401, found 200 as `0`; lax parsing"), "{page}");
        let strict = attack_junit(&attacked(), &|case| told(case, true));
        assert!(strict.contains("failures=\"2\""), "{strict}");
    }
}
