//! A campaign as a human writes it: TOML with defaults, and flags on top.

mod deployment;
mod meant;
mod target;
mod users;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use servers::contract::Share;
use toml::Spanned;

use meant::meant;

use crate::error::{Error, Result};
use crate::files::{Kind, read_text};

pub use deployment::{BalanceName, DeploymentSpec, ProxyName};
pub use meant::nearest;
pub use target::{located, parse_target, read_target};

/// The presets, by name.
pub const PRESETS: &[(&str, &str)] = &[
    ("quick", include_str!("../../presets/quick.toml")),
    ("standard", include_str!("../../presets/standard.toml")),
    ("arms", include_str!("../../presets/arms.toml")),
    ("full", include_str!("../../presets/full.toml")),
    ("context", include_str!("../../presets/context.toml")),
];

/// A campaign as written, with what the flags changed.
///
/// The head of the file ([`Spec`]) is read here. The table of an experiment is read by that
/// experiment ([`Spec::section`]), so that adding one touches no other file; both readings go over
/// the same text, and an error names the file, the line and the field. Nothing here knows an arm,
/// an experiment or a machine: whether the names mean something is asked when the plan is made.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Where the text came from, for messages: a preset's name or a path.
    pub origin: String,
    /// The text itself; experiments read their tables from it.
    pub text: String,
    /// Name of the campaign.
    pub name: String,
    /// Seed of every random choice.
    pub seed: u64,
    /// The arms that are compared.
    pub arms: Vec<String>,
    /// The arms that the file lists, before any flag.
    pub listed_arms: Vec<String>,
    /// The arm that every table subtracts.
    pub baseline: String,
    /// The arm that the other arms are compared with.
    pub reference: String,
    /// The share of requests of a load that may end with their connection; `None`: 0.1 %.
    pub max_transport_errors: Option<Share>,
    /// Journeys that users make in turn in place of GET /me, with how often of all.
    pub mix: Option<BTreeMap<String, u32>>,
    /// The primary endpoints as written, in the order in which they stand in the file.
    pub primary: Vec<PrimarySpec>,
    /// The experiments, in the order in which they stand in the file.
    pub experiments: Vec<String>,
    /// `--users`: replaces the levels of every experiment that sweeps users.
    pub users: Option<Vec<u32>>,
    /// `--cores`: replaces the levels of every experiment that sweeps cores of the server.
    pub cores: Option<Vec<u32>>,
    /// `--allow-shared`: measure although a server shares cores with the generator.
    pub allow_shared: bool,
    /// The stores of arms, as far as the reader of the file knows them.
    pub stores: BTreeMap<String, String>,
}

/// What the flags of a campaign may change.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Replaces the arms.
    pub arms: Option<Vec<String>>,
    /// Replaces the levels of every experiment that sweeps users.
    pub users: Option<Vec<u32>>,
    /// Replaces the levels of every experiment that sweeps cores of the server.
    pub cores: Option<Vec<u32>>,
    /// Measures although a server shares cores with the generator.
    pub allow_shared: bool,
    /// Replaces the seed.
    pub seed: Option<u64>,
    /// The stores of arms; an arm that is not among them has the store that its name says.
    pub stores: BTreeMap<String, String>,
}

/// A primary endpoint as a human wrote it: a comparison that is declared before anything runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrimarySpec {
    /// The experiment.
    pub experiment: String,
    /// The metric.
    pub metric: String,
    /// The arm that is compared; a `*` at its end stands for anything.
    pub arm: String,
    /// The arm that it is compared with.
    pub against: String,
    /// The number of users.
    pub users: Option<u32>,
    /// The level; the default is the highest.
    pub level: Option<u32>,
    /// Whether the difference at the lowest level is subtracted from that at the level.
    #[serde(default)]
    pub growth: bool,
    /// The line on which it begins, from 1.
    #[serde(skip)]
    pub line: usize,
}

#[derive(Deserialize)]
struct Head {
    name: String,
    #[serde(default = "default_seed")]
    seed: u64,
    arms: Vec<String>,
    #[serde(default = "default_baseline")]
    baseline: String,
    reference: Option<String>,
    #[serde(default)]
    primary: Vec<Spanned<PrimarySpec>>,
    max_transport_errors: Option<Share>,
    mix: Option<BTreeMap<String, u32>>,
    deployment: Option<DeploymentSpec>,
}

fn default_seed() -> u64 {
    1
}

fn default_baseline() -> String {
    "none".into()
}

