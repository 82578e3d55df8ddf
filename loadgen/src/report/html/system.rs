//! The calculator: what authentication would add to the reader's own bill. The script reads these
//! fields and fills in the answer.

use maud::{Markup, html};

use crate::plan::Prices;
use crate::report::facts::Facts;

/// Sets the section.
pub(super) fn system(facts: &Facts, prices: &Prices) -> Markup {
    let mut items: Vec<u32> = facts
        .arms
        .iter()
        .flat_map(|arm| arm.cpu.iter().map(|cpu| cpu.items))
        .filter(|items| *items > 0)
        .collect();
    items.sort_unstable();
    items.dedup();
    html! {
        section #system-section aria-labelledby="h-system" {
            h2 #h-system { "Your system" }
            p.note {
                "What authentication alone adds to the bill, from the figures above. The link of "
                "this page keeps your settings."
            }
            p.without-script.note {
                "The calculator needs script. Without it, see the crossover below, at the prices "
                "of the campaign."
            }
            div.card.calculator.needs-script {
                div #system {
                    (slider("users", "u", "Logged-in users", (3, 8), 6))
                    (slider("rate", "r", "Requests per user and hour", (-2, 3), 1))
                    label.control {
                        "Items kept in the session"
                        select name="items" data-keep="i" {
                            option value="0" selected { "0" }
                            @for items in &items { option value=(items) { (items) } }
                        }
                    }
                    fieldset.must {
                        legend { "It must hold that" }
                        (checkbox("logout", "l", "a logout ends it"))
                        (checkbox("any_server", "a", "any server can answer"))
                        (checkbox("restart", "s", "logins survive a restart"))
                    }
                    (price_fields(prices))
                    label.control.billed {
                        input type="checkbox" name="billed" data-keep="w" checked;
                        " bytes on the wire are billed"
                    }
                }
                div {
                    p #verdict aria-live="polite" {}
                    p.note #traffic-says {}
                    ol #ranking {}
                    p.parts {
                        span { i.cpu {} "CPU" } span { i.memory {} "memory" }
                        span { i.traffic {} "bytes on the wire" }
                    }
                    ul #assumptions {}
                }
            }
            @if !facts.at_less_load.is_empty() { p.note { (facts.at_less_load) } }
            p.note { "Prices: " (prices.source) "." }
        }
    }
}

/// A slider over powers of ten.
fn slider(name: &str, keep: &str, label: &str, (min, max): (i32, i32), value: i32) -> Markup {
    let id = format!("system-{name}");
    html! {
        label.control for=(id) {
            (label) " " output for=(id) {}
            input type="range" id=(id) name=(name) data-keep=(keep) min=(min) max=(max) step="0.05"
                value=(value);
        }
    }
}

fn checkbox(name: &str, keep: &str, label: &str) -> Markup {
    html! { label { input type="checkbox" name=(name) data-keep=(keep); " " (label) } }
}

fn price_fields(prices: &Prices) -> Markup {
    let fields = [
        ("cpu_hour", "pc", "per CPU hour", prices.cpu_hour),
        ("memory_gib_hour", "pm", "per GiB-hour", prices.memory_gib_hour),
        ("traffic_gb", "pt", "per GB on the wire", prices.traffic_gb),
        ("busy", "b", "cores in use, percent", 100.0),
    ];
    html! {
        fieldset.prices {
            legend { "Prices" }
            @for (name, keep, label, value) in fields {
                label {
                    (label)
                    input type="text" inputmode="decimal" name=(name) data-keep=(keep)
                        value=(value);
                }
            }
            label {
                "Cost per"
                select name="per" data-keep="per" {
                    option value="month" selected { "month" }
                    option value="hour" { "hour" }
                }
            }
        }
    }
}
