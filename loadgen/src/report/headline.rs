//! The sentence that answers, and the two or three that say why. Every one follows by rule: arms
//! are told apart by a verdict on their blocks and by more than the margin of 3 %, and a figure
//! whose interval spans more than twofold is given with its bound.

use super::facts::{ArmFacts, Cpu, Facts, Need, bare_cpu, bare_memory};
use super::figure::{figure, range};
use super::known::{is_narrow, spans_little};
use super::words;

/// With more arms than this a sentence names the ends of each family.
const LISTED_MAX: usize = 12;

/// What the page opens with.
#[derive(Debug, PartialEq)]
pub(super) struct Headline {
    pub(super) says: String,
    pub(super) lead: Vec<String>,
}

/// What may be said of a campaign: nothing where it is not usable.
pub(super) fn headline(facts: &Facts, usable: bool) -> Headline {
    if !usable {
        let says = "No answer: nothing measured here may be used.".to_owned();
        return Headline { says, lead: Vec::new() };
    }
    let lead = [cpu(facts), memory(facts), needs(facts)];
    Headline { says: answer(facts), lead: lead.into_iter().flatten().collect() }
}

/// Whether an arm counts as a token: one that a list can revoke is one too.
fn is_token(arm: &ArmFacts) -> bool {
    arm.family == "token" || (arm.family == "hybrid" && arm.arm.starts_with("jwt"))
}

/// Session or token, by the CPU time that a request costs more than without authentication: which
/// sessions cost less than every token, and which more.
fn answer(facts: &Facts) -> String {
    let rows = |is_own: &dyn Fn(&ArmFacts) -> bool| {
        let own = facts.arms.iter().enumerate().filter(|(_, arm)| is_own(arm) && is_known(arm));
        own.map(|(row, arm)| (row, arm.arm.as_str())).collect::<Vec<_>>()
    };
    let (sessions, tokens) = (rows(&|arm| arm.family == "session"), rows(&is_token));
    if sessions.is_empty() || tokens.is_empty() {
        return without_both(facts);
    }
    let apart = facts.columns[0].apart_by_margin();
    let named = |is_wanted: &dyn Fn(usize, usize) -> bool| {
        let of_all = |row| tokens.iter().all(|(token, _)| is_wanted(row, *token));
        let wanted = sessions.iter().filter(|(row, _)| of_all(*row));
        wanted.map(|(_, arm)| called(arm)).collect::<Vec<_>>()
    };
    let below = named(&|session, token| apart.lower(session, token));
    let above = named(&|session, token| apart.lower(token, session));
    let costs = |arms: &[String]| {
        let verb = if arms.len() == 1 { "costs" } else { "cost" };
        listed(arms, ", ", " and ").map(|arms| format!("{} {verb}", words::capital(&arms)))
    };
    match (costs(&below), costs(&above)) {
        (Some(below), Some(above)) => format!(
            "{below} less CPU time per request than any token measured here. {above} more than \
             all of them."
        ),
        (Some(below), None) => {
            format!("{below} less CPU time per request than any token measured here.")
        }
        (None, Some(above)) => {
            format!("{above} more CPU time per request than any token measured here.")
        }
        (None, None) => {
            "Session or token? No session is shown to cost less or more CPU time per request than \
             every token, by more than 3 %."
                .into()
        }
    }
}

/// Whether the cost of an arm's request over the baseline is known from more than one trial.
fn is_known(arm: &ArmFacts) -> bool {
    bare_cpu(arm).is_some_and(|cpu| cpu.added.interval.is_some())
}

/// What an arm is called where a sentence speaks of it: a session by where it is kept.
fn called(arm: &str) -> String {
    match arm {
        "session@memory" => "a session in the server's memory".into(),
        "session@redis" => "a session in Redis".into(),
        "session@postgres" => "a session in PostgreSQL".into(),
        "session@sqlite" => "a session in SQLite".into(),
        other => other.into(),
    }
}

