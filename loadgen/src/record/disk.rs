//! A campaign's folder: `plan.json`, `host.json`, `attacks.json`, `trials/NNNN-ARM.json` and the
//! report.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::seal::{Fault, Form, read, seal};
use super::{ATTACKS_SCHEMA, AttackRecord, Host, RECORD_SCHEMA, TrialRecord};
use crate::error::{Error, Result};
use crate::files::{Dir, Kind, is_temporary};
use crate::plan::{PLAN_SCHEMA, Plan};
use crate::sanitise;

/// Records and hosts: those of schema 1 had no checksum.
const SEALED: Form = Form { known: 1..=RECORD_SCHEMA, sealed_from: 2 };
const PLANS: Form = Form { known: PLAN_SCHEMA..=PLAN_SCHEMA, sealed_from: u32::MAX };
const ATTACKED: Form = Form { known: 1..=ATTACKS_SCHEMA, sealed_from: 1 };

/// The file with the attacks on the arms.
const ATTACKS: &str = "attacks.json";

/// The plan, without which there is no campaign.
pub(super) const PLAN: &str = "plan.json";
/// The folder with the records.
const TRIALS: &str = "trials";

/// The folder of one campaign.
///
/// A file is written once and whole ([`Dir::write`]): whatever ends the program, a file that has
/// its name is complete. Records and the host carry a checksum; the plan's hash is in every record.
/// A reader refuses what a newer program wrote, and names the file that it cannot read. The folder
/// may be reached over a link; nothing in it may be one.
#[derive(Clone, Debug)]
pub struct Folder {
    pub(super) root: Dir,
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
        match Dir::open(root) {
            Ok(folder) if folder.has(PLAN) => Ok(Self { root: folder }),
            _ => Err(Error::Config(format!(
                "expected a campaign's folder with a {PLAN} in it, found none in {}",
                root.display()
            ))),
        }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The folder of the records.
    ///
    /// # Errors
    /// `Io` when it is not there, or a link is in its place.
    pub(super) fn trials(&self) -> Result<Dir> {
        self.root.inner(TRIALS)
    }

    /// The same, made where it is not there.
    pub(super) fn make_trials(&self) -> Result<Dir> {
        self.root.make_inner(TRIALS)
    }

    /// The plan.
    ///
    /// # Errors
    /// `Io` or `Config` when it cannot be read.
    pub fn plan(&self) -> Result<Plan> {
        self.read_as(PLAN, &PLANS)
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
        let trials = self.trials()?;
        for (name, read) in read_records(&trials, plan)? {
            match read {
                Read::Record(record) => records.push(*record),
                Read::Unusable(why) => {
                    let remedy = "`authbench campaign ... --resume` sets it aside and runs its \
                                  trial again";
                    let path = trials.path().join(name);
                    return Err(Error::file(&path, format!("{why}; {remedy}")));
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
        if !self.root.has(ATTACKS) {
            return Ok(None);
        }
        let attacks: AttackRecord = self.read_as(ATTACKS, &ATTACKED)?;
        if attacks.plan != plan.hash() {
            let path = self.root().join(ATTACKS);
            return Err(Error::file(&path, "is not a record of the plan beside it"));
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

    /// Writes the record of a trial.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn write_record(&self, record: &TrialRecord) -> Result<()> {
        let trials = self.trials()?;
        let name = format!("{}.json", record.trial.file_stem());
        let bytes = seal(record)
            .map_err(|e| Error::Bug(format!("{}: {e}", trials.path().join(&name).display())))?;
        trials.write(name, &bytes)
    }

    /// Writes a file of the report.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        self.root.write(name, text.as_bytes())
    }

    pub(super) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::Bug(format!("{}: {e}", self.root().join(name).display())))?;
        self.root.write(name, format!("{}\n", sanitise::json(&text)).as_bytes())
    }

    pub(super) fn write_sealed(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let bytes = seal(value)
            .map_err(|e| Error::Bug(format!("{}: {e}", self.root().join(name).display())))?;
        self.root.write(name, &bytes)
    }

    pub(super) fn read_sealed<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        self.read_as(name, &SEALED)
    }

    fn read_as<T: DeserializeOwned>(&self, name: &str, form: &Form) -> Result<T> {
        let path = self.root().join(name);
        let bytes = self.root.read(name, Kind::Record);
        let bytes = bytes.map_err(|e| Error::io("cannot be read", &path, e))?;
        read(&bytes, form).map_err(|fault| match fault {
            Fault::Broken(why) | Fault::Unknown(why) => Error::file(&path, why),
        })
    }

    /// Removes what a killed campaign was writing. Only who has claimed the folder may do so.
    pub(super) fn sweep(&self) -> Result<()> {
        for folder in [&self.root, &self.trials()?] {
            for name in folder.names()?.iter().filter(|name| is_temporary(name)) {
                folder.remove(name)?;
            }
        }
        Ok(())
    }
}

