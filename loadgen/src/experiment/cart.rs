//! What does state cost when it grows?

use serde::Deserialize;

use super::check::levels;
use super::load;
use super::metric::{self, METRICS, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, Over};
use super::steady;
use crate::error::Result;
use crate::load::{Closed, LoadModel, UserChoice};
use crate::plan::{Action, GrowPlan, LoadPlan, Prepare, TrialPlan};
use crate::record::{ActionRecord, Doubt, GrowRecord, LoadRecord, Refusal, TrialRecord};
use crate::spec::Spec;
use crate::units::{Span, grouped};

/// Users with more and more in their carts, and one who goes on until refused.
pub(super) struct Cart;

#[derive(Deserialize)]
struct Table {
    cart: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    items: Vec<u32>,
    blocks: u32,
    users: u32,
    most: u32,
    warmup: Span,
    measure: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            items: vec![0, 1, 2, 4, 8, 16, 32, 64],
            blocks: 5,
            users: 64,
            most: 256,
            warmup: Span::from_millis(300),
            measure: Span::from_millis(1500),
        }
    }
}

const ITEMS_MAX: u32 = 10_000;
const USERS_MAX: u32 = 16_000;
const TIMEOUT: Span = Span::from_millis(5000);
const DRAIN: Span = Span::from_millis(2000);

/// The journey that adds an item.
const ADD: &str = "cart";

impl Experiment for Cart {
    fn name(&self) -> &'static str {
        "cart"
    }

    fn question(&self) -> &'static str {
        "What does state cost when it grows, and where does it end?"
    }

    fn method(&self) -> &'static str {
        "Before each load every user puts so many items of about 60 bytes into the cart (POST \
         /cart), and from then on sends the credential that the answer gave. Then a closed load of \
         GET /me without think time, a connection for every user, shows what that state costs in \
         each request: a credential that carries the cart carries it every time, a session leaves \
         it with the server. Where an arm does not take so many items there is no load at that \
         number. Last, one user adds items until an answer is a refusal. The floor keeps no cart."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str) -> ChartPlan {
            ChartPlan {
                metric,
                title,
                over: Over::Level,
                x_label: "items in the cart",
                x_log: false,
                y_log: false,
            }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::REQUEST_WIRE_BYTES, "Request on the wire"),
            chart(metric::SERVER_CPU_US_PER_REQUEST, "Server CPU per request"),
            chart(metric::CREDENTIAL_BYTES, "Credential"),
        ];
        CHARTS
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Items", noun: "items in the cart", at_zero: "an empty cart" })
    }

    fn level(&self, level: u32) -> String {
        format!("{} items", grouped(level.into()))
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let Settings { items, blocks, users, most, warmup, measure } =
            spec.section::<Table>()?.cart;
        let items = levels(spec, "cart", "items", items, 1, 0..=ITEMS_MAX)?;
        if !(1..=USERS_MAX).contains(&users) {
            return Err(
                spec.refuse(format!("[cart] users: expected 1 to {USERS_MAX}, found {users}"))
            );
        }
        let top = items.last().copied().unwrap_or(0);
        if !(top..=ITEMS_MAX).contains(&most) {
            return Err(spec.refuse(format!(
                "[cart] most: expected {top}, which is the most of `items`, to {ITEMS_MAX}, found \
                 {most}"
            )));
        }
        if measure < Span::from_millis(100) {
            return Err(
                spec.refuse(format!("[cart] measure: expected at least 100ms, found {measure}"))
            );
        }
        let grow = |user: u32, most: u32| {
            let (user, journey) = (u64::from(user), ADD.into());
            Action::Grow(GrowPlan { user, journey, most, timeout_ns: TIMEOUT.ns() })
        };
        let load = |items: u32| {
            Action::Load(LoadPlan {
                model: LoadModel::Closed(Closed::without_thinking()),
                journey: "browse".into(),
                users,
                choice: UserChoice::InTurn,
                connections: users,
                warmup_ns: warmup.ns(),
                measure_ns: measure.ns(),
                drain_ns: DRAIN.ns(),
                timeout_ns: TIMEOUT.ns(),
                prepare: (items > 0).then(|| Prepare { journey: ADD.into(), times: items }),
                renewal: None,
            })
        };
        let cell = |arm: &String, items: u32| {
            // One user tries first: what one may not have, no other may.
            let tries = (items > 0).then(|| grow(users, items));
            let last = (items == top).then(|| grow(users + 1, most));
            let actions = tries.into_iter().chain([load(items)]).chain(last).collect();
            Cell { arm: arm.clone(), level: items, server: Vec::new(), actions }
        };
        let cells = spec
            .arms
            .iter()
            .flat_map(|arm| items.iter().map(move |items| (arm, *items)))
            .map(|(arm, items)| cell(arm, items))
            .collect();
        Ok(Cells { blocks, cells })
    }

    fn measures(&self, metric: &Metric) -> bool {
        // Writes are counted in slices alone, and every load here is a window of its own.
        let of_load = metric.is_of_load && metric != metric::STORE_WRITES_PER_REQUEST;
        of_load || metric == metric::CART_ITEMS_MAX
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        load::needs(metric, trials, level)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        let mut seen = Vec::new();
        for (plan, load) in loads(record) {
            let of_load = |metric: &'static Metric| {
                Some(Observation {
                    users: Some(u64::from(plan.users)),
                    connections: plan.connections,
                    rate: None,
                    metric,
                    value: (metric.of_load)(load)?,
                })
            };
            seen.extend(METRICS.iter().copied().filter_map(of_load));
        }
        let planned = record.trial.actions.iter().find_map(|action| match action {
            Action::Load(plan) => Some(plan),
            _ => None,
        });
        // It is a figure apart from the load, and is there even if no load was made.
        seen.extend(refusal(record).zip(planned).map(|((grow, _), plan)| Observation {
            users: Some(u64::from(plan.users)),
            connections: plan.connections,
            rate: None,
            metric: metric::CART_ITEMS_MAX,
            value: f64::from(grow.made),
        }));
        seen
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        let doubts = |(plan, load): (&LoadPlan, &LoadRecord)| {
            let own = load.doubts(plan.model.is_open());
            own.into_iter().chain(steady::doubt(plan, load)).collect::<Vec<_>>()
        };
        loads(record).flat_map(doubts).collect()
    }

    fn remarks(&self, record: &TrialRecord) -> Vec<String> {
        let last = record.trial.actions.iter().zip(&record.actions).next_back();
        match (refusal(record), last) {
            (Some((grow, refusal)), _) => vec![format!(
                "took {} items, and answered the next one with {}",
                grow.made,
                how(refusal)
            )],
            (None, Some((Action::Grow(plan), ActionRecord::Grow(_)))) => {
                vec![format!("refused none of {} items", plan.most)]
            }
            _ => vec![],
        }
    }
}

