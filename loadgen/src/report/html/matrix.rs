//! The decision matrix: an arm a row, and what one decides by. The best of a column is marked, and
//! so is every arm that these data do not tell apart from it.

use maud::{Markup, html};

use crate::report::chart::{arm_name, glyph};
use crate::report::facts::{ArmFacts, Fact, Facts, Need, bare_cpu, bare_memory};
use crate::report::figure::{figure, range};
use crate::units::counted;

/// The columns: the fact, heading, and how to read it.
const COLUMNS: [(Fact, &str, &str); 7] = [
    (Fact::Cpu, "CPU added per request", "server + store; less is better"),
    (Fact::Capacity, "Highest rate with p99 in its limit", "more is better"),
    (Fact::Memory, "Memory per login", "server + store; less is better"),
    (Fact::Wire, "Bytes per request", "less is better"),
    (Fact::Logout, "A logout ends it", ""),
    (Fact::AnyServer, "Any server can answer", ""),
    (Fact::Restart, "Survives a restart", ""),
];

/// The heading of a column; that of the rate names its limit.
fn heading(column: usize, facts: &Facts) -> String {
    match COLUMNS[column] {
        (Fact::Capacity, ..) if !facts.capacity_at.is_empty() => {
            format!("Highest rate with {}", facts.capacity_at)
        }
        (_, heading, _) => heading.into(),
    }
}

/// Why a cell has no figure.
fn absent(column: usize, arm: &ArmFacts) -> &'static str {
    if arm.measured.contains(&COLUMNS[column].0) { "no valid figure" } else { "not measured" }
}

/// A key for each arm, which hides it everywhere; shown where script runs.
pub(super) fn legend(arms: &[&str]) -> Markup {
    html! {
        div.legend.needs-script role="group" aria-label="Arms: press one to hide it everywhere" {
            @for arm in arms {
                button.key type="button" data-arm=(arm) aria-pressed="true" { (glyph(arm)) (arm) }
            }
        }
    }
}

