//! The home of a PostgreSQL with its data folder in it: as `initdb` makes it, or in tests a copy of
//! one that `initdb` made once for all of them.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::{ServeError, StoreError};
use crate::stores::own::{Home, password};

/// The name of the store, and of the user of a PostgreSQL of its own.
pub const STORE: &str = "postgres";
/// The data folder, in its home.
pub(super) const DATA: &str = "data";

/// Users that it may run as where we are root.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// Its password, in its home, in which the program that makes the data folder is started.
const PASSWORD_FILE: &str = "password";
/// How the data folder is made. Nothing of it is flushed to the disk.
const MADE: [&str; 13] = [
    "-D",
    DATA,
    "-U",
    STORE,
    "-A",
    "scram-sha-256",
    "--pwfile",
    PASSWORD_FILE,
    "-E",
    "UTF8",
    "--locale=C",
    "--no-sync",
    "--no-instructions",
];
/// Names a folder for the template. A build that measures does not look at it: what it compares is
/// a server as `initdb` makes it.
const TEMPLATE_VARIABLE: &str = "AUTHBENCH_POSTGRES_TEMPLATE";

/// A home with a data folder, and the password of the server that it is for.
///
/// # Errors
/// Where it cannot be made.
pub(super) fn ready(initdb: &Path) -> Result<(Home, String), ServeError> {
    let named = cfg!(debug_assertions).then(|| env::var_os(TEMPLATE_VARIABLE)).flatten();
    match named {
        Some(folder) => unpacked(&PathBuf::from(folder), initdb),
        None => made(initdb),
    }
}

fn made(initdb: &Path) -> Result<(Home, String), ServeError> {
    let secret = password()?;
    let home = Home::make(STORE, &USERS, &[(PASSWORD_FILE, &secret)])?;
    home.run(initdb, &MADE)?;
    Ok((home, secret))
}

/// A home with a copy of the template, and the password that all copies share. `initdb` takes half
/// a second of a core and tests start dozens of servers, so the first one that asks makes the
/// template. It is an archive: nothing in a folder of the store's user is read by name.
fn unpacked(folder: &Path, initdb: &Path) -> Result<(Home, String), ServeError> {
    let refused = |error: io::Error| StoreError {
        store: STORE,
        operation: "be copied from its template",
        found: format!("{}: {error}", folder.display()),
    };
    let mut identity = DefaultHasher::new();
    (initdb, MADE).hash(&mut identity);
    let name = format!("{:016x}", identity.finish());
    let [archive, secret] = ["tar", "password"].map(|end| folder.join(format!("{name}.{end}")));
    // The password in it is of servers on the loopback address, and still nobody else's.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
    // Of several processes one makes it; the others wait for the lock.
    let lock = File::create(folder.join("lock")).map_err(refused)?;
    lock.lock().map_err(refused)?;
    if !archive.exists() {
        let (home, password) = made(initdb)?;
        fs::write(&secret, password).map_err(refused)?;
        let unfinished = archive.with_extension("unfinished");
        let packed = File::create(&unfinished).map_err(refused)?;
        home.run_between(Path::new("tar"), &["-cf", "-", DATA], Stdio::null(), packed.into())?;
        fs::rename(unfinished, &archive).map_err(refused)?;
    }
    drop(lock);
    let password = fs::read_to_string(secret).map_err(refused)?;
    let home = Home::make(STORE, &USERS, &[(PASSWORD_FILE, &password)])?;
    let packed = File::open(archive).map_err(refused)?;
    home.run_between(Path::new("tar"), &["-xf", "-"], packed.into(), Stdio::null())?;
    Ok((home, password))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::postgres::own::PROGRAM;

    #[test]
    fn every_copy_of_the_template_is_whole_and_the_template_is_made_once() {
        let Some(program) = PROGRAM.find() else { return };
        let initdb = program.with_file_name("initdb");
        let folder = tempfile::tempdir().unwrap();
        let copies: Vec<_> = std::thread::scope(|scope| {
            let copy = || scope.spawn(|| unpacked(folder.path(), &initdb).unwrap());
            let started = [copy(), copy(), copy()];
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (_, password) = &copies[0];
        for (home, same) in &copies {
            assert_eq!(same, password, "there was one template");
            // What `pg_controldata` can read was copied whole.
            let controldata = program.with_file_name("pg_controldata");
            home.run(&controldata, &[DATA]).unwrap();
        }
        let [first, second] = [0, 1].map(|at| copies[at].0.path());
        assert_ne!(first, second);
    }
}
