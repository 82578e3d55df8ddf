//! The processes that carried a load between them: what each did stays apart, because one slow
//! agent in a hundred hides in merged percentiles.

use std::collections::BTreeMap;

use super::doubt::Doubt;
use super::{AgentEnd, AgentUse, LoadRecord};

/// A clock that is known less well than this makes comparisons over time doubtful, ns.
const BOUND_MAX_NS: u64 = 5_000_000;
/// The share of Measure by which windows may be apart.
const BOUND_INVALID: f64 = 0.01;
/// A start that is later than this is told, ns.
const LATE_MAX_NS: u64 = 1_000_000;

impl AgentUse {
    /// What messages call it.
    pub fn name(&self) -> String {
        format!("agent {} ({})", self.index, self.host)
    }

    fn doubt(&self, window_ns: u64, found: &mut Vec<Doubt>) {
        let (name, ms) = (self.name(), |ns: u64| ns as f64 / 1e6);
        if self.end == AgentEnd::Lost {
            found.push(Doubt::invalid(
                "agent_lost",
                format!("{name} was lost, and the load with it that it had to bring"),
                "see what ended it, and run the load again",
            ));
        }
        if self.jumped {
            found.push(Doubt::invalid(
                "clock_jumped",
                format!("no offset fits all readings of the clock of {name}: it jumped"),
                "see what suspended or moved that machine, and run the load again",
            ));
        } else if self.bound_ns > BOUND_MAX_NS {
            let most_ns = (window_ns as f64 * BOUND_INVALID) as u64;
            found.push(Doubt::graded(
                self.bound_ns > most_ns,
                "clock_bound",
                format!("the clock of {name} is known within {:.1} ms only", ms(self.bound_ns)),
                "put the coordinator nearer to the agents, or measure for longer",
            ));
        }
        if self.late_ns > LATE_MAX_NS {
            found.push(Doubt::caution(
                "late_start",
                format!("{name} learnt {:.1} ms late when to begin", ms(self.late_ns)),
                "look for what else its machine does; its lag says what the delay did",
            ));
        }
        if self.silent_ns > 0 {
            found.push(Doubt::caution(
                "contact_lost",
                format!("{name} was not heard for {:.1} s and went on", ms(self.silent_ns) / 1e3),
                "see what the network and the engine did then",
            ));
        }
    }
}

impl LoadRecord {
    /// What makes a load doubtful that several processes carried.
    pub(super) fn doubt_agents(&self, found: &mut Vec<Doubt>) {
        self.agents.iter().for_each(|agent| agent.doubt(self.counts.window_ns, found));
        let mut machines: BTreeMap<&str, Vec<&AgentUse>> = BTreeMap::new();
        for agent in &self.agents {
            machines.entry(&agent.machine).or_default().push(agent);
        }
        for agents in machines.values().filter(|agents| agents.len() > 1) {
            let indices: Vec<_> = agents.iter().map(|agent| agent.index.to_string()).collect();
            found.push(Doubt::caution(
                "agents_share_a_machine",
                format!("agents {} share the machine {}", indices.join(", "), agents[0].host),
                "this shows that the load is right and not what several machines can do; start one \
                 agent per machine",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::answered;

    fn codes(agents: Vec<AgentUse>) -> Vec<(String, bool)> {
        let load = LoadRecord { agents, ..answered(100_000) };
        let mut found = Vec::new();
        load.doubt_agents(&mut found);
        found.into_iter().map(|doubt| (doubt.code, doubt.invalidates)).collect()
    }

    fn agent(index: u32) -> AgentUse {
        AgentUse { index, machine: format!("m{index}"), ..AgentUse::default() }
    }

    #[test]
    fn agents_that_differ_in_nothing_but_their_machine_raise_no_doubt() {
        assert_eq!(codes(vec![agent(0), agent(1)]), []);
        assert_eq!(codes(vec![]), []);
    }

    #[test]
    fn each_thing_that_goes_wrong_with_an_agent_is_told() {
        let told = |change: fn(&mut AgentUse), code: &str, invalidates| {
            let mut changed = agent(1);
            change(&mut changed);
            assert_eq!(codes(vec![agent(0), changed]), [(code.to_string(), invalidates)]);
        };
        told(|agent| agent.end = AgentEnd::Lost, "agent_lost", true);
        told(|agent| agent.jumped = true, "clock_jumped", true);
        // Measure is a second, so one per cent is 10 ms.
        told(|agent| agent.bound_ns = 6_000_000, "clock_bound", false);
        told(|agent| agent.bound_ns = 11_000_000, "clock_bound", true);
        told(|agent| agent.late_ns = 2_000_000, "late_start", false);
        told(|agent| agent.silent_ns = 4_000_000_000, "contact_lost", false);
        told(|agent| agent.machine = "m0".into(), "agents_share_a_machine", false);
    }
}
