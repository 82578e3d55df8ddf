//! `authbench doctor`: is this machine fit to measure, and what does it lack?

mod calibrate;
mod cross_check;

use clap::Args;
use serde::Serialize;

use super::shared::{Format, refuse_debug_build};
use super::{output, signals};
use crate::error::{Error, Interrupt, Result};
use crate::proc;
use crate::record::Host;
use crate::units::{Size, grouped};

/// Flags of `authbench doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Measure the most that the generator can do here, which takes some seconds
    #[arg(long)]
    calibrate: bool,
    #[command(flatten)]
    cross: cross_check::CrossCheckArgs,
    /// Allow a debug build, whose figures mean nothing
    #[arg(long, hide = true)]
    allow_debug: bool,
    /// Print text for people, or JSON for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    remedy: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// As it should be.
    Good,
    /// Figures are less certain, or less is possible.
    Limited,
    /// Nothing can be measured.
    Unfit,
}

/// Looks at the machine.
///
/// # Errors
/// `Config` when nothing can be measured on it.
pub(super) fn doctor(args: &DoctorArgs) -> Result<()> {
    for (asked, flag) in
        [(args.calibrate, "--calibrate"), (args.cross.cross_check, "--cross-check")]
    {
        if asked {
            refuse_debug_build(args.allow_debug, &format!("doctor {flag}"))?;
        }
    }
    let host = proc::describe();
    let findings = examine(&host);
    if args.format == Format::Text {
        findings.iter().try_for_each(print)?;
    }
    let cross = &args.cross;
    let interrupt =
        if args.calibrate || cross.cross_check { signals::listen()? } else { Interrupt::default() };
    let calibration = args.calibrate.then(|| calibrate::calibrate(&interrupt)).transpose()?;
    let checked =
        cross.cross_check.then(|| cross_check::cross_check(cross, &interrupt)).transpose()?;
    match args.format {
        Format::Text => {
            let calibrated = calibration.iter().flat_map(calibrate::Calibration::lines);
            let lines = calibrated.chain(checked.iter().flat_map(cross_check::CrossCheck::lines));
            lines.into_iter().try_for_each(|line| output::line(&line))?;
        }
        Format::Json => {
            let page = serde_json::json!({
                "host": host, "findings": findings, "calibration": calibration,
                "cross_check": checked,
            });
            output::json(&format!("{page:#}"))?;
        }
    }
    if let Some(unfit) = findings.iter().find(|finding| finding.state == State::Unfit) {
        return Err(Error::Config(format!("{}: {}", unfit.found, unfit.remedy)));
    }
    match checked.map(|checked| checked.disagreements()).unwrap_or_default().as_slice() {
        [] => Ok(()),
        differ => Err(Error::Invalid(differ.join("; "))),
    }
}

fn print(finding: &Finding) -> Result<()> {
    let mark = match finding.state {
        State::Good => "ok     ",
        State::Limited => "limited",
        State::Unfit => "UNFIT  ",
    };
    output::line(&format!("{mark}  {}: {}", finding.what, finding.found))?;
    if !finding.remedy.is_empty() {
        output::line(&format!("         {}", finding.remedy))?;
    }
    Ok(())
}

/// Connections that the largest experiments ask for, on each side.
const DESCRIPTORS_WANTED: u64 = 16_100;
const MEMORY_WANTED: u64 = 2 << 30;

fn examine(host: &Host) -> Vec<Finding> {
    let finding = |what, state, found: String, remedy| Finding {
        what,
        state,
        found,
        remedy: if state == State::Good { "" } else { remedy },
    };
    let limited = |good: bool| if good { State::Good } else { State::Limited };
    let own = proc::memory(std::process::id());
    let readable = own.rss_bytes > 0 && proc::cpu_and_wait_ns(std::process::id()).0 > 0;
    let (soft, hard) = host.open_files;
    let files = |limit: Option<u64>| limit.map_or("no limit".into(), grouped);
    let ports =
        host.local_ports.map_or(0, |(first, last)| u64::from(last.saturating_sub(first)) + 1);
    vec![
        finding(
            "build",
            limited(host.profile == "release"),
            format!("{}, {}", host.profile, host.compiler),
            "campaigns refuse a debug build: use cargo run --release",
        ),
        finding(
            "/proc",
            if readable { State::Good } else { State::Unfit },
            if readable {
                "memory and CPU time of processes can be read"
            } else {
                "cannot be read"
            }
            .into(),
            "Linux with /proc mounted is needed to measure memory and CPU time",
        ),
        finding(
            "cores",
            limited(host.cores.len() >= 3),
            format!("{} usable of {}", host.cores.len(), host.cpu_model),
            match host.cores.len() {
                0 | 1 => "server and generator will share a core: figures are only good for a try",
                _ => "one core each for server and generator: compare ratios and CPU time",
            },
        ),
        finding(
            "memory",
            limited(host.memory_bytes >= MEMORY_WANTED),
            Size(host.memory_bytes).to_string(),
            "at least 2 GiB are wanted for a million sessions",
        ),
        finding(
            "open files",
            limited(soft.is_none_or(|limit| limit >= DESCRIPTORS_WANTED)),
            format!("{} (may be raised to {})", files(soft), files(hard)),
            "raise it with `ulimit -n 16100` for up to 16,000 connections",
        ),
        finding(
            "local ports",
            limited(ports >= DESCRIPTORS_WANTED),
            grouped(ports),
            "widen net.ipv4.ip_local_port_range for up to 16,000 connections",
        ),
        finding(
            "frequency governor",
            limited(host.governor.as_ref().is_none_or(|governor| governor == "performance")),
            host.governor.clone().unwrap_or_else(|| "not under our control".into()),
            "set it to performance, so that clock speed does not follow the load",
        ),
        finding(
            "virtual machine",
            limited(!host.virtualised),
            if host.virtualised { "yes" } else { "no" }.into(),
            "its speed depends on its neighbours: trust ratios within a block",
        ),
        finding("hardware counters", State::Good, counters(), ""),
    ]
}

/// Whether a program may have the processor count its instructions. Nothing here depends on it.
fn counters() -> String {
    match (proc::counts_instructions(), proc::perf_event_paranoid()) {
        (false, _) => "not offered by this machine".into(),
        (true, Some(level)) if level > 2 => {
            format!("offered, but not to everybody (kernel.perf_event_paranoid = {level})")
        }
        (true, _) => "offered: `perf stat` can count the instructions of a server".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lack_is_named_with_its_remedy() {
        let mut host = Host {
            profile: "release".into(),
            cores: vec![0, 1, 2, 3],
            memory_bytes: 8 << 30,
            open_files: (Some(20_000), None),
            local_ports: Some((1024, 60_999)),
            ..Host::default()
        };
        let limited = |host: &Host| -> Vec<&str> {
            let found = examine(host).into_iter();
            found.filter(|f| f.state != State::Good).map(|f| f.what).collect()
        };
        assert_eq!(limited(&host), Vec::<&str>::new());
        host.profile = "debug".into();
        host.cores = vec![0];
        host.memory_bytes = 1;
        host.open_files = (Some(256), Some(256));
        host.local_ports = Some((40_000, 40_100));
        host.governor = Some("powersave".into());
        host.virtualised = true;
        let lacks = limited(&host);
        assert_eq!(lacks.len(), 7, "{lacks:?}");
        assert!(examine(&host).iter().all(|f| f.state == State::Good || !f.remedy.is_empty()));
    }
}
