//! A comparison of two campaigns as one small page without a script.

use maud::{Markup, html};

use super::bound::{Judgement, Outcome};
use super::model::Changes;
use super::row::{NOTE, Row, View, describe, found};
use crate::report::small_page::page;

/// The heading of the rows that are not known to have changed.
const REST: &str = "Not changed, or not known to be";

impl Changes {
    /// The comparison as a page.
    pub fn html(&self, view: &View, judgements: &[Judgement]) -> String {
        let [changed, others] = self.rows(view);
        let main = html! {
                        h1 { "Two campaigns compared" }
                        @if self.identical { p { strong { (self.sameness()) } } }
                        @else {
                            p { strong { (self.totals(view)) } }
                            @if let Some(moved) = self.floor_moved() { p.note { (moved) } }
                            @if !changed.is_empty() { (table(&changed, "What changed")) }
                            @if view.all && !others.is_empty() {
                                details {
                                    summary { (REST) " (" (others.len()) ")" }
                                    (table(&others, REST))
                                }
                            }
                        }
                        @for judgement in judgements { (self.bound_in_html(judgement)) }
                        h2 { "What was compared" }
                        ul {
                            li { "A: " (describe(&self.a)) }
                            li { "B: " (describe(&self.b)) }
                            @for caveat in self.caveats(view.all) { li { (caveat) } }
                        }
                        p.note { (NOTE) }
        };
        page(&format!("{} and {}", self.a.label, self.b.label), &main)
    }

    fn bound_in_html(&self, judgement: &Judgement) -> Markup {
        let broken = judgement.outcomes.iter().filter(|(_, found)| *found == Outcome::Broken);
        html! {
            h2 { "--fail-if " (judgement.bound) }
            p {
                (judgement.count(Outcome::Broken)) " exceeded, "
                (judgement.count(Outcome::Kept)) " kept, "
                (judgement.count(Outcome::Inconclusive)) " inconclusive, "
                (judgement.count(Outcome::Invalid)) " invalid"
            }
            ul {
                @for (at, _) in broken {
                    @let change = &self.changes[*at];
                    li.bad { (change.place()) ": " (found(judgement, change)) }
                }
            }
        }
    }
}

fn table(rows: &[Row<'_>], caption: &str) -> Markup {
    html! {
        div.wide {
            table {
                caption { (caption) }
                thead {
                    tr {
                        @for head in ["Verdict", "Metric", "Arm", "Where"] {
                            th scope="col" { (head) }
                        }
                        @for head in ["A", "B", "Change"] { th.number scope="col" { (head) } }
                        th scope="col" { "95 % interval" }
                    }
                }
                tbody {
                    @for row in rows {
                        @let (metric, arm) = row.group();
                        tr {
                            td class=[row.class()] { (row.verdict) }
                            td { (metric) }
                            td { (arm) }
                            td { (row.place) }
                            td.number { (row.a) }
                            td.number { (row.b) }
                            td.number { (row.by) }
                            td { (row.interval) }
                        }
                    }
                }
            }
        }
    }
}

impl Row<'_> {
    fn class(&self) -> Option<&'static str> {
        self.change.better().map(|better| if better { "good" } else { "bad" })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample_changes, slower};
    use super::*;

    #[test]
    fn the_page_is_small_and_asks_for_nothing() {
        let mut found = sample_changes(slower("jwt-hs256"));
        found.b.label = "<script>".into();
        let page = found.html(&View { all: true, ..View::default() }, &[]);
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("href="));
        assert!(page.contains("default-src 'none'") && page.contains("+50.0 %"));
        assert!(page.len() < 100_000, "{}", page.len());
        let same = sample_changes(|_| {}).html(&View::default(), &[]);
        assert!(same.contains("identical: one and two") && !same.contains("<table"));
    }
}