/// What the files of a plan's records hold, in the order of their names. Each core reads some of
/// them: most of the time goes into checking and decoding what they hold.
///
/// # Errors
/// Those of the first file that cannot be read, as [`read_record`] has them.
pub(super) fn read_records(trials: &Dir, plan: &Plan) -> Result<Vec<(OsString, Read)>> {
    let (names, hash) = (record_files(trials)?, plan.hash());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = names.len().div_ceil(cores).max(1);
    let read_some = |names: &[OsString]| -> Result<Vec<(OsString, Read)>> {
        let read = |name: &OsString| Ok((name.clone(), read_record(trials, name, plan, &hash)?));
        names.iter().map(read).collect()
    };
    let parts = thread::scope(|scope| {
        let readers: Vec<_> =
            names.chunks(share).map(|names| scope.spawn(|| read_some(names))).collect();
        let panicked = |_| Error::Bug("a reader of records panicked".into());
        let joined = readers.into_iter().map(|reader| reader.join().map_err(panicked)?);
        joined.collect::<Result<Vec<_>>>()
    })?;
    Ok(parts.into_iter().flatten().collect())
}

/// The files in which records stand, in the order of their names.
pub(super) fn record_files(trials: &Dir) -> Result<Vec<OsString>> {
    let mut names = trials.names()?;
    names.retain(|name| Path::new(name).extension().is_some_and(|end| end == "json"));
    Ok(names)
}

/// Reads what should be the record of a trial of this plan, whose hash is computed once for all.
///
/// # Errors
/// `Io` when it cannot be read, `Config` when a newer authbench wrote it.
fn read_record(trials: &Dir, name: &OsStr, plan: &Plan, hash: &str) -> Result<Read> {
    let path = trials.path().join(name);
    let bytes = trials.read(name, Kind::Record);
    let bytes = bytes.map_err(|e| Error::io("cannot be read", &path, e))?;
    let unusable = |why: &str| Ok(Read::Unusable(why.into()));
    let record: TrialRecord = match read(&bytes, &SEALED) {
        Ok(record) => record,
        Err(Fault::Broken(why)) => return Ok(Read::Unusable(why)),
        Err(Fault::Unknown(why)) => return Err(Error::file(&path, why)),
    };
    let planned = plan.trials.get(record.trial.index as usize);
    if record.plan != hash || planned != Some(&record.trial) {
        return unusable("is not a record of the plan beside it");
    }
    let stem = record.trial.file_stem();
    if path.file_stem().is_none_or(|found| found != stem.as_str()) {
        return unusable("file name does not match its trial");
    }
    if !record.loads().all(|load| load.counts.balanced()) {
        return unusable("is not what was written: its counts do not add up");
    }
    Ok(Read::Record(Box::new(record)))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
            primary: vec![],
            prices: None,
            max_transport_errors: None,
            trials: vec![],
        }
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

    /// Fault 29: every prefix of a plan.
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
        let newer = String::from_utf8(whole).unwrap().replace("\"schema\": 2", "\"schema\": 3");
        fs::write(&path, newer).unwrap();
        assert!(folder.plan().unwrap_err().to_string().contains("schema 3"));
    }

    /// Whatever somebody plants in a campaign's folder, nothing outside of it is touched.
    #[test]
    fn no_link_in_the_folder_is_followed() {
        use std::os::unix::fs::symlink;
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, "old").unwrap();
        symlink(elsewhere.path(), dir.path().join("trials")).unwrap();
        let claim = Claim::take(dir.path()).unwrap();
        let refused = |error: Error| {
            let text = error.to_string();
            assert!(error.exit_code() == 5 && text.contains("found a symbolic link"), "{text}");
        };
        refused(Folder::create(&claim, &plan(), &Host::default()).unwrap_err());
        fs::remove_file(dir.path().join("trials")).unwrap();
        let folder = Folder::create(&claim, &plan(), &Host::default()).unwrap().folder;
        let attacks = AttackRecord { schema: ATTACKS_SCHEMA, plan: plan().hash(), arms: vec![] };
        for name in ["report.md", ATTACKS, "host.json"] {
            let _ = fs::remove_file(dir.path().join(name));
            symlink(&victim, dir.path().join(name)).unwrap();
        }
        refused(folder.write_text("report.md", "new").unwrap_err());
        refused(folder.write_attacks(&attacks).unwrap_err());
        refused(folder.write_sealed("host.json", &Host::default()).unwrap_err());
        symlink(&victim, dir.path().join(".authbench-1-0.tmp")).unwrap();
        folder.sweep().unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "old");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::take(dir.path()).unwrap();
        let folder = Folder::create(&claim, &plan(), &Host::default()).unwrap().folder;
        let pipe = |path: &Path| {
            let _ = fs::remove_file(path);
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        };
        let refused = |error: Error| {
            let text = error.to_string();
            assert!(error.exit_code() == 5 && text.contains("found a pipe"), "{text}");
        };
        pipe(&dir.path().join("trials/0000-none.json"));
        refused(folder.records(&plan()).unwrap_err());
        pipe(&dir.path().join("host.json"));
        refused(folder.host().unwrap_err());
        pipe(&dir.path().join(PLAN));
        refused(folder.plan().unwrap_err());
    }
}
