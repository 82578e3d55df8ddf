//! How the requests of a load went out: a fact that its latencies cannot be read without.

use serde::{Deserialize, Serialize};

use super::doubt::Doubt;

/// How requests went out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClientUse {
    /// The transport: `lean` or `reqwest`.
    pub transport: String,
    /// The versions of HTTP that answers came in, `1.1` for example; `None` in records that are
    /// older than this field.
    pub http: Option<String>,
    /// Whether the server's certificate was checked; `None` for plain connections.
    pub verified: Option<bool>,
    /// Requests that were sent again, because the server said that it had not processed them
    /// (RFC 9113, 8.7); those of logins and warm-up included.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub resent: u64,
    /// The share of requests that may end with their connection before the figures are invalid,
    /// millionths.
    #[serde(default = "transport_errors_ppm", skip_serializing_if = "is_usual")]
    pub transport_errors_ppm: u32,
}

/// What a record says that is older than the field.
const fn transport_errors_ppm() -> u32 {
    TRANSPORT_ERRORS_PPM
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_usual(ppm: &u32) -> bool {
    *ppm == TRANSPORT_ERRORS_PPM
}

/// The share of requests that may end with their connection unless a target says otherwise.
pub(super) const TRANSPORT_ERRORS_PPM: u32 = 1000;

impl Default for ClientUse {
    /// What records say that are older than these fields.
    fn default() -> Self {
        Self {
            transport: "lean".into(),
            http: None,
            verified: None,
            resent: 0,
            transport_errors_ppm: TRANSPORT_ERRORS_PPM,
        }
    }
}

impl ClientUse {
    /// Adds how requests of others went out, through the same transport to the same target.
    pub fn merge(&mut self, other: &Self) {
        if self.http.is_none() {
            self.http.clone_from(&other.http);
        }
        self.resent += other.resent;
    }

    pub(super) fn doubt(&self) -> Option<Doubt> {
        (self.verified == Some(false)).then(|| {
            Doubt::caution(
                "certificate_unchecked",
                "no certificate was checked: another server may have answered",
                "name its issuer with --ca FILE in place of --insecure",
            )
        })
    }

    /// What was used, in words.
    pub fn label(&self) -> String {
        let mut text = self.transport.clone();
        if let Some(http) = &self.http {
            text += &format!(", HTTP/{http}");
        }
        match self.verified {
            None => {}
            Some(true) => text += " over TLS",
            Some(false) => text += " over TLS, certificate not checked",
        }
        text
    }
}
