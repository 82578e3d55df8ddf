//! What do credentials cost that end soon and are renewed? The level is how long one lives, in
//! seconds.

use std::time::Duration;

use serde::Deserialize;

use super::check::within;
use super::load::{self, CONNECTIONS_MAX, browse, check_window};
use super::metric::{self, Metric};
use super::question::{Axis, Cell, Cells, ChartPlan, Experiment, Observation, Over, TablePlan};
use crate::error::Result;
use crate::load::{LoadModel, Poisson, UserChoice};
use crate::plan::{Action, LoadPlan, RenewalPlan, TrialPlan, Variant};
use crate::record::{Doubt, TrialRecord};
use crate::spec::Spec;
use crate::units::{Rate, Span, grouped};

/// The same open load by the same users, whose credentials live longer and longer.
pub(super) struct Renewal;

#[derive(Deserialize)]
struct Table {
    renewal: Settings,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    lifetime: Vec<Span>,
    rate: String,
    users: u32,
    connections: u32,
    blocks: u32,
    warmup: Span,
    measure: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lifetime: [5, 60, 300, 900].map(|s| Span::from_millis(s * 1000)).to_vec(),
            rate: "2000/s".into(),
            users: 1000,
            connections: 64,
            blocks: 3,
            warmup: Span::from_millis(1000),
            measure: Span::from_millis(10_000),
        }
    }
}

const USERS_MAX: u32 = 1_000_000;
/// What renews a session or a refresh token itself has to outlive every load.
const LONG: &str = "24h";

/// How a scheme keeps its users logged in while their credential lives so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// There is no credential that could end.
    Always,
    /// Each use of a session puts its end off.
    BySliding,
    /// A refresh gives the next one.
    ByRefresh,
    /// A new login gives the next one.
    ByLogin,
}

impl Kept {
    fn of(arm: &str) -> Self {
        let arm = Variant::of(arm).arm;
        match arm.split('@').next().unwrap_or(arm) {
            "none" => Self::Always,
            "session" | "session-cached" | "opaque-introspection" => Self::BySliding,
            "jwt-refresh" => Self::ByRefresh,
            _ => Self::ByLogin,
        }
    }

    /// What the server is told.
    fn flags(self, lifetime: &str) -> Vec<String> {
        let flags: &[&str] = match self {
            Self::Always => &[],
            Self::BySliding => &["--ttl", LONG, "--idle", lifetime],
            Self::ByRefresh => &["--ttl", LONG, "--access-ttl", lifetime],
            Self::ByLogin => &["--ttl", lifetime],
        };
        flags.iter().map(ToString::to_string).collect()
    }
}

