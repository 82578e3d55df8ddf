//! The outcomes of bounds as test cases. A figure that is higher or lower fails nothing: only a
//! bound that is exceeded does.

use super::bound::{Judgement, Outcome};
use super::model::Changes;
use super::row::found;
use crate::report::junit::{Case, Told, document};

impl Changes {
    /// Every bound at every figure that it is about, as a test case.
    pub fn junit(&self, judgements: &[Judgement]) -> String {
        let mut cases = Vec::new();
        for judgement in judgements {
            for (at, outcome) in &judgement.outcomes {
                let change = &self.changes[*at];
                let found = found(judgement, change);
                let told = match outcome {
                    Outcome::Kept => Told::Passed(found),
                    Outcome::Broken => Told::Failed(format!("exceeded: {found}")),
                    Outcome::Invalid => Told::Failed("a figure may not be used".into()),
                    Outcome::Inconclusive => Told::Skipped(format!("not settled: {found}")),
                };
                let name = format!("{}: {}", change.place(), change.key.metric);
                cases.push(Case { suite: judgement.bound.clone(), name, told });
            }
        }
        document(&format!("authbench compare {} {}", self.a.label, self.b.label), &cases)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sample_changes, slower};
    use crate::report::Bound;

    #[test]
    fn only_a_bound_that_is_exceeded_fails() {
        let found = sample_changes(slower("jwt-hs256"));
        assert!(!found.junit(&[]).contains("<failure"));
        let bound: Bound = "server_cpu_us_per_request > +20%".parse().unwrap();
        let page = found.junit(&[bound.judge(&found).unwrap()]);
        assert_eq!(page.matches("<failure").count(), 3, "{page}");
        assert!(page.contains("tests=\"12\" failures=\"3\""), "{page}");
        assert!(page.contains("server_cpu_us_per_request &gt; +20%"), "{page}");
    }
}
