//! The text of tokens: base64url, and JSON objects in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The JSON object in a base64url text.
pub(super) fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&unb64(part)?).ok()
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn unb64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
