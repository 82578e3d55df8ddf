//! A target file as a human writes it, with the users' file that it names.

use std::path::Path;

use servers::contract::{CredentialCarrier, Target};

use super::meant::meant;
use super::users;
use crate::error::{Error, Result};
use crate::files::{Kind, read_text};

/// Reads a target file and what it refers to.
///
/// # Errors
/// `File` when one of them is missing or malformed, `Io` when it cannot be read.
pub fn read_target(path: &Path) -> Result<Target> {
    let text = read_text(path, Kind::Description)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    parse_target(path, &text, folder)
}

/// Reads the text of a target file; `path` is named in messages, and relative paths in it are
/// relative to `folder`.
///
/// # Errors
/// As [`read_target`].
pub fn parse_target(path: &Path, text: &str, folder: &Path) -> Result<Target> {
    let mut target: Target = toml::from_str(text).map_err(|error| {
        let text = error.to_string();
        Error::file(path, format!("{}{}", text.trim_end(), meant(error.message())))
    })?;
    if let Some(file) = &target.users.file {
        let file = folder.join(file);
        target.users.rows = Some(users::read(&file)?.into());
        target.users.file = Some(file);
        users::check(&target.users).map_err(|why| Error::file(path, why))?;
    }
    for named in [&mut target.client_cert, &mut target.client_key, &mut target.unix_socket] {
        *named = named.take().map(|path| folder.join(path));
    }
    if let Some(keys) = &mut target.token {
        for file in [&mut keys.public_key, &mut keys.signing_key].into_iter().flatten() {
            *file = read_text(&folder.join(&*file), Kind::Key)?;
        }
    }
    // As a browser does: a session may be spread over several cookies.
    let send = target.login.as_ref().map(|login| &login.send);
    if matches!(send, Some(CredentialCarrier::Cookie(_))) {
        target.cookies.get_or_insert_default();
    }
    Ok(target)
}

/// An error about what a target file says, with the file in place of the target's name, and with
/// the line of what was found where just one has it.
pub fn located(error: Error, path: &Path) -> Error {
    let Error::Config(text) = &error else { return error };
    let named = text.strip_prefix("target `").and_then(|rest| rest.split_once("`: "));
    let Some((_, why)) = named else { return error };
    let text = read_text(path, Kind::Description).unwrap_or_default();
    let line = line_of(why, &text).map(|line| format!("line {line}: ")).unwrap_or_default();
    Error::file(path, format!("{line}{why}"))
}

/// The only line of a file on which stands what a message says was found.
fn line_of(why: &str, text: &str) -> Option<usize> {
    // The name of a journey comes from the command line.
    if why.starts_with("expected a journey among") {
        return None;
    }
    let (_, found) = why.rsplit_once("found ")?;
    let found = found.split('`').nth(1)?;
    let is_word = |c: char| c.is_alphanumeric() || "_-".contains(c);
    let has = |line: &str| {
        line.match_indices(found).any(|(place, _)| {
            let (before, behind) = (&line[..place], &line[place + found.len()..]);
            !before.ends_with(is_word) && !behind.starts_with(is_word)
        })
    };
    let mut lines = text.lines().enumerate().filter(|(_, line)| has(line)).map(|(at, _)| at + 1);
    let first = lines.next().filter(|_| !found.is_empty())?;
    lines.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "[journeys.browse]\nsteps = [{ name = 'a', path = '/' }]\n";

    fn parsed(users: &str, folder: &Path) -> Result<Target> {
        let text = format!("name = 't'\nbase_url = 'http://h'\n[users]\n{users}\n{REST}");
        parse_target(Path::new("t.toml"), &text, folder)
    }

    #[test]
    fn a_users_file_is_looked_for_beside_the_target() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("users.csv"), "username,pin\nann,1\n").unwrap();
        let target = parsed("file = 'users.csv'", dir.path()).unwrap();
        assert_eq!(target.users.rows.unwrap().cell(0, 1), "1");
        let refused = parsed("file = 'nobody.csv'", dir.path()).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("nobody.csv: cannot be read"), "{refused}");
        let both = parsed("file = 'users.csv'\nusername = 'u-{n}'", dir.path()).unwrap_err();
        assert!(both.to_string().contains("t.toml: users: expected `username`"), "{both}");
    }

    #[test]
    fn keys_are_read_from_files_beside_the_target() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key.pem"), "-----BEGIN").unwrap();
        let text = |file: &str| {
            format!("name = 't'\nbase_url = 'http://h'\n[token]\npublic_key = '{file}'\n{REST}")
        };
        let parse = |file: &str| parse_target(Path::new("t.toml"), &text(file), dir.path());
        let keys = parse("key.pem").unwrap().token.unwrap();
        assert_eq!(keys.public_key.unwrap(), "-----BEGIN");
        let missing = parse("none.pem").unwrap_err().to_string();
        assert!(missing.contains("none.pem"), "{missing}");
    }

    #[test]
    fn a_slip_in_a_field_is_refused_with_what_was_meant() {
        let refused = |users: &str| parsed(users, Path::new("")).unwrap_err().to_string();
        let slip = refused("frist = 1");
        assert!(slip.contains("line 4") && slip.contains("did you mean `first`?"), "{slip}");
        assert!(refused("first = 'one'").contains("expected u64"), "a type");
        assert!(refused("pad = -1").contains("`-1`"), "a type");
        let strange = refused("xyz = 1");
        assert!(strange.contains("unknown field `xyz`") && !strange.contains("mean"), "{strange}");
    }

    #[test]
    fn what_a_file_says_wrong_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, "name = 't'\nbase_url = 'http://h'\nmethod = 'post'\n").unwrap();
        let told = |why: &str| {
            let text = located(Error::Config(why.into()), &path).to_string();
            text.replace(path.to_str().unwrap(), "FILE")
        };
        let method = "expected an HTTP method, found `post`; did you mean `POST`?";
        assert_eq!(told(&format!("target `t`: {method}")), format!("FILE: line 3: {method}"));
        assert_eq!(told("target `t`: login: found neither"), "FILE: login: found neither");
        assert_eq!(told("target `t`: expected x, found `pos`"), "FILE: expected x, found `pos`");
        // On several lines, or from elsewhere.
        assert_eq!(told("target `t`: expected x, found `=`"), "FILE: expected x, found `=`");
        let journey = "expected a journey among browse, found `post`";
        assert_eq!(told(&format!("target `t`: {journey}")), format!("FILE: {journey}"));
        assert_eq!(told("another error, found `post`"), "another error, found `post`");
        assert_eq!(located(Error::Config("target `t`: x".into()), &path).exit_code(), 2);
    }
}
