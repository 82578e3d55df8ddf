//! Which machine and program a trial is from, so that trials of several are not taken for one.
//! A machine is what its figures depend on: its identity, processor, cores, kernel and the settings
//! of these. Two that agree in all of it are told apart by nothing here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Host;
use crate::plan::sha256_hex;

/// Where a trial is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// SHA-256 of the executable, in hex.
    pub binary_sha256: String,
    /// A digest of the machine's traits, in hex.
    pub machine: String,
    /// Which start of the campaign it was, from 1: each resumption is another.
    pub start: u32,
}

impl Origin {
    /// Whether both are of one machine and one program.
    pub fn same_place(&self, other: &Self) -> bool {
        self.place() == other.place()
    }

    /// The machine and the program.
    pub fn place(&self) -> (&str, &str) {
        (&self.binary_sha256, &self.machine)
    }

    /// The file that describes this place where it is not the campaign's first.
    pub(super) fn host_file(&self) -> String {
        let short = |hex: &str| hex.chars().take(8).collect::<String>();
        format!("host-{}-{}.json", short(&self.machine), short(&self.binary_sha256))
    }
}

impl Host {
    /// What trials from here say of their origin.
    pub fn origin(&self, start: u32) -> Origin {
        let traits: Vec<String> =
            self.traits().into_iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let mut machine = sha256_hex(traits.concat().as_bytes());
        machine.truncate(16);
        Origin { binary_sha256: self.binary_sha256.clone(), machine, start }
    }

    /// What differs between two places, each with its value here and there.
    pub fn differences(&self, there: &Self) -> Vec<(&'static str, String, String)> {
        let program = |host: &Self| {
            let hash: String = host.binary_sha256.chars().take(12).collect();
            ("program", format!("authbench {} {} ({hash})", host.authbench, host.profile))
        };
        let all = |host: &Self| std::iter::once(program(host)).chain(host.traits());
        all(self)
            .zip(all(there))
            .filter(|((_, here), (_, there))| here != there)
            .map(|((name, here), (_, there))| (name, here, there))
            .collect()
    }

    /// What makes this machine the one it is, and its figures what they are.
    fn traits(&self) -> Vec<(&'static str, String)> {
        let told = |fact: &Option<String>| fact.clone().unwrap_or_else(|| "not told".into());
        let cores: Vec<_> = self.cores.iter().map(ToString::to_string).collect();
        vec![
            ("machine", told(&self.machine_id)),
            ("processor", self.cpu_model.clone()),
            ("cores", cores.join(", ")),
            ("threads share cores", told(&self.smt.map(|smt| smt.to_string()))),
            ("frequency governor", told(&self.governor)),
            // What the kernel keeps for itself differs by a little from boot to boot.
            ("memory", format!("{:.0} GiB", self.memory_bytes as f64 / f64::from(1 << 30))),
            ("huge pages", told(&self.huge_pages)),
            ("kernel", self.kernel.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_and_makes_another_origin() {
        let host = Host { cores: vec![0, 1], kernel: "Linux 6.8".into(), ..Host::default() };
        assert_eq!(host.differences(&host), []);
        let other = Host { kernel: "Linux 6.9".into(), ..host.clone() };
        let found = host.differences(&other);
        assert_eq!(found, [("kernel", "Linux 6.8".into(), "Linux 6.9".into())]);
        assert!(!host.origin(1).same_place(&other.origin(1)));
        assert!(host.origin(1).same_place(&host.origin(2)));
        let rebuilt = Host { binary_sha256: "ab".repeat(32), ..host.clone() };
        assert_eq!(host.differences(&rebuilt)[0].0, "program");
        assert!(!host.origin(1).same_place(&rebuilt.origin(1)));
        let more_files = Host { open_files: (Some(9), None), ..host.clone() };
        assert!(host.origin(1).same_place(&more_files.origin(1)));
    }
}