impl Experiment for Renewal {
    fn name(&self) -> &'static str {
        "renewal"
    }

    fn question(&self) -> &'static str {
        "What do short lifetimes cost, when users renew their credential?"
    }

    fn method(&self) -> &'static str {
        "The same users read GET /me over a fixed number of connections at a fixed rate that does \
         not wait for the answers (Poisson arrivals). Access tokens live for a level's time and \
         are replaced by a refresh, other tokens by a new login, each with the first request after \
         its end, and that request's response time includes it. Sessions end after that time \
         without use, and each use puts their end off. Users are as if they had logged in at any \
         moment of a lifetime, so renewals come at their rate from the beginning: a lifetime \
         shorter than the load is waited out by every user, and of a longer one as many users \
         renew as in any other stretch of it. A login of a renewal checks a password by a digest, \
         which costs little; argon2id would cost more than all else here."
    }

    fn charts(&self) -> &'static [ChartPlan] {
        const fn chart(metric: &'static Metric, title: &'static str, y_log: bool) -> ChartPlan {
            let x_label = "lifetime of a credential, s";
            ChartPlan { metric, title, over: Over::Level, x_label, x_log: true, y_log }
        }
        const CHARTS: &[ChartPlan] = &[
            chart(metric::CPU_US_PER_REQUEST, "CPU per request, renewals included", false),
            chart(metric::RESPONSE_P99_US, "Response time, p99", true),
        ];
        CHARTS
    }

    fn tables(&self) -> &'static [TablePlan] {
        const TABLES: &[TablePlan] = &[TablePlan {
            title: "What renewing costs",
            note: "CPU is that of requests and renewals, per request. The time of a renewal is in \
                   the response time of the request that waits for it.",
            metrics: &[
                metric::RENEWALS_PER_S,
                metric::CPU_US_PER_REQUEST,
                metric::SERVER_CPU_US_PER_REQUEST,
                metric::STORE_CPU_US_PER_REQUEST,
                metric::STORE_WRITES_PER_REQUEST,
                metric::RESPONSE_P50_US,
                metric::RESPONSE_P99_US,
                metric::RENEWAL_TIME_P50_US,
                metric::RENEWAL_TIME_P99_US,
                metric::RENEWALS_FAILED,
            ],
        }];
        TABLES
    }

    fn axis(&self) -> Option<Axis> {
        Some(Axis { label: "Lifetime, s", noun: "s of life", at_zero: "" })
    }

    fn level(&self, level: u32) -> String {
        format!("credentials that live {} s", grouped(level.into()))
    }

    fn expand(&self, spec: &Spec) -> Result<Cells> {
        let settings = spec.section::<Table>()?.renewal;
        let Settings { users, connections, blocks, warmup, measure, .. } = settings;
        let lifetimes = lifetimes(spec, &settings.lifetime)?;
        let users = within(spec, "[renewal] users", users, 1..=USERS_MAX)?;
        let most = CONNECTIONS_MAX.min(users);
        let connections = within(spec, "[renewal] connections", connections, 1..=most)?;
        check_window(spec, "renewal", "measure", measure)?;
        let rate: Rate = settings
            .rate
            .parse()
            .map_err(|error| spec.refuse(format!("[renewal] rate: {error}")))?;
        if !spec.arms.iter().any(|arm| Kept::of(arm) != Kept::Always) {
            return Err(spec.refuse(format!(
                "[renewal]: expected an arm with a credential that ends, found {}",
                spec.arms.join(", ")
            )));
        }
        let model = LoadModel::Poisson(Poisson { rate_per_s: rate.per_second() });
        let choice = (users, UserChoice::Uniform);
        let load = browse(model, choice, connections, (warmup, measure));
        let cell = |arm: &String, seconds: &u32| {
            let kept = Kept::of(arm);
            let known = matches!(kept, Kept::ByRefresh | Kept::ByLogin);
            let lifetime_ns = known.then(|| u64::from(*seconds) * 1_000_000_000);
            let renewal = (kept != Kept::Always).then_some(RenewalPlan { lifetime_ns });
            Cell {
                arm: arm.clone(),
                level: *seconds,
                server: kept.flags(&format!("{seconds}s")),
                actions: vec![Action::Load(LoadPlan { renewal, ..load.clone() })],
            }
        };
        Ok(Cells::of_every_arm(spec, blocks, &lifetimes, cell))
    }

    fn measures(&self, metric: &Metric) -> bool {
        metric.is_of_load
    }

    fn needs(&self, metric: &Metric, trials: &[&TrialPlan], level: u32) -> Option<&'static str> {
        if metric == metric::STORE_WRITES_PER_REQUEST {
            return None;
        }
        load::needs(metric, trials, level)
    }

    fn observe(&self, record: &TrialRecord) -> Vec<Observation> {
        load::observed(record)
    }

    fn doubts(&self, record: &TrialRecord) -> Vec<Doubt> {
        load::doubts(record)
    }
}

