//! A campaign's folder: `plan.json`, `host.json`, `attacks.json`, `trials/NNNN-ARM.json` and the
//! report.
//!
//! A file is written once and whole: to a temporary file beside it, flushed to the disk, renamed
//! over the name, and the folder flushed. Whatever ends the program, a file that has its name is
//! complete. A reader refuses what a newer program wrote, and names the file that it cannot read.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ATTACKS_SCHEMA, AttackRecord, Host, RECORD_SCHEMA, TrialRecord};
use crate::error::{Error, Result};
use crate::plan::{PLAN_SCHEMA, Plan};

/// The file with the attacks on the arms.
const ATTACKS: &str = "attacks.json";

/// The folder of one campaign.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Makes a new folder, with the plan and the host in it.
    ///
    /// # Errors
    /// `Config` when a campaign is there already, `Io` when it cannot be written.
    pub fn create(root: &Path, plan: &Plan, host: &Host) -> Result<Self> {
        let folder = Self { root: root.into() };
        let taken = || {
            Error::Config(format!(
                "{} holds a campaign already; name another folder with --out, or delete it",
                root.display()
            ))
        };
        if folder.root.join("plan.json").exists() {
            return Err(taken());
        }
        fs::create_dir_all(root).map_err(|e| Error::io("cannot be made", root, e))?;
        // Of two campaigns that begin at the same instant, one makes this folder.
        let trials = folder.trials();
        match fs::create_dir(&trials) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(taken()),
            Err(e) => return Err(Error::io("cannot be made", &trials, e)),
        }
        folder.write_json("host.json", host)?;
        folder.write_json("plan.json", plan)?;
        Ok(folder)
    }

    /// Opens the folder of a campaign that has begun.
    ///
    /// # Errors
    /// `Config` when no campaign is there.
    pub fn open(root: &Path) -> Result<Self> {
        if root.join("plan.json").is_file() {
            return Ok(Self { root: root.into() });
        }
        Err(Error::Config(format!(
            "expected a campaign's folder with a plan.json in it, found none in {}",
            root.display()
        )))
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn trials(&self) -> PathBuf {
        self.root.join("trials")
    }

    /// The plan.
    ///
    /// # Errors
    /// `Io` or `Config` when it cannot be read.
    pub fn plan(&self) -> Result<Plan> {
        read_json(&self.root.join("plan.json"), PLAN_SCHEMA)
    }

    /// The machine it ran on.
    ///
    /// # Errors
    /// `Io` or `Config` when it cannot be read.
    pub fn host(&self) -> Result<Host> {
        read_json(&self.root.join("host.json"), RECORD_SCHEMA)
    }

    /// The records, in the order of the plan.
    ///
    /// # Errors
    /// `Io` or `Config` when one cannot be read, is not of this plan, or has lost a request.
    pub fn records(&self, plan: &Plan) -> Result<Vec<TrialRecord>> {
        let hash = plan.hash();
        let trials = self.trials();
        let entries = fs::read_dir(&trials).map_err(|e| Error::io("cannot be read", &trials, e))?;
        let mut records = Vec::new();
        for entry in entries {
            let path = entry.map_err(|e| Error::io("cannot be read", &trials, e))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let record = read_json::<TrialRecord>(&path, RECORD_SCHEMA)?;
                let refuse = |why| Error::Config(format!("{}: {why}", path.display()));
                let planned = plan.trials.get(record.trial.index as usize);
                if record.plan != hash || planned != Some(&record.trial) {
                    return Err(refuse("is no record of the plan beside it"));
                }
                if !record.loads().all(|load| load.counts.balanced()) {
                    return Err(refuse("its counts do not add up, so it was changed"));
                }
                records.push(record);
            }
        }
        records.sort_by_key(|record| record.trial.index);
        Ok(records)
    }

    /// The attacks on the arms; `None` in a folder from before there were any.
    ///
    /// # Errors
    /// `Io` or `Config` when they cannot be read or are not of this plan.
    pub fn attacks(&self, plan: &Plan) -> Result<Option<AttackRecord>> {
        let path = self.root.join(ATTACKS);
        if !path.exists() {
            return Ok(None);
        }
        let attacks = read_json::<AttackRecord>(&path, ATTACKS_SCHEMA)?;
        if attacks.plan != plan.hash() {
            return Err(Error::Config(format!(
                "{}: is no record of the plan beside it",
                path.display()
            )));
        }
        Ok(Some(attacks))
    }

    /// Writes the attacks on the arms.
    ///
    /// # Errors
    /// `Io` when they cannot be written.
    pub fn write_attacks(&self, attacks: &AttackRecord) -> Result<()> {
        self.write_json(ATTACKS, attacks)
    }

    /// Writes the record of a trial.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn write_record(&self, record: &TrialRecord) -> Result<()> {
        self.write_json(&format!("trials/{}.json", record.trial.file_stem()), record)
    }

    /// Writes a file of the report.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        write_atomically(&self.root.join(name), text.as_bytes())
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.root.join(name);
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|e| Error::Bug(format!("{}: {e}", path.display())))?;
        bytes.push(b'\n');
        write_atomically(&path, &bytes)
    }
}