const HEAD_FIELDS: [&str; 10] = [
    "name",
    "seed",
    "arms",
    "baseline",
    "reference",
    "primary",
    "prices",
    "max_transport_errors",
    "mix",
    "deployment",
];

impl Head {
    /// The same with every arm deployed as the file says.
    fn deployed(mut self) -> Self {
        let Some(deployment) = self.deployment else { return self };
        for endpoint in &mut self.primary {
            let endpoint = endpoint.get_mut();
            for arm in [&mut endpoint.arm, &mut endpoint.against] {
                // A pattern is one of names as they are by then.
                if self.arms.contains(arm) {
                    *arm = deployment.name(arm);
                }
            }
        }
        let named = self.arms.iter_mut().chain(&mut self.reference);
        named.chain([&mut self.baseline]).for_each(|arm| *arm = deployment.name(arm));
        self
    }
}

impl Spec {
    /// Reads a preset by its name, or a campaign file by its path.
    ///
    /// # Errors
    /// `Config` when it is neither, is malformed, or has nothing to run; `Io` when it cannot be
    /// read.
    pub fn load(preset_or_file: &str, overrides: Overrides) -> Result<Self> {
        if let Some((name, text)) = PRESETS.iter().find(|(name, _)| *name == preset_or_file) {
            return Self::parse(name, text, overrides);
        }
        let path = Path::new(preset_or_file);
        if path.extension().is_none_or(|extension| extension != "toml") {
            let presets: Vec<_> = PRESETS.iter().map(|(name, _)| *name).collect();
            let meant = nearest(preset_or_file, presets.iter().copied());
            let meant = meant.map(|name| format!("; did you mean `{name}`?"));
            return Err(Error::Config(format!(
                "expected a preset ({}) or a file that ends in .toml, found `{preset_or_file}`{}",
                presets.join(", "),
                meant.unwrap_or_default(),
            )));
        }
        Self::parse(preset_or_file, &read_text(path, Kind::Description)?, overrides)
    }

    /// Reads the text of a campaign; `origin` is named in messages.
    ///
    /// # Errors
    /// `Config` when it is malformed or has nothing to run.
    pub fn parse(origin: &str, text: &str, overrides: Overrides) -> Result<Self> {
        let head: Head = toml::from_str(text).map_err(|e| malformed(origin, &e))?;
        let table: toml::Table = toml::from_str(text).map_err(|e| malformed(origin, &e))?;
        let experiments: Vec<String> =
            table.keys().filter(|key| !HEAD_FIELDS.contains(&key.as_str())).cloned().collect();
        let deployment = head.deployment;
        if let Some(fault) = deployment.and_then(|deployment| deployment.fault()) {
            return Err(Error::Config(format!("{origin}: [deployment] servers: {fault}")));
        }
        let head = head.deployed();
        let chosen = |arms: Vec<String>| {
            let name = |arm: String| deployment.map_or(arm.clone(), |it| it.name(&arm));
            arms.into_iter().map(name).collect()
        };
        let arms = overrides.arms.map_or_else(|| head.arms.clone(), chosen);
        let refuse = |what: String| Err(Error::Config(format!("{origin}: {what}")));
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if head.name.is_empty() || head.name.starts_with('.') || !head.name.chars().all(plain) {
            return refuse(format!(
                "expected a name of letters, digits, `.`, `_` and `-`, which is also the name of a \
                 folder; found `{}`",
                head.name
            ));
        }
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = arms.iter().find(|arm| !seen.insert(arm.as_str())) {
            return refuse(format!("the arm `{twice}` is listed twice"));
        }
        if !arms.contains(&head.baseline) {
            return refuse(format!(
                "expected the baseline `{}` among the arms, found {}; add it, because every table \
                 subtracts it",
                head.baseline,
                arms.join(", "),
            ));
        }
        let others: Vec<_> = arms.iter().filter(|arm| **arm != head.baseline).collect();
        let reference = match head.reference {
            Some(named) if arms.contains(&named) => named,
            // What `--arms` has taken out cannot be the reference; what never was an arm is a slip.
            Some(named) if !head.arms.contains(&named) => {
                return refuse(format!("expected the reference among the arms, found `{named}`"));
            }
            _ => others.first().map_or_else(|| head.baseline.clone(), |arm| (*arm).clone()),
        };
        if experiments.is_empty() {
            return refuse(
                "expected at least one experiment, such as a table `[concurrency]`; found none"
                    .into(),
            );
        }
        Ok(Self {
            origin: origin.into(),
            text: text.into(),
            name: head.name,
            seed: overrides.seed.unwrap_or(head.seed),
            arms,
            listed_arms: head.arms,
            baseline: head.baseline,
            reference,
            max_transport_errors: head.max_transport_errors,
            mix: head.mix,
            primary: head.primary.into_iter().map(|endpoint| numbered(text, endpoint)).collect(),
            experiments,
            users: overrides.users,
            cores: overrides.cores,
            allow_shared: overrides.allow_shared,
            stores: overrides.stores,
        })
    }

