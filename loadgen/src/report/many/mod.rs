//! Campaigns of several machines or builds on one page: what each is, and whether they agree.

mod html;
mod plot;

use crate::experiment::Metric;
use crate::plan::Primary;
use crate::report::analysis::Analysis;
use crate::report::figures::{ComparedAs, Endpoint};
use crate::stats::{Estimate, Heterogeneity, Moments, heterogeneity, holm};

pub use html::many;

/// A p value below this says that campaigns disagree.
const ALPHA: f64 = 0.05;

/// One endpoint in all campaigns that declared it.
///
/// Each campaign keeps its own interval. No common figure is made of them, since campaigns that
/// disagree have none.
struct Across<'a> {
    declared: &'a Primary,
    metric: &'static Metric,
    compared_as: ComparedAs,
    /// The campaign's place in the list, and what it found.
    found: Vec<(usize, Found<'a>)>,
    agreement: Option<Agreement>,
}

/// What one campaign found.
struct Found<'a> {
    /// `None` where it was not measured.
    estimate: Option<&'a Estimate>,
    /// On the scale of what is compared; `None` where the figure may not be used.
    moments: Option<Moments>,
}

/// Whether the campaigns agree.
#[derive(Clone, Copy)]
struct Agreement {
    found: Heterogeneity,
    /// Corrected for the number of endpoints on the page.
    p_holm: f64,
}

impl Agreement {
    fn differs(&self) -> bool {
        self.p_holm < ALPHA
    }
}

/// The endpoints of all campaigns, in the order in which they were declared first.
fn across<'a>(campaigns: &[(&str, &'a Analysis)]) -> Vec<Across<'a>> {
    let mut all: Vec<Across<'a>> = Vec::new();
    for (campaign, (_, analysis)) in campaigns.iter().enumerate() {
        for endpoint in &analysis.primary {
            let found = (campaign, found(endpoint, analysis.usable()));
            match all.iter_mut().find(|known| *known.declared == endpoint.declared) {
                Some(known) => known.found.push(found),
                None => all.push(Across {
                    declared: &endpoint.declared,
                    metric: endpoint.metric,
                    compared_as: endpoint.compared_as,
                    found: vec![found],
                    agreement: None,
                }),
            }
        }
    }
    let tested: Vec<Option<Heterogeneity>> = all
        .iter()
        .map(|across| {
            let usable: Vec<Moments> =
                across.found.iter().filter_map(|(_, found)| found.moments).collect();
            heterogeneity(&usable)
        })
        .collect();
    let corrected = holm(&tested.iter().flatten().map(|found| found.p).collect::<Vec<f64>>());
    let mut corrected = corrected.into_iter();
    for (across, found) in all.iter_mut().zip(tested) {
        let Some(found) = found else { continue };
        let agreement = corrected.next().map(|p_holm| Agreement { found, p_holm });
        across.agreement = agreement;
    }
    all
}

fn found(endpoint: &Endpoint, usable: bool) -> Found<'_> {
    let estimate = match endpoint.compared_as {
        ComparedAs::Ratio => endpoint.ratio.as_ref(),
        ComparedAs::Difference => endpoint.difference.as_ref(),
    };
    Found { estimate, moments: endpoint.moments.filter(|_| usable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ActionRecord, TrialRecord};
    use crate::report::tests::sample;

    /// Gives the servers of one arm more CPU time, by a factor that differs a little per block.
    fn slower(record: &mut TrialRecord, arm: &str, percent: u64) {
        let block = u64::from(record.trial.block);
        for did in record.actions.iter_mut().filter(|_| record.trial.arm == arm) {
            if let ActionRecord::Load(load) = did
                && let Some(server) = &mut load.server
            {
                server.cpu_ns = server.cpu_ns * (1000 + 10 * percent + block) / 1000;
            }
        }
    }

    pub(super) fn campaigns(percent: u64) -> [Analysis; 2] {
        let plan = sample::plan(&["none", "session@memory", "jwt-hs256"], 5);
        [0, percent].map(|percent| {
            sample::analysis_of(&plan, |record| slower(record, "jwt-hs256", percent))
        })
    }

    #[test]
    fn campaigns_that_agree_are_told_from_those_that_do_not() {
        for (percent, differs) in [(0, false), (50, true)] {
            let [a, b] = campaigns(percent);
            let all = across(&[("a", &a), ("b", &b)]);
            assert_eq!(all.len(), a.primary.len());
            let cpu = all
                .iter()
                .filter(|across| across.metric.name.contains("cpu_us"))
                .filter(|across| across.declared.arm == "jwt-hs256");
            let found: Vec<bool> =
                cpu.filter_map(|across| Some(across.agreement?.differs())).collect();
            // An endpoint that is a growth between levels stays the same if both grow alike.
            assert!(found.len() > 1 && found.contains(&differs), "{found:?}");
            assert!(differs || !found.contains(&true), "{found:?}");
        }
    }

    #[test]
    fn what_may_not_be_used_takes_no_part() {
        let [a, mut b] = campaigns(50);
        b.measurements.iter_mut().for_each(|m| m.valid = false);
        let all = across(&[("a", &a), ("b", &b)]);
        assert!(all.iter().all(|across| across.agreement.is_none()));
    }
}
