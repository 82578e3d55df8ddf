//! Beginning a campaign in a folder, and resuming one that was ended before its last trial.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use super::disk::{PLAN, Read, read_records, record_files};
use super::{Claim, Folder, Host, Origin, Refused, TrialOutcome, TrialRecord};
use crate::error::{Error, Result};
use crate::files::Dir;
use crate::plan::Plan;

/// Whether trials of several machines or programs may stand in one campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mixing {
    /// No.
    Refused,
    /// Yes; the report will doubt its figures.
    Allowed,
}

/// A campaign whose trials may be run.
#[derive(Debug)]
pub struct Begun {
    /// Its folder.
    pub folder: Folder,
    /// What the trials from here on say of their origin.
    pub origin: Origin,
    /// The trials that need not be run, in the order of the plan.
    pub done: Vec<TrialRecord>,
    /// Attempts that were refused before, by the trial's place in the plan.
    pub refused: BTreeMap<u32, Vec<Refused>>,
    /// What the user should know, one sentence per fact.
    pub remarks: Vec<String>,
}

impl Folder {
    /// Whether a campaign has begun there.
    pub fn has_campaign(root: &Path) -> bool {
        root.join(PLAN).exists()
    }

    /// Begins a campaign: a folder with the plan and the host in it.
    ///
    /// # Errors
    /// `Config` when a campaign is there already, `Io` when it cannot be written.
    pub fn create(claim: &Claim, plan: &Plan, host: &Host) -> Result<Begun> {
        let folder = Self { root: claim.root().clone() };
        let root = folder.root().display();
        if folder.root.has(PLAN) {
            return Err(Error::Config(format!(
                "{root} holds a campaign already; resume it with --resume, name another folder \
                 with --out, or delete it"
            )));
        }
        // A campaign that was killed before its plan was there has no record.
        if !record_files(&folder.make_trials()?)?.is_empty() {
            return Err(Error::Config(format!(
                "{root} holds records without the plan.json that they belong to; put it back, or \
                 name another folder with --out"
            )));
        }
        folder.sweep()?;
        folder.write_sealed("host.json", host)?;
        folder.write_json(PLAN, plan)?;
        Ok(Begun {
            folder,
            origin: host.origin(1),
            done: vec![],
            refused: BTreeMap::new(),
            remarks: vec![],
        })
    }

    /// Resumes the campaign that has begun there.
    ///
    /// What counts as done is decided by key: a complete record of the same plan (which holds the
    /// seed), from the same program on the same machine, whose checksum holds. Everything else is
    /// run again, and a file that cannot be used is set aside and never deleted. What must not be
    /// mixed is refused before anything in the folder is touched.
    ///
    /// # Errors
    /// `Config` when it is another campaign, or its trials are from another machine or program and
    /// mixing is refused; `Io` when the folder cannot be read or written.
    pub fn resume(claim: &Claim, plan: &Plan, host: &Host, mixing: Mixing) -> Result<Begun> {
        let folder = Self { root: claim.root().clone() };
        let root = folder.root().display();
        let stored = folder.plan()?;
        let other = plan.differences(&stored);
        if !other.is_empty() {
            return Err(Error::Config(format!(
                "{root} holds another campaign than the one that is to be resumed ({}); give the \
                 same campaign and flags, or name another folder with --out",
                listed(&other)
            )));
        }
        let mut unusable = Vec::new();
        let mut readable = Vec::new();
        let trials = folder.trials()?;
        for (name, read) in read_records(&trials, plan)? {
            match read {
                Read::Record(record) => readable.push(*record),
                Read::Unusable(why) => unusable.push((name, why)),
            }
        }
        let start = readable.iter().map(start_of).max().unwrap_or(0) + 1;
        let refused = readable.iter().filter(|record| !record.refused.is_empty());
        let refused = refused.map(|r| (r.trial.index, r.refused.clone())).collect();
        let mut done = readable;
        done.retain(|record| record.outcome == TrialOutcome::Complete);
        done.sort_by_key(|record| record.trial.index);
        let first = folder.host()?;
        let origin = host.origin(start);
        folder.require_unmixed(&done, &first, host, mixing)?;

        let mut remarks = Vec::new();
        for (name, why) in unusable {
            let aside = set_aside(&trials, &name)?;
            remarks.push(format!(
                "{}: {why}; it is kept as {aside}, and its trial is run again",
                trials.path().join(name).display()
            ));
        }
        folder.sweep()?;
        if done.is_empty() {
            folder.write_sealed("host.json", host)?;
        } else if !first.origin(start).same_place(&origin) {
            folder.write_sealed(&origin.host_file(), host)?;
        }
        remarks.push(format!("{} of {} trials are done already", done.len(), plan.trials.len()));
        Ok(Begun { folder, origin, done, refused, remarks })
    }

    /// Refuses to put trials of this machine and program together with those of another.
    fn require_unmixed(
        &self,
        done: &[TrialRecord],
        first: &Host,
        host: &Host,
        mixing: Mixing,
    ) -> Result<()> {
        let here = host.origin(0);
        // Records of schema 1 say nothing of their origin: all of a campaign were from one place.
        let origin = |record: &TrialRecord| record.origin.clone().unwrap_or(first.origin(0));
        let foreign: Vec<Origin> =
            done.iter().map(origin).filter(|origin| !origin.same_place(&here)).collect();
        let Some(one) = foreign.first() else { return Ok(()) };
        // An unoptimised build makes figures of another kind: no wish makes them comparable.
        let other_kind = first.profile != host.profile;
        if mixing == Mixing::Allowed && !other_kind {
            return Ok(());
        }
        let described = if first.origin(0).same_place(one) {
            Some(first.clone())
        } else {
            self.read_sealed(&one.host_file()).ok()
        };
        let what = described.map_or_else(
            || format!("program {}", one.binary_sha256),
            |there| listed(&host.differences(&there)),
        );
        let remedy = if other_kind {
            "a debug and a release build never mix: name another folder with --out"
        } else {
            "go on there, name another folder with --out, or mix them with --mix, which the report \
             will doubt"
        };
        Err(Error::Config(format!(
            "{}: {} of its {} complete trials are from another machine or program ({what}); \
             {remedy}",
            self.root().display(),
            foreign.len(),
            done.len(),
        )))
    }
}

fn start_of(record: &TrialRecord) -> u32 {
    record.origin.as_ref().map_or(1, |origin| origin.start)
}

/// `kernel: Linux 6.8 there, Linux 6.9 here; ...`
fn listed(differences: &[(&'static str, String, String)]) -> String {
    let difference = |(what, here, there): &(&str, String, String)| {
        format!("{what}: {there} there, {here} here")
    };
    differences.iter().map(difference).collect::<Vec<_>>().join("; ")
}

/// Takes a file out of the records without losing it; its new name.
fn set_aside(trials: &Dir, name: &OsStr) -> Result<String> {
    let shown = name.to_string_lossy();
    for count in 1.. {
        let number = if count == 1 { String::new() } else { format!("-{count}") };
        let aside = format!("{shown}.unusable{number}");
        if !trials.has(&aside) {
            let set_aside = trials.rename(name, &aside);
            let path = trials.path().join(name);
            return set_aside
                .map(|()| aside)
                .map_err(|e| Error::io("cannot be set aside", &path, e));
        }
    }
    Err(Error::Bug("all numbers are used up".into()))
}
