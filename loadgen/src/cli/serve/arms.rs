//! What can be served: the arms, what each needs, and what is said of an unknown name.

use std::collections::BTreeMap;

use servers::schemes::knobs::lacking;
use servers::{ArmInfo, Proxy};

use crate::error::{Error, Result};
use crate::plan::Variant;

/// Everything a server can be, for `authbench schemes`.
pub(in crate::cli) fn arms() -> &'static [ArmInfo] {
    servers::arms()
}

/// The store of every arm that has one.
pub(in crate::cli) fn stores() -> BTreeMap<String, String> {
    let named = |info: &ArmInfo| Some((info.arm.to_owned(), info.store?.to_owned()));
    arms().iter().filter_map(named).collect()
}

pub(super) fn info(name: &str) -> Option<&'static ArmInfo> {
    let arm = Variant::of(name).arm;
    arms().iter().find(|info| info.arm == arm)
}

/// The program that this arm needs and this machine does not have, and the package that has it.
pub(in crate::cli) fn missing_program(arm: &str) -> Option<(&'static str, &'static str)> {
    let store = || servers::stores::missing_program(info(arm)?.store?);
    let proxy = || {
        let proxy: Proxy = Variant::of(arm).proxy()?.parse().ok()?;
        Some(proxy.program()).filter(|program| program.find().is_none())
    };
    let program = store().or_else(proxy)?;
    Some((program.name, program.package))
}

/// Why an arm is not attacked; `None` where it is.
pub(in crate::cli) fn spared(name: &str) -> Option<&'static str> {
    let info = info(name)?;
    (!info.authenticates).then_some("the floor authenticates nobody")
}

/// How alike a name and an arm's have to be for the one to be meant by the other.
const ALIKE: f64 = 0.85;

/// What is said of a name that is no arm's: the arms that begin so, or the one that was most likely
/// meant.
pub(super) fn unknown_arm(name: &str) -> String {
    let start = Variant::of(name).arm;
    let begins = |info: &&ArmInfo| {
        let rest = info.arm.strip_prefix(start);
        rest.is_some_and(|rest| !start.is_empty() && rest.starts_with(['@', '-']))
    };
    let family: Vec<_> = arms().iter().filter(begins).map(|i| format!("`{}`", i.arm)).collect();
    if let [others @ .., last] = family.as_slice()
        && !others.is_empty()
    {
        let others = others.join(", ");
        return format!("unknown arm `{name}`; did you mean one of {others} or {last}?");
    }
    let alike =
        arms().iter().map(|info| (strsim::jaro_winkler(Variant::of(name).arm, info.arm), info.arm));
    match alike.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((alike, arm)) if alike >= ALIKE => {
            format!("unknown arm `{name}`; did you mean `{arm}`? `authbench schemes` lists all")
        }
        _ => format!("unknown arm `{name}`; `authbench schemes` lists the arms there are"),
    }
}

/// Refuses a flag that the arm does not have: the server would be the same without it. `dashes` are
/// those with which the flag was written.
pub(super) fn require_flag(arm: &str, flag: &str, dashes: &str) -> Result<()> {
    match info(arm).and_then(|info| lacking(info, flag)) {
        Some(part) => {
            Err(Error::Config(format!("`{arm}` has no {part}; leave out `{dashes}{flag}`")))
        }
        None => Ok(()),
    }
}
