//! A temporary folder that goes with its owner, or with the next run where its owner was killed.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    fchown,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

const PREFIX: &str = "authbench-";
const LOCK: &str = "lock";
const HOME: &str = "home";
/// How the lock begins, so that no folder of somebody's own is taken for one of these.
const MARK: &str = "authbench removes this folder when nobody has this file locked\n";
/// Tries to make a folder: a sweep may take one that is not locked yet.
const TRIES: u32 = 100;

/// A user and the group of that user.
///
/// ```text
/// authbench-RANDOM/        0700, always this user's
///     lock                 0600, locked by everybody who uses the folder
///     home/                0700, handed over last where a store runs as another user
/// ```
///
/// The lock is the kernel's (`flock`), so it ends with its last holder however that ends; a store
/// inherits it as its standard output and error, which makes it the log as well. Nothing is ever
/// read or written by name once `home` belongs to another user. A sweep removes a folder only where
/// it is this user's, its lock is free, and nothing is in it that is not made here; it follows no
/// link and waits for nothing. `home` is removed first: once it is gone nothing can come back, and
/// until then the lock says whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
}

/// The folder, which is removed when this is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    lock: File,
}

impl Folder {
    /// Makes one that only this user can enter.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn make() -> io::Result<Self> {
        Self::make_in(&std::env::temp_dir())
    }

    fn make_in(parent: &Path) -> io::Result<Self> {
        let mut tries = 1;
        loop {
            let mut builder = tempfile::Builder::new();
            builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700));
            match Self::claim(builder.tempdir_in(parent)?.keep()) {
                Err(error) if is_race(&error) && tries < TRIES => tries += 1,
                made => return made,
            }
        }
    }

    fn claim(path: PathBuf) -> io::Result<Self> {
        let mut options = new_file();
        let lock = options.read(true).append(true).open(path.join(LOCK))?;
        lock.try_lock()?;
        (&lock).write_all(MARK.as_bytes())?;
        // Fails where a sweep had the lock before us, and has removed it all.
        DirBuilder::new().mode(0o700).create(path.join(HOME))?;
        Ok(Self { path, lock })
    }

    /// Where its files are.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path.join(HOME)
    }

    /// The folder around it, which a keeper removes where its owner cannot.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The lock for a further holder, who may write into it as into a log.
    pub(super) fn log(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// The end of what its holders have written, at most so many bytes of it.
    pub(super) fn logged(&self, bytes_max: u64) -> io::Result<String> {
        let end = self.lock.metadata()?.len();
        let start = end.saturating_sub(bytes_max).max(MARK.len() as u64);
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or_default()];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.lock.read_at(&mut bytes[filled..], start + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes a file that only `owner` may read, this user by default; to be called before the
    /// folder is handed over.
    pub(super) fn write_secret(
        &self,
        name: &str,
        text: &str,
        owner: Option<Owner>,
    ) -> io::Result<()> {
        let mut file = new_file().write(true).open(self.home().join(name))?;
        file.write_all(text.as_bytes())?;
        owner.map_or(Ok(()), |Owner { uid, gid }| fchown(&file, Some(uid), Some(gid)))
    }

    /// Lets another user into it, and gives that user what is in it.
    pub(super) fn hand_over(&self, Owner { uid, gid }: Owner) -> io::Result<()> {
        let outer = open_folder(&self.path)?;
        fchown(&outer, None, Some(gid))?;
        outer.set_permissions(Permissions::from_mode(0o710))?;
        fchown(open_folder(&self.home())?, Some(uid), Some(gid))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now keeps its lock, and the next run finds it free.
        drop(remove(&self.path));
    }
}

/// Whether a sweep took the folder before it was locked.
fn is_race(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WouldBlock)
}

/// A file that no other user can have planted, and that only this user can open.
fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path.join(HOME)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => fs::remove_file(path.join(LOCK))?,
    }
    fs::remove_dir(path)
}

