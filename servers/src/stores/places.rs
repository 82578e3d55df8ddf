//! The stores that are outside of this process's memory, and what each needs from the machine.

use super::{Place, own, postgres, redis};

/// What an issuer of tokens is called as a store (`schemes::issuer`).
pub const ISSUER: &str = "issuer";

const SQLITE: Place = Place { store: "sqlite", url: "sqlite:PATH", program: None, is_file: true };
const AT_ISSUER: Place =
    Place { store: ISSUER, url: "http://[CLIENT:SECRET@]HOST:PORT", program: None, is_file: false };

/// Every store that is at a place of its own.
pub const PLACES: &[Place] = &[SQLITE, redis::PLACE, postgres::PLACE, AT_ISSUER];

/// The place of this store, where it has one.
#[must_use]
pub fn place(store: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.store == store)
}

/// The program that this store needs and this machine does not have.
#[must_use]
pub fn missing_program(store: &str) -> Option<own::Program> {
    place(store)?.program.filter(|program| program.find().is_none())
}
