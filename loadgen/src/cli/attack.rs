//! `authbench attack`: every attack against one live server, one row each.
//!
//! What is wrong stands first, then what was tried, then what does not apply, gathered by why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::run::target_file;
use super::shared::Format;
use super::trust::TrustArgs;
use super::{output, serve, signals};
use crate::attack::{self, GUESSES, Options, Standard, Weakness, weakness};
use crate::error::{Error, Result};
use crate::record::{Attacked, CaseOutcome, CaseRecord};
use crate::sanitise::{NAME, Page, REMARK, fit, padded, width};
use crate::units::{Span, grouped};

/// Columns after which text goes on in the next line.
const WIDTH: usize = 80;

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
    /// Fail on properties too: what a server may choose, and would better not
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
            let target = target_file(path)?;
            let options = args.options(Standard::Stranger);
            attack::target(&target, &options, &interrupt, &mut progress)?
        }
    };
    drop(bar);
    match args.format {
        Format::Json => output::json(&json(&attacked)?)?,
        Format::Text => output::page(&text(&attacked, args.strict))?,
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
        target: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        spared: Option<&'a str>,
        cases: Vec<Case<'a>>,
        run: usize,
        counts: BTreeMap<&'static str, usize>,
    }
    #[derive(Serialize)]
    struct Case<'a> {
        #[serde(flatten)]
        case: &'a CaseRecord,
        #[serde(flatten)]
        about: Option<About>,
    }
    #[derive(Serialize)]
    struct About {
        name: &'static str,
        cwe: u16,
        remedy: &'static str,
        see: String,
    }
    let key = |outcome: CaseOutcome| match outcome {
        CaseOutcome::Accepted => "accepted",
        CaseOutcome::Failed => "failed",
        CaseOutcome::Refused => "refused",
        CaseOutcome::Allowed => "allowed",
        CaseOutcome::Property => "property",
        CaseOutcome::NotApplicable => "not_applicable",
    };
    let about = |weakness: Weakness| {
        let Weakness { name, cwe, remedy, source } = weakness;
        About { name, cwe, remedy, see: source.url() }
    };
    let case = |case| Case { case, about: weakness(&case.id).map(about) };
    let page = Page {
        target: &attacked.target,
        spared: attacked.spared.as_deref(),
        cases: attacked.cases.iter().map(case).collect(),
        run: attacked.run(),
        counts: CaseOutcome::ALL.map(|outcome| (key(outcome), attacked.count(outcome))).into(),
    };
    serde_json::to_string_pretty(&page)
        .map_err(|e| Error::Bug(format!("the cases cannot be written: {e}")))
}

fn text(attacked: &Attacked, strict: bool) -> Page {
    let mut page = Page::default();
    if let Some(why) = &attacked.spared {
        page.line(&format!("{}: not attacked: {why}", attacked.target));
        return page;
    }
    let (apply, not): (Vec<_>, Vec<_>) =
        attacked.cases.iter().partition(|case| case.outcome != CaseOutcome::NotApplicable);
    let is_bad = |case: &&CaseRecord| {
        if strict { attack::is_weak(case) } else { case.outcome.is_bad() }
    };
    let (bad, good): (Vec<_>, Vec<_>) = apply.into_iter().partition(is_bad);
    cells(["id", "outcome", "what was sent, and found"], &mut page);
    for case in bad {
        cells([&case.id, case.outcome.word(), &case.what], &mut page);
        cells(["", "", &format!("expected {}, found {}", case.expected, case.found)], &mut page);
        if let Some(about) = weakness(&case.id).filter(|_| !attack::was_untried(case)) {
            cells(["", "", &format!("{}: {}", about.name, about.remedy)], &mut page);
            let see = format!("see CWE-{} and {}", about.cwe, about.source.name());
            cells(["", "", &see], &mut page);
            cells(["", "", &about.source.url()], &mut page);
        }
    }
    for case in good {
        let text = format!("{}: {}", case.what, case.found);
        cells([&case.id, case.outcome.word(), &text], &mut page);
    }
    reasons(&not, &mut page);
    let count = |outcome| attacked.count(outcome);
    page.line("");
    let sum = format!(
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
    );
    wrapped(&sum, WIDTH).iter().for_each(|line| page.line(line));
    page
}

/// Columns of an id and of an outcome in the text.
const ID: usize = 5;
const OUTCOME: usize = 10;

/// A row, whose last cell goes on in further lines.
fn cells([id, outcome, text]: [&str; 3], page: &mut Page) {
    let mut before = format!("{}{}", padded(id, ID), padded(outcome, OUTCOME));
    for line in wrapped(&fit(text, REMARK), WIDTH - ID - OUTCOME) {
        page.line(&format!("{before}{line}"));
        before = " ".repeat(ID + OUTCOME);
    }
}

/// A text in lines of at most so many columns; a word that is longer is cut.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        let mut word = word.to_string();
        if !line.is_empty() && width(&line) + 1 + width(&word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > columns {
            let mut room = columns;
            let end = word.char_indices().find(|(_, c)| {
                let taken = width(c.encode_utf8(&mut [0; 4]));
                let is_full = taken > room;
                room = room.saturating_sub(taken);
                is_full
            });
            let rest = word.split_off(end.map_or(word.len(), |(at, _)| at));
            lines.push(std::mem::replace(&mut word, rest));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
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
        let text = format!("{why} ({}): {}", grouped(ids.len() as u64), ids.join(" "));
        for (number, line) in wrapped(&text, WIDTH - 4).iter().enumerate() {
            page.line(&format!("{}{line}", if number == 0 { "  " } else { "    " }));
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
        let text = text(&attacked(), false);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("id   outcome"), "{text}");
        assert!(lines[1].starts_with("2a   ACCEPTED  a thing"), "{text}");
        assert!(lines[2].contains("expected 401, found 200 as `0`"), "{text}");
        assert!(lines[3].contains("lax parsing of the header: parse"), "what to do: {text}");
        assert!(lines[4].contains("see CWE-1286 and RFC 6750, 2.1"), "{text}");
        assert!(lines[6].starts_with("1a   refused   a thing: 401"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("no token (60): 0x 1x"), "{text}");
        let sum = "t: 3 cases run: 1 refused, 0 allowed, 1 properties, 0 failed, 1 accepted; 60";
        assert!(text.ends_with(&format!("{sum}\nnot applicable\n")), "{text}");
    }

    #[test]
    fn properties_stand_first_where_they_fail() {
        let text = text(&attacked(), true);
        let ids: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        let place = |id: &str| ids.iter().position(|other| *other == id).unwrap();
        assert!(place("2a") < place("2b") && place("2b") < place("1a"), "{text}");
    }

    #[test]
    fn long_texts_go_on_in_the_next_line() {
        assert_eq!(wrapped("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn programs_get_every_case_and_the_counts() {
        let page: serde_json::Value = serde_json::from_str(&json(&attacked()).unwrap()).unwrap();
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
}
