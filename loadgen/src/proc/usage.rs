//! What a process uses, read from outside: resident and proportional memory, CPU time.

use std::fs;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::record::{MemoryUse, ProcessSample};

/// CPU time (user and system) that all live threads of a process have used, and the time in which
/// they were ready to run and others had their cores, ns; 0 when it is gone. What a thread used
/// that has ended is not in it: our servers keep theirs.
///
/// CPU time comes from each thread's `schedstat`, in nanoseconds: `stat` counts in ticks of 10 ms,
/// which is 1 % of a one-second measurement. Reading `smaps_rollup` walks the page tables with the
/// process's memory lock held, so it is done between phases and never while one is measured.
pub fn cpu_and_wait_ns(pid: u32) -> (u64, u64) {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return (0, 0) };
    let of_task = |text: String| -> Option<(u64, u64)> {
        let mut numbers = text.split_whitespace().map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(of_task)
        .fold((0, 0), |(cpu, wait), task| (cpu + task.0, wait + task.1))
}

/// The same of several processes, added up.
pub(super) fn cpu_and_wait_of_all_ns(pids: &[u32]) -> (u64, u64) {
    let all = pids.iter().map(|pid| cpu_and_wait_ns(*pid));
    all.fold((0, 0), |(cpu, wait), one| (cpu + one.0, wait + one.1))
}

/// CPU time (user and system) of a process and of all that it started, directly or not, ns.
pub fn family_cpu_ns(pid: u32) -> u64 {
    family(pid).into_iter().map(|pid| cpu_and_wait_ns(pid).0).sum()
}

/// How often a [`FamilyCpu`] is read until it looks for new members: to find them takes a look at
/// every process of the machine, which is longer than reading those that are known.
const LOOK_EVERY: u32 = 64;

/// CPU time (user and system) of a process and of all that it started, for one who reads it often.
///
/// A member that is found late counts from when it was found, so that no single reading is given
/// what it used before. What a member used stays counted when it has ended.
#[derive(Debug)]
pub struct FamilyCpu {
    head: u32,
    members: Vec<Member>,
    readings: u32,
}

#[derive(Debug)]
struct Member {
    pid: u32,
    /// When it was found, and when it was last read.
    found_ns: u64,
    last_ns: u64,
}

impl FamilyCpu {
    /// Counts from now on.
    pub fn new(head: u32) -> Self {
        Self { head, members: Vec::new(), readings: 0 }
    }

    /// What has been used since it was made, ns.
    pub fn used_ns(&mut self) -> u64 {
        if self.readings.is_multiple_of(LOOK_EVERY) {
            for pid in family(self.head) {
                if self.members.iter().all(|member| member.pid != pid) {
                    let now_ns = cpu_and_wait_ns(pid).0;
                    self.members.push(Member { pid, found_ns: now_ns, last_ns: now_ns });
                }
            }
        }
        self.readings += 1;
        for member in &mut self.members {
            // 0, or less than before, is what a process leaves that is gone, or whose number
            // another has.
            member.last_ns = member.last_ns.max(cpu_and_wait_ns(member.pid).0);
        }
        self.members.iter().map(|member| member.last_ns - member.found_ns).sum()
    }
}

/// Proportional set size of a process and of all that it started, bytes: what they share is counted
/// once. `None` where the kernel does not tell it.
pub fn family_pss_bytes(pid: u32) -> Option<u64> {
    let pss = |pid: u32| {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        field_bytes(&rollup, "Pss:")
    };
    // One that has ended meanwhile has no memory; the first of them must be there.
    let first = pss(pid)?;
    Some(family(pid).into_iter().skip(1).filter_map(pss).sum::<u64>() + first)
}

/// A process and all that it started, itself first.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: Vec<(u32, u32)> = processes
        .filter_map(|entry| {
            let child = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // A program's name may hold anything, the last parenthesis ends it (proc(5)).
            let parent = stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((child, parent))
        })
        .collect();
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&parent) = all.get(next) {
        all.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    all
}

