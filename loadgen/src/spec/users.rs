//! The file of a target's users: CSV (RFC 4180) with a header of names and a row per user.

use std::collections::BTreeSet;
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use servers::contract::{UserPattern, UserRows};

use crate::error::{Error, Result};
use crate::files::{Kind, read_text};

/// Names of holes that are no columns.
const RESERVED: [&str; 3] = ["n", "credential", "csrf"];
/// What programs on Windows begin a text in UTF-8 with.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads a file of users.
///
/// # Errors
/// `File` where it is missing or is no such table, `Io` where it cannot be read.
pub(super) fn read(path: &Path) -> Result<UserRows> {
    let text = read_text(path, Kind::Users)?;
    parse(&text).map_err(|why| Error::file(path, why))
}

/// Sees that a column and a pattern do not both give the same.
pub(super) fn check(users: &UserPattern) -> std::result::Result<(), String> {
    let given = [("username", &users.username), ("password", &users.password)];
    let is_column = |name: &str| users.columns().iter().any(|column| column == name);
    match given.iter().find(|(name, pattern)| pattern.is_some() && is_column(name)) {
        Some((name, _)) => Err(format!(
            "users: expected `{name}` from the table [users] or from a column of the file, found \
             both; take one of them out"
        )),
        None => Ok(()),
    }
}

fn parse(text: &str) -> std::result::Result<UserRows, String> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| e.to_string())?;
    let columns = columns(header)?;
    let mut rows = UserRows::new(columns);
    for record in reader.records() {
        let record = record.map_err(|error| malformed(&error, rows.columns()))?;
        record.iter().for_each(|cell| rows.push(cell));
    }
    if rows.rows() == 0 {
        return Err(format!(
            "expected a row per user under the header `{}`, found no row; add users",
            rows.columns().join(",")
        ));
    }
    Ok(rows)
}

/// The names in the header.
fn columns(header: &StringRecord) -> std::result::Result<Vec<String>, String> {
    let names: Vec<String> = header.iter().map(|name| name.trim().to_string()).collect();
    if names.iter().all(String::is_empty) {
        return Err("expected a header such as `username,password` and a row per user, found an \
                    empty file; add them"
            .into());
    }
    let mut seen = BTreeSet::new();
    for name in &names {
        let fits = |c: char| c.is_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return Err(format!(
                "expected names of letters, digits, `_`, `-` and `.` in the header, with commas \
                 between them, found `{name}`; the names are what stands in braces, {{username}} \
                 for example"
            ));
        } else if RESERVED.contains(&name.as_str()) {
            return Err(format!(
                "expected columns with names of their own, found `{name}`, which stands for \
                 something else; rename it"
            ));
        } else if !seen.insert(name) {
            return Err(format!(
                "expected each name of the header once, found `{name}` twice; rename one of the \
                 columns"
            ));
        }
    }
    Ok(names)
}

fn malformed(error: &csv::Error, columns: &[String]) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths { pos, len, .. } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!(
                "line {line}: expected {} cells as in the header `{}`, found {len}; a cell with a \
                 comma or a line break in it stands in quotes",
                columns.len(),
                columns.join(",")
            )
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_user_and_the_header_names_the_cells() {
        let text = "\u{feff}username, password\r\nann,\"a,\"\"b\"\r\n\nbob, c \n";
        let rows = parse(text).unwrap();
        assert_eq!(rows.columns(), ["username", "password"]);
        assert_eq!((rows.rows(), rows.cell(0, 1), rows.cell(1, 1)), (2, "a,\"b", " c "));
    }

    #[test]
    fn a_file_that_is_no_table_of_users_is_refused() {
        for (text, why) in [
            ("", "found an empty file"),
            ("\n\n", "found an empty file"),
            ("username,password\n", "found no row"),
            ("username;password\nann;pw\n", "with commas between them, found `username;password`"),
            ("username,,x\na,b,c\n", "found ``"),
            ("username,pin,username\na,b,c\n", "found `username` twice"),
            ("username,n\na,1\n", "found `n`, which stands for something else"),
            ("a,b\n1,2\n3\n", "line 3: expected 2 cells as in the header `a,b`, found 1"),
            ("a,b\n1,2,3\n", "found 3; a cell with a comma"),
        ] {
            let refused = parse(text).expect_err(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
