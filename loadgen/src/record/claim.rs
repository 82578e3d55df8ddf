//! The right to write trials into a campaign's folder, which one process has at a time.
//!
//! It is a lock of the kernel's (`flock`) on a file in the folder, so it ends with its holder
//! however that ends, and a file that a killed campaign left behind stands in nobody's way. The
//! file holds the number of the process, for the message to whoever comes second. Its holder
//! removes it, and whoever has locked a file that lost its name meanwhile looks for the new one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};

const FILE: &str = "campaign.lock";
/// Between taking the lock and writing its number a holder is nameless, for so long at most.
const NAMELESS: Duration = Duration::from_millis(100);

/// The right to write trials into a folder; it ends when this is dropped.
#[derive(Debug)]
pub struct Claim {
    root: PathBuf,
    /// Open as long as the lock is to hold.
    file: File,
}

impl Claim {
    /// Claims a folder, which is made if it is not there.
    ///
    /// # Errors
    /// `Config` when another process has it, `Io` when the folder cannot be written.
    pub fn take(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).map_err(|e| Error::io("cannot be made", root, e))?;
        let path = root.join(FILE);
        let fail = |e| Error::io("cannot be written", &path, e);
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(fail)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(root, &path)),
                Err(TryLockError::Error(e)) => return Err(Error::io("cannot be locked", &path, e)),
            }
            let locked = file.metadata().map_err(fail)?;
            let named = path.metadata().ok();
            if named.is_some_and(|named| (named.dev(), named.ino()) == (locked.dev(), locked.ino()))
            {
                let claim = Self { root: root.into(), file };
                // Where this fails, the drop of the claim removes the file again.
                let written = claim.file.set_len(0).and_then(|()| {
                    writeln!(&claim.file, "{}", std::process::id())?;
                    Ok(claim)
                });
                return written.map_err(fail);
            }
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: nobody else can have taken the file that loses its name here.
        let _ = fs::remove_file(self.root.join(FILE));
    }
}

fn taken(root: &Path, path: &Path) -> Error {
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    let number = loop {
        // Where the file is gone, so is its holder.
        let Ok(text) = fs::read_to_string(path) else { break None };
        let number = text.trim().parse::<u32>().ok();
        if number.is_some() || waited >= NAMELESS {
            break number;
        }
        std::thread::sleep(step);
        waited += step;
    };
    let holder = number.map_or_else(|| "another process".into(), |pid| format!("process {pid}"));
    Error::Config(format!(
        "{}: a campaign is running in this folder ({holder}); wait for its end, or name another \
         folder with --out",
        root.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_second_is_refused_with_the_number_of_the_first_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("out");
        let first = Claim::take(&root).unwrap();
        let second = Claim::take(&root).unwrap_err();
        assert_eq!(second.exit_code(), 2);
        let number = format!("process {}", std::process::id());
        assert!(second.to_string().contains(&number), "{second}");
        drop(first);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "the lock's file is removed");
        drop(Claim::take(&root).unwrap());
        // What a killed campaign leaves.
        fs::write(root.join(FILE), "4194304\n").unwrap();
        drop(Claim::take(&root).unwrap());
    }

    #[test]
    fn of_many_at_the_same_instant_one_at_a_time_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (barrier, holders) = (Barrier::new(8), AtomicUsize::new(0));
        let (taken, together) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        barrier.wait();
                        if let Ok(claim) = Claim::take(dir.path()) {
                            let others = holders.fetch_add(1, Ordering::SeqCst);
                            together.fetch_max(others, Ordering::SeqCst);
                            taken.fetch_add(1, Ordering::SeqCst);
                            std::thread::yield_now();
                            holders.fetch_sub(1, Ordering::SeqCst);
                            drop(claim);
                        }
                    }
                });
            }
        });
        assert_eq!(together.load(Ordering::SeqCst), 0, "two had it at the same time");
        assert!(taken.load(Ordering::SeqCst) >= 50, "of each eight at least one has it");
    }
}
