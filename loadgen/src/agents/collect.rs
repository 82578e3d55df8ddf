//! What is there of a run after its coordinator died: its orders, its agents and their shares, from
//! the engine and from files that agents kept.

use std::path::PathBuf;

use super::bus::Bus;
use super::gather::{self, Facts, Gathered};
use super::message::Orders;
use super::parcel::Parcel;
use crate::error::{Error, Result};
use crate::files::{self, Kind};
use crate::journey::Script;
use crate::plan::sha256_hex;
use crate::record::LoadRecord;

/// A run that was collected.
#[derive(Debug)]
pub struct Collected {
    /// What its agents were told to load.
    pub orders: Orders,
    /// The record of the shares that are there.
    pub load: LoadRecord,
}

/// Collects a run from the engine, and from these files of shares that did not reach it.
///
/// # Errors
/// `Config` when the engine has no such run, or a file is no share of it.
pub fn collect(run: &str, engine: &str, shares: &[PathBuf]) -> Result<Collected> {
    let bus = Bus::connect(engine, run, "authbench collect")?;
    let find = |name: &str| {
        let kept = bus.kept(name).map_err(|why| {
            Error::Config(format!("the engine has nothing of run `{run}`: {why}"))
        })?;
        let missing = "it has no agents yet, or sent nothing";
        kept.ok_or_else(|| Error::Config(format!("run `{run}` has nothing to collect: {missing}")))
    };
    let broken = |what: &str| Error::Invalid(format!("{what} of run `{run}` cannot be read"));
    let text = String::from_utf8(find("orders")?).map_err(|_| broken("the orders"))?;
    let hash = sha256_hex(text.as_bytes());
    let orders = Orders::open(&text, &hash)?;
    let facts: Vec<Facts> =
        serde_json::from_slice(&find("agents")?).map_err(|_| broken("the list of agents"))?;
    let from_files = shares.iter().map(|path| {
        let text = files::read_text(path, Kind::Record)?;
        Parcel::read(&text, run, &hash).map_err(|why| Error::file(path, why))
    });
    let from_files = from_files.collect::<Result<Vec<_>>>()?;
    let shares = facts.iter().map(|facts| {
        let fetched = gather::fetch_share(&bus, run, facts.index, &hash);
        let share = fetched.map_err(|why| {
            Error::Invalid(format!("the share of agent {} cannot be used: {why}", facts.index))
        })?;
        let in_file = from_files.iter().find(|parcel| parcel.index == facts.index);
        Ok(share.or_else(|| in_file.map(|parcel| parcel.share.clone())))
    });
    let shares = shares.collect::<Result<Vec<_>>>()?;
    let script = Script::renewing(&orders.target, &orders.plan.journey, None)?;
    let gathered = Gathered { orders: &orders, script: &script, facts, shares };
    let load = gather::record(gathered)?;
    Ok(Collected { orders, load })
}
