//! How an arm looks: family, shape and hollowness follow from its name alone, so that it looks the
//! same in every report. Shape and hollowness together are unique, which holds in print too; its
//! colour is the style sheet's.

use maud::{Markup, PreEscaped, html};

/// What ends the name of an arm that was measured a second time (`plan::twin_of`).
const AGAIN: &str = " (again)";

/// How an arm is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) struct Look {
    /// `floor`, `session`, `token`, `hybrid`, or `other`.
    pub(in crate::report) family: &'static str,
    /// The symbol, one of [`shapes`].
    pub(in crate::report) shape: &'static str,
    /// Whether the symbol is hollow.
    pub(in crate::report) open: bool,
}

/// Name, family, shape, hollowness.
type Row = (&'static str, &'static str, &'static str, bool);

#[rustfmt::skip]
const LOOKS: &[Row] = &[
    ("none", "floor", "plus", false),
    ("session@memory", "session", "circle", false),
    ("session@mutex", "session", "circle", true),
    ("session@tower", "session", "hexagon", true),
    ("session@sqlite", "session", "hexagon", false),
    ("session@redis", "session", "square", false),
    ("session-cached@redis", "session", "square", true),
    ("opaque-introspection@redis", "session", "up", true),
    ("session@postgres", "session", "up", false),
    ("introspection-http", "session", "block", false),
    ("jwt-hs256", "token", "down", false),
    ("jwt-crate", "token", "down", true),
    ("jwt-rs256", "token", "left", false),
    ("jwt-es256", "token", "left", true),
    ("jwt-eddsa", "token", "right", false),
    ("paseto-v4-public", "token", "right", true),
    ("paseto-v4-local", "token", "star", false),
    ("jwe-dir", "token", "star", true),
    ("cookie-sealed", "token", "cross", false),
    ("jwt-cached", "token", "asterisk", false),
    ("jwt-jwks", "token", "block", true),
    ("jwt-denylist@redis", "hybrid", "diamond", false),
    ("jwt-denylist@memory", "hybrid", "diamond", true),
    ("jwt-denylist@filter", "hybrid", "hourglass", true),
    ("jwt-refresh@redis", "hybrid", "pentagon", false),
    ("jwt-refresh@memory", "hybrid", "pentagon", true),
    ("jwt-refresh@postgres", "hybrid", "hourglass", false),
    ("bff@redis", "hybrid", "bowtie", false),
];

/// Families of arms without a row, by how their names begin.
const FAMILIES: &[(&str, &str)] = &[
    ("jwt-denylist", "hybrid"),
    ("jwt-refresh", "hybrid"),
    ("session", "session"),
    ("opaque", "session"),
    ("introspection", "session"),
    ("bff", "hybrid"),
    ("jwt", "token"),
    ("jwe", "token"),
    ("paseto", "token"),
    ("cookie-sealed", "token"),
];

/// Symbols around the point 0 0, in a box of 14 units.
const SHAPES: &[(&str, &str)] = &[
    ("circle", r#"<circle r="4.6"></circle>"#),
    ("square", r#"<rect x="-4.2" y="-4.2" width="8.4" height="8.4"></rect>"#),
    ("up", r#"<path d="M0 -5.4L5 3.8H-5Z"></path>"#),
    ("down", r#"<path d="M0 5.4L5 -3.8H-5Z"></path>"#),
    ("left", r#"<path d="M-5.4 0L3.8 -5V5Z"></path>"#),
    ("right", r#"<path d="M5.4 0L-3.8 -5V5Z"></path>"#),
    ("diamond", r#"<path d="M0 -5.8L5.8 0L0 5.8L-5.8 0Z"></path>"#),
    ("hexagon", r#"<path d="M-2.6 -4.7H2.6L5.3 0L2.6 4.7H-2.6L-5.3 0Z"></path>"#),
    ("pentagon", r#"<path d="M0 -5.4L5.2 -1.6L3.2 4.5H-3.2L-5.2 -1.6Z"></path>"#),
    (
        "star",
        concat!(
            r#"<path d="M0 -6L1.6 -2L5.7 -1.9L2.5 0.8L3.6 5L0 2.6L-3.6 5L-2.5 0.8"#,
            r#"L-5.7 -1.9L-1.6 -2Z"></path>"#
        ),
    ),
    ("hourglass", r#"<path d="M-4.6 -4.8H4.6L-4.6 4.8H4.6Z"></path>"#),
    ("bowtie", r#"<path d="M-4.8 -4.6V4.6L4.8 -4.6V4.6Z"></path>"#),
    (
        "block",
        concat!(
            r#"<path d="M-1.8 -5.2H1.8V-1.8H5.2V1.8H1.8V5.2H-1.8V1.8H-5.2V-1.8H-1.8Z">"#,
            "</path>"
        ),
    ),
    ("plus", r#"<path d="M0 -5V5M-5 0H5"></path>"#),
    ("cross", r#"<path d="M-4 -4L4 4M-4 4L4 -4"></path>"#),
    ("asterisk", r#"<path d="M0 -5V5M-4.4 -2.6L4.4 2.6M-4.4 2.6L4.4 -2.6"></path>"#),
];

/// The look of an arm. The second run of an arm and an arm with other flags (`ARM+FLAG=VALUE`) look
/// like the arm.
pub(in crate::report) fn look(arm: &str) -> Look {
    let arm = arm.strip_suffix(AGAIN).unwrap_or(arm);
    let arm = arm.split_once('+').map_or(arm, |(arm, _)| arm);
    if let Some((_, family, shape, open)) = LOOKS.iter().find(|(name, ..)| *name == arm) {
        return Look { family, shape, open: *open };
    }
    let family = FAMILIES.iter().find(|(begins, _)| arm.starts_with(begins));
    Look { family: family.map_or("other", |(_, family)| family), shape: "circle", open: false }
}

/// The symbols, once per page.
pub(in crate::report) fn shapes() -> Markup {
    html! { svg.shapes aria-hidden="true" { (symbols(|_| true)) } }
}

/// The symbols that are wanted, for a drawing that stands alone.
pub(in crate::report) fn symbols(is_wanted: impl Fn(&str) -> bool) -> Markup {
    html! {
        @for (name, outline) in SHAPES.iter().filter(|(name, _)| is_wanted(name)) {
            symbol id={ "shape-" (name) } viewBox="-7 -7 14 14" overflow="visible" {
                (PreEscaped(outline))
            }
        }
    }
}

/// The symbol of an arm, wherever the arm is named.
pub(in crate::report) fn glyph(arm: &str) -> Markup {
    let Look { family, shape, open } = look(arm);
    html! {
        svg.glyph.open[open] viewBox="-7 -7 14 14" aria-hidden="true" data-arm=(arm)
            data-family=(family) {
            use href={ "#shape-" (shape) } x="-7" y="-7" width="14" height="14" {}
        }
    }
}

/// An arm's symbol and name.
pub(in crate::report) fn arm_name(arm: &str) -> Markup {
    html! { span.arm-name { (glyph(arm)) (arm) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_has_a_look_of_its_own_and_its_symbol_is_drawn() {
        for (i, (name, _, shape, open)) in LOOKS.iter().enumerate() {
            let twin =
                LOOKS[..i].iter().find(|(_, _, other, hollow)| (other, hollow) == (shape, open));
            assert_eq!(twin, None, "{name}");
            assert!(SHAPES.iter().any(|(known, _)| known == shape), "{name}");
            assert_eq!(look(name), Look { open: *open, ..look(&format!("{name}{AGAIN}")) });
        }
        let symbols = shapes().into_string();
        assert_eq!(symbols.matches("<symbol ").count(), SHAPES.len());
        assert_eq!(symbols.matches('<').count(), symbols.matches('>').count());
    }

    /// The colours of the arm of this row, in light and in dark.
    fn colours(name: &str) -> [&'static str; 2] {
        let style = include_str!("../html/style.css");
        let rule = format!("[data-arm^=\"{name}\"] {{ --arm: light-dark(");
        let found = style.lines().find_map(|line| line.strip_prefix(&rule));
        let pair = found.and_then(|rest| rest.split_once(");")?.0.split_once(", "));
        pair.map(|(light, dark)| [light, dark]).unwrap_or_else(|| panic!("no colour: {name}"))
    }

    /// Relative luminance of WCAG 2.2.
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    #[test]
    fn every_arm_has_a_colour_of_its_own_that_stands_out_from_its_ground() {
        for (i, (name, ..)) in LOOKS.iter().enumerate() {
            // The grounds are those of a card.
            for (colour, ground) in colours(name).into_iter().zip(["#ffffff", "#171b20"]) {
                let mut pair = [luminance(colour) + 0.05, luminance(ground) + 0.05];
                pair.sort_by(f64::total_cmp);
                assert!(pair[1] / pair[0] >= 3.0, "{name}: {colour} on {ground}");
            }
            let twin = LOOKS[..i].iter().find(|(other, ..)| colours(other) == colours(name));
            assert_eq!(twin, None, "{name}");
        }
    }

    #[test]
    fn other_names_look_like_their_kind() {
        assert_eq!(look("jwt-hs256+cache=1").shape, "down");
        let family = |name| look(name).family;
        assert_eq!(family("session@etcd"), "session");
        assert_eq!(family("jwt-denylist@etcd"), "hybrid");
        assert_eq!(family("jwt-ps512"), "token");
        assert_eq!((family("express-session"), look("express-session").shape), ("other", "circle"));
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let name = arm_name("</span><script>\"").into_string();
        assert!(!name.contains("<script") && name.matches("</span>").count() == 1);
        assert!(name.contains("data-arm=\"&lt;/span&gt;&lt;script&gt;&quot;\""));
    }
}
