//! Who this process is among others of the same run: its program, its host and its machine.

use std::fs;

use super::host::binary_hash;
use crate::plan::sha256_hex;

/// Digits that tell machines apart.
const DIGITS: usize = 16;

/// What tells a process from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of its executable.
    pub binary: String,
    /// The name of its host.
    pub host: String,
    /// A digest of what tells its machine from others while it runs: containers and network
    /// namespaces of one kernel share it.
    pub machine: String,
}

/// Who this process is.
pub fn identity() -> Identity {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut machine = sha256_hex(boot.trim().as_bytes());
    machine.truncate(DIGITS);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Identity { binary: binary_hash(), host, machine }
}

/// A name that no other start of a process has.
pub fn incarnation() -> String {
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    format!("{}-{}", std::process::id(), uuid.trim())
}
