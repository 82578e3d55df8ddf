//! How users go on when their credential ends while they are at it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::checks::Statuses;
use super::login::Field;
use super::texts::{BodyFormat, CredentialSource, HeaderValues};

/// The name of the hole that stands for the token of a refresh.
pub const REFRESH_TOKEN: &str = "refresh_token";

/// The request that replaces a credential, with a token that the login gave for that. Where the
/// answer has another token, that one counts from then on; otherwise it stays the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// Path of the request, which is a POST.
    pub path: String,
    /// Where the token is in the answer to a login or a refresh. The credential is where the login
    /// has it.
    pub token: CredentialSource,
    /// The field of the body that holds the token; empty where it goes back in a cookie, or where
    /// `headers` or `fields` have it as `{refresh_token}`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// Encoding of the body.
    #[serde(default, skip_serializing_if = "BodyFormat::is_json")]
    pub format: BodyFormat,
    /// Further fields of the body, such as `grant_type`; `{refresh_token}` is replaced too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Field>,
    /// Headers of this request in addition to the target's; `{refresh_token}` is replaced too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, HeaderValues>,
    /// Status of a right answer, 200 by default.
    #[serde(default = "super::ok")]
    pub expect_status: Statuses,
}

impl Refresh {
    /// Whether it is one field of JSON and nothing else.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let is_alone = self.fields.is_empty() && self.headers.is_empty();
        is_alone && self.format.is_json() && !self.field.is_empty()
    }
}

/// When users of a load renew their credential: through the refresh where the target has one, and
/// by a new login where it has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// The statuses that say that a credential has ended, 401 by default.
    #[serde(default = "unauthorized")]
    pub ended: Statuses,
    /// How long a credential lives; absent: the server's refusal tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// How long before its end a credential is renewed, seconds; 0 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ahead: u64,
}

impl Default for Renewal {
    fn default() -> Self {
        Self { ended: unauthorized(), lifetime: None, ahead: 0 }
    }
}

/// How long a credential lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected seconds such as 900, or where an answer says them, such \
                               as \"json:/expires_in\""
)]
pub enum Lifetime {
    /// So many seconds.
    Seconds(u64),
    /// As many seconds as the answer to a login or a refresh says here.
    Said(CredentialSource),
}

fn unauthorized() -> Statuses {
    401.into()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}
