//! `authbench attack`: every attack against one live server, one row each.
//!
//! What is wrong stands first, then what was tried, then what does not apply, gathered by why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::place::PlaceArgs;
use super::run::target_file;
use super::shared::Format;
use super::trust::TrustArgs;
use super::{output, serve, signals};
use crate::attack::{self, GUESSES, Options, Standard};
use crate::error::{Error, Result};
use crate::record::{Attacked, CaseOutcome, CaseRecord};
use crate::sanitise::{NAME, Page, fit, width};
use crate::units::{Span, grouped};

/// Columns after which text goes on in the next line.
const WIDTH: usize = 100;

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
    /// Print text for people, or JSON for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
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
            attack::target(&target, &options, &interrupt, &mut progress)?
        }
    };
    drop(bar);
    match args.format {
        Format::Json => output::json(&json(&attacked)?)?,
        Format::Text => output::page(&text(&attacked))?,
    }
    attack::judge(&attacked)
}

impl AttackArgs {
    fn options(&self, standard: Standard) -> Options {
        let trust = self.trust.trust();
        let (journey, within) = (self.journey.clone(), self.within.duration());
        Options { journey, trust, standard, guesses: self.guesses, within }
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

fn json(attacked: &Attacked) -> Result<String> {
    #[derive(Serialize)]
    struct Page<'a> {
        #[serde(flatten)]
        attacked: &'a Attacked,
        run: usize,
        counts: BTreeMap<&'static str, usize>,
    }
    let key = |outcome: CaseOutcome| match outcome {
        CaseOutcome::Accepted => "accepted",
        CaseOutcome::Failed => "failed",
        CaseOutcome::Refused => "refused",
        CaseOutcome::Allowed => "allowed",
        CaseOutcome::Property => "property",
        CaseOutcome::NotApplicable => "not_applicable",
    };
    let counts = CaseOutcome::ALL.map(|outcome| (key(outcome), attacked.count(outcome)));
    let page = Page { attacked, run: attacked.run(), counts: counts.into() };
    serde_json::to_string_pretty(&page)
        .map_err(|e| Error::Bug(format!("the cases cannot be written: {e}")))
}

fn text(attacked: &Attacked) -> Page {
    let mut page = Page::default();
    if let Some(why) = &attacked.spared {
        page.line(&format!("{}: not attacked: {why}", attacked.target));
        return page;
    }
    let (apply, not): (Vec<_>, Vec<_>) =
        attacked.cases.iter().partition(|case| case.outcome != CaseOutcome::NotApplicable);
    let (bad, good): (Vec<_>, Vec<_>) = apply.into_iter().partition(|case| case.outcome.is_bad());
    let head = ["id", "what", "expected", "found", "ok"].map(String::from);
    let rows: Vec<_> = std::iter::once(head).chain(bad.into_iter().chain(good).map(row)).collect();
    page.table("", &rows, &(0..0));
    reasons(&not, &mut page);
    let count = |outcome| attacked.count(outcome);
    page.line("");
    page.line(&format!(
        "{}: {} cases run: {} refused, {} allowed, {} properties, {} failed, {} accepted; {} not \
         applicable",
        attacked.target,
        attacked.run(),
        count(CaseOutcome::Refused),
        count(CaseOutcome::Allowed),
        count(CaseOutcome::Property),
        count(CaseOutcome::Failed),
        count(CaseOutcome::Accepted),
        count(CaseOutcome::NotApplicable),
    ));
    page
}

fn row(case: &CaseRecord) -> [String; 5] {
    let ok = match case.outcome {
        CaseOutcome::Refused | CaseOutcome::Allowed => "yes",
        other => other.word(),
    };
    [&case.id, &case.what, &case.expected, &case.found, ok].map(String::from)
}

/// What does not apply, by why.
fn reasons(cases: &[&CaseRecord], page: &mut Page) {
    let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
    for case in cases {
        match by_reason.iter_mut().find(|(why, _)| *why == case.found) {
            Some((_, ids)) => ids.push(&case.id),
            None => by_reason.push((&case.found, vec![&case.id])),
        }
    }
    if !by_reason.is_empty() {
        page.line("");
        page.line("Not applicable:");
    }
    for (why, ids) in by_reason {
        let mut line = format!("  {why} ({}):", grouped(ids.len() as u64));
        for id in ids {
            if width(&line) + id.len() + 1 > WIDTH {
                page.line(&line);
                line = "   ".into();
            }
            line.push_str(&format!(" {id}"));
        }
        page.line(&line);
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

    fn attacked() -> Attacked {
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
    fn what_is_wrong_stands_first_and_no_line_is_too_long() {
        let text = text(&attacked());
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("id  what"), "{text}");
        assert!(lines[1].starts_with("2a") && lines[1].ends_with("ACCEPTED"), "{text}");
        assert!(lines[2].ends_with("yes"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("no token (60): 0x 1x"), "{text}");
        assert!(text.ends_with(
            "t: 3 cases run: 1 refused, 0 allowed, 1 properties, 0 failed, 1 accepted; 60 not \
             applicable\n"
        ));
    }

    #[test]
    fn programs_get_every_case_and_the_counts() {
        let page: serde_json::Value = serde_json::from_str(&json(&attacked()).unwrap()).unwrap();
        assert_eq!((&page["target"], &page["run"]), (&"t".into(), &3.into()));
        assert_eq!(page["cases"].as_array().unwrap().len(), 63);
        assert_eq!(page["cases"][1]["outcome"], "accepted");
        assert_eq!(page["counts"]["accepted"], 1);
        assert_eq!(page["counts"]["not_applicable"], 60);
    }
}