    /// The table of one experiment, read into the experiment's own type `Only`, a struct with one
    /// field of that table's name.
    ///
    /// # Errors
    /// `Config` with the line and the field when the table is malformed.
    pub fn section<Only: DeserializeOwned>(&self) -> Result<Only> {
        toml::from_str(&self.text).map_err(|e| malformed(&self.origin, &e))
    }

    /// The store of an arm, where it has one.
    pub fn store_of<'a>(&'a self, arm: &'a str) -> Option<&'a str> {
        let said = || arm.split_once('@').map(|(_, store)| store);
        self.stores.get(arm).map(String::as_str).or_else(said)
    }

    /// The error of a field or a table that is neither of the head nor one of these experiments.
    pub fn unknown(&self, name: &str, experiments: &[&str]) -> Error {
        let (line, is_table) = place(&self.text, name);
        let shown = if is_table { format!("table `[{name}]`") } else { format!("field `{name}`") };
        let known = HEAD_FIELDS.iter().chain(experiments).copied();
        let hint = match nearest(name, known) {
            Some("primary") => "did you mean `[[primary]]`?".into(),
            Some(meant) if experiments.contains(&meant) || meant == "prices" => {
                format!("did you mean `[{meant}]`?")
            }
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "expected one of {}, or an experiment: {}",
                HEAD_FIELDS.join(", "),
                experiments.iter().map(|e| format!("[{e}]")).collect::<Vec<_>>().join(", ")
            ),
        };
        self.refuse(format!("line {line}: unknown {shown}; {hint}"))
    }

    /// An error in this campaign's text.
    pub fn refuse(&self, what: impl std::fmt::Display) -> Error {
        Error::Config(format!("{}: {what}", self.origin))
    }
}

/// An endpoint with the line on which it begins.
fn numbered(text: &str, endpoint: Spanned<PrimarySpec>) -> PrimarySpec {
    let before = text.get(..endpoint.span().start).unwrap_or_default();
    PrimarySpec { line: before.matches('\n').count() + 1, ..endpoint.into_inner() }
}

/// The line on which a name of the top level first stands, from 1, and whether it is a table's.
fn place(text: &str, name: &str) -> (usize, bool) {
    let names = |line: &str| {
        let name_of = |text: &str| text.trim().trim_matches(['"', '\'']) == name;
        let header = line.trim_start_matches('[').split([']', '.']).next().unwrap_or_default();
        let key = line.split(['=', '.']).next().unwrap_or_default();
        (line.starts_with('[') && name_of(header), !line.starts_with('[') && name_of(key))
    };
    let found = text.lines().enumerate().find_map(|(index, line)| match names(line.trim()) {
        (false, false) => None,
        (is_table, _) => Some((index + 1, is_table)),
    });
    found.unwrap_or((1, false))
}

