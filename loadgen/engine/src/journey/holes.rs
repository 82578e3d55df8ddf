//! Braces in a descriptor's texts that are no hole: what they were most likely meant to be.

/// The holes of a target whose users are no file.
pub(super) const HOLES: [&str; 5] = ["n", "username", "password", "csrf", "credential"];
/// How alike a name and a hole have to be for the one to be meant by the other.
const ALIKE: f64 = 0.75;

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a path and query, which have no braces of their own (RFC 3986, 2).
    Path,
    /// In a header, a field or a check.
    Text,
    /// In a body, which may be in a language of braces: only what is all but a hole is refused.
    Body,
}

/// Refuses a text with a brace that was meant for a hole and does not make one.
pub(super) fn check(text: &str, holes: &[&str], place: Place) -> Result<(), String> {
    for (at, _) in text.match_indices('{') {
        let (before, inside) = (&text[..at], &text[at + 1..]);
        let name = inside.split_once('}').map_or("", |(name, _)| name);
        let is_hole = holes.contains(&name);
        let doubled = before.ends_with('{') && inside[name.len()..].starts_with("}}");
        let wrong = match place {
            _ if is_hole && doubled => true,
            // Without a column of that name there is nothing to fill it with.
            _ if HOLES.contains(&name) && !is_hole => true,
            Place::Path => !is_hole && !inside.starts_with('{') || before.ends_with('$'),
            Place::Text => !is_hole && is_word(name.trim()),
            Place::Body => !is_hole && is_slip_of(name.trim(), holes),
        };
        if wrong {
            return Err(refusal(text, name, holes, place));
        }
    }
    Ok(())
}

fn is_word(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    !name.is_empty() && name.chars().all(fits)
}

/// Whether a name is a hole's but for its case, spaces around it, or one letter.
fn is_slip_of(name: &str, holes: &[&str]) -> bool {
    let lower = name.to_lowercase();
    let is_near =
        |hole: &&str| lower == **hole || hole.len() > 2 && strsim::osa_distance(&lower, hole) == 1;
    holes.iter().any(is_near)
}

fn refusal(text: &str, name: &str, holes: &[&str], place: Place) -> String {
    let known: Vec<_> = holes.iter().map(|hole| format!("{{{hole}}}")).collect();
    let lower = name.trim().to_lowercase();
    let alike = holes.iter().map(|hole| (strsim::jaro_winkler(&lower, hole), *hole));
    let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(alike, _)| *alike >= ALIKE);
    let remedy = match (nearest, place) {
        (Some((_, hole)), _) => format!("did you mean {{{hole}}}?"),
        (None, Place::Path) => "a brace itself is written %7B in a path".into(),
        (None, _) => "a word in braces must be one of them".into(),
    };
    format!("expected {} in `{text}`, found `{{{name}}}`; {remedy}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brace_that_was_meant_for_a_hole_is_refused() {
        for (text, place, meant) in [
            ("/{user}", Place::Path, "did you mean {username}?"),
            ("/{Username}", Place::Path, "did you mean {username}?"),
            ("/${n}", Place::Path, "did you mean {n}?"),
            ("/{{n}}", Place::Path, "did you mean {n}?"),
            ("/{}", Place::Path, "%7B"),
            ("/a{", Place::Path, "%7B"),
            ("{token}", Place::Text, "a word in braces"),
            ("{ n }", Place::Text, "did you mean {n}?"),
            ("{\"u\":\"{usrname}\"}", Place::Body, "did you mean {username}?"),
            ("u={{username}}", Place::Body, "did you mean {username}?"),
        ] {
            let refused = check(text, &HOLES, place).expect_err(text);
            assert!(refused.contains(meant), "{text}: {refused}");
        }
        for (text, place) in [
            ("/{n}/{username}?t={csrf}", Place::Path),
            ("Bearer {credential}", Place::Text),
            ("{\"a\":1}", Place::Text),
            ("{\"n\":{n},\"b\":{\"c\":{n}}}", Place::Body),
            ("query { user(id: {n}) {name} }", Place::Body),
            ("{viewer{login}}", Place::Body),
        ] {
            assert_eq!(check(text, &HOLES, place), Ok(()), "{text}");
        }
        assert!(check("{username}", &["n"], Place::Body).is_err());
    }
}
