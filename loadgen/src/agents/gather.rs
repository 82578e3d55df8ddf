//! Makes one record of the shares that came, and says what the others would have brought.

use serde::{Deserialize, Serialize};

use super::bus::Bus;
use super::message::Orders;
use super::parcel::{self, Parcel};
use crate::engine::{Share, planned_for};
use crate::error::{Error, Result};
use crate::journey::Script;
use crate::record::{AgentEnd, AgentUse, LoadRecord};

/// What is known of an agent without its share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) index: u32,
    pub(super) host: String,
    pub(super) machine: String,
    pub(super) base: u32,
    pub(super) workers: u32,
    pub(super) offset_ns: i64,
    pub(super) bound_ns: u64,
    pub(super) jumped: bool,
    pub(super) silent_ns: u64,
}

/// Everything that a record is made of.
pub(super) struct Gathered<'a> {
    pub(super) orders: &'a Orders,
    pub(super) script: &'a Script,
    pub(super) facts: Vec<Facts>,
    /// The share of each of them; `None` where it did not come.
    pub(super) shares: Vec<Option<Share>>,
}

/// The share of an agent that the engine keeps; `None` where it has not come. A clause says why it
/// cannot be used.
pub(super) fn fetch_share(
    bus: &Bus,
    run: &str,
    index: u32,
    orders: &str,
) -> Result<Option<Share>, String> {
    let Some(text) = parcel::fetch(bus, index)? else { return Ok(None) };
    let parcel = Parcel::read(&text, run, orders)?;
    if parcel.index != index {
        return Err(format!("it is that of agent {}", parcel.index));
    }
    Ok(Some(parcel.share))
}

/// The record of a run. Shares are merged by the index of their agents, so it does not matter in
/// which order they came.
///
/// # Errors
/// `Target` when no request got the right answer because TLS failed.
pub(super) fn record(gathered: Gathered<'_>) -> Result<LoadRecord> {
    let Gathered { orders, script, facts, shares } = gathered;
    let (plan, mut all) = (&orders.plan, Share::default());
    shares.iter().flatten().for_each(|share| all.merge(share.clone()));
    if let Some(reason) = all.no_tls() {
        let place = script.origin();
        return Err(Error::Target(format!("no TLS with {place}: {reason}")));
    }
    let of = facts.iter().map(|facts| facts.workers).sum();
    let any = shares.iter().any(Option::is_some);
    let window_ns = if any { all.window_ns() } else { plan.measure_ns };
    let absent = facts.iter().zip(&shares).filter(|(_, share)| share.is_none());
    let lost = absent.map(|(facts, _)| {
        let workers = facts.base..facts.base + facts.workers;
        planned_for(script, plan, orders.seed, (workers, of), window_ns).unwrap_or(0)
    });
    let lost = lost.sum();
    let agents = facts.into_iter().zip(&shares).map(|(facts, share)| AgentUse {
        index: facts.index,
        host: facts.host,
        machine: facts.machine,
        base: facts.base,
        workers: facts.workers,
        offset_ns: facts.offset_ns,
        bound_ns: facts.bound_ns,
        jumped: facts.jumped,
        silent_ns: facts.silent_ns,
        late_ns: share.as_ref().map_or(0, Share::late_ns),
        end: match share {
            None => AgentEnd::Lost,
            Some(share) if share.is_cut() => AgentEnd::Cut,
            Some(_) => AgentEnd::Whole,
        },
        generator: share.as_ref().map(|share| share.generator(plan)).unwrap_or_default(),
    });
    let agents = agents.collect();
    Ok(LoadRecord { agents, ..all.record(plan, lost) })
}
