//! What an issuer is told when it starts.

use serde::{Deserialize, Serialize};

/// The file that an issuer reads, which only its own user may.
///
/// It holds the private keys and the secret of the one client, the server. Neither is ever in a
/// command line or an environment, and who reads the file removes it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// The port of the loopback address.
    pub(super) port: u16,
    /// What the client shows (RFC 6749, 2.3.1).
    pub(super) secret: String,
    /// The keys that tokens are signed with, as key files, the current one first; none where the
    /// issuer only has opaque tokens.
    pub(super) keys: Vec<Vec<u8>>,
}
