//! What is in a right answer, ready to be looked for.

use memchr::memmem;

use super::capture::Answer;
use super::scan::Pointer;
use super::template::{Template, Who};

/// What is in a right answer.
#[derive(Clone, Debug)]
pub struct Check {
    /// What is at a place in JSON.
    pub json: Option<(Pointer, Value)>,
    /// A text that is somewhere in the body.
    pub contains: Option<Template>,
}

/// A value in JSON.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string or a number with this text, which tells whose answer it is.
    Text(Template),
    /// `true` or `false`.
    Flag(bool),
}

/// What an answer lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// The text that tells whose it is.
    User,
    /// Something else.
    Other,
}

impl Check {
    /// Looks for all of it in an answer.
    ///
    /// # Errors
    /// What is not there.
    pub(super) fn judge(&self, who: Who<'_>, answer: &Answer<'_>) -> Result<(), Lacking> {
        match &self.json {
            Some((pointer, Value::Text(expected))) => match pointer.find(answer.body) {
                Some(found) if expected.is(who, &found) => {}
                _ => return Err(Lacking::User),
            },
            Some((pointer, Value::Flag(expected)))
                if pointer.find_flag(answer.body) != Some(*expected) =>
            {
                return Err(Lacking::Other);
            }
            Some((_, Value::Flag(_))) | None => {}
        }
        match &self.contains {
            Some(text) if memmem::find(answer.body, &text.bytes(who)).is_none() => {
                Err(Lacking::Other)
            }
            _ => Ok(()),
        }
    }
}
