//! Instructions per operation, as `cargo bench --bench instructions` counted and committed them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const COMMITTED: &str = include_str!("../../instructions.json");

/// Counted instructions, and what counted them.
///
/// A count of instructions is the same on every machine, however busy, and so the one figure of
/// cost that a host cannot spoil. It is taken when a change is made and not during a campaign; a
/// campaign keeps the counts of the code that it ran in its `host.json`, so that its report stays
/// the same when the code moves on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Instructions {
    /// The compiler, as it names itself.
    pub compiler: String,
    /// The Cargo profile of the code.
    pub profile: String,
    /// The valgrind, as it names itself.
    pub valgrind: String,
    /// How often each operation was counted.
    pub rounds: u32,
    /// Operations per round.
    pub operations: u32,
    /// The counts: arm by arm, in the order of the registry.
    pub counts: Vec<InstructionCount>,
}

/// User-space instructions of one operation of an arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstructionCount {
    /// The arm.
    pub arm: String,
    /// What is counted.
    pub operation: Operation,
    /// The median round, instructions per operation.
    pub median: u64,
    /// The least of the rounds.
    pub least: u64,
    /// The most.
    pub most: u64,
}

/// What is counted of an arm.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A credential is made for a user whose password was right.
    Issue,
    /// A credential is checked and its user found.
    Verify,
    /// The store finds a session.
    LookUp,
    /// `GET /me` goes through the router and its answer's body is read.
    Request,
}

impl Operation {
    /// Every operation, in the order of a report.
    pub const ALL: [Self; 4] = [Self::Issue, Self::Verify, Self::LookUp, Self::Request];

    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Verify => "verify",
            Self::LookUp => "look-up",
            Self::Request => "request",
        }
    }
}

impl Instructions {
    /// The counts that were committed with this code.
    ///
    /// # Panics
    /// Never: they are part of the build, and a test reads them.
    pub fn committed() -> Self {
        serde_json::from_str(COMMITTED).expect("loadgen/instructions.json has this form")
    }

    /// The count of an operation of an arm; `None` where it was not taken.
    pub fn find(&self, arm: &str, operation: Operation) -> Option<&InstructionCount> {
        self.counts.iter().find(|count| count.arm == arm && count.operation == operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_counts_are_whole_and_repeat_to_a_thousandth() {
        let committed = Instructions::committed();
        assert!(committed.valgrind.starts_with("valgrind-"), "{}", committed.valgrind);
        let found = |arm, operation| committed.find(arm, operation).unwrap();
        for arm in ["none", "session@memory", "jwt-hs256", "jwt-es256"] {
            for operation in [Operation::Issue, Operation::Verify, Operation::Request] {
                assert!(found(arm, operation).median > 0, "{arm} {operation:?}");
            }
            let InstructionCount { least, median, most, .. } = found(arm, Operation::Request);
            let farthest = (median - least).max(most - median);
            assert!(farthest * 1000 <= *median, "{arm}: {least} to {most}");
        }
        assert!(found("session@memory", Operation::LookUp).median > 0);
        for count in &committed.counts {
            let InstructionCount { least, median, most, .. } = count;
            assert!((1..=*median).contains(least) && median <= most, "{count:?}");
        }
    }
}
