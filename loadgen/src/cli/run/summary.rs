//! What a run prints: the figures of one load, as an object or as a page of text.

use std::collections::BTreeMap;

use serde::Serialize;
use servers::contract::Share;

use super::agents::AgentFigures;
use super::distribution::{Distribution, us};
use super::renewals::RenewalFigures;
use super::stages::{self, StageFigures};
use crate::error::{Error, Result};
use crate::plan::LoadPlan;
use crate::record::{Counts, Doubt, LoadRecord, StepRecord, VisitCounts};
use crate::report::{ThresholdResult, figure};
use crate::sanitise::{Page, fit, padded};
use crate::units::{counted, grouped};

/// Columns for the name of a step before its figures.
const STEP_NAME: usize = 10;
/// Columns before what a row says, also where it goes on in the next line.
const HANGING: usize = 15;

/// What `--format json` prints; the names are part of the output contract.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) target: String,
    model: String,
    users: u32,
    connections: u32,
    requests: u64,
    /// The requests that --total asked for.
    pub(super) total: Option<u32>,
    errors: BTreeMap<String, u64>,
    duration_s: f64,
    /// Whether Measure was ended before its time.
    aborted: bool,
    offered_rps: Option<f64>,
    achieved_rps: f64,
    goodput_rps: f64,
    counts: Counts,
    response_us: Distribution,
    service_us: Distribution,
    schedule_lag_us: Lag,
    generator: Generator,
    server: Option<ServerFigures>,
    bytes_sent: Option<u64>,
    bytes_received: Option<u64>,
    transport: String,
    http: Option<String>,
    certificate_checked: Option<bool>,
    /// The address that --connect-to led to.
    pub(super) connected_to: Option<String>,
    /// Requests that were sent again after the server had not processed them.
    resent: u64,
    max_transport_errors: Share,
    login: Option<LoginFigures>,
    visits: Option<VisitCounts>,
    renewals: Option<RenewalFigures>,
    steps: Vec<StepFigures>,
    /// The agents that carried the load, where it was not one process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    agents: Vec<AgentFigures>,
    /// The stages of a load whose rate changes.
    stages: Vec<StageFigures>,
    /// What --fail-if asked for.
    pub(super) thresholds: Vec<ThresholdResult>,
    pub(super) doubts: Vec<Doubt>,
    #[serde(skip)]
    warmed_up: bool,
    #[serde(skip)]
    client: String,
    #[serde(skip)]
    spins: bool,
}

