//! Who the users are: a pattern with their number in it, or the rows of a file.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The names and passwords of users. Users are numbered from `first` on; `{n}` stands for the
/// number, and what a column of the file is called for what the user's row has there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPattern {
    /// User name. Absent: the column `username` of the file; `user-{n}` without a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password. Absent: the column `password` of the file; `password-{n}` without a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// A CSV file with a row per user under a header of names. A relative path is relative to the
    /// target file. User n has row n, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Number of the first user, 0 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first: u64,
    /// The least number of digits of `{n}`, with zeros in front.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pad: u64,
    /// What the file holds, once it has been read.
    #[serde(skip)]
    pub rows: Option<Arc<UserRows>>,
}

impl UserPattern {
    /// The pattern of the user names; `None` where a column gives them, or nothing does.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref().or_else(|| self.file.is_none().then_some("user-{n}"))
    }

    /// The pattern of the passwords; `None` where a column gives them, or nothing does.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref().or_else(|| self.file.is_none().then_some("password-{n}"))
    }

    /// The names of the columns of the file; none without a file.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        self.rows.as_ref().map_or(&[], |rows| rows.columns())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A table of users: named columns, and a row per user. Cells lie end to end, so that a million
/// users take little more than their text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserRows {
    columns: Vec<String>,
    cells: String,
    /// Where each cell ends, row by row.
    ends: Vec<usize>,
}

impl UserRows {
    /// A table with these columns and no row yet.
    ///
    /// # Panics
    /// If there is no column.
    #[must_use]
    pub fn new(columns: Vec<String>) -> Self {
        assert!(!columns.is_empty(), "a table has columns");
        Self { columns, ..Self::default() }
    }

    /// Adds the next cell, row by row.
    pub fn push(&mut self, cell: &str) {
        self.cells.push_str(cell);
        self.ends.push(self.cells.len());
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many whole rows there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        (self.ends.len() / self.columns.len().max(1)) as u64
    }

    /// What a row has in a column; empty where there is no such row.
    #[must_use]
    pub fn cell(&self, row: u64, column: usize) -> &str {
        let first = usize::try_from(row).ok().and_then(|row| row.checked_mul(self.columns.len()));
        let Some(at) = first.map(|first| first + column) else { return "" };
        let Some(end) = self.ends.get(at) else { return "" };
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.cells[start..*end]
    }
}

/// Cells may be passwords.
impl fmt::Debug for UserRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRows")
            .field("columns", &self.columns)
            .field("rows", &self.rows())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_found_by_row_and_column() {
        let mut rows = UserRows::new(vec!["username".into(), "password".into()]);
        for cell in ["ann", "hunter2", "", "pw", "bob"] {
            rows.push(cell);
        }
        assert_eq!(rows.rows(), 2, "the third row is not whole");
        let cells = [(0, 0, "ann"), (0, 1, "hunter2"), (1, 0, ""), (1, 1, "pw"), (2, 1, "")];
        for (row, column, cell) in cells {
            assert_eq!(rows.cell(row, column), cell, "{row}, {column}");
        }
        assert_eq!(rows.cell(u64::MAX, 1), "");
        assert!(!format!("{rows:?}").contains("hunter2"));
    }

    #[test]
    fn patterns_have_defaults_where_no_file_gives_the_users() {
        let users = UserPattern::default();
        assert_eq!((users.username(), users.password()), (Some("user-{n}"), Some("password-{n}")));
        let users = UserPattern { file: Some("users.csv".into()), ..users };
        assert_eq!((users.username(), users.password()), (None, None));
        assert!(users.columns().is_empty());
    }
}
