//! The machine and the program that made the figures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Instructions;

/// What is known of the machine and the program; empty or `None` where it could not be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Schema of the records.
    pub schema: u32,
    /// Version of authbench.
    pub authbench: String,
    /// SHA-256 of the executable, in hex.
    pub binary_sha256: String,
    /// `release` or `debug`.
    pub profile: String,
    /// The compiler, as it names itself.
    pub compiler: String,
    /// SHA-256 of `Cargo.lock` at the build, in hex.
    pub lockfile_sha256: String,
    /// The allocator of both sides.
    pub allocator: String,
    /// A digest of the machine's own number (`machine-id`), in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Operating system and kernel.
    pub kernel: String,
    /// Processor.
    pub cpu_model: String,
    /// Logical processors that this process may use.
    pub cores: Vec<usize>,
    /// Threads a core.
    pub smt: Option<bool>,
    /// Frequency governor of the first processor.
    pub governor: Option<String>,
    /// Whether the machine is a guest of a hypervisor.
    pub virtualised: bool,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// Open files that a process may have: soft and hard limit.
    pub open_files: (Option<u64>, Option<u64>),
    /// Local ports for outgoing connections: first and last.
    pub local_ports: Option<(u16, u16)>,
    /// Transparent huge pages: the setting in force.
    pub huge_pages: Option<String>,
    /// Instructions per operation, as committed with the program; `None` in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<Instructions>,
}
