//! The small texts of a descriptor: where a value is, how it is carried, headers and encodings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The value of a header, or several, each in a field of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HeaderValues {
    /// One field.
    One(String),
    /// A field for each, in this order. Cookies share one field anyway.
    Several(Vec<String>),
}

impl HeaderValues {
    /// The values in order.
    pub fn all(&self) -> std::slice::Iter<'_, String> {
        match self {
            Self::One(value) => std::slice::from_ref(value).iter(),
            Self::Several(values) => values.iter(),
        }
    }
}

impl From<&str> for HeaderValues {
    fn from(value: &str) -> Self {
        Self::One(value.into())
    }
}

/// Encoding of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// `application/json`; a login's is an object.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Anything else: nothing that fills it is escaped, and `headers` say what it is.
    Raw,
}

impl BodyFormat {
    /// Whether it is the default.
    #[must_use]
    pub const fn is_json(&self) -> bool {
        matches!(self, Self::Json)
    }
}

/// Where a credential or a token is in an answer: `cookie:NAME`, `json:/pointer`, `header:NAME`,
/// `html:NAME` or `regex:PATTERN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CredentialSource {
    /// Value of the cookie of this name in `Set-Cookie`.
    Cookie(String),
    /// Text at this JSON pointer in the body.
    Json(String),
    /// Value of this header.
    Header(String),
    /// In an HTML page: the value of the input, or the content of the meta element, of this name.
    Html(String),
    /// In a body of text: what the first group of this pattern matches, or all of it without one.
    Regex(String),
}

/// How a request carries a credential: `cookie:NAME` or `header:NAME: TEMPLATE`, where
/// `{credential}` in the template is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CredentialCarrier {
    /// `Cookie: NAME=credential`.
    Cookie(String),
    /// `name: prefix credential suffix`.
    Header {
        /// Header name.
        name: String,
        /// Header value with `{credential}` in it.
        template: String,
    },
}

/// A descriptor's text that has none of the forms it may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found `{found}`")]
pub struct ContractError {
    /// The forms that are understood.
    pub expected: &'static str,
    /// What stood there.
    pub found: String,
}

const SOURCE_FORMS: &str =
    "`cookie:NAME`, `json:/pointer`, `header:NAME`, `html:NAME` or `regex:PATTERN`";
const CARRIER_FORMS: &str = "`cookie:NAME` or `header:NAME: text with {credential}`";

impl FromStr for CredentialSource {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, ContractError> {
        match text.split_once(':') {
            Some(("cookie", name)) if !name.is_empty() => Ok(Self::Cookie(name.into())),
            Some(("json", pointer)) if pointer.starts_with('/') => Ok(Self::Json(pointer.into())),
            Some(("header", name)) if !name.is_empty() => Ok(Self::Header(name.into())),
            Some(("html", name)) if !name.is_empty() => Ok(Self::Html(name.into())),
            Some(("regex", pattern)) if !pattern.is_empty() => Ok(Self::Regex(pattern.into())),
            _ => Err(ContractError { expected: SOURCE_FORMS, found: text.into() }),
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Html(name) => write!(f, "html:{name}"),
            Self::Regex(pattern) => write!(f, "regex:{pattern}"),
        }
    }
}

impl FromStr for CredentialCarrier {
    type Err = ContractError;

    fn from_str(text: &str) -> Result<Self, ContractError> {
        let refuse = || ContractError { expected: CARRIER_FORMS, found: text.into() };
        match text.split_once(':') {
            Some(("cookie", name)) if !name.is_empty() => Ok(Self::Cookie(name.into())),
            Some(("header", rest)) => {
                let (name, template) = rest.split_once(':').ok_or_else(refuse)?;
                let template = template.trim_start();
                if name.is_empty() || !template.contains("{credential}") {
                    return Err(refuse());
                }
                Ok(Self::Header { name: name.into(), template: template.into() })
            }
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for CredentialCarrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header { name, template } => write!(f, "header:{name}: {template}"),
        }
    }
}

impl TryFrom<String> for CredentialSource {
    type Error = ContractError;
    fn try_from(text: String) -> Result<Self, ContractError> {
        text.parse()
    }
}

impl TryFrom<String> for CredentialCarrier {
    type Error = ContractError;
    fn try_from(text: String) -> Result<Self, ContractError> {
        text.parse()
    }
}

impl From<CredentialSource> for String {
    fn from(source: CredentialSource) -> Self {
        source.to_string()
    }
}

impl From<CredentialCarrier> for String {
    fn from(carrier: CredentialCarrier) -> Self {
        carrier.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_carriers_read_back_what_they_print() {
        for text in [
            "cookie:__Host-session",
            "json:/access_token",
            "header:X-Token",
            "html:_csrf",
            "regex:code=([^&]+)",
        ] {
            assert_eq!(text.parse::<CredentialSource>().unwrap().to_string(), text);
        }
        for text in ["cookie:sid", "header:Authorization: Bearer {credential}"] {
            assert_eq!(text.parse::<CredentialCarrier>().unwrap().to_string(), text);
        }
    }
}
