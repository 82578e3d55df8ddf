//! A share on its way: as a file of the agent's disk, and in parts that an engine takes.

use serde::{Deserialize, Serialize};

use super::bus::Bus;
use crate::engine::Share;
use crate::error::{Error, Result};
use crate::plan::sha256_hex;

/// Bytes of a part: engines take messages of 1 MiB unless told otherwise.
const PART_BYTES: usize = 256 << 10;

/// A share, and which one it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Parcel {
    pub(super) run: String,
    pub(super) index: u32,
    /// The hash of the orders that it was carried under.
    pub(super) orders: String,
    pub(super) share: Share,
}

/// One part of the text of a parcel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    part: usize,
    of: usize,
    /// SHA-256 of the whole text.
    sha256: String,
    text: String,
}

impl Parcel {
    /// Its text, which is what its file holds.
    pub(super) fn text(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::Bug(format!("a share cannot be written: {e}")))
    }

    /// Reads a text of this run, agent and load; a clause says what is wrong with it.
    pub(super) fn read(text: &str, run: &str, orders: &str) -> Result<Self, String> {
        let parcel: Self =
            serde_json::from_str(text).map_err(|e| format!("it is no share: {e}"))?;
        if parcel.run != run {
            return Err(format!("it is of run `{}`", parcel.run));
        }
        if parcel.orders != orders {
            return Err("it is of another load".into());
        }
        Ok(parcel)
    }
}

/// The file that an agent keeps its share in.
pub(super) fn file_name(run: &str, index: u32) -> String {
    format!("authbench-{run}-{index}.share.json")
}

/// The messages that carry a text. JSON is ASCII but for names of steps, which may be cut nowhere
/// but between characters.
pub(super) fn parts(text: &str) -> Vec<Vec<u8>> {
    let sha256 = sha256_hex(text.as_bytes());
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = rest.len().min(PART_BYTES);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, behind) = rest.split_at(end);
        pieces.push(piece);
        rest = behind;
    }
    let of = pieces.len();
    let part = |(part, piece): (usize, &&str)| {
        let part = Part { part, of, sha256: sha256.clone(), text: (*piece).to_string() };
        serde_json::to_vec(&part).unwrap_or_default()
    };
    pieces.iter().enumerate().map(part).collect()
}

/// The text that an engine keeps of an agent's share; `None` where it is not there, or not yet
/// whole. A clause says what is wrong with it.
pub(super) fn fetch(bus: &Bus, index: u32) -> Result<Option<String>, String> {
    let mut text = String::new();
    let mut next = 0;
    loop {
        let Some(bytes) = bus.kept(&format!("share.{index}.{next}"))? else { return Ok(None) };
        let part: Part =
            serde_json::from_slice(&bytes).map_err(|e| format!("a part cannot be read: {e}"))?;
        if part.part != next || part.of <= next {
            return Err("its parts do not follow each other".into());
        }
        text += &part.text;
        next += 1;
        if next == part.of {
            let whole = sha256_hex(text.as_bytes()) == part.sha256;
            return if whole { Ok(Some(text)) } else { Err("it was changed on its way".into()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_text_in_order() {
        let text = "aä€".repeat(PART_BYTES / 3);
        let parts = parts(&text);
        assert!(parts.len() > 1);
        let read: Vec<Part> =
            parts.iter().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect();
        assert!(parts.iter().all(|bytes| bytes.len() < 1 << 20));
        assert!(read.iter().enumerate().all(|(n, part)| part.part == n && part.of == read.len()));
        assert_eq!(read.iter().map(|part| part.text.as_str()).collect::<String>(), text);
    }

    #[test]
    fn a_share_of_another_run_or_load_is_refused() {
        let share = Share::default();
        let parcel = Parcel { run: "r".into(), index: 1, orders: "o".into(), share };
        let text = parcel.text().unwrap();
        assert_eq!(Parcel::read(&text, "r", "o").unwrap(), parcel);
        assert!(Parcel::read(&text, "s", "o").unwrap_err().contains("run `r`"));
        assert!(Parcel::read(&text, "r", "p").unwrap_err().contains("another load"));
        assert!(Parcel::read("{", "r", "o").unwrap_err().contains("no share"));
    }
}
