//! An arm as reports name it, apart from the second run of the reference.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// An arm as it is measured. It reads as its name in reports, which is also what files hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arm {
    name: String,
    run: Run,
}

/// Which of its runs in a block an arm is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Run {
    /// The only one, or the first of the A/A pair.
    First,
    /// The second of the A/A pair.
    Twin,
}

impl Arm {
    /// The second run of this arm: `session@memory (again)`.
    pub fn twin_of(arm: &str) -> Self {
        Self { name: format!("{arm} (again)"), run: Run::Twin }
    }

    /// Its name in reports.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Whether it is the second run of the A/A pair.
    pub fn is_twin(&self) -> bool {
        self.run == Run::Twin
    }
}

impl From<&str> for Arm {
    /// An arm in its first run.
    fn from(name: &str) -> Self {
        Self { name: name.into(), run: Run::First }
    }
}

impl Deref for Arm {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl Serialize for Arm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl JsonSchema for Arm {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        String::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

impl PartialEq<str> for Arm {
    fn eq(&self, name: &str) -> bool {
        self.name == name
    }
}

impl PartialEq<&str> for Arm {
    fn eq(&self, name: &&str) -> bool {
        self.name == *name
    }
}

impl PartialEq<String> for Arm {
    fn eq(&self, name: &String) -> bool {
        self.name == *name
    }
}

impl PartialEq<Arm> for String {
    fn eq(&self, arm: &Arm) -> bool {
        *self == arm.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_has_a_name_of_its_own_and_is_known_by_its_run() {
        let (first, twin) = (Arm::from("a"), Arm::twin_of("a"));
        assert_eq!((first.as_str(), twin.as_str()), ("a", "a (again)"));
        assert_eq!(serde_json::to_string(&[&first, &twin]).unwrap(), r#"["a","a (again)"]"#);
        assert!(twin.is_twin() && !first.is_twin());
        assert_ne!(Arm::from("a (again)"), twin, "a name alone makes no twin");
    }
}
