//! Which answers are right: their status, and what is in them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The statuses that a right answer may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Statuses {
    first: u16,
    others: Vec<u16>,
}

/// Statuses as they are written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a status such as 200, or a list of them")]
enum Written {
    One(u16),
    Several(Vec<u16>),
}

impl Statuses {
    /// These statuses, in the order in which messages name them.
    ///
    /// # Errors
    /// Which of them no final answer has, or that the list is empty.
    pub fn new(all: &[u16]) -> Result<Self, String> {
        let Some((first, others)) = all.split_first() else {
            return Err("expected a status such as 200, found an empty list".into());
        };
        match all.iter().find(|status| !(200..=999).contains(*status)) {
            Some(status) => Err(format!("expected a final status, from 200 on; found {status}")),
            None => Ok(Self { first: *first, others: others.to_vec() }),
        }
    }

    /// Whether a right answer may have this status.
    #[must_use]
    pub fn accept(&self, status: u16) -> bool {
        self.first == status || self.others.contains(&status)
    }
}

impl From<u16> for Statuses {
    fn from(status: u16) -> Self {
        Self { first: status, others: Vec::new() }
    }
}

impl TryFrom<Written> for Statuses {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::One(status) => Self::new(&[status]),
            Written::Several(all) => Self::new(&all),
        }
    }
}

impl From<Statuses> for Written {
    fn from(statuses: Statuses) -> Self {
        if statuses.others.is_empty() {
            Self::One(statuses.first)
        } else {
            Self::Several([vec![statuses.first], statuses.others].concat())
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.others.iter().try_for_each(|status| write!(f, " or {status}"))
    }
}

/// What is in a right answer; all that is said has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// JSON pointer (RFC 6901) to a string, a number or a boolean, `/user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// What is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<Expected>,
    /// A text that is somewhere in the body, `{n}` and `{username}` replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
}

/// A value in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text, a whole number or a boolean")]
pub enum Expected {
    /// A string or a number with this text, `{n}` and `{username}` replaced.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A string or a number with these digits.
    Number(i64),
}

impl Check {
    /// A check that this pointer leads to a string or a number with this text.
    #[must_use]
    pub fn json(pointer: impl Into<String>, text: impl Into<String>) -> Self {
        let equals = Some(Expected::Text(text.into()));
        Self { json: Some(pointer.into()), equals, contains: None }
    }

    /// The texts in it in which values are replaced.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let equals = match &self.equals {
            Some(Expected::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        equals.into_iter().chain(self.contains.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(text: &str) -> Result<Statuses, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn one_status_or_several_are_accepted() {
        for (text, shown, right, wrong) in [
            ("200", "200", vec![200], 201),
            ("[200, 304]", "200 or 304", vec![200, 304], 302),
            ("[204]", "204", vec![204], 200),
        ] {
            let read = statuses(text).unwrap();
            assert_eq!(read.to_string(), shown);
            assert!(right.iter().all(|status| read.accept(*status)) && !read.accept(wrong));
            let again = statuses(&serde_json::to_string(&read).unwrap());
            assert_eq!(again, Ok(read));
        }
        for (text, why) in [
            ("[]", "an empty list"),
            ("[200, 20]", "found 20"),
            ("100", "found 100"),
            ("\"200\"", "or a list of them"),
            ("-1", "or a list of them"),
        ] {
            let refused = statuses(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
