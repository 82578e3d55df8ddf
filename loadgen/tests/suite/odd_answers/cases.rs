//! The table of odd answers: what is sent, how it counts, and what other generators do with it, as
//! read in the files that are named. Each text is a cell of `docs/odd-answers.md`.

mod bodies;
mod connections;
mod heads;

use super::case::Case;

pub(super) fn cases() -> Vec<Case> {
    [bodies::cases(), heads::cases(), connections::cases()].concat()
}
