//! The frame of the small pages, which have no script and load nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::plan::sha256_hex;
use crate::sanitise;

/// The only style that such a page may have.
const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}h3{font-size:1rem}\
table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
caption{text-align:left;font-weight:600;padding:.5rem 0}\
th,td{padding:.2rem .7rem .2rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #8884}\
.number{text-align:right;white-space:nowrap}.wide{overflow-x:auto}.note{opacity:.8}\
.bad{color:#b3261e;font-weight:600}.good{color:#1b6e3c;font-weight:600}\
@media(prefers-color-scheme:dark){.bad{color:#ffb4ab}.good{color:#8bd8a4}}\
.many{display:grid;grid-template-columns:repeat(auto-fill,minmax(22rem,1fr));gap:1.5rem}\
.many figure{margin:0}svg{width:100%;height:auto;font:12px system-ui,sans-serif}\
svg text{fill:currentColor}svg line,svg circle{stroke:currentColor}";

/// A page with this title and main part.
pub(super) fn page(title: &str, main: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "authbench: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (main) } }
        }
    };
    let mut text = page.into_string();
    text.push('\n');
    sanitise::document(&text).into_owned()
}

/// The policy: nothing is loaded, and only this style applies.
fn policy() -> String {
    let hex = sha256_hex(STYLE.as_bytes());
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap_or_default();
    let digest: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
    format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(digest)
    )
}

#[cfg(test)]
mod tests {
    use super::policy;

    #[test]
    fn the_policy_names_a_whole_digest() {
        let policy = policy();
        let (_, digest) = policy.split_once("sha256-").unwrap();
        assert_eq!(digest.find('\'').unwrap(), 44, "32 bytes in base64: {policy}");
    }
}
