//! What a report says beside its figures: dates, facts, cautions, commands and the glossary. All
//! formats share these words, and every caution follows from the data of the campaign.

use super::analysis::{Analysis, DoubtSummary};
use super::claims::result::{Answer, ClaimResult, ClaimVerdict};
use super::figure::{digits, figure, range};
use super::figures::{ComparedAs, Endpoint, Measurement};
use crate::experiment::{self, Metric, metric};
use crate::plan::Primary;
use crate::stats::{Cause, Estimate, Verdict};
use crate::units::{counted, grouped};

/// A mark and a word for a verdict: the mark tells it apart without colour.
pub(super) fn verdict(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Higher => ("▲", "higher"),
        Verdict::Lower => ("▼", "lower"),
        Verdict::Equivalent => ("=", "equivalent"),
        Verdict::Inconclusive => ("?", "inconclusive"),
    }
}

/// What a campaign says of a claim: a mark and words.
pub(super) fn claim(verdict: ClaimVerdict) -> (&'static str, &'static str) {
    let mark = match verdict {
        ClaimVerdict::Supported => "✓",
        ClaimVerdict::Refuted => "✗",
        ClaimVerdict::Depends => "±",
        ClaimVerdict::NotSettled => "?",
        ClaimVerdict::NoValidFigure => "!",
        ClaimVerdict::NotMeasured => "–",
    };
    (mark, verdict.word())
}

/// What a cell of a claim says: a mark and words.
pub(super) const fn answer(answer: Answer) -> (&'static str, &'static str) {
    match answer {
        Answer::Yes => ("✓", "yes"),
        Answer::No => ("✗", "no"),
        Answer::NotSettled => ("?", "not settled"),
    }
}

/// What a metric is called where no sentence begins.
pub(super) fn in_a_sentence(metric: &Metric) -> String {
    let label = metric.label;
    // An abbreviation stays one.
    let capitals = label.chars().take(2).filter(|c| c.is_uppercase()).count();
    if capitals == 2 {
        return label.into();
    }
    let first = label.chars().next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(label.chars().skip(1)).collect()
}

/// Which part of its sentence a claim's tests cover, and which they leave out.
pub(super) fn coverage(claim: &ClaimResult) -> String {
    match claim.leaves_out.as_str() {
        "" => format!("Covers {}.", claim.covers),
        left => format!("Covers {}. Leaves out {left}.", claim.covers),
    }
}

/// A figure with its interval.
pub(super) fn estimate(estimate: &Estimate, unit: &str) -> String {
    format!("{} ({})", figure(estimate.point, unit), range(estimate, unit))
}

/// What is said behind a difference below the noise floor.
pub(super) const BENEATH_FLOOR: &str = ", the same arm differs as much from itself";

/// Why an endpoint is inconclusive; `endpoints` is how many are corrected together.
pub(super) fn cause(cause: Cause, endpoints: u32) -> String {
    match cause {
        Cause::NotMeasured => "there is no valid figure of both arms".into(),
        Cause::NoInterval => "one block, or values without a ratio, has no interval".into(),
        Cause::Noise => "the noise is larger".into(),
        Cause::Correction => {
            format!("not significant after correction for {endpoints} primary endpoints")
        }
        Cause::NoiseFloor => BENEATH_FLOOR.trim_start_matches(", ").into(),
        Cause::FloorUnknown => "the noise floor is not known here".into(),
    }
}

/// An effect: a share of 1 for a ratio, else a figure in the metric's unit.
pub(super) fn effect(effect: f64, compared_as: ComparedAs, unit: &str) -> String {
    match compared_as {
        ComparedAs::Ratio => format!("{} %", digits(effect * 100.0)),
        ComparedAs::Difference => figure(effect, unit),
    }
}

/// Where the figures of an endpoint stand: `1,000 users`, and for a growth `10 to 1,000 users`.
pub(super) fn place_of(endpoint: &Endpoint) -> String {
    endpoint_at(&endpoint.declared)
}

/// The same of what is declared.
pub(super) fn endpoint_at(declared: &Primary) -> String {
    let Primary { experiment, level, from, users, .. } = declared;
    let found = experiment::find(experiment);
    let named = |level: u32| match found {
        Some(experiment) => experiment.level(level),
        None => level.to_string(),
    };
    let mut place = match from {
        Some(from) => format!("{} to {}", grouped(u64::from(*from)), named(*level)),
        None => named(*level),
    };
    if let Some(users) = users {
        place.push_str(&format!(", {} users", grouped(u64::from(*users))));
    }
    place
}

