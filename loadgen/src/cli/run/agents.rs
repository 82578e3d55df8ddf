//! What a run prints of the agents that carried it.

use serde::Serialize;

use crate::record::{AgentEnd, LoadRecord};
use crate::sanitise::{NAME, fit};
use crate::units::counted;

/// One agent, as a run prints it.
#[derive(Debug, Serialize)]
pub(super) struct AgentFigures {
    index: u32,
    host: String,
    workers: u32,
    end: AgentEnd,
    clock_offset_ms: f64,
    clock_bound_ms: f64,
    late_ms: f64,
    silent_s: f64,
    cpu_s: f64,
    busiest: f64,
    peak_rss_bytes: u64,
}

impl AgentFigures {
    pub(super) fn all(load: &LoadRecord) -> Vec<Self> {
        let figures = load.agents.iter().map(|agent| Self {
            index: agent.index,
            host: fit(&agent.host, NAME),
            workers: agent.workers,
            end: agent.end,
            clock_offset_ms: agent.offset_ns as f64 / 1e6,
            clock_bound_ms: agent.bound_ns as f64 / 1e6,
            late_ms: agent.late_ns as f64 / 1e6,
            silent_s: agent.silent_ns as f64 / 1e9,
            cpu_s: agent.generator.cpu_ns as f64 / 1e9,
            busiest: agent.generator.busiest,
            peak_rss_bytes: agent.generator.peak_rss_bytes,
        });
        figures.collect()
    }

    /// Its line.
    pub(super) fn text(&self) -> String {
        let end = match self.end {
            AgentEnd::Whole => "",
            AgentEnd::Cut => ", stopped early",
            AgentEnd::Lost => ", LOST",
        };
        format!(
            "  agent {:<6} {}: {}, clock {:+.3} ms within {:.3} ms, began {:.3} ms late, \
             {:.0} % of its busiest core{end}",
            self.index,
            self.host,
            counted(self.workers.into(), "worker"),
            self.clock_offset_ms,
            self.clock_bound_ms,
            self.late_ms,
            self.busiest * 100.0,
        )
    }
}
