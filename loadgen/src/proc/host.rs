//! Describes the machine and the program, for `host.json` and `authbench doctor`.

use std::fs;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::plan::sha256_hex;
use crate::record::{Host, Instructions, RECORD_SCHEMA};

/// The cores this process may use, in order.
pub fn usable_cores() -> Vec<usize> {
    let count = rustix::thread::CpuSet::MAX_CPU;
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..count).filter(|core| set.is_set(*core)).collect(),
        Err(_) => Vec::new(),
    }
}

/// Everything that is known of the machine and the program.
pub fn describe() -> Host {
    let kinds = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(kinds);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Host {
        schema: RECORD_SCHEMA,
        authbench: env!("CARGO_PKG_VERSION").into(),
        binary_sha256: binary_hash(),
        profile: if cfg!(debug_assertions) { "debug" } else { "release" }.into(),
        compiler: env!("AUTHBENCH_RUSTC").into(),
        lockfile_sha256: sha256_hex(include_bytes!(env!("AUTHBENCH_LOCKFILE"))),
        allocator: "jemalloc".into(),
        machine_id: machine_id(),
        kernel: format!("{} {}", "Linux", rustix::system::uname().release().to_string_lossy()),
        cpu_model: system.cpus().first().map(|cpu| cpu.brand().into()).unwrap_or_default(),
        cores: usable_cores(),
        smt: line("/sys/devices/system/cpu/smt/active").map(|active| active == "1"),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        virtualised: cpuinfo
            .lines()
            .any(|line| line.starts_with("flags") && line.contains(" hypervisor")),
        memory_bytes: system.total_memory(),
        open_files: {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            (limit.current, limit.maximum)
        },
        local_ports: line("/proc/sys/net/ipv4/ip_local_port_range").and_then(|range| {
            let mut ends = range.split_whitespace().map(str::parse);
            Some((ends.next()?.ok()?, ends.next()?.ok()?))
        }),
        huge_pages: line("/sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|choices| Some(choices.split_once('[')?.1.split_once(']')?.0.to_string())),
        instructions: Some(Instructions::committed()),
    }
}

/// Whether the processor counts instructions for who asks `perf_event_open`; many virtual machines
/// hide its counters.
pub fn counts_instructions() -> bool {
    let Ok(units) = fs::read_dir("/sys/bus/event_source/devices") else { return false };
    let events = ["events/instructions", "events/inst_retired"];
    units.flatten().any(|unit| events.iter().any(|event| unit.path().join(event).exists()))
}

/// How much the kernel refuses of `perf_event_open` (2: own programs, outside of the kernel).
pub fn perf_event_paranoid() -> Option<i32> {
    line("/proc/sys/kernel/perf_event_paranoid")?.parse().ok()
}

fn line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_string())
}

/// A digest of the machine's number: the number itself is not to be published (machine-id(5)).
fn machine_id() -> Option<String> {
    let number = line("/etc/machine-id").filter(|number| !number.is_empty())?;
    let mut digest = sha256_hex(format!("authbench {number}").as_bytes());
    digest.truncate(16);
    Some(digest)
}

pub(super) fn binary_hash() -> String {
    sha256_hex(&fs::read("/proc/self/exe").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let host = describe();
        assert!(!host.cores.is_empty() && host.memory_bytes > 0, "{host:?}");
        assert_eq!(host.binary_sha256.len(), 64);
        assert!(host.compiler.starts_with("rustc "), "{}", host.compiler);
        assert_eq!(host.lockfile_sha256.len(), 64);
    }
}