/// Sets the matrix, with the columns that the campaign measured.
pub(super) fn matrix(facts: &Facts, baseline: &str) -> Markup {
    let best = marks(facts);
    let scale = Scale::of(facts);
    let is_measured =
        |column: &usize| facts.arms.iter().any(|arm| cell(*column, arm, &scale).is_some());
    let (shown, missing): (Vec<usize>, Vec<usize>) = (0..COLUMNS.len()).partition(is_measured);
    html! {
        div.card {
            table.matrix role="table" {
                thead role="rowgroup" {
                    tr role="row" {
                        th role="columnheader" scope="col" { "Arm" }
                        @for column in &shown {
                            @let hint = COLUMNS[*column].2;
                            th role="columnheader" scope="col" {
                                (heading(*column, facts))
                                @if !hint.is_empty() { small { (hint) } }
                            }
                        }
                    }
                }
                tbody role="rowgroup" {
                    @for (row, arm) in facts.arms.iter().enumerate() {
                        tr role="row" data-arm=(arm.arm) {
                            th role="rowheader" scope="row" { (arm_name(&arm.arm)) }
                            @for column in &shown {
                                @let is_best = best.get(*column).is_some_and(|rows| rows[row]);
                                td.best[is_best] role="cell" data-label=(heading(*column, facts)) {
                                    @match cell(*column, arm, &scale) {
                                        Some(known) => (known),
                                        None => span.open-question { (absent(*column, arm)) },
                                    }
                                    @if is_best {
                                        span.unseen { ", not distinguishable from the best" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            p.note { (note(facts, baseline, &best, &missing)) }
        }
    }
}

fn note(facts: &Facts, baseline: &str, best: &[Vec<bool>; 4], missing: &[usize]) -> Markup {
    let (invalid, unmeasured): (Vec<usize>, Vec<usize>) =
        missing.iter().partition(|column| is_measured_somewhere(**column, facts));
    let named = |columns: &[usize]| {
        columns.iter().map(|column| heading(*column, facts)).collect::<Vec<_>>().join("; ")
    };
    html! {
        @if best.iter().flatten().any(|is_best| *is_best) {
            span.yes { "●" }
            " not distinguishable from the best of its column; none is marked where that goes for \
             most arms. "
        }
        @if !facts.cpu_at.is_empty() {
            "CPU time and bytes were measured with " (facts.cpu_at) ". "
            @if let Some(floor) = &facts.floor {
                "A request to " (baseline) ", without authentication, costs "
                (figure(floor.point, "us")) ". "
            }
        }
        @if !facts.at_less_load.is_empty() { (facts.at_less_load) " " }
        "Bars start at 0; the paler part is the store's. Small figures are 95 % intervals."
        @if facts.arms.iter().any(|arm| bare_memory(arm).is_some()) {
            " Bytes per login depend on how full the tables are that hold them, so campaigns with \
             other numbers of logins find other figures."
        }
        @if let Some(most) = facts.most_connections
            && facts.arms.iter().any(|arm| arm.capacity.is_some()) {
            " The rate is another figure than the throughput of a saturated server, which other \
             tables give for up to " (counted(most.into(), "connection")) "."
        }
        @if !invalid.is_empty() {
            " Measured, but without a valid figure: " (named(&invalid)) "; run it again."
        }
        @if !unmeasured.is_empty() {
            " Not measured by this campaign: " (named(&unmeasured)) "."
        }
    }
}

/// Whether a column was measured of some arm, validly or not.
fn is_measured_somewhere(column: usize, facts: &Facts) -> bool {
    facts.arms.iter().any(|arm| arm.measured.contains(&COLUMNS[column].0))
}

/// The largest figure of each column that has bars.
struct Scale {
    cpu: f64,
    rate: f64,
    memory: f64,
    wire: f64,
}

impl Scale {
    fn of(facts: &Facts) -> Self {
        let most = |value: &dyn Fn(&ArmFacts) -> Option<f64>| {
            facts.arms.iter().filter_map(value).fold(0.0, f64::max)
        };
        Self {
            cpu: most(&|arm| Some(bare_cpu(arm)?.added.point)),
            rate: most(&|arm| Some(arm.capacity.as_ref()?.point)),
            memory: most(&|arm| Some(bare_memory(arm)?.total())),
            wire: most(&|arm| Some(arm.wire.iter().find(|wire| wire.items == 0)?.bytes)),
        }
    }
}

/// What an arm has in a column; `None` where it was not measured.
fn cell(column: usize, arm: &ArmFacts, scale: &Scale) -> Option<Markup> {
    let need = |need: &Need| {
        need.holds.map(|holds| {
            if holds {
                html! { span.yes { "✓ " (need.says) } }
            } else {
                html! { span.no { "✗ " (need.says) } }
            }
        })
    };
    match column {
        0 => bare_cpu(arm).map(|cpu| {
            let store = cpu.store.unwrap_or(0.0).clamp(0.0, cpu.added.point.max(0.0));
            html! {
                b.value { (figure(cpu.added.point, "us")) } " "
                small {
                    (range(&cpu.added, "us"))
                    @if let Some(store) = cpu.store { ", " (figure(store, "us")) " in the store" }
                    @if cpu.is_overloaded { "; does not keep up with this load" }
                }
                (bar(cpu.added.point - store, store, scale.cpu))
            }
        }),
        1 => arm.capacity.as_ref().map(|held| {
            html! {
                b.value { (figure(held.point, "requests/s")) } " "
                small { (range(held, "requests/s")) }
                (bar(held.point, 0.0, scale.rate))
            }
        }),
        2 => bare_memory(arm).map(|memory| {
            let store = memory.store.as_ref().map_or(0.0, |store| store.point);
            let (total, place) = match memory.parts() {
                (None, None) => ("0".into(), ""),
                (Some(server), None) => (server, ""),
                (None, Some(store)) => (store, "in the store"),
                (Some(server), Some(store)) => (format!("{server} + {store}"), "server + store"),
            };
            html! {
                b.value { (total) " bytes" } " "
                @if !place.is_empty() { small { (place) } }
                (bar(memory.server.point, store, scale.memory))
            }
        }),
        3 => arm.wire.iter().find(|wire| wire.items == 0).map(|wire| {
            html! {
                b.value { (figure(wire.bytes, "bytes")) }
                (bar(wire.bytes, 0.0, scale.wire))
            }
        }),
        4 => need(&arm.logout),
        5 => need(&arm.any_server),
        _ => need(&arm.restart),
    }
}

fn bar(own: f64, store: f64, most: f64) -> Markup {
    let share =
        |value: f64| if most > 0.0 { (value / most * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    let (own, store) = (share(own), share(store));
    html! {
        svg.bar viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            rect width=(format!("{own:.1}")) height="6" {}
            @if store > 0.05 {
                rect.store x=(format!("{own:.1}")) width=(format!("{store:.1}")) height="6" {}
            }
        }
    }
}

/// Which rows of the first four columns are marked as best.
pub(super) fn marks(facts: &Facts) -> [Vec<bool>; 4] {
    let [cpu, rate, memory] = &facts.columns;
    [cpu.marks(), rate.marks(), memory.marks(), fewest_bytes(facts)]
}

/// The rows with the fewest bytes per request, which are the same in every trial; none where all
/// have as many.
fn fewest_bytes(facts: &Facts) -> Vec<bool> {
    let bytes = |arm: &ArmFacts| Some(arm.wire.iter().find(|wire| wire.items == 0)?.bytes);
    let column: Vec<Option<f64>> = facts.arms.iter().map(bytes).collect();
    let fewest = column.iter().flatten().copied().reduce(f64::min);
    let known = column.iter().flatten().count();
    let marks: Vec<bool> = column.iter().map(|own| own.is_some() && *own == fewest).collect();
    let marked = marks.iter().filter(|mark| **mark).count();
    if marked == known { vec![false; column.len()] } else { marks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::facts::Wire;

    #[test]
    fn the_fewest_bytes_are_marked_unless_all_have_as_many() {
        let marks = |column: &[Option<f64>]| {
            let arm = |bytes: &Option<f64>| ArmFacts {
                wire: bytes.iter().map(|b| Wire { items: 0, bytes: *b, added: 0.0 }).collect(),
                ..ArmFacts::default()
            };
            let arms = column.iter().map(arm).collect();
            fewest_bytes(&Facts { arms, ..Facts::default() })
        };
        assert_eq!(marks(&[Some(90.0), Some(404.0), None, Some(90.0)]), [true, false, false, true]);
        assert_eq!(marks(&[Some(90.0), Some(90.0)]), [false, false]);
        assert_eq!(marks(&[Some(90.0), None]), [false, false]);
    }

    #[test]
    fn bars_start_at_0_and_end_at_the_largest() {
        let text = bar(1.0, 1.0, 4.0).into_string();
        assert!(text.contains("width=\"25.0\"") && text.contains("x=\"25.0\""), "{text}");
        assert!(bar(-1.0, 0.0, 4.0).into_string().contains("width=\"0.0\""));
        assert!(bar(1.0, 0.0, 0.0).into_string().contains("width=\"0.0\""));
    }
}