/// What can be said where sessions and tokens cannot be compared.
fn without_both(facts: &Facts) -> String {
    let has = |family: &str| facts.arms.iter().any(|arm| arm.family == family);
    if has("session") && has("token") {
        let why = if facts.arms.iter().any(|arm| bare_cpu(arm).is_some()) {
            "one trial has no interval, and more blocks would give one"
        } else {
            "no cost over a baseline was measured validly for both"
        };
        return format!("Session or token? Not settled: {why}.");
    }
    let arms = facts.arms.iter().enumerate();
    let known: Vec<(usize, &ArmFacts)> = arms.filter(|(_, arm)| is_known(arm)).collect();
    let apart = facts.columns[0].apart_by_margin();
    let is_cheapest = |(row, _): &&(usize, &ArmFacts)| {
        known.iter().all(|(other, _)| other == row || apart.lower(*row, *other))
    };
    match (known.as_slice(), known.iter().find(is_cheapest)) {
        ([], _) => "What authentication costs is not settled here: see what was measured.".into(),
        ([(_, only)], _) => format!("What {} costs, measured.", only.arm),
        (_, Some((_, cheapest))) => {
            format!("Of these arms {} costs least per request.", cheapest.arm)
        }
        (_, None) => "No arm is shown to cost least per request by more than 3 %.".into(),
    }
}

/// What each arm adds to a request, the least first; of many arms the least and the most of each
/// family.
fn cpu(facts: &Facts) -> Option<String> {
    let mut known: Vec<(&ArmFacts, &Cpu)> =
        facts.arms.iter().filter_map(|arm| Some((arm, bare_cpu(arm)?))).collect();
    known.sort_by(|a, b| a.1.added.point.total_cmp(&b.1.added.point));
    if known.len() > LISTED_MAX {
        let all = known.clone();
        let is_end = |(arm, _): &(&ArmFacts, &Cpu)| {
            let mut own = all.iter().filter(|(other, _)| other.family == arm.family);
            let (first, last) = (own.next(), own.next_back());
            [first, last].into_iter().flatten().any(|(end, _)| end.arm == arm.arm)
        };
        known.retain(is_end);
    }
    let parts: Vec<String> =
        known.into_iter().filter_map(|(arm, cpu)| added(&arm.arm, cpu)).collect();
    let floor = facts.floor.as_ref().map(|floor| figure(floor.point, "us"));
    let floor = floor.map_or_else(String::new, |floor| format!(" of {floor}"));
    let joined = listed(&parts, "; ", "; ")?;
    Some(format!(
        "With {}, checking a login adds this CPU time to a request{floor}: {joined}.",
        facts.cpu_at
    ))
}

/// What an arm adds to a request. A figure that is known coarsely has its bound beside it.
fn added(arm: &str, cpu: &Cpu) -> Option<String> {
    let (lo, hi) = cpu.added.interval?;
    let (point, most) = (figure(cpu.added.point, "us"), figure(hi, "us"));
    let state = if cpu.is_overloaded { "; it does not keep up" } else { "" };
    if lo <= 0.0 && hi >= 0.0 {
        return Some(format!("nothing measurable with {arm} (at most {most}{state})"));
    }
    if is_narrow(&cpu.added) {
        return Some(format!("{point} with {arm} ({}{state})", range(&cpu.added, "us")));
    }
    (lo > 0.0).then(|| format!("{point} with {arm} (at most {most}{state})"))
}

