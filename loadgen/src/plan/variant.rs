//! Variants of an arm: the same server with other flags, so that two settings are compared like two
//! arms.

/// An arm, and flags of `authbench serve` on top.
///
/// A variant is a name and nothing else, `ARM+FLAG=VALUE`, with as many flags as wanted:
/// `session@memory+idle=15m`, `none+handler-cpu=50us`. So it goes wherever the name of an arm goes,
/// and a report says what was compared. A name without `+` is the arm as it is.
///
/// How the arm is deployed is in its name too, in words behind the arm: `session@redis x3 haproxy`
/// is three servers behind a proxy, `session@memory x2 nginx sticky` two whose users stay at the
/// server that they met first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant<'a> {
    /// The arm.
    pub arm: &'a str,
    /// Flags of the deployment, as its words say.
    deployment: Vec<(&'a str, Option<&'a str>)>,
    /// Flags without their dashes, each with its value where it takes one.
    pub flags: Vec<(&'a str, Option<&'a str>)>,
}

/// The flag that a word of a deployment stands for.
fn flag_of(word: &str) -> Option<(&'static str, Option<&str>)> {
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match word {
        "haproxy" | "nginx" => Some(("proxy", Some(word))),
        "sticky" => Some(("balance", Some(word))),
        _ => Some(("servers", Some(word.strip_prefix('x').filter(is_number)?))),
    }
}

impl<'a> Variant<'a> {
    /// Reads a name. Whether there are such an arm and such flags is not asked here.
    pub fn of(name: &'a str) -> Self {
        let mut parts = name.split('+');
        let head = parts.next().unwrap_or_default();
        let mut words = head.split(' ');
        let arm = words.next().unwrap_or_default();
        // With a word that means nothing the whole is no arm, which is told.
        let (arm, deployment) = match words.map(flag_of).collect::<Option<Vec<_>>>() {
            Some(deployment) => (arm, deployment),
            None => (head, Vec::new()),
        };
        let flag = |part: &'a str| match part.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (part, None),
        };
        Self { arm, deployment, flags: parts.map(flag).collect() }
    }

    /// Whether its name says how it is deployed.
    pub fn is_deployed(&self) -> bool {
        !self.deployment.is_empty()
    }

    /// How many servers it is.
    pub fn servers(&self) -> u32 {
        let servers = self.deployment.iter().find(|(flag, _)| *flag == "servers");
        servers.and_then(|(_, value)| value.and_then(|text| text.parse().ok())).unwrap_or(1)
    }

    /// The proxy before its servers.
    pub fn proxy(&self) -> Option<&'a str> {
        self.deployment.iter().find(|(flag, _)| *flag == "proxy").and_then(|(_, value)| *value)
    }

    /// The name of the same arm, with its flags, as one server without a proxy.
    pub fn alone(name: &str) -> String {
        let arm = Variant::of(name).arm;
        let flags = name.split_once('+').map_or_else(String::new, |(_, rest)| format!("+{rest}"));
        format!("{arm}{flags}")
    }

    /// Its flags as arguments, but for those that are `set` already: what an experiment asks of a
    /// server is part of its question.
    pub fn arguments(&self, set: &[String]) -> Vec<String> {
        let dashed =
            |(flag, value): &(&str, Option<&str>)| (format!("--{flag}"), value.map(String::from));
        let all = self.deployment.iter().chain(&self.flags);
        let flags = all.map(dashed).filter(|(flag, _)| !set.contains(flag));
        flags.flat_map(|(flag, value)| [Some(flag), value]).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_arm_and_the_flags() {
        for (name, arm, arguments) in [
            ("none", "none", ""),
            ("session@memory+idle=15m", "session@memory", "--idle 15m"),
            ("a+x=1+y+z=2=3", "a", "--x 1 --y --z 2=3"),
            ("+", "", "--"),
        ] {
            let variant = Variant::of(name);
            assert_eq!((variant.arm, variant.arguments(&[]).join(" ").as_str()), (arm, arguments));
        }
    }

    #[test]
    fn a_name_says_how_the_arm_is_deployed() {
        for (name, arm, arguments, alone) in [
            ("none x3 haproxy", "none", "--servers 3 --proxy haproxy", "none"),
            (
                "a x2 nginx sticky+ttl=1h",
                "a",
                "--servers 2 --proxy nginx --balance sticky --ttl 1h",
                "a+ttl=1h",
            ),
            // No words of a deployment: no arm is called so.
            ("a (again)", "a (again)", "", "a (again)"),
            ("a x3 traefik", "a x3 traefik", "", "a x3 traefik"),
            ("a x", "a x", "", "a x"),
        ] {
            let variant = Variant::of(name);
            assert_eq!((variant.arm, variant.arguments(&[]).join(" ").as_str()), (arm, arguments));
            assert_eq!(variant.is_deployed(), arguments.starts_with("--servers"));
            assert_eq!(Variant::alone(name), alone);
        }
        assert_eq!(Variant::of("a x2 nginx").proxy(), Some("nginx"));
        assert_eq!((Variant::of("a x2 nginx").servers(), Variant::of("a").servers()), (2, 1));
    }

    #[test]
    fn what_an_experiment_sets_is_not_set_again() {
        let set = ["--idle", "1s"].map(String::from);
        assert_eq!(Variant::of("a+idle=15m+ttl=1h").arguments(&set), ["--ttl", "1h"]);
    }
}
