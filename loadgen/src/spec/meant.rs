//! What a misspelt name was most likely meant to be.

/// How alike two names have to be for the one to be meant by the other.
const ALIKE: f64 = 0.75;

/// The one of these names that is most like what was found, if it is like it at all.
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let alike = known.into_iter().map(|name| (strsim::jaro_winkler(found, name), name));
    let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(alike, _)| *alike >= ALIKE);
    nearest.map(|(_, name)| name)
}

/// A question to add to the message about an unknown field, ` did you mean ...?`; empty where no
/// field is like it or the message is about something else.
pub(super) fn meant(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let [found, known @ ..] = quoted.as_slice() else { return String::new() };
    match nearest(found, known.iter().copied()) {
        Some(name) if message.starts_with("unknown ") => format!("; did you mean `{name}`?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn only_an_unknown_field_that_is_like_a_known_one_was_meant() {
        let unknown = "unknown field `paht`, expected one of `path`, `name`";
        assert_eq!(meant(unknown), "; did you mean `path`?");
        assert_eq!(meant("unknown field `xyz`, expected `path` or `name`"), "");
        assert_eq!(meant("missing field `path`"), "");
        assert_eq!(meant("invalid type: string \"path\", expected u64"), "");
    }
}