#[derive(Debug, Serialize)]
struct Lag {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct Generator {
    workers: u32,
    pacing: String,
    cpu_s: f64,
    cpu_us_per_request: f64,
    busiest: f64,
    peak_rss_bytes: u64,
}

#[derive(Debug, Serialize)]
struct ServerFigures {
    cpu_us_per_request: f64,
    rss_bytes: u64,
    pss_bytes: Option<u64>,
    allocated_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct LoginFigures {
    users: u32,
    rps: f64,
    credential_bytes: u64,
}

/// Requests of one step, where a journey has several.
#[derive(Debug, Serialize)]
struct StepFigures {
    name: String,
    ok: u64,
    response_us: Distribution,
    service_us: Distribution,
}

impl StepFigures {
    fn new(step: &StepRecord) -> Self {
        Self {
            name: step.name.clone(),
            ok: step.response.count(),
            response_us: Distribution::new(&step.response),
            service_us: Distribution::new(&step.service),
        }
    }
}

fn each(total: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { total / count as f64 }
}

impl Summary {
    pub(super) fn new(target: &str, plan: &LoadPlan, load: &LoadRecord) -> Self {
        let counts = &load.counts;
        let requests = counts.ended_in_window;
        let lag = load.lag();
        let server = load.server.as_ref().map(|server| ServerFigures {
            cpu_us_per_request: each(
                server.cpu_ns as f64 / 1e3 * counts.window_ns as f64
                    / server.interval_ns.max(1) as f64,
                requests,
            ),
            rss_bytes: server.memory.rss_bytes,
            pss_bytes: server.memory.pss_bytes,
            allocated_bytes: server.memory.allocated_bytes,
        });
        Self {
            target: target.into(),
            model: load.model.clone(),
            users: plan.users,
            connections: load.connections,
            requests,
            total: None,
            errors: counts.errors.clone(),
            duration_s: counts.window_ns as f64 / 1e9,
            aborted: load.aborted,
            offered_rps: plan.model.offered_rps(),
            achieved_rps: counts.achieved_rps(),
            goodput_rps: counts.goodput_rps(),
            counts: counts.clone(),
            response_us: Distribution::new(&load.response()),
            service_us: Distribution::new(&load.service()),
            schedule_lag_us: Lag {
                p50: us(lag.quantile_ns(0.5)),
                p99: us(lag.quantile_ns(0.99)),
                max: us(lag.max_ns()),
            },
            generator: Generator {
                workers: load.generator.workers,
                pacing: load.generator.pacing.clone(),
                cpu_s: load.generator.cpu_ns as f64 / 1e9,
                cpu_us_per_request: each(load.generator.cpu_ns as f64 / 1e3, requests),
                busiest: load.generator.busiest,
                peak_rss_bytes: load.generator.peak_rss_bytes,
            },
            server,
            bytes_sent: load.bytes_sent,
            bytes_received: load.bytes_received,
            transport: load.client.transport.clone(),
            http: load.client.http.clone(),
            certificate_checked: load.client.verified,
            connected_to: None,
            resent: load.client.resent,
            max_transport_errors: Share::from_ppm(load.client.transport_errors_ppm),
            login: load.login.as_ref().map(|login| LoginFigures {
                users: login.users,
                rps: each(f64::from(login.users) * 1e9, login.wall_ns),
                credential_bytes: login.credential_bytes,
            }),
            visits: load.visits,
            renewals: RenewalFigures::new(load),
            steps: load.steps.iter().map(StepFigures::new).collect(),
            agents: AgentFigures::all(load),
            stages: stages::figures(&plan.model, load),
            thresholds: Vec::new(),
            doubts: load.doubts(plan.model.is_open()),
            warmed_up: plan.warmup_ns > 0,
            client: load.client.label(),
            spins: load.generator.spins,
        }
    }

    /// Requests that were due in the window and ended after it; `None` after a warm-up, some of
    /// whose requests ended in the window instead.
    fn ended_late(&self) -> Option<u64> {
        let ended = self.counts.ok + self.counts.failed();
        (!self.warmed_up).then(|| ended.saturating_sub(self.requests))
    }

    /// What carried the requests, and what it forgives.
    fn how_sent(&self) -> String {
        let mut text = format!(
            "  transport    {}; up to {} of requests may end with their connection",
            self.client, self.max_transport_errors
        );
        if let Some(address) = &self.connected_to {
            text += &format!("\n  connected    to {address} (--connect-to)");
        }
        if self.resent > 0 {
            let resent = grouped(self.resent);
            text +=
                &format!("\n  sent again   {resent} requests that the server had not processed");
        }
        text
    }

    /// The summary for programs.
    pub(super) fn json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| Error::Bug(format!("the figures cannot be written: {e}")))
    }

    /// The summary for people. An invalid one says so before any figure.
    pub(super) fn text(&self) -> Page {
        let mut page = Page::default();
        for doubt in self.doubts.iter().filter(|doubt| doubt.invalidates) {
            page.text(&format!("INVALID: {}; {}", doubt.what, doubt.remedy), HANGING);
        }
        if self.aborted {
            page.line("ended early: these are the figures of the beginning");
        }
        let head = format!(
            "{}: {}, {} on {}, {:.2} s",
            self.target,
            self.model,
            counted(self.users.into(), "user"),
            counted(self.connections.into(), "connection"),
            self.duration_s
        );
        page.text(&head, HANGING);
        self.add_counts(&mut page);
        self.add_times(&mut page);
        stages::table(&self.stages, &mut page);
        self.add_use(&mut page);
        for doubt in self.doubts.iter().filter(|doubt| !doubt.invalidates) {
            page.text(&format!("  doubt        {}; {}", doubt.what, doubt.remedy), HANGING);
        }
        for result in &self.thresholds {
            let (outcome, found) = (result.word(), result.found());
            page.text(&format!("  {outcome}       {}: {found}", result.threshold), HANGING);
        }
        page
    }