/// Where a user was refused an item.
fn refusal(record: &TrialRecord) -> Option<(&GrowRecord, &Refusal)> {
    record.actions.iter().find_map(|did| match did {
        ActionRecord::Grow(grow) => Some((grow, grow.refusal.as_ref()?)),
        _ => None,
    })
}

/// `409 cookie_full`: the status, and the server's own word for it where it has one.
fn how(refusal: &Refusal) -> String {
    let body: Option<serde_json::Value> = serde_json::from_str(&refusal.said).ok();
    let word = body.as_ref().and_then(|body| body.get("error")?.as_str());
    match (refusal.status, word) {
        (Some(status), Some(word)) => format!("{status} {word}"),
        (Some(status), None) => status.to_string(),
        (None, _) => refusal.outcome.clone(),
    }
}

/// The loads of a trial, each with its plan.
fn loads(record: &TrialRecord) -> impl Iterator<Item = (&LoadPlan, &LoadRecord)> {
    record.trial.actions.iter().zip(&record.actions).filter_map(|pair| match pair {
        (Action::Load(plan), ActionRecord::Load(load)) => Some((plan, &**load)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load, plan, record};
    use super::*;

    fn grown(made: u32, said: Option<&str>) -> ActionRecord {
        let refusal = said.map(|said| Refusal {
            outcome: "status 409".into(),
            status: Some(409),
            said: said.into(),
        });
        ActionRecord::Grow(GrowRecord { made, credential_bytes: None, refusal })
    }

    #[test]
    fn a_user_tries_first_and_at_the_top_one_goes_on() {
        let plan = plan("[cart]\nitems=[0,4,8]\nblocks=1\n").unwrap();
        assert_eq!(plan.trials.len(), 6);
        for trial in &plan.trials {
            let shape: Vec<_> = trial
                .actions
                .iter()
                .map(|action| match action {
                    Action::Grow(grow) => ("grow", grow.most),
                    Action::Load(load) => ("load", load.prepare.as_ref().map_or(0, |p| p.times)),
                    other => panic!("{other:?}"),
                })
                .collect();
            let expected: &[_] = match trial.level {
                0 => &[("load", 0)],
                4 => &[("grow", 4), ("load", 4)],
                _ => &[("grow", 8), ("load", 8), ("grow", 256)],
            };
            assert_eq!(shape, expected);
        }
    }

    #[test]
    fn the_break_is_a_figure_and_a_remark() {
        let plan = plan("[cart]\nitems=[8]\nblocks=1\n").unwrap();
        let trial = &plan.trials[0];
        let early = record(trial, vec![grown(5, Some(r#"{"error":"cookie_full"}"#))]);
        let seen = Cart.observe(&early);
        assert_eq!((seen.len(), seen[0].metric, seen[0].value), (1, metric::CART_ITEMS_MAX, 5.0));
        let said = "took 5 items, and answered the next one with 409 cookie_full";
        assert_eq!(Cart.remarks(&early), [said]);
        let loaded = |last| {
            let load = ActionRecord::Load(Box::new(load(20_000)));
            record(trial, vec![grown(8, None), load, last])
        };
        let late = loaded(grown(64, Some("no JSON")));
        assert!(
            Cart.remarks(&late)[0].ends_with("took 64 items, and answered the next one with 409")
        );
        let values: Vec<_> = Cart.observe(&late).iter().map(|seen| seen.metric).collect();
        assert!(
            values.contains(&metric::REQUEST_WIRE_BYTES)
                && values.contains(&metric::CART_ITEMS_MAX)
        );
        let never = loaded(grown(256, None));
        assert_eq!(Cart.remarks(&never), ["refused none of 256 items"]);
        assert!(Cart.observe(&never).iter().all(|seen| seen.metric != metric::CART_ITEMS_MAX));
    }
}