fn malformed(origin: &str, error: &toml::de::Error) -> Error {
    Error::Config(format!("{origin}: {}{}", error.to_string().trim_end(), meant(error.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = 'x'\narms = ['none', 'b']\n[concurrency]\nusers = [1]\n";

    #[test]
    fn every_preset_reads() {
        for (name, _) in PRESETS {
            let spec = Spec::load(name, Overrides::default()).unwrap();
            assert_eq!(spec.name, *name);
            assert!(spec.arms.contains(&spec.baseline) && spec.arms.contains(&spec.reference));
        }
    }

    #[test]
    fn defaults_and_overrides() {
        let spec = Spec::parse("t", SMALL, Overrides::default()).unwrap();
        assert_eq!((spec.seed, spec.reference.as_str()), (1, "b"));
        assert_eq!(spec.experiments, ["concurrency"]);
        let overrides = Overrides {
            arms: Some(vec!["none".into(), "c".into()]),
            users: Some(vec![7]),
            seed: Some(9),
            ..Overrides::default()
        };
        let spec = Spec::parse("t", SMALL, overrides).unwrap();
        assert_eq!((spec.seed, spec.reference.as_str()), (9, "c"));
        assert_eq!(spec.users, Some(vec![7]));
    }

    #[test]
    fn a_deployment_is_one_of_every_arm() {
        let table = "[deployment]\nservers = 3\nproxy = 'haproxy'\n";
        let endpoint = "[[primary]]\nexperiment = 'concurrency'\nmetric = 'm'\narm = 'b'\n\
                        against = 'none'\n";
        let text = format!("{SMALL}{table}{endpoint}");
        let spec = Spec::parse("t", &text, Overrides::default()).unwrap();
        assert_eq!(spec.arms, ["none x3 haproxy", "b x3 haproxy"]);
        assert_eq!(spec.arms, spec.listed_arms);
        assert_eq!(
            (spec.baseline.as_str(), spec.reference.as_str()),
            ("none x3 haproxy", "b x3 haproxy")
        );
        let PrimarySpec { arm, against, .. } = &spec.primary[0];
        assert_eq!([arm, against], ["b x3 haproxy", "none x3 haproxy"]);
        assert_eq!(spec.experiments, ["concurrency"], "a deployment is no experiment");
        let arms = Some(vec!["none".into(), "c x3 haproxy".into()]);
        let spec = Spec::parse("t", &text, Overrides { arms, ..Overrides::default() }).unwrap();
        assert_eq!(spec.arms, ["none x3 haproxy", "c x3 haproxy"]);
        for (slip, part) in [
            ("[deployment]\nservers = 3\n", "missing field `proxy`"),
            ("[deployment]\nproxy = 'traefik'\n", "unknown variant `traefik`"),
            ("[deployment]\nproxy = 'nginx'\nservers = 17\n", "from 1 to 16 servers, found 17"),
            ("[deployment]\nproxy = 'nginx'\nbalance = 'random'\n", "unknown variant `random`"),
            ("[deployment]\nproxy = 'nginx'\nserver = 2\n", "unknown field `server`"),
        ] {
            let text = format!("{SMALL}{slip}");
            let error = Spec::parse("t", &text, Overrides::default()).unwrap_err();
            assert!(error.to_string().contains(part), "{slip}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn primary_endpoints_know_their_line() {
        let text = format!(
            "{SMALL}[[primary]]\nexperiment = 'concurrency'\nmetric = 'm'\narm = 'b*'\n\
             against = 'none'\n\n[[primary]]\nexperiment = 'concurrency'\nmetric = 'n'\narm = 'b'\n\
             against = 'none'\nlevel = 7\ngrowth = true\n"
        );
        let spec = Spec::parse("t", &text, Overrides::default()).unwrap();
        assert_eq!(spec.experiments, ["concurrency"], "endpoints are no experiment");
        let lines: Vec<_> = spec.primary.iter().map(|p| (p.line, p.level, p.growth)).collect();
        assert_eq!(lines, [(5, None, false), (11, Some(7), true)]);
        let slip = text.replace("growth", "grows");
        let error = Spec::parse("t", &slip, Overrides::default()).unwrap_err().to_string();
        assert!(error.contains("line 17") && error.contains("grows"), "{error}");
    }

    #[test]
    fn faults_name_the_origin_and_the_line() {
        let message = |text: &str| Spec::parse("f.toml", text, Overrides::default()).unwrap_err();
        let wrong_type = message("name = 'x'\nseed = 'y'\narms = []\n").to_string();
        assert!(wrong_type.contains("f.toml") && wrong_type.contains("line 2"), "{wrong_type}");
        let no_baseline = message("name = 'x'\narms = ['b']\n[concurrency]\n").to_string();
        assert!(no_baseline.contains("baseline `none`"), "{no_baseline}");
        let nothing = message("name = 'x'\narms = ['none']\n").to_string();
        assert!(nothing.contains("at least one experiment"), "{nothing}");
        let twice = message("name = 'x'\narms = ['none', 'none']\n[concurrency]\n").to_string();
        assert!(twice.contains("listed twice"), "{twice}");
        let slip =
            message("name = 'x'\narms = ['none']\nreference = 'nome'\n[concurrency]\n").to_string();
        assert!(slip.contains("found `nome`"), "{slip}");
        for name in ["", "../x", ".x", "a b"] {
            let text = format!("name = '{name}'\narms = ['none']\n[concurrency]\n");
            assert!(message(&text).to_string().contains("name of a folder"), "{name}");
        }
        assert_eq!(message("name = ").exit_code(), 2);
    }
}
