//! Edits of a token's header and claims, as data.

use serde_json::{Map, Value};

/// A change of a JSON object. In its texts `{NAME}` stands for the value that the good token has
/// there, and `{now-4}` for that moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// Nothing.
    None,
    /// This member has this value (JSON as it stands), whether it existed or not.
    Set(&'static str, &'static str),
    /// This member is removed.
    Without(&'static str),
    /// This text stands behind the last member.
    Add(&'static str),
    /// This text stands behind the object.
    Behind(&'static str),
    /// This text stands before the object.
    Before(&'static str),
    /// This text replaces the object.
    All(&'static str),
    /// This member has a value nested ten thousand deep.
    Deep(&'static str),
    /// This member has a string of so many characters.
    Long(&'static str, usize),
    /// This member's text contains a byte that is not UTF-8.
    Bytes(&'static str),
}

impl Edit {
    /// The registered claim that it is about, where it is about one.
    pub(super) fn claim(self) -> Option<&'static str> {
        let named = |text: &'static str| text.split('"').nth(1).unwrap_or_default();
        let name = match self {
            Self::Set(name, _) | Self::Without(name) | Self::Long(name, _) | Self::Bytes(name) => {
                name
            }
            Self::Add(text) => named(text),
            _ => return None,
        };
        ["exp", "nbf", "iat", "iss", "aud", "sub"].into_iter().find(|claim| *claim == name)
    }

    /// The object with the change, as text.
    pub(super) fn apply(self, object: &Map<String, Value>, now: u64) -> Vec<u8> {
        let member = |name: &str, json: &str| format!("\"{name}\":{json}");
        let set = |name: &str, json: &str| {
            let mut members: Vec<_> =
                object.iter().filter(|(key, _)| *key != name).map(text_of).collect();
            members.push(member(name, json));
            format!("{{{}}}", members.join(","))
        };
        let whole = || format!("{{{}}}", object.iter().map(text_of).collect::<Vec<_>>().join(","));
        let text = match self {
            Self::None => whole(),
            Self::Set(name, json) => set(name, &filled(json, object, now)),
            Self::Without(name) => {
                let members: Vec<_> =
                    object.iter().filter(|(key, _)| *key != name).map(text_of).collect();
                format!("{{{}}}", members.join(","))
            }
            Self::Add(text) => {
                let whole = whole();
                format!("{},{}}}", &whole[..whole.len() - 1], filled(text, object, now))
            }
            Self::Behind(text) => whole() + text,
            Self::Before(text) => text.to_string() + &whole(),
            Self::All(text) => text.into(),
            Self::Deep(name) => set(name, &"[".repeat(10_000)),
            Self::Long(name, length) => set(name, &format!("\"{}\"", "7".repeat(length))),
            Self::Bytes(name) => {
                let text = set(name, "\"a\u{1}b\"").into_bytes();
                return text.into_iter().map(|b| if b == 1 { 0xff } else { b }).collect();
            }
        };
        text.into_bytes()
    }
}

fn text_of((name, value): (&String, &Value)) -> String {
    format!("{}:{value}", Value::from(name.as_str()))
}

/// The text with its moments and the good token's values filled in.
fn filled(text: &str, object: &Map<String, Value>, now: u64) -> String {
    let in_words = object.get("exp").is_some_and(Value::is_string);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Values come from the server and may contain such names, so filled-in text is not read again:
    // values that name each other would grow without end.
    while let Some((before, behind)) = rest.split_once('{') {
        out.push_str(before);
        let named = behind.split_once('}').and_then(|(name, behind)| {
            let value = moment(name, in_words, now).or_else(|| {
                object.get(name).map(|value| value.as_str().unwrap_or_default().to_owned())
            });
            Some((value?, behind))
        });
        match named {
            Some((value, behind)) => {
                out.push_str(&value);
                rest = behind;
            }
            None => {
                out.push('{');
                rest = behind;
            }
        }
    }
    out + rest
}

/// The moment of this name as JSON: a token says its moments in seconds, or in texts.
fn moment(name: &str, in_words: bool, now: u64) -> Option<String> {
    let seconds = match name {
        "now-3600" => now.saturating_sub(3600),
        "now-4" => now.saturating_sub(4),
        "now+60" => now + 60,
        "now+3600" => now + 3600,
        "now+864000" => now + 864_000,
        _ => return None,
    };
    Some(if in_words { format!("\"{}\"", utc(seconds)) } else { seconds.to_string() })
}

/// A moment as RFC 3339 has it (days to a date: Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    format!(
        "{:04}-{month:02}-{:02}T{:02}:{:02}:{:02}+00:00",
        year + era * 400 + u64::from(month <= 2),
        of_year - (153 * shifted + 2) / 5 + 1,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_change_what_they_name_and_nothing_else() {
        let object = serde_json::from_str(r#"{"iss":"me","exp":7}"#).unwrap();
        for (edit, expected) in [
            (Edit::None, r#"{"iss":"me","exp":7}"#),
            (Edit::Set("exp", "{now-4}"), r#"{"iss":"me","exp":996}"#),
            (Edit::Set("new", "null"), r#"{"iss":"me","exp":7,"new":null}"#),
            (Edit::Set("iss", r#"["{iss}"]"#), r#"{"exp":7,"iss":["me"]}"#),
            (Edit::Without("iss"), r#"{"exp":7}"#),
            (Edit::Add(r#""exp":8"#), r#"{"iss":"me","exp":7,"exp":8}"#),
            (Edit::Behind("{}"), r#"{"iss":"me","exp":7}{}"#),
            (Edit::All("[]"), "[]"),
            (Edit::Long("iss", 3), r#"{"exp":7,"iss":"777"}"#),
        ] {
            assert_eq!(String::from_utf8(edit.apply(&object, 1000)).unwrap(), expected);
        }
        let grows = serde_json::from_str(r#"{"a":"{b}{b}","b":"{c}{c}","c":"{a}"}"#).unwrap();
        let text = Edit::Set("new", r#"["{a}", {}, "{d}"]"#).apply(&grows, 1000);
        assert!(text.ends_with(br#","new":["{b}{b}", {}, "{d}"]}"#));
        let texts = serde_json::from_str(r#"{"exp":"2027-01-01T00:00:00+00:00"}"#).unwrap();
        let text = Edit::Set("exp", "{now+60}").apply(&texts, 951_782_340);
        assert_eq!(text, br#"{"exp":"2000-02-29T00:00:00+00:00"}"#);
        let bytes = Edit::Bytes("iss").apply(&object, 1000);
        assert!(String::from_utf8(bytes).is_err());
    }
}