/// What has a verdict here, and what that is worth.
pub(super) fn scope(analysis: &Analysis) -> String {
    match analysis.primary.len() {
        0 => {
            "This campaign declared no primary endpoint, so all of it is exploratory: figures and \
              intervals, and no verdict."
                .into()
        }
        n => format!(
            "Verdicts are given for the {n} primary endpoints that the campaign declared before it \
             ran, corrected together for their number. Each claim is decided apart, corrected over \
             its own cells. Everything else is exploratory: a figure, its interval, and no verdict."
        ),
    }
}

/// How far the A/A pair's throughput in `concurrency` reaches from no difference with the most
/// users; `None` where it was not measured twice.
pub(super) fn noise(analysis: &Analysis) -> Option<String> {
    let floors = analysis.noise_floors.iter().filter(|floor| {
        floor.key.measures("concurrency", metric::THROUGHPUT_RPS)
            && floor.compared_as == ComparedAs::Ratio
    });
    let top = floors.filter(|floor| floor.floor.is_some()).max_by_key(|floor| floor.key.users)?;
    let users = top.key.users.map_or_else(String::new, |n| format!(" with {}", counted(n, "user")));
    Some(format!("noise floor of throughput{users}: {}", share(top.floor?)))
}

/// What is said once of all claims that are not settled.
pub(super) const MORE_BLOCKS: &str =
    "More blocks, which repeat every measurement, may settle what is not settled.";

/// What stands over the sentences that make no headline.
pub(super) const COARSE: &str = "With a figure that is known coarsely";

/// The line with which a figure of this report is quoted: where it is from, and what it cannot say.
pub fn cite(analysis: &Analysis) -> String {
    let host = &analysis.host;
    let of_machine = if host.virtualised { " of a virtual machine" } else { "" };
    let machine = format!("{} cores{of_machine}", host.cores.len());
    let cpu = if host.cpu_model.is_empty() { "unknown processor" } else { &host.cpu_model };
    let start = |hash: &str| hash.get(..12).unwrap_or(hash).to_string();
    let blocks = analysis.experiments.iter().map(|e| e.blocks);
    let n = match (blocks.clone().min(), blocks.max()) {
        (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
        (_, most) => most.unwrap_or(0).to_string(),
    };
    let when = match analysis.started_unix_ms {
        0 => "undated".into(),
        ms => utc(ms).split(' ').next().unwrap_or_default().to_string(),
    };
    let mut limits = vec!["server and generator on one machine, with no network between them"];
    if analysis.usable() {
        limits.push("figures of this machine and these versions, with 95 % intervals over blocks");
    } else {
        limits.push("INVALID: not to be quoted");
    }
    format!(
        "authbench {} (build {}), campaign {} (plan {}, seed {}), {when}, {machine} ({cpu}), n = \
         {n} blocks: {}.",
        host.authbench,
        start(&host.binary_sha256),
        analysis.name,
        start(&analysis.plan),
        analysis.seed,
        limits.join("; "),
    )
}

/// A share of 1, in percent.
pub(super) fn share(share: f64) -> String {
    figure(share, "share")
}

/// A p value as people read it.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.0001 { "< 0.0001".into() } else { format!("{p:.4}") }
}

/// What an experiment sweeps beside users, behind where else a figure stands: `, 8 items in the
/// cart`; nothing where it sweeps nothing.
pub(super) fn swept(experiment: &str, level: Option<u32>) -> String {
    let Some(experiment) = experiment::find(experiment) else { return String::new() };
    match experiment.axis().zip(level) {
        Some((axis, at)) if axis.noun.is_empty() => format!(", {}", experiment.level(at)),
        Some((axis, 0)) if axis.at_zero.is_empty() => String::new(),
        Some((axis, 0)) => format!(", {}", axis.at_zero),
        Some((axis, at)) => format!(", {} {}", experiment.level_cell(at), axis.noun),
        None => String::new(),
    }
}

/// What, where and when, in a line.
pub(super) fn summary(analysis: &Analysis) -> Vec<String> {
    let host = &analysis.host;
    let machine = [
        host.cpu_model.clone(),
        match host.cores.len() {
            0 => String::new(),
            1 => "1 core".into(),
            n => format!("{n} cores"),
        },
        match host.memory_bytes {
            0 => String::new(),
            bytes => figure(bytes as f64, "bytes"),
        },
    ];
    let machine: Vec<String> = machine.into_iter().filter(|fact| !fact.is_empty()).collect();
    let mut trials = format!("{} of {} trials", analysis.trials_complete, analysis.trials_planned);
    if analysis.trials_invalid > 0 {
        trials.push_str(&format!(", {} of them invalid", analysis.trials_invalid));
    }
    let when = match analysis.started_unix_ms {
        0 => String::new(),
        ms => format!("{}, {}", utc(ms), wall(analysis.wall_ms)),
    };
    [machine.join(", "), when, trials, format!("seed {}", analysis.seed)]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect()
}