/// What a login takes where it takes something.
fn memory(facts: &Facts) -> Option<String> {
    let (mut takes, mut free) = (Vec::new(), Vec::new());
    for arm in &facts.arms {
        let Some(own) = bare_memory(arm) else { continue };
        let Some((lo, hi)) = own.interval() else { continue };
        let size = match own.parts() {
            (None, None) => {
                free.push(arm.arm.clone());
                continue;
            }
            (None, Some(store)) => format!("{store} bytes in the store"),
            (Some(server), Some(store)) => format!("{server} bytes and {store} in the store"),
            (Some(server), None) => format!("{server} bytes"),
        };
        if lo > 0.0 && spans_little((lo, hi)) {
            takes.push(format!("{size} with {}", arm.arm));
        }
    }
    let takes = listed(&takes, ", ", " and ");
    let free = listed(&free, ", ", " and ");
    match (takes, free) {
        (Some(takes), Some(free)) => Some(format!("Memory per login: {takes}; none with {free}.")),
        (Some(takes), None) => Some(format!("Memory per login: {takes}.")),
        (None, Some(free)) => Some(format!("A login takes no memory with {free}.")),
        (None, None) => None,
    }
}

/// Which arms fail a need.
fn needs(facts: &Facts) -> Option<String> {
    let lacking = |need: fn(&ArmFacts) -> &Need| {
        let fails = facts.arms.iter().filter(|arm| need(arm).holds == Some(false));
        listed(&fails.map(|arm| arm.arm.clone()).collect::<Vec<_>>(), ", ", " and ")
    };
    let elsewhere = lacking(|arm| &arm.any_server);
    let restarted = lacking(|arm| &arm.restart);
    let knows = "A second server does not know the logins of";
    let both = match (&elsewhere, &restarted) {
        (Some(one), Some(other)) if one == other => {
            Some(format!("{knows} {one}, and a restart ends them."))
        }
        (elsewhere, restarted) => {
            let known = elsewhere.as_ref().map(|arms| format!("{knows} {arms}."));
            let ended =
                restarted.as_ref().map(|arms| format!("A restart ends the logins of {arms}."));
            listed(&known.into_iter().chain(ended).collect::<Vec<_>>(), " ", " ")
        }
    };
    let parts = [
        lacking(|arm| &arm.logout).map(|arms| format!("A logout does not end {arms} at once.")),
        both,
    ];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join(" "))
}

