//! What a drill did to logged-in users, as dots: each stands for one user in fifty.

use maud::{Markup, html};

use crate::experiment::metric::{self, Metric};
use crate::report::analysis::Analysis;
use crate::report::chart::arm_name;
use crate::report::key::Lookup;
use crate::report::words;

const DOTS: u32 = 50;

/// A drill: what happens, its experiment, the metric, and what a share of 0 means.
struct Drill {
    title: &'static str,
    says: &'static str,
    experiment: &'static str,
    metric: &'static Metric,
    /// Whether the metric counts users who are gone.
    counts_gone: bool,
    /// Whether it is good that they are still logged in.
    good: bool,
}

const DRILLS: [Drill; 3] = [
    Drill {
        title: "One of two servers dies",
        says: "Its users ask the other server. Filled: still logged in.",
        experiment: "replicas",
        metric: metric::LOST_AFTER_DEATH_SHARE,
        counts_gone: true,
        good: true,
    },
    Drill {
        title: "The server restarts",
        says: "The store and the key stay. Filled: still logged in.",
        experiment: "restart",
        metric: metric::LOGGED_OUT_SHARE,
        counts_gone: true,
        good: true,
    },
    Drill {
        title: "Everybody logs out",
        says: "Filled: the credential of a user who logged out still works.",
        experiment: "revocation",
        metric: metric::STILL_ACCEPTED,
        counts_gone: false,
        good: false,
    },
];

/// The section; nothing where no drill was run.
pub(super) fn drills(analysis: &Analysis) -> Option<Markup> {
    let cards: Vec<Markup> = DRILLS.iter().filter_map(|drill| card(analysis, drill)).collect();
    (!cards.is_empty()).then(|| {
        html! {
            section #drills aria-labelledby="h-drills" {
                h2 #h-drills { "When things break" }
                p.note { "A dot is one in fifty of the logged-in users." }
                div.grid-three { @for card in cards { (card) } }
            }
        }
    })
}

fn card(analysis: &Analysis, drill: &Drill) -> Option<Markup> {
    let mut rows: Vec<(&String, f64)> = Vec::new();
    for arm in analysis.arms.iter().filter(|arm| **arm != analysis.baseline) {
        let all = &analysis.measurements;
        let found = all.top(drill.experiment, drill.metric, |m| m.key.arm == *arm && m.valid);
        rows.extend(found.map(|m| {
            let share = m.estimate.point;
            (arm, if drill.counts_gone { 1.0 - share } else { share })
        }));
    }
    (!rows.is_empty()).then(|| {
        html! {
            div.card {
                h3 { (drill.title) }
                p.note { (drill.says) }
                @for (arm, kept) in rows {
                    @let is_good = (kept >= 1.0) == drill.good && (kept <= 0.0) != drill.good;
                    div.drill data-arm=(arm) {
                        p {
                            (arm_name(arm))
                            b.value.yes[is_good].no[!is_good] { (words::share(kept)) }
                        }
                        (dots(kept))
                    }
                }
            }
        }
    })
}

/// All dots are filled only if everyone is there, and none only if no one is.
fn dots(kept: f64) -> Markup {
    let filled = match (kept * f64::from(DOTS)).round() as u32 {
        0 if kept > 0.0 => 1,
        DOTS if kept < 1.0 => DOTS - 1,
        filled => filled,
    };
    html! {
        svg.dots viewBox="0 0 500 10" aria-hidden="true" {
            @for i in 0..DOTS {
                circle.gone[i >= filled] cx=(i * 10 + 5) cy="5" r="3.6" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_filled_by_share() {
        for (share, gone) in [(0.0, 50), (0.001, 49), (0.5, 25), (0.999, 1), (1.0, 0)] {
            let found = dots(share).into_string().matches("gone").count();
            assert_eq!(found, gone, "{share}");
        }
    }
}
