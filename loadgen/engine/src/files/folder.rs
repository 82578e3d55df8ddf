//! Writing: by the name itself, whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fsync, mkdirat, openat, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;

use super::read::{Kind, name_of, no_file, read_at, require_file};
use crate::error::{Error, Result};

/// How temporary files begin and end.
const TEMPORARY: (&str, &str) = (".authbench-", ".tmp");
/// Names for a temporary file that are tried.
const TRIES: u32 = 1_000;

/// Whether a file of this name is one that was being written.
pub fn is_temporary(name: &OsStr) -> bool {
    let (first, last) = TEMPORARY;
    name.as_bytes().starts_with(first.as_bytes()) && name.as_bytes().ends_with(last.as_bytes())
}

/// An open folder.
#[derive(Clone, Debug)]
pub struct Dir {
    path: PathBuf,
    descriptor: Arc<OwnedFd>,
}

impl Dir {
    /// Opens a folder that the user named.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn open(path: &Path) -> io::Result<Self> {
        let descriptor = openat(CWD, path, flags(OFlags::DIRECTORY), Mode::empty())?;
        Ok(Self { path: path.into(), descriptor: Arc::new(descriptor) })
    }

    /// Opens a folder that the user named, and makes it where it is not there.
    ///
    /// # Errors
    /// `Io` when it cannot be made or opened.
    pub fn make(path: &Path) -> Result<Self> {
        let made = fs::create_dir_all(path).and_then(|()| Self::open(path));
        made.map_err(|e| Error::io("cannot be made", path, e))
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    /// `Io` when no folder has this name.
    pub fn inner(&self, name: &str) -> Result<Self> {
        let path = self.path.join(name);
        let flags = flags(OFlags::DIRECTORY | OFlags::NOFOLLOW);
        match openat(&self.descriptor, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(Self { path, descriptor: Arc::new(descriptor) }),
            Err(error) => Err(Error::io("cannot be opened", &path, self.explain(name, error))),
        }
    }

    /// Opens a folder in this one, and makes it where it is not there.
    ///
    /// # Errors
    /// `Io` when it cannot be made, or something else has its name.
    pub fn make_inner(&self, name: &str) -> Result<Self> {
        match mkdirat(&self.descriptor, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => self.inner(name),
            Err(e) => Err(Error::io("cannot be made", &self.path.join(name), e.into())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything has this name; a link counts, wherever it leads.
    pub fn has(&self, name: &str) -> bool {
        self.stat(name).is_ok()
    }

    /// The names in it, in order.
    ///
    /// # Errors
    /// `Io` when it cannot be read.
    pub fn names(&self) -> Result<Vec<OsString>> {
        let read = || {
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&self.descriptor)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if ![b".".as_slice(), b".."].contains(&name) {
                    names.push(OsStr::from_bytes(name).to_owned());
                }
            }
            names.sort();
            Ok(names)
        };
        read().map_err(|e: io::Error| Error::io("cannot be read", &self.path, e))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// As [`super::read`].
    pub fn read(&self, name: impl AsRef<OsStr>, kind: Kind) -> io::Result<Vec<u8>> {
        read_at(&self.descriptor, name.as_ref(), kind)
    }

    /// Writes a file whole or not at all.
    ///
    /// A file is written to a temporary one next to it, flushed to the disk, renamed over the name,
    /// and the folder flushed. A rename follows no link, so whatever somebody plants at a name,
    /// nothing else is ever written over; what is no file is refused beforehand, because it is
    /// there by mistake or malice. All goes by the descriptor of the folder, which stays the same
    /// folder whatever becomes of its path.
    ///
    /// # Errors
    /// `Io` when something else has its name, or one of the steps fails; what was there before is
    /// then untouched.
    pub fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<()> {
        let name = name.as_ref();
        self.replace(name, bytes)
            .map_err(|e| Error::io("cannot be written", &self.path.join(name), e))
    }

    fn replace(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let mode = match self.stat(name) {
            Ok(there) => mode_kept(&there)?,
            Err(Errno::NOENT) => Mode::from_raw_mode(0o644),
            Err(error) => return Err(error.into()),
        };
        let (temporary, mut file) = self.temporary()?;
        let written = file
            .write_all(bytes)
            // A temporary file is private to its owner; a result is for everyone to read.
            .and_then(|()| Ok(fchmod(&file, mode)?))
            .and_then(|()| file.sync_all())
            .and_then(|()| Ok(renameat(&self.descriptor, &temporary, &self.descriptor, name)?));
        if written.is_err() {
            let _ = unlinkat(&self.descriptor, &temporary, AtFlags::empty());
        }
        written.and_then(|()| Ok(fsync(&self.descriptor)?))
    }

    /// A new file that nobody else has, and its name.
    fn temporary(&self) -> io::Result<(String, File)> {
        let (first, last) = TEMPORARY;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        for number in 0..TRIES {
            let name = format!("{first}{}-{number}{last}", std::process::id());
            match openat(&self.descriptor, &name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
            {
                Ok(file) => return Ok((name, file.into())),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Opens a file for a lock, and makes it where it is not there. What it holds is left as it is.
    ///
    /// # Errors
    /// What was found, where it is no file of its own; else what the operating system said.
    pub fn open_lock(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o644);
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = openat(&self.descriptor, name, flags, mode)
            .map_err(|error| self.explain(name, error))?;
        require_file(&file)?;
        if rustix::fs::fstat(&file)?.st_nlink > 1 {
            return Err(no_file("one that has another name too (a hard link)"));
        }
        Ok(file.into())
    }

    /// Whether this name still leads to that file.
    pub fn is_named(&self, name: &str, file: &File) -> bool {
        let identity = |stat: Stat| (stat.st_dev, stat.st_ino);
        let named = self.stat(name).map(identity);
        named.is_ok_and(|named| rustix::fs::fstat(file).is_ok_and(|it| identity(it) == named))
    }

    /// Removes a file; of a link, the link.
    ///
    /// # Errors
    /// `Io` when it cannot be removed.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let name = name.as_ref();
        unlinkat(&self.descriptor, name, AtFlags::empty())
            .map_err(|e| Error::io("cannot be removed", &self.path.join(name), e.into()))
    }

    /// Gives a file another name in this folder.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn rename(&self, name: impl AsRef<OsStr>, to: &str) -> io::Result<()> {
        Ok(renameat(&self.descriptor, name.as_ref(), &self.descriptor, to)?)
    }

    fn stat(&self, name: impl AsRef<OsStr>) -> rustix::io::Result<Stat> {
        statat(&self.descriptor, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// What stands in the way, where that is no matter of rights or room.
    fn explain(&self, name: &str, error: Errno) -> io::Error {
        let found = self.stat(name).map(|there| FileType::from_raw_mode(there.st_mode));
        match (error, found) {
            (Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO, Ok(found)) => {
                in_the_way(found)
            }
            _ => error.into(),
        }
    }
}

const fn flags(more: OFlags) -> OFlags {
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(more)
}

fn in_the_way(found: FileType) -> io::Error {
    io::Error::other(format!("found {} of this name; remove it", name_of(found)))
}

/// The permissions of a file that is replaced: those that it had, where it is our own.
fn mode_kept(there: &Stat) -> io::Result<Mode> {
    match FileType::from_raw_mode(there.st_mode) {
        FileType::RegularFile if there.st_uid == rustix::process::geteuid().as_raw() => {
            Ok(Mode::from_raw_mode(there.st_mode & 0o777))
        }
        FileType::RegularFile => Ok(Mode::from_raw_mode(0o644)),
        other => Err(in_the_way(other)),
    }
}

/// Writes a file that the user named, whole or not at all. A character device, such as `/dev/null`,
/// takes the bytes and stays what it is; a link, a pipe, a socket and any other device are refused.
///
/// # Errors
/// `Io`; what was there before is then untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let (folder, name) = output(path)?;
    if folder.stat(name).is_ok_and(|there| is_character_device(there.st_mode)) {
        let fail = |e: io::Error| Error::io("cannot be written", path, e);
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let flags = flags | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = openat(&folder.descriptor, name, flags, Mode::empty());
        let mut device = File::from(opened.map_err(|e| fail(e.into()))?);
        let found = rustix::fs::fstat(&device).map_err(|e| fail(e.into()))?.st_mode;
        if !is_character_device(found) {
            return Err(fail(in_the_way(FileType::from_raw_mode(found))));
        }
        return device.write_all(bytes).map_err(fail);
    }
    folder.write(name, bytes)
}

/// Finds out whether [`write()`] would refuse a path, before anything costs time.
///
/// # Errors
/// `Io` when it would.
pub fn check_output(path: &Path) -> Result<()> {
    let (folder, name) = output(path)?;
    let there = match folder.stat(name) {
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(there) if is_character_device(there.st_mode) => Ok(()),
        Ok(there) => mode_kept(&there).map(drop),
    };
    there.map_err(|e| Error::io("cannot be written", path, e))
}

fn is_character_device(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::CharacterDevice
}

/// The folder of a path that the user named, and the name in it.
fn output(path: &Path) -> Result<(Dir, &OsStr)> {
    let fail = |e| Error::io("cannot be written", path, e);
    let name = path.file_name().ok_or_else(|| fail(no_file("a folder")))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = Dir::open(folder).map_err(fail)?;
    // A name that is mistyped there would become a file in the place of a device.
    let is_device = path.parent() == Some(Path::new("/dev"));
    if is_device && matches!(folder.stat(name), Err(Errno::NOENT)) {
        return Err(fail(no_file("no device of that name")));
    }
    Ok((folder, name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn no_link_is_followed_and_its_victim_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link) = (dir.path().join("victim"), dir.path().join("link"));
        let dangling = dir.path().join("dangling");
        fs::write(&victim, "old").unwrap();
        symlink(&victim, &link).unwrap();
        symlink(dir.path().join("made"), &dangling).unwrap();
        for path in [&link, &dangling] {
            for error in [check_output(path).unwrap_err(), write(path, b"new").unwrap_err()] {
                assert_eq!(error.exit_code(), 5);
                assert!(error.to_string().contains("found a symbolic link"), "{error}");
            }
            assert!(path.is_symlink());
        }
        let folder = Dir::open(dir.path()).unwrap();
        folder.write("link", b"new").unwrap_err();
        folder.open_lock("link").unwrap_err();
        folder.open_lock("dangling").unwrap_err();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "old");
        assert!(!dir.path().join("made").exists());
        assert!(folder.names().unwrap().iter().all(|name| !is_temporary(name)));
    }

    #[test]
    fn a_folder_that_is_a_link_is_no_inner_folder() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(elsewhere.path(), dir.path().join("trials")).unwrap();
        let folder = Dir::open(dir.path()).unwrap();
        for error in [folder.inner("trials"), folder.make_inner("trials")] {
            let error = error.unwrap_err();
            assert_eq!(error.exit_code(), 5);
            assert!(error.to_string().contains("found a symbolic link"), "{error}");
        }
        // The user's own path may lead over a link.
        Dir::open(&dir.path().join("trials")).unwrap().write("file", b"x").unwrap();
        assert!(elsewhere.path().join("file").is_file());
    }

    #[test]
    fn what_is_no_file_is_refused_and_a_character_device_takes_the_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, mode, 0).unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        for (path, found) in [(&fifo, "a pipe"), (&inner, "a folder")] {
            let error = write(path, b"x").unwrap_err();
            assert!(error.exit_code() == 5 && error.to_string().contains(found), "{error}");
        }
        assert!(fifo.symlink_metadata().unwrap().file_type().is_fifo());
        let folder = Dir::open(dir.path()).unwrap();
        assert!(folder.open_lock("fifo").unwrap_err().to_string().contains("a pipe"));
        check_output(Path::new("/dev/null")).unwrap();
        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let mistyped = check_output(Path::new("/dev/nul")).unwrap_err().to_string();
        assert!(mistyped.contains("no device of that name"), "{mistyped}");
    }

    #[test]
    fn a_lock_that_is_somebodys_file_too_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("victim"), "old").unwrap();
        fs::hard_link(dir.path().join("victim"), dir.path().join("lock")).unwrap();
        let folder = Dir::open(dir.path()).unwrap();
        let error = folder.open_lock("lock").unwrap_err();
        assert!(error.to_string().contains("a hard link"), "{error}");
    }

    /// Fault 29: a file is replaced, not overwritten.
    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"old").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o644);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let other_name = dir.path().join("other");
        fs::hard_link(&path, &other_name).unwrap();
        write(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"new".to_vec(), 0o640));
        assert_eq!(fs::read(&other_name).unwrap(), b"old", "another name keeps what it had");
        let missing = write(&dir.path().join("missing/report.md"), b"x").unwrap_err();
        assert_eq!(missing.exit_code(), 5);
        assert!(missing.to_string().contains("missing/report.md"), "{missing}");
    }
}