/// How many trials may not be used.
fn invalid_trials(analysis: &Analysis) -> String {
    let (invalid, all) = (analysis.trials_invalid as u64, analysis.trials_complete as u64);
    let verb = if invalid == 1 { "is" } else { "are" };
    format!("{} of {} trials {verb} invalid", grouped(invalid), grouped(all))
}

/// What must be said before any figure, a heading and a text; `None` when every trial may be used.
pub(super) fn warning(analysis: &Analysis) -> Option<(&'static str, String)> {
    let causes: Vec<&str> = analysis
        .doubts
        .iter()
        .filter(|d| d.doubt.invalidates)
        .map(|d| d.doubt.what.as_str())
        .collect();
    let causes = causes.join("; ");
    let (heading, text) = match (analysis.usable(), analysis.trials_complete) {
        (true, _) if causes.is_empty() => return None,
        (true, _) => (
            "Invalid in part",
            format!(
                "{}, and no sentence or comparison here rests on {}",
                invalid_trials(analysis),
                if analysis.trials_invalid == 1 { "it" } else { "them" }
            ),
        ),
        (false, 0) => {
            ("Invalid", "No trial was carried out to its end, so there is no answer".to_owned())
        }
        (false, _) => (
            "Invalid",
            "Nothing measured here may be used, so there is no answer, and the figures below serve \
             the search for the cause only"
                .to_owned(),
        ),
    };
    let colon = if causes.is_empty() { "" } else { ": " };
    Some((heading, format!("{text}{colon}{causes}.")))
}

/// The doubts, those that invalidate first.
pub(super) fn doubts(analysis: &Analysis) -> Vec<&DoubtSummary> {
    let mut doubts: Vec<&DoubtSummary> = analysis.doubts.iter().collect();
    doubts.sort_by_key(|d| !d.doubt.invalidates);
    doubts
}

/// A clause as a sentence begins: with a capital.
pub(super) fn capital(clause: &str) -> String {
    let mut rest = clause.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// The machine and the program, fact by fact; what is not known is left out.
pub(super) fn setting(analysis: &Analysis) -> Vec<(&'static str, String)> {
    let host = &analysis.host;
    let yes = |fact: bool| if fact { "yes" } else { "no" }.to_string();
    let cores: Vec<String> = host.cores.iter().map(ToString::to_string).collect();
    let files = match host.open_files {
        (Some(soft), Some(hard)) => {
            format!("{} (hard limit {})", grouped(soft), grouped(hard))
        }
        (Some(soft), None) => grouped(soft),
        _ => String::new(),
    };
    let ports = host.local_ports.map(|(first, last)| format!("{first} to {last}"));
    let facts = [
        ("Processor", host.cpu_model.clone()),
        ("Logical cores", cores.join(", ")),
        ("Placement", analysis.placement.clone()),
        ("Hyper-threading", host.smt.map(yes).unwrap_or_default()),
        ("Frequency governor", host.governor.clone().unwrap_or_default()),
        ("Virtual machine", yes(host.virtualised)),
        (
            "Memory",
            match host.memory_bytes {
                0 => String::new(),
                bytes => figure(bytes as f64, "bytes"),
            },
        ),
        ("Huge pages", host.huge_pages.clone().unwrap_or_default()),
        ("Kernel", host.kernel.clone()),
        ("Open files", files),
        ("Local ports", ports.unwrap_or_default()),
        ("authbench", [host.authbench.as_str(), host.profile.as_str()].join(" ").trim().into()),
        ("Compiler", host.compiler.clone()),
        ("Allocator", host.allocator.clone()),
    ];
    facts.into_iter().filter(|(_, fact)| !fact.is_empty()).collect()
}

/// What the servers said of themselves: first what all said alike, without an arm, then what each
/// said beside it.
pub(super) fn notes(analysis: &Analysis) -> Vec<(Option<&str>, Vec<&str>)> {
    let all = &analysis.notes;
    let shared = |note: &String| all.len() > 1 && all.values().all(|notes| notes.contains(note));
    let common = all.values().next().map_or(&[][..], |notes| notes.as_slice());
    let common = common.iter().filter(|note| shared(note)).map(String::as_str).collect();
    let own = |arm: &'_ String| {
        let (arm, notes) = all.get_key_value(arm)?;
        let own = notes.iter().filter(|note| !shared(note)).map(String::as_str).collect();
        Some((Some(arm.as_str()), own))
    };
    let mut said: Vec<(Option<&str>, Vec<&str>)> = vec![(None, common)];
    said.extend(analysis.arms.iter().filter_map(own));
    said.retain(|(_, notes)| !notes.is_empty());
    said
}