/// Lifetimes in whole seconds, ascending.
fn lifetimes(spec: &Spec, spans: &[Span]) -> Result<Vec<u32>> {
    let refuse = |found: String| {
        spec.refuse(format!(
            "[renewal] lifetime: expected whole seconds from 1s to {LONG}, found {found}"
        ))
    };
    let whole = |span: &Span| {
        let seconds = span.duration().as_secs();
        let is_whole = span.duration() == Duration::from_secs(seconds);
        let fits = is_whole && (1..=86_400).contains(&seconds);
        fits.then_some(seconds as u32).ok_or_else(|| refuse(span.to_string()))
    };
    let mut seconds = spans.iter().map(whole).collect::<Result<Vec<_>>>()?;
    seconds.sort_unstable();
    seconds.dedup();
    if seconds.is_empty() {
        return Err(refuse("an empty list".into()));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{load, record, whole};
    use super::*;
    use crate::record::{ActionRecord, RenewalRecord, ServerUse};

    const ARMS: &str =
        "name='t'\narms=['none','session@memory','jwt-hs256','jwt-refresh@memory']\n";

    fn plan(table: &str) -> Result<crate::plan::Plan> {
        whole(&format!("{ARMS}[renewal]\n{table}\n"))
    }

    #[test]
    fn credentials_end_as_each_scheme_has_it_and_the_load_is_the_same() {
        let plan = plan("lifetime=['5s','15m']\nblocks=1").unwrap();
        assert_eq!(plan.trials.len(), 10, "four arms and the twin at two levels");
        for trial in &plan.trials {
            let (flags, ends_ns) = match (trial.arm.as_str(), trial.level) {
                ("none", _) => ("", None),
                ("session@memory", 5) => ("--ttl 24h --idle 5s", Some(None)),
                ("session@memory", 900) => ("--ttl 24h --idle 900s", Some(None)),
                ("jwt-hs256", 5) => ("--ttl 5s", Some(Some(5))),
                ("jwt-hs256", 900) => ("--ttl 900s", Some(Some(900))),
                ("jwt-refresh@memory", 5) => ("--ttl 24h --access-ttl 5s", Some(Some(5))),
                ("jwt-refresh@memory", 900) => ("--ttl 24h --access-ttl 900s", Some(Some(900))),
                other => panic!("{other:?}"),
            };
            assert_eq!(trial.server.join(" "), flags);
            let [Action::Load(load)] = trial.actions.as_slice() else { panic!() };
            let seconds = |plan: RenewalPlan| plan.lifetime_ns.map(|ns| ns / 1_000_000_000);
            assert_eq!(load.renewal.map(seconds), ends_ns);
            assert_eq!((load.users, load.model.offered_rps()), (1000, Some(2000.0)));
        }
        assert_eq!(Kept::of("session@redis+touch=1m"), Kept::BySliding);
        assert_eq!(Kept::of("cookie-sealed"), Kept::ByLogin);
    }

    #[test]
    fn renewals_have_a_rate_and_a_time_and_failures_a_share() {
        let plan = plan("blocks=1").unwrap();
        let refreshing = plan.trials.iter().find(|t| t.arm == "jwt-refresh@memory").unwrap();
        let mut did = load(1_000);
        let mut renewals = RenewalRecord { refreshed: 2000, failed: 500, ..Default::default() };
        (0..2000).for_each(|_| renewals.time.record(5_000_000));
        did.renewals = Some(renewals);
        let server = did.server.take().unwrap();
        did.server = Some(ServerUse { store_writes: Some(250), ..server });
        let seen = Renewal.observe(&record(refreshing, vec![ActionRecord::Load(Box::new(did))]));
        let value = |wanted: &Metric| seen.iter().find(|seen| seen.metric == wanted).unwrap().value;
        assert_eq!(value(metric::RENEWALS_PER_S), 2000.0);
        assert_eq!(value(metric::RENEWALS_FAILED), 0.2);
        assert!((value(metric::RENEWAL_TIME_P99_US) / 5000.0 - 1.0).abs() < 0.01);
        assert_eq!(value(metric::STORE_WRITES_PER_REQUEST), 0.25);
        let nobody = record(refreshing, vec![ActionRecord::Load(Box::new(load(1_000)))]);
        assert!(Renewal.observe(&nobody).iter().all(|o| o.metric != metric::RENEWALS_PER_S));
    }

    #[test]
    fn nonsense_is_refused() {
        for (table, part) in [
            ("lifetime=[]", "an empty list"),
            ("lifetime=['1500ms']", "found 1.5s"),
            ("lifetime=['0s']", "found 0"),
            ("rate='50%'", "[renewal] rate"),
            ("users=0", "[renewal] users"),
            ("users=8\nconnections=9", "[renewal] connections"),
            ("measure='1ms'", "[renewal] measure"),
            ("slice='15ms'", "slice"),
        ] {
            let error = plan(table).unwrap_err();
            assert!(error.to_string().contains(part), "{table}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let error = whole("name='t'\narms=['none']\n[renewal]\n").unwrap_err().to_string();
        assert!(error.contains("expected an arm with a credential that ends"), "{error}");
    }
}
