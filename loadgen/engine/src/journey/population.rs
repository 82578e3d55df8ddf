//! Who the users of a target are, and how many of them there can be.

use std::path::PathBuf;

use contract::UserPattern;

use super::holes::{self, Place};
use super::template::{Escape, Held, Holes, Template, Who};
use crate::error::{Error, Result};

/// The most digits of a user's number.
const DIGITS_MAX: u64 = 20;
/// What a message has in the place of a password.
const MASK: &str = "[password]";
/// Columns of the users' file whose names have one of these words hold secrets.
const SECRETS: [&str; 6] = ["pass", "secret", "token", "key", "pin", "otp"];
/// Shorter values are no secrets, and masking them would make messages unreadable.
const SECRET_LEAST: usize = 4;

/// The users of a target: their first number, their names and passwords, and the end of them where
/// they stand in a file.
#[derive(Clone, Debug)]
pub struct Population {
    first: u64,
    /// The file and how many rows it has.
    file: Option<(PathBuf, u64)>,
    username: Template,
    password: Template,
    /// Other values that no message may repeat.
    secrets: Vec<Template>,
}

impl Population {
    /// The users that a descriptor describes.
    ///
    /// # Errors
    /// What is wrong with the description.
    pub(super) fn new(users: &UserPattern) -> std::result::Result<Self, String> {
        if users.pad > DIGITS_MAX {
            return Err(format!(
                "expected `pad` from 0 to {DIGITS_MAX}, the digits that {{n}} has at least; found \
                 {}",
                users.pad
            ));
        }
        let file = match (&users.file, &users.rows) {
            (Some(path), Some(rows)) => Some((path.clone(), rows.rows())),
            (None, None) => None,
            (Some(path), None) => {
                return Err(format!(
                    "the rows of `{}` have not been read; read the target from a file of its own",
                    path.display()
                ));
            }
            (None, Some(_)) => return Err("found rows of users without their `file`".into()),
        };
        let columns = users.columns().iter().map(String::as_str);
        let names: Vec<&str> = ["n"].into_iter().chain(columns).collect();
        for (name, pattern) in [("username", users.username()), ("password", users.password())] {
            let checked = holes::check(pattern.unwrap_or_default(), &names, Place::Text);
            checked.map_err(|what| format!("{name}: {what}"))?;
        }
        let holes = Holes { users, credential: Held::Nowhere, values: &[] };
        let text = |name: &str| Template::new(&format!("{{{name}}}"), holes, Escape::None);
        // Without a pattern or a column a hole would be literal text.
        let known = |name: &str, pattern: Option<&str>| {
            let is_known = pattern.is_some() || names.contains(&name);
            if is_known { text(name) } else { Template::default() }
        };
        let is_secret = |column: &&String| {
            let column = column.to_lowercase();
            SECRETS.iter().any(|word| column.contains(word))
        };
        let secrets = users.columns().iter().filter(is_secret);
        Ok(Self {
            first: users.first,
            file,
            username: known("username", users.username()),
            password: known("password", users.password()),
            secrets: secrets.map(|column| text(column)).collect(),
        })
    }

    /// The number of user `n`, as the server knows it.
    pub const fn number(&self, n: u64) -> u64 {
        self.first.saturating_add(n)
    }

    /// The name and the password of user `n`; empty where the target has none.
    pub fn name_and_password(&self, n: u64) -> (String, String) {
        let who = Who { n, credential: b"" };
        (self.username.text(who), self.password.text(who))
    }

    /// Sees that every user has a name and a password for `Authorization: Basic`.
    pub(super) fn require_basic(&self) -> std::result::Result<(), String> {
        let patterns = [("username", &self.username), ("password", &self.password)];
        let missing = patterns.iter().find(|(_, pattern)| **pattern == Template::default());
        if let Some((name, _)) = missing {
            return Err(format!(
                "auth = \"basic\" needs a {name} for each user; give `{name}` in [users], or a \
                 column of that name"
            ));
        }
        let rows = self.file.as_ref().map_or(1, |(_, rows)| rows.saturating_sub(self.first));
        let mut names = (0..rows).map(|n| self.username.text(Who { n, credential: b"" }));
        names.find(|name| name.contains(':')).map_or(Ok(()), |name| {
            Err(format!(
                "expected names of users without `:`, which ends a name in auth = \"basic\" (RFC \
                 7617), found `{name}`"
            ))
        })
    }

    /// A text without the secrets of user `n`.
    pub(super) fn masked(&self, n: u64, text: &str) -> String {
        let who = Who { n, credential: b"" };
        let password = self.password.text(who);
        let others = self.secrets.iter().map(|secret| secret.text(who));
        let others = others.filter(|secret| secret.len() >= SECRET_LEAST);
        let secrets = others.chain([password].into_iter().filter(|secret| !secret.is_empty()));
        without(text, &secrets.collect::<Vec<_>>())
    }

    /// Sees that there are so many users.
    ///
    /// # Errors
    /// `Config` where their file has fewer rows; `purpose` says what needs them, and `remedy` what
    /// else helps.
    pub fn require(&self, users: u64, purpose: &str, remedy: &str) -> Result<()> {
        let Some((path, rows)) = &self.file else { return Ok(()) };
        let left = rows.saturating_sub(self.first);
        if left >= users {
            return Ok(());
        }
        let from = match self.first {
            0 => String::new(),
            first => format!(", of which `first = {first}` leaves {left}"),
        };
        Err(Error::Config(format!(
            "expected at least {users} users in {}, for {purpose}; found {rows}{from}; add rows{}, \
             or {remedy}",
            path.display(),
            if self.first == 0 { "" } else { " or lower `first`" },
        )))
    }
}