/// What the numbers do not mean.
pub(super) fn cautions(analysis: &Analysis) -> Vec<String> {
    let mut cautions = Vec::new();
    let timed = |m: &&Measurement| metric::RESPONSE_TIMES.contains(&m.key.metric);
    if analysis.measurements.iter().filter(timed).any(|m| m.key.rate.is_none()) {
        cautions.push(
            "Response times without a stated rate are of a closed loop: a slower server is asked \
             less often. They compare arms; they are not what users would see at a given rate."
                .into(),
        );
    }
    let costs = |m: &&Measurement| m.key.metric == metric::SERVER_CPU_US_PER_REQUEST;
    if analysis.measurements.iter().filter(costs).any(|m| m.key.rate.is_none()) {
        cautions.push(
            "CPU time per request without a stated rate is that of a saturated server, whose \
             requests share wake-ups and round trips to a store: it flatters what is shared. Cost \
             at a fixed rate is higher."
                .into(),
        );
    }
    cautions.push(
        "Server and generator ran on one machine. No network lies between them, so its delay is \
         in no time, and a longer request costs less here than on a real link."
            .into(),
    );
    cautions.push(format!(
        "Requests per second are those of this placement ({}). Ratios and CPU time per request \
         carry over to other machines better than rates do.",
        analysis.placement
    ));
    cautions.push(
        "An interval says how far trials of this campaign differ on this machine. It says nothing \
         of other machines, versions or loads."
            .into(),
    );
    cautions.extend(warm_up(analysis));
    cautions.push(format!(
        "The analysis makes {} comparisons, of which {} are primary endpoints. The interval of \
         each is its own, so about one in twenty misses the truth by chance; verdicts are \
         corrected for the number of endpoints.",
        grouped(analysis.comparisons.len() as u64),
        analysis.primary.len(),
    ));
    cautions.push(match (&analysis.twin, analysis.noise_floors.is_empty()) {
        (Some(_), false) => format!(
            "The noise floor is that of {}, measured twice in every block. It is an estimate from \
             as many blocks as any other.",
            analysis.reference
        ),
        (Some(_), true) => format!(
            "{} was to be measured twice in every block, and has no two valid runs anywhere, so \
             the noise floor is not known and nothing is called a difference.",
            analysis.reference
        ),
        (None, _) => "This campaign measured no arm twice, so it has no noise floor: its verdicts \
                      rest on the corrected tests alone."
            .into(),
    });
    cautions
}

/// Where loads were too short for the rule of steady state.
fn warm_up(analysis: &Analysis) -> Option<String> {
    let short = || analysis.experiments.iter().filter(|e| e.steadiness.not_judged > 0);
    let names: Vec<&str> = short().map(|e| e.name.as_str()).collect();
    let warm_up_ms = short().map(|e| e.steadiness.fixed_warmup_ms).max()?;
    Some(format!(
        "The loads of {} are too short to be judged for a steady state, which takes 5 s: their \
         warm-up was a fixed cut of {warm_up_ms} ms.",
        names.join(" and "),
    ))
}