/// Memory of a process, as far as the outside sees it.
pub fn memory(pid: u32) -> MemoryUse {
    let mut probe = Probe::new(pid, ProcessRefreshKind::nothing().with_memory());
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    MemoryUse {
        rss_bytes: probe.read().map_or(0, Process::memory),
        pss_bytes: field_bytes(&rollup, "Pss:"),
        private_dirty_bytes: field_bytes(&rollup, "Private_Dirty:"),
        peak_rss_bytes: field_bytes(&status, "VmHWM:"),
        ..MemoryUse::default()
    }
}

/// Memory of several processes, added up; what one of them does not tell is not told of all.
pub fn memory_of_all(pids: &[u32]) -> MemoryUse {
    let all: Vec<MemoryUse> = pids.iter().map(|pid| memory(*pid)).collect();
    let total = |part: fn(&MemoryUse) -> Option<u64>| {
        all.iter().map(part).try_fold(0_u64, |sum, part| Some(sum + part?))
    };
    MemoryUse {
        rss_bytes: all.iter().map(|memory| memory.rss_bytes).sum(),
        pss_bytes: total(|memory| memory.pss_bytes),
        private_dirty_bytes: total(|memory| memory.private_dirty_bytes),
        peak_rss_bytes: total(|memory| memory.peak_rss_bytes),
        ..MemoryUse::default()
    }
}

/// Descriptors that a process has open; `None` once it has ended.
pub fn descriptors(pid: u32) -> Option<u64> {
    entries(pid, "fd")
}

/// Threads of a process; `None` once it has ended.
pub fn threads(pid: u32) -> Option<u64> {
    entries(pid, "task")
}

fn entries(pid: u32, folder: &str) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{pid}/{folder}")).ok()?.count() as u64)
}

/// Reads one process through sysinfo.
struct Probe {
    system: System,
    pid: Pid,
    kind: ProcessRefreshKind,
}

impl Probe {
    fn new(pid: u32, kind: ProcessRefreshKind) -> Self {
        Self { system: System::new(), pid: Pid::from_u32(pid), kind: kind.without_tasks() }
    }

    fn read(&mut self) -> Option<&Process> {
        let wanted = ProcessesToUpdate::Some(&[self.pid]);
        self.system.refresh_processes_specifics(wanted, true, self.kind);
        self.system.process(self.pid)
    }
}

/// Value of a line such as `Pss:   1234 kB`, in bytes.
fn field_bytes(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Samples processes from a thread of its own until it is told to stop.
pub struct Watch {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Vec<ProcessSample>>,
}

impl Watch {
    /// Begins to sample; `interval` must be at least sysinfo's 200 ms for CPU figures to mean much.
    pub fn start(pids: &[u32], interval: Duration) -> Self {
        let pids = pids.to_vec();
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let kind = ProcessRefreshKind::nothing().with_memory().with_cpu();
            let mut probes: Vec<_> = pids.into_iter().map(|pid| Probe::new(pid, kind)).collect();
            let mut samples = Vec::new();
            loop {
                let read = |probe: &mut Probe| {
                    let process = probe.read()?;
                    Some((process.memory(), f64::from(process.cpu_usage()) / 100.0))
                };
                let seen: Vec<_> = probes.iter_mut().filter_map(read).collect();
                if !seen.is_empty() {
                    samples.push(ProcessSample {
                        at_ms: began.elapsed().as_millis() as u64,
                        rss_bytes: seen.iter().map(|(bytes, _)| bytes).sum(),
                        cpu_cores: seen.iter().map(|(_, cores)| cores).sum(),
                    });
                }
                if stopped.recv_timeout(interval) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return samples;
                }
            }
        });
        Self { stop, thread }
    }

    /// Stops sampling; the samples in order.
    pub fn stop(self) -> Vec<ProcessSample> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

/// CPU time that the host of this virtual machine took away, since it was made.
pub struct Steal {
    before: Option<(u64, u64)>,
}

impl Steal {
    /// Begins to count.
    pub fn start() -> Self {
        Self { before: machine_ticks() }
    }