/// A text with [`MASK`] in place of each secret. In one pass: a secret may be a part of another one
/// or of the mask.
fn without(text: &str, secrets: &[String]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let here = secrets.iter().filter(|secret| rest.starts_with(secret.as_str()));
        let length = if let Some(longest) = here.map(String::len).max() {
            masked.push_str(MASK);
            longest
        } else {
            masked.push(next);
            next.len_utf8()
        };
        rest = &rest[length..];
    }
    masked
}

/// The first hole of a text that a control character fills for some user, and where it stands.
pub(super) fn with_control(users: &UserPattern, text: &str) -> Option<(String, String)> {
    let has_hole = |text: &str, name: &str| text.contains(&format!("{{{name}}}"));
    let patterns = [("username", users.username()), ("password", users.password())];
    for (name, pattern) in patterns {
        let Some(pattern) = pattern.filter(|_| has_hole(text, name)) else { continue };
        if has_control(pattern) {
            return Some((name.into(), "[users]".into()));
        } else if let Some((_, place)) = in_rows(users, pattern) {
            return Some((name.into(), place));
        }
    }
    in_rows(users, text)
}

/// The same for the columns of the file.
fn in_rows(users: &UserPattern, text: &str) -> Option<(String, String)> {
    let (rows, path) = users.rows.as_ref().zip(users.file.as_ref())?;
    let used = |(_, column): &(usize, &String)| text.contains(&format!("{{{column}}}"));
    rows.columns().iter().enumerate().filter(used).find_map(|(index, column)| {
        let row = (0..rows.rows()).find(|row| has_control(rows.cell(*row, index)))?;
        Some((column.clone(), format!("row {row} of {}", path.display())))
    })
}

/// Whether a text has a character that no header may have.
pub(super) fn has_control(text: &str) -> bool {
    text.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use contract::UserRows;

    use super::*;

    fn in_a_file(columns: &[&str], cells: &[&str]) -> UserPattern {
        let mut rows = UserRows::new(columns.iter().map(|name| (*name).to_string()).collect());
        cells.iter().for_each(|cell| rows.push(cell));
        let (file, rows) = (Some("users.csv".into()), Some(Arc::new(rows)));
        UserPattern { file, rows, ..UserPattern::default() }
    }

    /// Fault 22: more users than there are.
    #[test]
    fn too_few_users_are_refused_with_numbers_and_a_remedy() {
        let users = in_a_file(&["username"], &["ann", "bob", "cy"]);
        let require = |users: &UserPattern, most| {
            let population = Population::new(users).unwrap();
            population.require(most, "this load", "use --users")
        };
        assert!(require(&users, 3).is_ok());
        let refused = require(&users, 4).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert_eq!(
            refused.to_string(),
            "expected at least 4 users in users.csv, for this load; found 3; add rows, or use \
             --users"
        );
        let later = UserPattern { first: 2, ..users };
        let refused = require(&later, 2).unwrap_err().to_string();
        assert!(refused.contains("`first = 2` leaves 1; add rows or lower `first`"), "{refused}");
        assert!(require(&UserPattern::default(), u64::MAX).is_ok());
    }

    #[test]
    fn secrets_are_masked_and_short_words_are_not() {
        let users =
            in_a_file(&["username", "password", "api_key", "pin"], &["ann", "s", "k123", "1"]);
        let population = Population::new(&users).unwrap();
        assert_eq!(population.name_and_password(0), ("ann".into(), "s".into()));
        assert_eq!(population.masked(0, "ann k123 1"), "ann [password] 1");
        assert_eq!(population.masked(1, "ann k123"), "ann k123", "another user's");
        let both = ["ab".to_string(), "abc".to_string()];
        assert_eq!(without("xabcabx\u{e9}", &both), "x[password][password]x\u{e9}");
    }

    #[test]
    fn a_description_that_cannot_work_is_refused() {
        let refused = |users: UserPattern| Population::new(&users).unwrap_err();
        let rows = || in_a_file(&["mail"], &["a@x"]);
        let of_name = |text: &str| UserPattern { username: Some(text.into()), ..rows() };
        assert!(refused(of_name("{mial}")).contains("did you mean {mail}?"));
        assert!(refused(of_name("{username}")).contains("expected {n}, {mail}"));
        assert!(refused(UserPattern { pad: 21, ..rows() }).contains("found 21"));
        assert!(refused(UserPattern { rows: None, ..rows() }).contains("have not been read"));
        assert!(refused(UserPattern { file: None, ..rows() }).contains("without their `file`"));
    }

    #[test]
    fn a_control_character_is_found_where_it_would_reach_a_header() {
        let users = in_a_file(&["mail", "note"], &["a@x", "b", "b@x", "two\nlines"]);
        let found = |users: &UserPattern, text: &str| with_control(users, text);
        assert_eq!(found(&users, "{mail}"), None);
        let place = "row 1 of users.csv".to_string();
        assert_eq!(found(&users, "x{note}"), Some(("note".into(), place.clone())));
        let by_pattern = UserPattern { username: Some("{note}".into()), ..users };
        assert_eq!(found(&by_pattern, "{username}"), Some(("username".into(), place)));
    }
}