fn listed(parts: &[String], between: &str, last: &str) -> Option<String> {
    match parts {
        [] => None,
        [one] => Some(one.clone()),
        [first @ .., end] => Some(format!("{}{last}{end}", first.join(between))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::best::{Blocks, Column};
    use super::super::facts::Memory;
    use super::*;
    use crate::stats::Estimate;

    fn estimate(point: f64, interval: Option<(f64, f64)>) -> Estimate {
        Estimate { point, interval, n: 5, method: String::new() }
    }

    fn arm(name: &str, family: &'static str, added: Option<(f64, f64)>) -> ArmFacts {
        let point = added.map_or(1.0, |(lo, hi)| (lo + hi) / 2.0);
        let added = estimate(point, added);
        let cpu =
            vec![Cpu { items: 0, total: 10.0 + point, added, store: None, is_overloaded: false }];
        ArmFacts { arm: name.into(), family, cpu, ..ArmFacts::default() }
    }

    fn facts_of(arms: Vec<ArmFacts>) -> Facts {
        let floor = Some(estimate(10.0, Some((9.0, 11.0))));
        let cpu = Column {
            arms: arms.iter().enumerate().map(|(row, arm)| blocks(row, arm)).collect(),
            ..Column::default()
        };
        let columns = [cpu, Column::default(), Column::default()];
        Facts { arms, cpu_at: "64 concurrent users".into(), floor, columns, ..Facts::default() }
    }

    /// Eight blocks of a request's cost with the interval of its arm, and independent of those of
    /// up to six others: their signs are Walsh functions.
    fn blocks(row: usize, arm: &ArmFacts) -> Option<(f64, Blocks)> {
        let cpu = bare_cpu(arm)?;
        let (lo, hi) = cpu.added.interval?;
        // Student's t for seven degrees of freedom.
        let step = (hi - lo) / 2.0 * 7f64.sqrt() / 2.365;
        let signs = (row % 7 + 1) as u32;
        let value = |block: u32| {
            let is_odd = (block & signs).count_ones() % 2 == 1;
            (block, cpu.total + if is_odd { step } else { -step })
        };
        Some((cpu.total, (0..8).map(value).collect()))
    }

    const UNDECIDED: &str = "Session or token? No session is shown to cost less or more CPU time \
                             per request than every token, by more than 3 %.";

    /// Families of arms with the interval of what a request adds; `None` for one trial.
    type Row<'a> = (&'a [(&'static str, Option<(f64, f64)>)], &'a str);

    #[test]
    fn the_answer_follows_from_verdicts() {
        let (session, token) = ("session", "token");
        let hybrid = "hybrid";
        let table: &[Row<'_>] = &[
            (
                &[
                    (session, Some((0.1, 0.2))),
                    (session, Some((7.0, 8.0))),
                    (token, Some((2.0, 3.0))),
                ],
                "Session-0 costs less CPU time per request than any token measured here. \
                 Session-1 costs more than all of them.",
            ),
            (
                &[
                    (session, Some((0.1, 0.2))),
                    (session, Some((0.2, 0.3))),
                    (token, Some((2.0, 3.0))),
                ],
                "Session-0 and session-1 cost less CPU time per request than any token measured \
                 here.",
            ),
            (
                &[(session, Some((5.0, 6.0))), (token, Some((2.0, 3.0)))],
                "Session-0 costs more CPU time per request than any token measured here.",
            ),
            // One that is not told apart from a token is not named.
            (
                &[
                    (session, Some((0.1, 0.2))),
                    (session, Some((2.5, 3.5))),
                    (token, Some((2.0, 3.0))),
                    (token, Some((9.0, 10.0))),
                ],
                "Session-0 costs less CPU time per request than any token measured here.",
            ),
            // What is shown and smaller than the margin is not said.
            (&[(session, Some((1.1, 1.15))), (token, Some((1.25, 1.3)))], UNDECIDED),
            // A token that can be revoked is a token.
            (
                &[
                    (session, Some((0.1, 0.2))),
                    (token, Some((2.0, 3.0))),
                    (hybrid, Some((0.1, 0.3))),
                ],
                UNDECIDED,
            ),
            (&[(session, Some((1.0, 4.0))), (token, Some((2.0, 3.0)))], UNDECIDED),
            (
                &[(session, None), (token, None)],
                "Session or token? Not settled: one trial has no interval, and more blocks would \
                 give one.",
            ),
            (
                &[(session, Some((1.0, 2.0))), (session, Some((3.0, 4.0)))],
                "Of these arms session-0 costs least per request.",
            ),
            (
                &[(token, Some((1.0, 3.5))), (token, Some((3.0, 4.0)))],
                "No arm is shown to cost least per request by more than 3 %.",
            ),
            (&[("other", Some((1.0, 2.0)))], "What other-0 costs, measured."),
            (&[], "What authentication costs is not settled here: see what was measured."),
        ];
        for (arms, says) in table {
            let arms = arms.iter().enumerate();
            let arms = arms.map(|(i, (family, added))| {
                let kind = if *family == hybrid { "jwt-denylist" } else { family };
                arm(&format!("{kind}-{i}"), family, *added)
            });
            assert_eq!(answer(&facts_of(arms.collect())), *says);
        }
    }

    #[test]
    fn without_a_baseline_no_cost_is_said() {
        let bare = |name: &str, family| ArmFacts { cpu: vec![], ..arm(name, family, None) };
        let facts = facts_of(vec![bare("session@memory", "session"), bare("jwt", "token")]);
        let Headline { says, lead } = headline(&facts, true);
        let why = "no cost over a baseline was measured validly for both";
        assert_eq!(says, format!("Session or token? Not settled: {why}."));
        assert_eq!(lead, Vec::<String>::new());
    }

    #[test]
    fn an_invalid_campaign_has_no_answer() {
        let facts = facts_of(vec![arm("session@memory", "session", Some((0.1, 0.2)))]);
        let Headline { says, lead } = headline(&facts, false);
        assert!(says.starts_with("No answer") && lead.is_empty());
    }

    #[test]
    fn of_a_figure_known_too_coarsely_its_bound_is_said() {
        let arms = vec![
            arm("session@memory", "session", Some((-0.1, 0.3))),
            arm("session@redis", "session", Some((2.0, 4.5))),
            arm("jwt-hs256", "token", Some((2.0, 3.0))),
        ];
        assert_eq!(
            cpu(&facts_of(arms)).unwrap(),
            "With 64 concurrent users, checking a login adds this CPU time to a request of \
             10.0 µs: nothing measurable with session@memory (at most 0.30 µs); 2.50 µs with \
             jwt-hs256 (2.00 to 3.00 µs); 3.25 µs with session@redis (at most 4.50 µs)."
        );
        let coarse = vec![arm("jwt-hs256", "token", Some((-3.0, -1.0)))];
        assert_eq!(cpu(&facts_of(coarse)), None);
    }

    #[test]
    fn an_arm_that_did_not_hold_the_rate_is_said_to_be_overloaded() {
        let mut arms = vec![arm("session@postgres", "session", Some((34.0, 36.0)))];
        arms[0].cpu[0].is_overloaded = true;
        let said = cpu(&facts_of(arms)).unwrap();
        let state = "(34.0 to 36.0 µs; it does not keep up)";
        assert!(said.contains(state), "{said}");
    }

    #[test]
    fn every_arm_is_said_and_of_many_the_ends_of_each_family() {
        let arms_of = |count: u32| {
            (0..count)
                .map(|i| {
                    let family = if i % 2 == 0 { "session" } else { "token" };
                    let at = f64::from(i) + 2.0;
                    arm(&format!("arm-{i}"), family, Some((at, at + 0.5)))
                })
                .collect::<Vec<_>>()
        };
        let said = cpu(&facts_of(arms_of(6))).unwrap();
        assert_eq!(said.matches(" with arm-").count(), 6, "{said}");
        let said = cpu(&facts_of(arms_of(20))).unwrap();
        let named: Vec<&str> =
            said.split(" with ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        assert_eq!(named, ["arm-0", "arm-1", "arm-18", "arm-19"], "{said}");
    }

    #[test]
    fn a_session_is_called_by_where_it_is_kept() {
        let arms = vec![
            arm("session@memory", "session", Some((0.1, 0.2))),
            arm("session@redis", "session", Some((6.0, 7.0))),
            arm("session@postgres", "session", Some((35.0, 36.0))),
            arm("jwt-hs256", "token", Some((2.0, 3.0))),
        ];
        assert_eq!(
            answer(&facts_of(arms)),
            "A session in the server's memory costs less CPU time per request than any token \
             measured here. A session in Redis and a session in PostgreSQL cost more than all of \
             them."
        );
    }

    #[test]
    fn memory_and_needs_are_said_of_those_who_have_them() {
        let memory_of = |name: &str, server: f64, store: Option<f64>| ArmFacts {
            memory: vec![Memory {
                items: 0,
                server: estimate(server, Some((server, server))),
                store: store.map(|point| estimate(point, Some((point, point)))),
            }],
            logout: Need::new(name != "jwt", ""),
            restart: Need::new(name != "session@memory", ""),
            ..arm(name, "session", None)
        };
        let facts = facts_of(vec![
            memory_of("session@memory", 113.0, None),
            memory_of("session@redis", 0.0, Some(361.0)),
            memory_of("jwt", 0.0, None),
        ]);
        assert_eq!(
            memory(&facts).unwrap(),
            "Memory per login: 113 bytes with session@memory and 361 bytes in the store with \
             session@redis; none with jwt."
        );
        assert_eq!(
            needs(&facts).unwrap(),
            "A logout does not end jwt at once. A restart ends the logins of session@memory."
        );
        let mut facts = facts;
        facts.arms[0].any_server = Need::new(false, "");
        let said =
            "A second server does not know the logins of session@memory, and a restart ends them.";
        assert!(needs(&facts).unwrap().ends_with(said), "{:?}", needs(&facts));
    }
}
