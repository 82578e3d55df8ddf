//! The requests of a login of several, and what the bodies of logins hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checks::{Check, Statuses};
use super::texts::{BodyFormat, CredentialSource, HeaderValues};

/// One request of a login that takes several. Users make them in order, each with the cookies that
/// the answers so far set; the answer to the last one gives the credential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginStep {
    /// What reports and messages call it.
    #[serde(default = "name")]
    pub name: String,
    /// HTTP method; POST by default where something is sent, else GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path and query, with replacements as in `headers`.
    pub path: String,
    /// Headers in addition to the target's; what users are called and what steps before it
    /// captured is replaced.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Encoding of what is sent.
    #[serde(default, skip_serializing_if = "BodyFormat::is_json")]
    pub format: BodyFormat,
    /// Fields of the body, with the same replacements.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Field>,
    /// The body as text, in place of fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Status of a right answer, 200 by default; that of the last one where redirects are
    /// followed.
    #[serde(default = "super::ok")]
    pub expect_status: Statuses,
    /// How one sees that an answer is right; absent: the status alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Values in the answer that the requests after it send, by the names of their holes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub capture: BTreeMap<String, CredentialSource>,
    /// How many redirects are followed, on the same host; 0 by default.
    #[serde(default, skip_serializing_if = "none")]
    pub redirects: u8,
}

impl LoginStep {
    /// All texts of it in which values may be replaced.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.path.as_str()];
        texts.extend(self.headers.values().flat_map(HeaderValues::all).map(String::as_str));
        texts.extend(self.body.as_deref());
        texts.extend(self.check.iter().flat_map(Check::texts));
        for (name, field) in &self.fields {
            texts.push(name);
            field.add_texts(&mut texts);
        }
        texts
    }
}

/// What a field of a body is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text, a number, a boolean, a list or a table")]
pub enum Field {
    /// A text, with replacements.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// Several of them; a form repeats the field.
    List(Vec<Field>),
    /// An object of JSON; a form cannot hold one.
    Table(BTreeMap<String, Field>),
}

impl Field {
    /// All texts in it in which values may be replaced.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        self.add_texts(&mut texts);
        texts
    }

    fn add_texts<'a>(&'a self, texts: &mut Vec<&'a str>) {
        match self {
            Self::Text(text) => texts.push(text),
            Self::Flag(_) | Self::Whole(_) | Self::Number(_) => {}
            Self::List(fields) => fields.iter().for_each(|field| field.add_texts(texts)),
            Self::Table(fields) => {
                for (name, field) in fields {
                    texts.push(name);
                    field.add_texts(texts);
                }
            }
        }
    }
}

impl From<&str> for Field {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn none(number: &u8) -> bool {
    *number == 0
}

fn name() -> String {
    "login".into()
}
