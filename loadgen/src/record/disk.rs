//! A campaign's folder: `plan.json`, `host.json`, `attacks.json`, `trials/NNNN-ARM.json` and the
//! report.
//!
//! A file is written once and whole: to a temporary file beside it, flushed to the disk, renamed
//! over the name, and the folder flushed. Whatever ends the program, a file that has its name is
//! complete. Records and the host carry a checksum; the plan's hash is in every record. A reader
//! refuses what a newer program wrote, and names the file that it cannot read.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::seal::{Fault, Form, read, seal};
use super::{ATTACKS_SCHEMA, AttackRecord, Host, RECORD_SCHEMA, TrialRecord};
use crate::error::{Error, Result};
use crate::plan::{PLAN_SCHEMA, Plan};
use crate::sanitise;

/// Records and hosts: those of schema 1 had no checksum.
const SEALED: Form = Form { known: 1..=RECORD_SCHEMA, sealed_from: 2 };
const PLANS: Form = Form { known: PLAN_SCHEMA..=PLAN_SCHEMA, sealed_from: u32::MAX };
const ATTACKED: Form = Form { known: 1..=ATTACKS_SCHEMA, sealed_from: 1 };

/// The file with the attacks on the arms.
const ATTACKS: &str = "attacks.json";

/// How temporary files begin and end.
const TEMPORARY: (&str, &str) = (".authbench-", ".tmp");

/// The folder of one campaign.
#[derive(Clone, Debug)]
pub struct Folder {
    pub(super) root: PathBuf,
}

/// What was found in the place of a record.
pub(super) enum Read {
    /// A record of the plan.
    Record(Box<TrialRecord>),
    /// Something else: a sentence that goes on after the file's name.
    Unusable(String),
}

impl Folder {
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

    pub(super) fn trials(&self) -> PathBuf {
        self.root.join("trials")
    }

    /// The plan.
    ///
    /// # Errors
    /// `Io` or `Config` when it cannot be read.
    pub fn plan(&self) -> Result<Plan> {
        read_file(&self.root.join("plan.json"), &PLANS)
    }

    /// The machine it ran on.
    ///
    /// # Errors
    /// `Io` or `Config` when it cannot be read.
    pub fn host(&self) -> Result<Host> {
        self.read_sealed("host.json")
    }

    /// The records, in the order of the plan.
    ///
    /// # Errors
    /// `Io` or `Config` when one cannot be read, is not of this plan, or has lost a request.
    pub fn records(&self, plan: &Plan) -> Result<Vec<TrialRecord>> {
        let mut records = Vec::new();
        for path in self.record_files()? {
            match self.read_record(&path, plan)? {
                Read::Record(record) => records.push(*record),
                Read::Unusable(why) => {
                    return Err(Error::Config(format!(
                        "{}: {why}; `authbench campaign ... --resume` sets it aside and runs its \
                         trial again",
                        path.display()
                    )));
                }
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
        let attacks = read_file::<AttackRecord>(&path, &ATTACKED)?;
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
        self.write_sealed(ATTACKS, attacks)
    }

    /// The files in which records stand, in the order of their names.
    pub(super) fn record_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = entries(&self.trials())?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        Ok(files)
    }

    /// Reads what should be the record of a trial of this plan.
    ///
    /// # Errors
    /// `Io` when it cannot be read, `Config` when a newer authbench wrote it.
    pub(super) fn read_record(&self, path: &Path, plan: &Plan) -> Result<Read> {
        let bytes = fs::read(path).map_err(|e| Error::io("cannot be read", path, e))?;
        let unusable = |why: &str| Ok(Read::Unusable(why.into()));
        let record: TrialRecord = match read(&bytes, &SEALED) {
            Ok(record) => record,
            Err(Fault::Broken(why)) => return Ok(Read::Unusable(why)),
            Err(Fault::Unknown(why)) => return Err(refuse(path, &why)),
        };
        let planned = plan.trials.get(record.trial.index as usize);
        if record.plan != plan.hash() || planned != Some(&record.trial) {
            return unusable("is no record of the plan beside it");
        }
        let stem = record.trial.file_stem();
        if path.file_stem().is_none_or(|found| found != stem.as_str()) {
            return unusable("has not the name of its trial");
        }
        if !record.loads().all(|load| load.counts.balanced()) {
            return unusable("is not what was written: its counts do not add up");
        }
        Ok(Read::Record(Box::new(record)))
    }

    /// Writes the record of a trial.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn write_record(&self, record: &TrialRecord) -> Result<()> {
        self.write_sealed(&format!("trials/{}.json", record.trial.file_stem()), record)
    }

    /// Writes a file of the report.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        write_atomically(&self.root.join(name), text.as_bytes())
    }

    pub(super) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.root.join(name);
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::Bug(format!("{}: {e}", path.display())))?;
        write_atomically(&path, format!("{}\n", sanitise::json(&text)).as_bytes())
    }

    pub(super) fn write_sealed(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let path = self.root.join(name);
        let bytes = seal(value).map_err(|e| Error::Bug(format!("{}: {e}", path.display())))?;
        write_atomically(&path, &bytes)
    }

    pub(super) fn read_sealed<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        read_file(&self.root.join(name), &SEALED)
    }

    /// Removes what a killed campaign was writing. Only who has claimed the folder may do so.
    pub(super) fn sweep(&self) -> Result<()> {
        let (first, last) = TEMPORARY;
        for path in [entries(&self.root)?, entries(&self.trials())?].concat() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(first) && name.ends_with(last) {
                fs::remove_file(&path).map_err(|e| Error::io("cannot be removed", &path, e))?;
            }
        }
        Ok(())
    }
}

/// What stands in a folder, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let fail = |e| Error::io("cannot be read", folder, e);
    let entries = fs::read_dir(folder).map_err(fail)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(fail)?;
    paths.sort();
    Ok(paths)
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
        .prefix(TEMPORARY.0)
        .suffix(TEMPORARY.1)
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

fn read_file<T: DeserializeOwned>(path: &Path, form: &Form) -> Result<T> {
    let bytes = fs::read(path).map_err(|e| Error::io("cannot be read", path, e))?;
    read(&bytes, form).map_err(|fault| match fault {
        Fault::Broken(why) | Fault::Unknown(why) => refuse(path, &why),
    })
}

fn refuse(path: &Path, why: &str) -> Error {
    Error::Config(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Claim;

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
        let claim = Claim::take(dir.path()).unwrap();
        let folder = Folder::create(&claim, &plan(), &host).unwrap().folder;
        assert_eq!(Folder::open(dir.path()).unwrap().plan().unwrap(), plan());
        assert_eq!(folder.host().unwrap(), host);
        assert_eq!(folder.records(&plan()).unwrap(), []);
        let twice = Folder::create(&claim, &plan(), &host).unwrap_err();
        assert_eq!(twice.exit_code(), 2);
        assert!(twice.to_string().contains("--resume"), "{twice}");
        drop(claim);
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left.len(), 3, "no temporary file is left: {left:?}");
    }

    #[test]
    fn attacks_read_back_and_those_of_another_plan_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::take(dir.path()).unwrap();
        let folder = Folder::create(&claim, &plan(), &Host::default()).unwrap().folder;
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
        let claim = Claim::take(dir.path()).unwrap();
        let folder = Folder::create(&claim, &plan(), &Host::default()).unwrap().folder;
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
