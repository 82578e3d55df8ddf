//! The suite: one row per case, in tables by what is attacked.

mod answers;
mod browsers;
mod carried;
mod claims;
mod deployment;
mod frameworks;
mod framing;
mod ids;
mod lifetimes;
mod login;
mod logout;
mod named;
mod passwords;
mod planted;
mod refresh;
mod row;
mod sealed;
mod secrets;
mod sessions;
mod shots;
mod signatures;
mod tokens;

pub(super) use row::{Finding, Row};

/// Every case, in the order in which they run.
///
/// A row says what is sent, what a sound server answers, and how it is made: an edit of a token's
/// header or claims, a list of requests, or steps that depend on each other. To add one, write a
/// row among similar ones. An id is the number of an attack and a letter.
pub(super) fn suite() -> Vec<Row> {
    let tables = [
        carried::rows,
        tokens::rows,
        signatures::rows,
        claims::rows,
        sealed::rows,
        sealed::more_rows,
        sessions::rows,
        sessions::more_rows,
        browsers::rows,
        logout::rows,
        refresh::rows,
        deployment::rows,
        framing::rows,
        login::rows,
        passwords::rows,
        ids::rows,
        named::rows,
        answers::rows,
        lifetimes::rows,
        frameworks::rows,
        planted::rows,
    ];
    let mut rows: Vec<Row> = tables.into_iter().flat_map(|table| table()).collect();
    rows.sort_by_key(|row| place(row.id));
    rows
}

/// The number of an id, and its letter.
fn place(id: &str) -> (u32, &str) {
    let digits = id.bytes().take_while(u8::is_ascii_digit).count();
    (id[..digits].parse().unwrap_or_default(), &id[digits..])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::attack::options::Standard;

    #[test]
    fn ids_are_a_number_and_a_letter_and_no_two_are_the_same() {
        let rows = suite();
        let mut ids = BTreeSet::new();
        for row in &rows {
            let (number, letter) = place(row.id);
            assert!(row.id.starts_with(&number.to_string()), "{}", row.id);
            assert!(letter.len() == 1 && letter.as_bytes()[0].is_ascii_lowercase(), "{}", row.id);
            assert!(ids.insert(row.id), "{} twice", row.id);
            assert!(row.what.len() <= 70, "{}: {}", row.id, row.what);
        }
        assert!(rows.len() > 150, "{}", rows.len());
    }

    #[test]
    fn every_expectation_has_its_words() {
        for row in suite() {
            for standard in [Standard::Ours, Standard::Stranger] {
                assert_ne!(row.expected.text(standard), "4xx", "{}", row.id);
            }
        }
    }
}
