//! Folders in which servers of target files are installed: one per server of Node.js, and one for
//! all of Python. They stay between runs, and are filled anew when what they are to hold changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{brief, folder, install, is_unreachable, required, skipped, there};

/// The servers that share one environment of Python.
const PYTHON: [&str; 3] = ["django", "fastapi", "flask"];
/// Exits with 0 if Rails and puma can be loaded in the versions that the server is written for.
const HAS_RAILS: &str = r#"
require "action_controller/railtie"
require "puma/const"
exit Rails.version >= "6.1" && Puma::Const::VERSION.start_with?("5.")
"#;

/// What the servers of Node.js share, next to their folders.
const FRAME: &str = "frame.mjs";

/// A folder with servers and what they need.
pub(crate) struct Place(PathBuf);

impl Place {
    /// The folder of this name, with a copy of these servers' own files.
    fn new(name: &str, servers: &[&str]) -> Self {
        let place = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("targets").join(name));
        fs::create_dir_all(&place.0).unwrap();
        let _alone = place.locked();
        copy(&folder().join(FRAME), &place.0);
        for server in servers {
            let to = place.0.join(server);
            fs::create_dir_all(&to).unwrap();
            for entry in fs::read_dir(folder().join(server)).unwrap() {
                copy(&entry.unwrap().path(), &to);
            }
        }
        place
    }

    /// Until the file is dropped, no other test and no other run has this.
    fn locked(&self) -> File {
        let lock = File::create(self.0.join("lock")).unwrap();
        lock.lock().unwrap();
        lock
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Installs what is said in `wanted`, unless it is there.
    fn filled(
        &self,
        wanted: &str,
        fill: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<(), String> {
        let _alone = self.locked();
        let stamp = self.0.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(());
        }
        let _ = fs::remove_file(&stamp);
        fill(&self.0.join("install.log"))?;
        fs::write(&stamp, wanted).map_err(|error| error.to_string())
    }
}

/// Copies a file into a folder. Another test may be reading a copy: one that is right stays as it
/// is.
fn copy(file: &Path, to: &Path) {
    let copy = to.join(file.file_name().unwrap());
    if file.is_file() && fs::read(file).ok() != fs::read(&copy).ok() {
        fs::copy(file, copy).unwrap();
    }
}

/// The place of an npm package that needs this version of Node.js, if its dependencies can be had.
/// What is required is Debian's Node.js, which is 18.
pub(crate) fn npm_install(name: &str, node: u32) -> Option<Place> {
    for (program, version) in [("node", node), ("npm", 7)] {
        if !there(program, version) {
            let what = format!("{name}: `{program}` {version} or newer is not installed");
            assert!(version > 18 || !required("NODE"), "{what}");
            skipped(&what);
            return None;
        }
    }
    let place = Place::new(name, &[name]);
    let own = place.path().join(name);
    let wanted = fs::read_to_string(own.join("package-lock.json")).unwrap();
    let done = place.filled(&wanted, |log| {
        let mut command = Command::new("npm");
        command
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"])
            .args(["--fetch-timeout=30000", "--fetch-retries=1"])
            .current_dir(&own);
        install(&mut command, log)
    });
    match done {
        Ok(()) => Some(place),
        Err(found) => {
            // A registry that is away says nothing of our files; anything else does.
            assert!(!required("NODE") || is_unreachable(&found), "{name}: {found}");
            skipped(&format!("{name}: npm cannot install its packages: {}", brief(&found)));
            None
        }
    }
}

/// The command that starts a server of Python, if its packages can be had.
pub(super) fn python(name: &str) -> Option<Command> {
    let place = Place::new("python", &PYTHON);
    let venv = place.path().join(".venv");
    let files = PYTHON.map(|server| place.path().join(server).join("requirements.txt"));
    let lists = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let version = Command::new("python3").arg("--version").stdin(Stdio::null()).output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let wanted = lists.chain(version).collect::<String>();
    let done = place.filled(&wanted, |log| {
        install(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv), log)?;
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--timeout", "30", "--retries", "1"]);
        files.iter().for_each(|file| {
            pip.arg("-r").arg(file);
        });
        install(&mut pip, log)
    });
    if let Err(found) = done {
        assert!(!required("PYTHON"), "{name}: {found}");
        skipped(&format!("{name}: python3 and pip cannot install its packages: {}", brief(&found)));
        return None;
    }
    let mut command = Command::new(venv.join("bin/python"));
    command.arg(place.path().join(name).join("server.py"));
    Some(command)
}

/// The command that starts the server of Rails, if Rails is installed.
pub(super) fn rails() -> Option<Command> {
    let tried = Command::new("ruby").args(["-e", HAS_RAILS]).stdin(Stdio::null()).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        let what = "rails: Rails 6.1 or newer and puma 5 are not installed";
        assert!(!required("RAILS"), "{what}");
        skipped(what);
        return None;
    }
    let place = Place::new("rails", &["rails"]);
    let mut command = Command::new("ruby");
    command.arg(place.path().join("rails/server.rb"));
    Some(command)
}
