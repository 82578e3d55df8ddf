//! What a session in Redis holds: the facts themselves, or something that says them.

use super::value::{decode_data, encode_data};
use crate::stores::{Found, SessionData};

/// How what a session is about is written into its value.
///
/// It begins with the user's number in four bytes, big-endian, by which scripts keep the user's
/// index.
pub trait Inside: Send + Sync + 'static {
    /// Appends it to a value that has its head.
    ///
    /// # Errors
    /// Why it cannot be made, in a few words.
    fn write(&self, data: &SessionData, to: &mut Vec<u8>) -> Result<(), &'static str>;

    /// Reads what stands behind the head of a value.
    fn read(&self, value: &[u8]) -> Found;

    /// What a reader of figures should know of it.
    fn note(&self) -> Option<String>;
}

/// The facts and the cart, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Inside for Plain {
    fn write(&self, data: &SessionData, to: &mut Vec<u8>) -> Result<(), &'static str> {
        encode_data(data, to);
        Ok(())
    }

    fn read(&self, value: &[u8]) -> Found {
        decode_data(value).map_or(Found::Unreadable, Found::Data)
    }

    fn note(&self) -> Option<String> {
        None
    }
}
