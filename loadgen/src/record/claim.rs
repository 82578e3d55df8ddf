//! The right to write trials into a campaign's folder, which one process has at a time.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::files::{Dir, Kind};

const FILE: &str = "campaign.lock";
/// Between taking the lock and writing its number a holder is nameless, for so long at most.
const NAMELESS: Duration = Duration::from_millis(100);

/// The right to write trials into a folder; it ends when this is dropped.
///
/// It is a lock of the kernel's (`flock`) on a file in the folder, so it ends with its holder
/// however that ends, and a file that a killed campaign left behind stands in nobody's way. The
/// file holds the number of the process, for the message to a second process. Its holder
/// removes it, and a process that has locked a file without a name looks for the new one.
#[derive(Debug)]
pub struct Claim {
    root: Dir,
    /// Open as long as the lock is to hold.
    file: File,
}

impl Claim {
    /// Claims a folder, which is made if it is not there.
    ///
    /// # Errors
    /// `Config` when another process has it, `Io` when the folder cannot be written.
    pub fn take(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let root = Dir::make(root)?;
        let fail = |e| Error::io("cannot be written", &path, e);
        loop {
            let file = root.open_lock(FILE).map_err(fail)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken(&root)),
                Err(TryLockError::Error(e)) => return Err(Error::io("cannot be locked", &path, e)),
            }
            if root.is_named(FILE, &file) {
                let claim = Self { root, file };
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
    pub const fn root(&self) -> &Dir {
        &self.root
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Still locked: no other process can have taken the file that loses its name here.
        let _ = self.root.remove(FILE);
    }
}

fn taken(root: &Dir) -> Error {
    let step = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    let number = loop {
        // Where the file is gone, so is its holder.
        let Ok(bytes) = root.read(FILE, Kind::Lock) else { break None };
        let number = String::from_utf8_lossy(&bytes).trim().parse::<u32>().ok();
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
        root.path().display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;
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

    /// The file that a planted name leads to is neither emptied nor removed.
    #[test]
    fn a_planted_lock_is_refused_and_its_victim_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "old").unwrap();
        let root = dir.path().join("out");
        fs::create_dir(&root).unwrap();
        let lock = root.join(FILE);
        let plants: [(&str, &dyn Fn()); 3] = [
            ("a symbolic link", &|| std::os::unix::fs::symlink(&victim, &lock).unwrap()),
            ("a hard link", &|| fs::hard_link(&victim, &lock).unwrap()),
            ("a folder", &|| fs::create_dir(&lock).unwrap()),
        ];
        for (found, plant) in plants {
            plant();
            let error = Claim::take(&root).unwrap_err();
            assert_eq!(error.exit_code(), 5, "{error}");
            assert!(error.to_string().contains(found), "{error}");
            assert_eq!(fs::read_to_string(&victim).unwrap(), "old");
            let _ = fs::remove_file(&lock);
        }
    }

    /// Fault 31: of many, one has the folder.
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