    /// Share of all CPU time since then that was taken away, 0 to 1; 0 where it cannot be told.
    pub fn share(&self) -> f64 {
        match (self.before, machine_ticks()) {
            (Some((steal, all)), Some((steal_now, all_now))) if all_now > all => {
                (steal_now.saturating_sub(steal)) as f64 / (all_now - all) as f64
            }
            _ => 0.0,
        }
    }
}

/// Stolen ticks and all ticks of all processors (proc(5), `/proc/stat`).
fn machine_ticks() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|t| t.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is part of user time.
    Some((*ticks.get(7)?, ticks.iter().take(8).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let pid = std::process::id();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        let used = memory(pid);
        assert!(used.rss_bytes > 64 << 20, "{used:?}");
        let pss = used.pss_bytes.expect("Linux tells PSS");
        // The two are read one after the other, and other tests allocate meanwhile.
        assert!(pss > 64 << 20 && pss <= 2 * used.rss_bytes, "{used:?}");
        assert!(used.peak_rss_bytes >= Some(64 << 20));
        drop(block);
    }

    #[test]
    fn a_process_that_spins_uses_cpu_time() {
        let began = Instant::now();
        let mut busy =
            std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let mut used = 0;
        while used < 5_000_000 && began.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(5));
            used = cpu_and_wait_ns(busy.id()).0;
        }
        let elapsed = began.elapsed().as_nanos() as u64;
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!((5_000_000..=elapsed).contains(&used), "{used} of {elapsed} ns");
    }

    #[test]
    fn what_a_process_started_is_on_its_bill() {
        let busy = "(while :; do :; done) & echo $!; wait";
        let mut parent = std::process::Command::new("sh")
            .args(["-c", busy])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = parent.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        let child: u32 = line.trim().parse().unwrap();
        let began = Instant::now();
        while family_cpu_ns(parent.id()) < 5_000_000 && began.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(5));
        }
        let (whole, own) = (family_cpu_ns(parent.id()), cpu_and_wait_ns(parent.id()).0);
        let members = family(parent.id());
        let memory = family_pss_bytes(parent.id());
        let mut often = FamilyCpu::new(parent.id());
        assert_eq!(often.used_ns(), 0, "it counts from when it was made");
        while often.used_ns() < 5_000_000 && began.elapsed() < Duration::from_secs(60) {
            thread::sleep(Duration::from_millis(5));
        }
        let used = often.used_ns();
        std::process::Command::new("kill").arg(child.to_string()).status().unwrap();
        parent.wait().unwrap();
        assert!(used >= 5_000_000 && often.used_ns() >= used, "what one used stays counted");
        assert_eq!(members, [parent.id(), child]);
        assert!(
            whole >= 5_000_000 && own < 5_000_000,
            "{whole} ns of the family, {own} of its head"
        );
        assert!(memory > Some(0));
        assert_eq!(family_pss_bytes(u32::MAX - 1), None);
    }

    #[test]
    fn a_process_that_is_gone_uses_nothing() {
        assert_eq!(cpu_and_wait_ns(u32::MAX - 1), (0, 0));
        assert_eq!(memory(u32::MAX - 1), MemoryUse::default());
        let (own, gone) = (std::process::id(), u32::MAX - 1);
        assert!(memory_of_all(&[own, own]).rss_bytes > memory(own).rss_bytes);
        assert_eq!(memory_of_all(&[own, gone]).pss_bytes, None, "a part of them is not all");
    }

    #[test]
    fn a_watch_samples_until_it_is_stopped() {
        // A busy machine may not get to it in the first of these.
        let spans = [60, 600, 6_000].map(Duration::from_millis);
        let sampled = spans.into_iter().find(|span| {
            let watch = Watch::start(&[std::process::id()], Duration::from_millis(10));
            thread::sleep(*span);
            let samples = watch.stop();
            assert!(samples.iter().all(|sample| sample.rss_bytes > 0), "{samples:?}");
            samples.len() >= 2
        });
        assert!(sampled.is_some());
    }
}