    /// How many requests there were, and how they ended.
    fn add_counts(&self, page: &mut Page) {
        let offered =
            self.offered_rps.map(|rps| format!(" of {} asked for", figure(rps, "requests/s")));
        let counts = &self.counts;
        // Errors are counted of all that were due in the window, whenever they ended.
        let (all, late) = (counts.ok + counts.failed(), self.ended_late());
        let after =
            late.filter(|late| *late > 0).map(|late| format!(", {} after it", grouped(late)));
        let ended = format!(
            "  requests     {} ended in the window{}: {}{}, {} right",
            grouped(self.requests),
            after.unwrap_or_default(),
            figure(self.achieved_rps, "requests/s"),
            offered.unwrap_or_default(),
            grouped(counts.ok_in_window),
        );
        page.text(&ended, HANGING);
        if late.is_none() && all != self.requests {
            let due = format!(
                "  due          {} were due in the window, and {} of them ended, in it or after it",
                grouped(counts.planned),
                grouped(all)
            );
            page.text(&due, HANGING);
        }
        if let Some(total) = self.total.filter(|total| u64::from(*total) > self.counts.planned) {
            page.line(&format!(
                "  not all      the time was over after {} of {} requests; raise --duration",
                grouped(self.counts.planned),
                grouped(total.into()),
            ));
        }
        if self.counts.dropped > 0 || self.counts.unfinished > 0 || self.counts.lost > 0 {
            let lost = match self.counts.lost {
                0 => String::new(),
                lost => format!(", {} lost with an agent", grouped(lost)),
            };
            page.line(&format!(
                "  not done     {} dropped, {} unfinished{lost} of {} planned",
                grouped(self.counts.dropped),
                grouped(self.counts.unfinished),
                grouped(self.counts.planned)
            ));
        }
        if let Some(visits) = &self.visits {
            let came = format!(
                "  visits       {} users came: {} made all their requests, {} left for a failure, \
                 {} were turned away, {} were still there",
                grouped(visits.arrived),
                grouped(visits.completed),
                grouped(visits.failed),
                grouped(visits.turned_away),
                grouped(visits.still_there()),
            );
            page.text(&came, HANGING);
        }
        if let Some(renewals) = &self.renewals {
            renewals.add_counts(page);
        }
        for (class, count) in &self.errors {
            page.line(&format!("  error        {class}: {}", grouped(*count)));
        }
    }

    /// How long requests took.
    fn add_times(&self, page: &mut Page) {
        page.line("               p50        p90        p99        p99.9      max");
        for (name, d) in [("response", &self.response_us), ("service", &self.service_us)] {
            page.line(&format!("  {name:<10} {}", d.cells()));
        }
        self.renewals.iter().filter_map(RenewalFigures::row).for_each(|row| page.line(&row));
        // A journey of one step has said it all.
        let steps = if self.steps.len() > 1 { self.steps.as_slice() } else { &[] };
        for step in steps {
            let name = padded(&fit(&step.name, STEP_NAME), STEP_NAME);
            page.line(&format!("  {name} {}", step.response_us.cells()));
        }
        let shown = [&self.response_us, &self.service_us].into_iter();
        let mut shown = shown.chain(steps.iter().map(|step| &step.response_us));
        let of_renewals = self.renewals.as_ref().is_some_and(RenewalFigures::guesses);
        if of_renewals || shown.any(Distribution::guesses) {
            page.line("  ?            fewer than 100 answers lie beyond this percentile");
        }
        let lag = &self.schedule_lag_us;
        page.line(&format!(
            "  lag          p50 {}, p99 {}, max {}",
            figure(lag.p50, "us"),
            figure(lag.p99, "us"),
            figure(lag.max, "us")
        ));
    }

    /// What server and generator used.
    fn add_use(&self, page: &mut Page) {
        if let Some(server) = &self.server {
            page.line(&format!(
                "  server       {} CPU per request, {} resident",
                figure(server.cpu_us_per_request, "us"),
                figure(server.rss_bytes as f64, "bytes")
            ));
        }
        let spun = if self.spins { ", spinning included" } else { "" };
        let generator = format!(
            "  generator    {} CPU per request{spun}, {:.0} % of its core, {} peak, pacing {}",
            figure(self.generator.cpu_us_per_request, "us"),
            self.generator.busiest * 100.0,
            figure(self.generator.peak_rss_bytes as f64, "bytes"),
            self.generator.pacing,
        );
        page.text(&generator, HANGING);
        self.agents.iter().for_each(|agent| page.text(&agent.text(), HANGING));
        self.how_sent().lines().for_each(|text| page.text(text, HANGING));
    }
}