/// Removes what killed runs of this user have left in the temporary folder. What is in use, and
/// what is not certain to be such a folder, stays.
pub fn sweep() {
    sweep_in(&std::env::temp_dir());
}

fn sweep_in(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // Somebody else may be removing it too.
            drop(clear(&entry.path()));
        }
    }
}

/// Removes one folder where its owner is gone.
fn clear(path: &Path) -> io::Result<()> {
    let meta = open_folder(path)?.metadata()?;
    let own = geteuid().as_raw();
    if meta.uid() != own || meta.mode() & 0o067 != 0 {
        return Ok(());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name());
    }
    if names.is_empty() {
        // Its owner was killed at once, or is about to lock it and will make another.
        return fs::remove_dir(path);
    }
    if names.iter().any(|name| name != LOCK && name != HOME) {
        return Ok(());
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    let lock = options.read(true).custom_flags(flags.bits().cast_signed()).open(path.join(LOCK))?;
    let meta = lock.metadata()?;
    if !meta.is_file() || meta.uid() != own || meta.nlink() != 1 {
        return Ok(());
    }
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut start = [0; MARK.len()];
    let marked = lock.read_exact_at(&mut start, 0).is_ok() && start == *MARK.as_bytes();
    let only_begun = names.len() == 1 && lock.metadata()?.len() < MARK.len() as u64;
    if marked || only_begun { remove(path) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::Relaxed;
    use std::time::{Duration, Instant};

    use super::*;

    /// A folder whose owner was killed: everything stays, and the lock is free.
    fn abandoned(parent: &Path) -> PathBuf {
        let folder = Folder::make_in(parent).unwrap();
        folder.write_secret("secret", "x", None).unwrap();
        let path = folder.path.clone();
        let Folder { lock, .. } = &*std::mem::ManuallyDrop::new(folder);
        lock.unlock().unwrap();
        path
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_is_in_use_stays() {
        let parent = tempfile::tempdir().unwrap();
        let left = abandoned(parent.path());
        let begun = parent.path().join("authbench-begun");
        let empty = parent.path().join("authbench-empty");
        for path in [&begun, &empty] {
            DirBuilder::new().mode(0o700).create(path).unwrap();
        }
        fs::write(begun.join(LOCK), "").unwrap();
        let mut used = Folder::make_in(parent.path()).unwrap();
        sweep_in(parent.path());
        assert!(!left.exists() && !begun.exists() && !empty.exists());
        assert!(used.home().is_dir() && used.path.join(LOCK).is_file());
        // A store that outlives its owner has the lock too.
        let log = used.log().unwrap();
        used.lock = File::open("/dev/null").unwrap();
        sweep_in(parent.path());
        assert!(used.path.is_dir());
        drop(log);
        sweep_in(parent.path());
        assert!(!used.path.exists());
    }

    #[test]
    fn what_may_be_a_strangers_is_not_touched() {
        let parent = tempfile::tempdir().unwrap();
        let precious = parent.path().join("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "kept").unwrap();

        let linked = parent.path().join("authbench-link");
        symlink(&precious, &linked).unwrap();
        let holds_more = abandoned(parent.path());
        fs::write(holds_more.join("results"), "mine").unwrap();
        let open_to_all = abandoned(parent.path());
        fs::set_permissions(&open_to_all, Permissions::from_mode(0o777)).unwrap();
        let own_lock = abandoned(parent.path());
        fs::write(own_lock.join(LOCK), "a lock of a program of mine, with as many letters as it\n")
            .unwrap();
        let lock_is_link = abandoned(parent.path());
        fs::remove_file(lock_is_link.join(LOCK)).unwrap();
        symlink(precious.join("file"), lock_is_link.join(LOCK)).unwrap();
        let lock_is_fifo = abandoned(parent.path());
        fs::remove_file(lock_is_fifo.join(LOCK)).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        let fifo = lock_is_fifo.join(LOCK);
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let all = [linked, holds_more, open_to_all, own_lock, lock_is_link, lock_is_fifo];
        sweep_in(parent.path());
        for path in &all {
            assert!(path.join(HOME).join("secret").exists() || path.is_symlink(), "{path:?}");
        }
        assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "kept");
    }

    #[test]
    fn a_link_within_leads_a_sweep_nowhere() {
        let parent = tempfile::tempdir().unwrap();
        let victim = parent.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("file"), "kept").unwrap();
        let left = abandoned(parent.path());
        symlink(&victim, left.join(HOME).join("data")).unwrap();
        let home_is_link = abandoned(parent.path());
        fs::remove_dir_all(home_is_link.join(HOME)).unwrap();
        symlink(&victim, home_is_link.join(HOME)).unwrap();
        sweep_in(parent.path());
        assert!(!left.exists());
        assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "kept");
    }

    #[test]
    fn folders_that_are_made_while_others_sweep_are_whole() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let sweepers: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| (0..300).for_each(|_| sweep_in(parent.path()))))
                .collect();
            while !sweepers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                let folder = Folder::make_in(parent.path()).unwrap();
                folder.write_secret("secret", "x", None).unwrap();
                assert!(folder.home().join("secret").is_file());
            }
        });
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_secret_is_written_through_no_link_and_over_no_file() {
        let folder = Folder::make().unwrap();
        let victim = tempfile::NamedTempFile::new().unwrap();
        fs::write(&victim, "kept").unwrap();
        symlink(victim.path(), folder.home().join("linked")).unwrap();
        fs::write(folder.home().join("there"), "planted").unwrap();
        for name in ["linked", "there"] {
            let error = folder.write_secret(name, "secret", None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
        }
        symlink("/nowhere/at/all", folder.home().join("dangling")).unwrap();
        folder.write_secret("dangling", "secret", None).unwrap_err();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
    }

    /// Looks at all modes that there are in a folder, over and over, while folders are made in it.
    #[test]
    fn nothing_is_open_to_others_at_any_moment() {
        let parent = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        let has_seen = AtomicBool::new(false);
        let seen = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut seen = std::collections::BTreeSet::new();
                while !done.load(Relaxed) {
                    for entry in fs::read_dir(parent.path()).unwrap().flatten() {
                        let outer = entry.path();
                        let home = outer.join(HOME);
                        let secret = home.join("secret");
                        for (what, path) in
                            [("outer", &outer), ("home", &home), ("secret", &secret)]
                        {
                            if let Ok(meta) = fs::symlink_metadata(path) {
                                let mode = meta.mode() & 0o777;
                                seen.insert((what, mode));
                                if (what, mode) == ("outer", 0o700) {
                                    has_seen.store(true, Relaxed);
                                }
                            }
                        }
                    }
                }
                seen
            });
            let own = fs::metadata(parent.path()).unwrap();
            let owner = Owner { uid: own.uid(), gid: own.gid() };
            // A watcher that seldom has a core sees little: go on until it has seen one.
            let far = Instant::now() + Duration::from_secs(60);
            let goes_on = |made: u32| {
                let is_seen = has_seen.load(Relaxed);
                made < 500 || (!is_seen && Instant::now() < far)
            };
            for _ in (0..).take_while(|made| goes_on(*made)) {
                let folder = Folder::make_in(parent.path()).unwrap();
                folder.write_secret("secret", "x", Some(owner)).unwrap();
                folder.hand_over(owner).unwrap();
            }
            done.store(true, Relaxed);
            watcher.join().unwrap()
        });
        let allowed = [("outer", 0o700), ("outer", 0o710), ("home", 0o700), ("secret", 0o600)];
        assert!(seen.contains(&("outer", 0o700)), "nothing was seen: {seen:?}");
        assert!(seen.iter().all(|pair| allowed.contains(pair)), "{seen:?}");
    }
}
