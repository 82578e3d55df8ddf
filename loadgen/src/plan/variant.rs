//! Variants of an arm: the same server with other flags, so that two settings are compared like two
//! arms.

/// An arm, and flags of `authbench serve` on top.
///
/// A variant is a name and nothing else, `ARM+FLAG=VALUE`, with as many flags as wanted:
/// `session@memory+idle=15m`, `none+handler-cpu=50us`. So it goes wherever the name of an arm goes,
/// and a report says what was compared. A name without `+` is the arm as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant<'a> {
    /// The arm.
    pub arm: &'a str,
    /// Flags without their dashes, each with its value where it takes one.
    pub flags: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Variant<'a> {
    /// Reads a name. Whether there are such an arm and such flags is not asked here.
    pub fn of(name: &'a str) -> Self {
        let mut parts = name.split('+');
        let arm = parts.next().unwrap_or_default();
        let flag = |part: &'a str| match part.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (part, None),
        };
        Self { arm, flags: parts.map(flag).collect() }
    }

    /// Its flags as arguments, but for those that are `set` already: what an experiment asks of a
    /// server is part of its question.
    pub fn arguments(&self, set: &[String]) -> Vec<String> {
        let dashed =
            |(flag, value): &(&str, Option<&str>)| (format!("--{flag}"), value.map(String::from));
        let flags = self.flags.iter().map(dashed).filter(|(flag, _)| !set.contains(flag));
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
    fn what_an_experiment_sets_is_not_set_again() {
        let set = ["--idle", "1s"].map(String::from);
        assert_eq!(Variant::of("a+idle=15m+ttl=1h").arguments(&set), ["--ttl", "1h"]);
    }
}
