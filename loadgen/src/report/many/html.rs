//! The page over several campaigns: without a script, small, and it loads nothing.

use maud::{Markup, html};

use super::plot::plot;
use super::{Across, Agreement, across};
use crate::report::analysis::Analysis;
use crate::report::figure::{digits, figure, signed, signed_range, times, times_range};
use crate::report::figures::ComparedAs;
use crate::report::small_page::page;
use crate::report::words;

/// How to read the agreement.
const NOTE: &str = "Each interval is of its own campaign, 95 %, and a hollow mark is of one that \
may not be used. I-squared is the share of Cochran's Q that chance does not explain; p is of \
Welch's F with Holm's correction over the endpoints of this page, because a campaign has few \
blocks. Two or three campaigns that seem to agree may still differ by less than their noise.";

/// Sets several campaigns, each with its label, as one page.
pub fn many(campaigns: &[(&str, &Analysis)]) -> String {
    let endpoints = across(campaigns);
    let main = html! {
                    h1 { (campaigns.len()) " campaigns" }
                    p { strong { (headline(&endpoints)) } }
                    (machines(campaigns))
                    h2 { "Primary endpoints" }
                    p.note { (NOTE) }
                    @if endpoints.is_empty() { p { "No campaign here declared an endpoint." } }
                    div.many { @for across in &endpoints { (small_multiple(across, campaigns)) } }
                    h2 { "Cite these" }
                    ol { @for (_, analysis) in campaigns { li { (words::cite(analysis)) } } }
    };
    page(&format!("{} campaigns", campaigns.len()), &main)
}

fn headline(endpoints: &[Across<'_>]) -> String {
    let tested: Vec<Agreement> = endpoints.iter().filter_map(|across| across.agreement).collect();
    let differ = tested.iter().filter(|agreement| agreement.differs()).count();
    match (tested.len(), differ) {
        (0, _) => "No endpoint was measured by two campaigns, so nothing can agree.".into(),
        (all, 0) => format!("In none of {all} endpoints do they differ by more than their noise."),
        (all, differ) => format!(
            "In {differ} of {all} endpoints they differ by more than their noise: quote those with \
             their machine, and no common figure."
        ),
    }
}

/// One row per campaign and machine.
fn machines(campaigns: &[(&str, &Analysis)]) -> Markup {
    let heads = ["#", "Campaign", "When", "Processor", "Memory", "Kernel", "Build", "Trials"];
    html! {
        div.wide {
            table {
                caption { "Machines and builds" }
                thead {
                    tr {
                        @for head in heads { th scope="col" { (head) } }
                        th scope="col" { "Doubts about all figures" }
                    }
                }
                tbody {
                    @for (at, (label, analysis)) in campaigns.iter().enumerate() {
                        (machine(at + 1, label, analysis))
                    }
                }
            }
        }
    }
}

fn machine(number: usize, label: &str, analysis: &Analysis) -> Markup {
    let host = &analysis.host;
    let of_guest = if host.virtualised { ", virtual" } else { "" };
    let build: String = host.binary_sha256.chars().take(12).collect();
    let plan: String = analysis.plan.chars().take(12).collect();
    let whole = |d: &&crate::report::DoubtSummary| {
        d.places.iter().any(|place| place == crate::report::analysis::WHOLE)
    };
    let doubts: Vec<&str> =
        analysis.doubts.iter().filter(whole).map(|d| d.doubt.what.as_str()).collect();
    html! {
        tr {
            td { (number) }
            td { (label) br; (analysis.name) ", plan " (plan) }
            td { (match analysis.started_unix_ms { 0 => String::new(), ms => words::utc(ms) }) }
            td { (host.cpu_model) ", " (host.cores.len()) " cores" (of_guest) }
            td { (figure(host.memory_bytes as f64, "bytes")) }
            td { (host.kernel) }
            td { (host.authbench) " " (host.profile) ", " (build) br; (host.compiler) }
            td {
                (analysis.trials_complete) " of " (analysis.trials_planned)
                @if analysis.trials_invalid > 0 { ", " (analysis.trials_invalid) " invalid" }
                @if !analysis.usable() { " " span.bad { "INVALID" } }
            }
            td { (doubts.join("; ")) }
        }
    }
}

fn small_multiple(across: &Across<'_>, campaigns: &[(&str, &Analysis)]) -> Markup {
    let declared = across.declared;
    let title = format!(
        "{} of {} compared with {}: {}, {}",
        across.metric.label,
        declared.arm,
        declared.against,
        declared.experiment,
        words::endpoint_at(declared)
    );
    html! {
        figure {
            figcaption { h3 { (title) } (agreement(across)) }
            (plot(across, &title))
            table {
                thead { tr { th { "#" } th { "Campaign" } th { "Figure" } } }
                tbody {
                    @for (at, found) in &across.found {
                        tr {
                            td { (at + 1) }
                            td { (campaigns[*at].0) }
                            td {
                                @match found.estimate {
                                    Some(estimate) => {
                                        @if found.moments.is_none() { span.bad { "INVALID " } }
                                        @if across.compared_as == ComparedAs::Ratio {
                                            (times(estimate.point)) " (" (times_range(estimate)) ")"
                                        } @else {
                                            (signed(estimate.point, across.metric.unit)) " ("
                                            (signed_range(estimate, across.metric.unit)) ")"
                                        }
                                    }
                                    None => "not measured",
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn agreement(across: &Across<'_>) -> Markup {
    let Some(agreement) = &across.agreement else {
        return html! { p.note { "Fewer than two campaigns have a figure that may be used." } };
    };
    let found = &agreement.found;
    let p = words::p_value(agreement.p_holm);
    let equals = if p.starts_with('<') { "" } else { "= " };
    let numbers = format!(
        "Q = {} with {} degrees of freedom, I-squared {} %, p {equals}{p}",
        digits(found.q),
        found.studies - 1,
        digits(found.i_squared * 100.0),
    );
    html! {
        p {
            @if agreement.differs() { span.bad { "They differ by more than their noise. " } }
            @else { "They agree within their noise. " }
            (numbers) "."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::campaigns;
    use super::*;

    #[test]
    fn the_page_has_a_row_per_campaign_and_a_picture_per_endpoint() {
        let [a, b] = campaigns(50);
        let page = many(&[("<here>", &a), ("there", &b)]);
        assert_eq!(page.matches("<svg").count(), a.primary.len(), "{page}");
        assert!(page.contains("&lt;here&gt;") && !page.contains("<script"));
        assert!(page.contains("They differ by more than their noise.") && page.contains("Q = "));
        assert!(!page.contains("NaN") && page.len() < 100_000, "{}", page.len());
        assert_eq!(page, many(&[("<here>", &a), ("there", &b)]));
        assert_eq!(page.matches("build ").count(), 2, "each is cited");
    }
}
