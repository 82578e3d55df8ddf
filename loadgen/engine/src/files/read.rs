//! Reading: what is no file, or has no end, is refused at once and never waited for.
//! The file is opened without blocking and then asked what it is, by its descriptor: between a look
//! at a name and its opening somebody could put something else there.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::error::{Error, Result};

/// What a file is read as, which limits its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A campaign or a target that somebody wrote: 1 MiB.
    Description,
    /// The users of a target: 256 MiB, several million.
    Users,
    /// A key: 64 KiB.
    Key,
    /// The URL of a store: 4 KiB.
    StoreUrl,
    /// Certificates: 16 MiB, a hundred times what a system trusts.
    Certificates,
    /// A page that an answer is put into: 16 MiB.
    Page,
    /// What a browser recorded: 256 MiB.
    Recording,
    /// What a campaign wrote: 256 MiB, a hundred times the largest so far.
    Record,
    /// The number of a process: 64 bytes.
    Lock,
}

impl Kind {
    /// The most that is read, in bytes.
    pub const fn bytes_max(self) -> u64 {
        match self {
            Self::Description => 1 << 20,
            Self::Key => 64 << 10,
            Self::StoreUrl => 4 << 10,
            Self::Certificates | Self::Page => 16 << 20,
            Self::Recording | Self::Record | Self::Users => 256 << 20,
            Self::Lock => 64,
        }
    }
}

/// Reads a whole file.
///
/// # Errors
/// What the operating system said; what was found, where it is no file or larger than its kind may
/// be.
pub fn read(path: &Path, kind: Kind) -> io::Result<Vec<u8>> {
    read_at(CWD, path.as_os_str(), kind)
}

/// Reads a text that the user named.
///
/// # Errors
/// `Config` when it is not there or not UTF-8; `Io` when it cannot be read, is no file or is too
/// large.
pub fn read_text(path: &Path, kind: Kind) -> Result<String> {
    let bytes = read(path, kind).map_err(|e| Error::unreadable(path, e))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::file(path, format!("expected text in UTF-8, found a byte that is not at {at}"))
    })
}

/// Reads a whole file of a folder.
pub(super) fn read_at(folder: impl AsFd, name: &OsStr, kind: Kind) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = openat(folder, name, flags, Mode::empty());
    let file = opened.map_err(|error| match error {
        // A socket cannot be opened at all.
        rustix::io::Errno::NXIO => no_file("a socket or a device"),
        error => error.into(),
    })?;
    require_file(&file)?;
    let (max, mut bytes) = (kind.bytes_max(), Vec::new());
    File::from(file).take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!(
            "expected at most {max} bytes, found more; see that it is the right file"
        )));
    }
    Ok(bytes)
}

/// Refuses a descriptor of anything but a file.
pub(super) fn require_file(found: &OwnedFd) -> io::Result<()> {
    match FileType::from_raw_mode(fstat(found)?.st_mode) {
        FileType::RegularFile => Ok(()),
        other => Err(no_file(name_of(other))),
    }
}

/// What a reader calls it.
pub(super) const fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something unknown",
    }
}

pub(super) fn no_file(found: &str) -> io::Error {
    io::Error::other(format!("expected a file, found {found}; name a file"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// The error of a path that must be refused at once.
    fn refused(path: &Path) -> String {
        let (refused, heard) = std::sync::mpsc::channel();
        let path = path.to_path_buf();
        std::thread::spawn(move || {
            let error = read_text(&path, Kind::Description).unwrap_err();
            refused.send((error.exit_code(), error.to_string())).unwrap();
        });
        let minute = std::time::Duration::from_secs(60);
        let (code, text) = heard.recv_timeout(minute).expect("it is not waited for");
        assert_eq!(code, 5, "{text}");
        text
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let [fifo, socket, link] = ["fifo", "socket", "link"].map(|name| dir.path().join(name));
        rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for (path, found) in [
            (fifo.as_path(), "found a pipe"),
            (&link, "found a pipe"),
            (&socket, "found a socket"),
            (dir.path(), "found a folder"),
            (Path::new("/dev/zero"), "found a device"),
        ] {
            let text = refused(path);
            assert!(text.contains(found) && text.contains(path.to_str().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_or_has_no_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("large");
        let file = File::create(&path).unwrap();
        file.set_len(Kind::Description.bytes_max()).unwrap();
        assert!(read_text(&path, Kind::Description).is_ok());
        // It has holes, so it takes no room.
        file.set_len(1 << 40).unwrap();
        assert!(refused(&path).contains("at most 1048576 bytes"));
        // What the kernel says of its size is 0.
        let status = read(Path::new("/proc/self/status"), Kind::Lock).unwrap_err();
        assert!(status.to_string().contains("at most 64 bytes"), "{status}");
    }

    #[test]
    fn what_is_not_there_or_no_text_is_for_the_user_to_mend() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        let missing = read_text(&path, Kind::Description).unwrap_err();
        assert!(missing.exit_code() == 2 && missing.to_string().contains("text"), "{missing}");
        std::fs::write(&path, b"a\xff").unwrap();
        let no_text = read_text(&path, Kind::Description).unwrap_err();
        assert!(no_text.exit_code() == 2 && no_text.to_string().contains("at 1"), "{no_text}");
    }
}