/// Writes a file whole or not at all: temporary file, flush, rename, flush of the folder.
///
/// # Errors
/// `Io` when one of the steps fails; what was there before is then untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |e| Error::io("cannot be written", path, e);
    // What a link leads to is written; a pipe or a device takes the bytes and stays what it is.
    let target = path.canonicalize().unwrap_or_else(|_| path.into());
    if target.metadata().is_ok_and(|found| !found.is_file()) {
        let mut file = fs::OpenOptions::new().write(true).open(&target).map_err(fail)?;
        return file.write_all(bytes).map_err(fail);
    }
    let path = target.as_path();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".authbench-")
        .suffix(".tmp")
        .tempfile_in(folder)
        .map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    make_readable(file.as_file()).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
}

/// Temporary files are private to their owner; a result is for everyone to read.
fn make_readable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn read_json<T: DeserializeOwned>(path: &Path, known: u32) -> Result<T> {
    #[derive(serde::Deserialize)]
    struct Version {
        schema: u32,
    }
    let text = fs::read_to_string(path).map_err(|e| Error::io("cannot be read", path, e))?;
    let refuse = |why: String| Error::Config(format!("{}: {why}", path.display()));
    let Version { schema } = serde_json::from_str(&text)
        .map_err(|e| refuse(format!("is no complete result of authbench: {e}")))?;
    if schema != known {
        return Err(refuse(format!(
            "has schema {schema}, and this authbench reads schema {known}; use the version of \
             authbench that wrote it"
        )));
    }
    serde_json::from_str(&text).map_err(|e| refuse(format!("is no result of authbench: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            schema: PLAN_SCHEMA,
            name: "t".into(),
            again: vec![],
            seed: 1,
            arms: vec!["none".into()],
            baseline: "none".into(),
            reference: "none".into(),
            experiments: vec![],
            trials: vec![],
        }
    }

    #[test]
    fn a_link_is_followed_and_what_is_no_file_stays_what_it_is() {
        use std::os::unix::fs::FileTypeExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(link.is_symlink());
        write_atomically(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_folder_reads_back_and_is_not_used_twice() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host { schema: RECORD_SCHEMA, ..Host::default() };
        let folder = Folder::create(dir.path(), &plan(), &host).unwrap();
        assert_eq!(Folder::open(dir.path()).unwrap().plan().unwrap(), plan());
        assert_eq!(folder.host().unwrap(), host);
        assert_eq!(folder.records(&plan()).unwrap(), []);
        let twice = Folder::create(dir.path(), &plan(), &host).unwrap_err();
        assert_eq!(twice.exit_code(), 2);
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "no temporary file is left: {left:?}");
    }

    #[test]
    fn attacks_read_back_and_those_of_another_plan_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(dir.path(), &plan(), &Host::default()).unwrap();
        assert_eq!(folder.attacks(&plan()).unwrap(), None, "an older folder has none");
        let arms = vec![crate::record::Attacked::spared("none", "it is the floor")];
        let attacks = AttackRecord { schema: ATTACKS_SCHEMA, plan: plan().hash(), arms };
        folder.write_attacks(&attacks).unwrap();
        assert_eq!(folder.attacks(&plan()).unwrap(), Some(attacks));
        let other = Plan { seed: 2, ..plan() };
        let error = folder.attacks(&other).unwrap_err().to_string();
        assert!(error.contains("attacks.json"), "{error}");
    }

    #[test]
    fn no_beginning_of_a_file_is_taken_for_the_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::create(dir.path(), &plan(), &Host::default()).unwrap();
        let path = dir.path().join("plan.json");
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() - 2 {
            fs::write(&path, &whole[..end]).unwrap();
            let error = folder.plan().unwrap_err();
            assert!(error.to_string().contains("plan.json"), "{error}");
        }
        let newer = String::from_utf8(whole).unwrap().replace("\"schema\": 1", "\"schema\": 2");
        fs::write(&path, newer).unwrap();
        assert!(folder.plan().unwrap_err().to_string().contains("schema 2"));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing/report.md");
        let error = write_atomically(&missing, b"x").unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(error.to_string().contains("missing/report.md"));
    }
}