/// Commands that make this report again: what each does, and the command.
pub(super) fn commands(analysis: &Analysis) -> [(&'static str, String); 2] {
    let arguments: Vec<_> = analysis.again.iter().map(|word| shell(word)).collect();
    let again = format!("authbench campaign {} --out results/again", arguments.join(" "));
    [
        ("Run the campaign again", again),
        ("Rebuild the report from its records", "authbench report results/again".into()),
    ]
}

/// What tells whether it is the same campaign and the same program.
pub(super) fn identity(analysis: &Analysis) -> Vec<(&'static str, String)> {
    let host = &analysis.host;
    let facts = [
        ("Plan hash", analysis.plan.clone()),
        ("Binary hash", host.binary_sha256.clone()),
        ("Lockfile hash", host.lockfile_sha256.clone()),
        ("Compiler", host.compiler.clone()),
    ];
    facts.into_iter().filter(|(_, fact)| !fact.is_empty()).collect()
}

/// The words of the report.
pub(super) const GLOSSARY: &[(&str, &str)] = &[
    (
        "A/A pair",
        "The reference, measured twice in every block under two names: what a campaign shows where \
         there is nothing to see.",
    ),
    ("arm", "One thing compared: a scheme, and the store that holds its state (scheme@store)."),
    ("baseline", "The arm without authentication: the same routes, and nothing to check."),
    (
        "block",
        "One trial of every arm at every level; levels, and the arms of each, in random order.",
    ),
    ("closed loop", "Each user asks again only once the answer has come."),
    (
        "contention, coherency",
        "Of the Universal Scalability Law over cores: the share of the work that has to queue, and \
         what every pair of cores adds to it.",
    ),
    (
        "exploratory",
        "Not declared before the campaign ran: a figure with its interval, which may be a chance \
         find among many.",
    ),
    (
        "interval",
        "Made so that 95 in 100 such campaigns hold the true value; Student's t over n blocks.",
    ),
    ("n", "The number of trials, each on a fresh server process; never of requests."),
    (
        "noise floor",
        "How far the A/A pair's interval reaches from no difference; no smaller difference is \
         called one.",
    ),
    ("p99", "The time that 99 % of the requests did not exceed."),
    (
        "primary endpoint",
        "A comparison that the campaign declared before it ran. All of them are corrected together \
         (Holm), and only they have verdicts.",
    ),
    (
        "PSS",
        "Proportional set size: the memory of a process, with shared pages divided among those \
         who share them.",
    ),
    ("response time", "From the moment the load model said now to the last byte of the answer."),
    ("service time", "From the write of the request to the last byte of the answer."),
    ("slope", "What one more user adds: the Theil-Sen slope of memory over logged-in users."),
    (
        "verdict",
        "Of a primary endpoint: higher or lower when the paired test still says so after the \
         correction for all of them, and the point is beyond the noise floor; equivalent when \
         the interval is within the margin, corrected likewise; else inconclusive.",
    ),
];

/// A moment in UTC, to the minute (civil date from days: Howard Hinnant, "chrono-compatible
/// low-level date algorithms").
pub(super) fn utc(unix_ms: u64) -> String {
    let minutes = unix_ms / 60_000;
    let days = minutes / 1440 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02} UTC")
}

pub(super) fn wall(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// A word of a command, quoted for a POSIX shell where it must be.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@,._-/:+=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (ms, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_400_000, "2000-02-29 00:00 UTC"),
            (1_709_251_199_000, "2024-02-29 23:59 UTC"),
            (1_798_761_600_000, "2027-01-01 00:00 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(utc(ms), text);
        }
    }

    #[test]
    fn what_all_servers_say_is_said_once() {
        let mut analysis = crate::report::tests::sample::analysis();
        for notes in analysis.notes.values_mut() {
            notes.push("the same".into());
        }
        let said = notes(&analysis);
        assert_eq!(said[0], (None, vec!["the same"]));
        assert_eq!(said[2], (Some("session@memory"), vec!["notes of session@memory"]));
        assert_eq!(said.len(), 4);
    }

    #[test]
    fn a_quotation_names_date_machine_build_campaign_and_n() {
        let analysis = crate::report::tests::sample::analysis();
        let cited = cite(&analysis);
        for part in [
            "authbench 0.1.0 (build abababababab)",
            "campaign sample (plan ",
            "seed 7",
            "2027-01-01",
            "2 cores of a virtual machine (Example CPU @ 2.60GHz)",
            "n = 5 blocks",
            "no network between them",
        ] {
            assert!(cited.contains(part), "{part}: {cited}");
        }
        assert!(!cited.contains("INVALID"));
        let host = crate::record::Host { profile: "debug".into(), ..analysis.host.clone() };
        let plan = crate::report::tests::sample::plan(&["none", "a"], 2);
        let records = crate::report::tests::sample::records(&plan);
        let debug = crate::report::analyse(&plan, host, &records);
        assert!(cite(&debug).contains("INVALID: not to be quoted"));
    }

    #[test]
    fn spans_of_time() {
        for (ms, text) in [(1, "1 s"), (61_000, "1 min 1 s"), (7_380_000, "2 h 3 min")] {
            assert_eq!(wall(ms), text);
        }
    }

    #[test]
    fn commands_quote_what_a_shell_would_read() {
        assert_eq!(shell("session@redis,none"), "session@redis,none");
        assert_eq!(shell("it's; rm"), "'it'\\''s; rm'");
        assert_eq!(shell(""), "''");
    }
}
