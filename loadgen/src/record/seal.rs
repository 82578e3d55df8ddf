//! A file that knows whether it is whole: JSON whose first field is a checksum of all the rest.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Histogram;
use crate::plan::sha256_hex;
use crate::sanitise;

/// How a sealed file begins.
const HEAD: &str = "{\n  \"checksum\": \"";
/// Digits of the checksum.
const DIGITS: usize = 64;

/// What is known of the versions of a file's form.
///
/// The checksum is the SHA-256 of the file's own bytes with that field's value left out, so it
/// needs no canonical form of JSON, and `sed '2s/[0-9a-f]\{64\}//' FILE | sha256sum` tells the
/// same. It finds what a disk or an editor did to a file; it is no signature, and does not keep
/// anyone from writing another. Files of schema 1 have none.
pub(super) struct Form {
    /// Versions that can be read.
    pub(super) known: RangeInclusive<u32>,
    /// The first version that has a checksum.
    pub(super) sealed_from: u32,
}

/// Why a file cannot be used.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It is not what was written: a sentence that goes on after the file's name.
    Broken(String),
    /// It is of a form that this program does not know; the sentence likewise.
    Unknown(String),
}

#[derive(Serialize)]
struct Sealed<'a, T> {
    checksum: &'a str,
    #[serde(flatten)]
    value: &'a T,
}

/// The bytes of a sealed file.
///
/// # Errors
/// When the value has no form in JSON.
pub(super) fn seal(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let text = serde_json::to_string_pretty(&Sealed { checksum: "", value })?;
    let mut bytes = format!("{}\n", sanitise::json(&text)).into_bytes();
    let checksum = sha256_hex(&bytes);
    bytes.splice(HEAD.len()..HEAD.len(), checksum.bytes());
    Ok(bytes)
}

/// Reads a file of this form.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], form: &Form) -> Result<T, Fault> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
        checksum: Option<String>,
    }
    let broken = |why: String| Fault::Broken(why);
    let text = std::str::from_utf8(bytes)
        .map_err(|e| broken(format!("is no complete result of authbench: {e}")))?;
    let sealed = text.strip_prefix(HEAD).and_then(|rest| rest.split_at_checked(DIGITS));
    if let Some((checksum, rest)) = sealed
        && sha256_hex(&[HEAD, rest].concat().into_bytes()) != checksum
    {
        let why = "is not what was written: its checksum does not match its content";
        return Err(broken(why.into()));
    }
    let Version { schema, checksum } = serde_json::from_str(text)
        .map_err(|e| broken(format!("is no complete result of authbench: {e}")))?;
    if !form.known.contains(&schema) {
        return Err(Fault::Unknown(format!(
            "has schema {schema}, and this authbench reads schema {}; use the version of authbench \
             that wrote it",
            versions(&form.known)
        )));
    }
    if sealed.is_none() && (schema >= form.sealed_from || checksum.is_some()) {
        let why = "is not what was written: its checksum is not where it belongs";
        return Err(broken(why.into()));
    }
    let broken = |e: &serde_json::Error| {
        // It quotes what it does not understand.
        let found = sanitise::fit(&e.to_string(), sanitise::REMARK);
        Fault::Broken(format!("is no result of authbench: {found}"))
    };
    let mut value: Value = serde_json::from_str(text).map_err(|e| broken(&e))?;
    // Anyone who can write the file can write a checksum too: what it says is from outside.
    let is_data = |text: &str| text.len() > sanitise::REMARK && Histogram::is_one(text);
    sanitise::statements(&mut value, &is_data);
    serde_json::from_value(value).map_err(|e| broken(&e))
}

fn versions(known: &RangeInclusive<u32>) -> String {
    let (first, last) = (known.start(), known.end());
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Thing {
        schema: u32,
        name: String,
        share: f64,
    }

    const FORM: Form = Form { known: 1..=2, sealed_from: 2 };

    fn thing(schema: u32) -> Thing {
        Thing { schema, name: "süß \"}".into(), share: 0.1 + 0.2 }
    }

    #[test]
    fn what_is_sealed_reads_back() {
        let bytes = seal(&thing(2)).unwrap();
        assert_eq!(read::<Thing>(&bytes, &FORM), Ok(thing(2)));
        // What the header says of `sed` and `sha256sum`.
        let text = String::from_utf8(bytes).unwrap();
        let line = text.lines().nth(1).unwrap();
        let checksum = line.split('"').nth(3).unwrap();
        assert_eq!(sha256_hex(text.replacen(checksum, "", 1).as_bytes()), checksum);
    }

    #[test]
    fn what_a_file_says_is_fit_to_be_shown_and_its_data_are_whole() {
        let mut hostile = thing(2);
        hostile.name = format!("\u{1b}[2J\n\u{202e}{}", "x".repeat(70_000));
        let bytes = seal(&hostile).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(sanitise::document(&text), text, "nor does the file drive a terminal");
        let name = read::<Thing>(&bytes, &FORM).unwrap().name;
        assert!(name.starts_with("\\u{1b}[2J\\n\\u{202e}xxx"), "{name}");
        assert!(sanitise::width(&name) <= sanitise::REMARK && name.ends_with(" more)"), "{name}");

        let mut histogram = Histogram::new();
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 1_000_000_000_000;
        (0..5_000).for_each(|n| histogram.record(spread(n)));
        let data = String::from(histogram);
        assert!(data.len() > sanitise::REMARK);
        let bytes = seal(&Thing { name: data.clone(), ..thing(2) }).unwrap();
        assert_eq!(read::<Thing>(&bytes, &FORM).unwrap().name, data);
    }

    /// Fault 29: every prefix and byte of a record.
    #[test]
    fn no_prefix_and_no_changed_byte_is_taken_for_the_whole() {
        let whole = seal(&thing(2)).unwrap();
        for end in 0..whole.len() {
            let found = read::<Thing>(&whole[..end], &FORM);
            assert!(matches!(found, Err(Fault::Broken(_))), "{end}: {found:?}");
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = whole.clone();
                changed[at] ^= flip;
                let found = read::<Thing>(&changed, &FORM);
                assert!(matches!(found, Err(Fault::Broken(_))), "{at} ^ {flip:x}: {found:?}");
            }
        }
    }

    #[test]
    fn the_first_version_has_no_checksum_and_a_later_one_must() {
        let plain = |schema| serde_json::to_vec_pretty(&thing(schema)).unwrap();
        assert_eq!(read::<Thing>(&plain(1), &FORM), Ok(thing(1)));
        assert!(matches!(read::<Thing>(&plain(2), &FORM), Err(Fault::Broken(_))));
        let sealed = String::from_utf8(seal(&thing(2)).unwrap()).unwrap();
        let reformatted = sealed.replace("\n  ", "\n ");
        assert!(matches!(read::<Thing>(reformatted.as_bytes(), &FORM), Err(Fault::Broken(_))));
        let older = reformatted.replace("\"schema\": 2", "\"schema\": 1");
        assert!(matches!(read::<Thing>(older.as_bytes(), &FORM), Err(Fault::Broken(_))));
        for newer in [plain(3), seal(&thing(3)).unwrap()] {
            let found = read::<Thing>(&newer, &FORM);
            assert!(matches!(&found, Err(Fault::Unknown(why)) if why.contains("schema 3")));
        }
    }
}
