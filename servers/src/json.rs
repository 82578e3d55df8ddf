//! Reading JSON objects, and objects only. serde reads a struct from an array too, field by field:
//! `["user-7", "secret"]` would log in, and a token's claims could be a list. All input of a client
//! is read through this.

use serde::Deserialize;

/// The value that this object says; `None` where the text is not JSON, not an object, or says
/// another.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Option<T> {
    let first = text.trim_ascii_start().first();
    if first == Some(&b'{') { serde_json::from_slice(text).ok() } else { None }
}
