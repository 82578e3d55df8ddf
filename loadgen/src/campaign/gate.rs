//! The gate before a campaign: no arm is timed that does not hold against the attacks.

use super::progress::Progress;
use crate::attack::{self, CUT_SHORT, GUESSES, Options};
use crate::error::{Error, Interrupt, Result};
use crate::plan::{Plan, Variant};
use crate::record::{ATTACKS_SCHEMA, AttackRecord, Attacked, CaseOutcome, Folder};

/// Why an arm is not attacked; `None` for one that is.
pub type Spared = fn(&str) -> Option<&'static str>;

/// Random credentials that the gate tries. None of the figures of a debug build count, so one tries
/// fewer; the record of the case says how many.
const GATE_GUESSES: u32 = if cfg!(debug_assertions) { 500 } else { GUESSES };

/// Attacks an arm; once more where nothing got through and an answer was still wrong, which
/// a store that has to wait for a busy machine is enough for. What gets through once has got
/// through.
fn attack(arm: &str, interrupt: &Interrupt, progress: &mut dyn Progress) -> Result<Attacked> {
    let options = Options { guesses: GATE_GUESSES, ..Options::ours() };
    // What stands behind a proxy is attacked without it: its answers would be the proxy's.
    let alone = Variant::alone(arm);
    let mut once = || {
        let attacked =
            attack::arm(&alone, &options, interrupt, &mut |case| progress.attacks(arm, case));
        interrupt.check_or(&format!("{CUT_SHORT}; `--resume` continues the campaign"))?;
        attacked
    };
    let first = once()?;
    let wrong = first.bad().count();
    if wrong == 0 || first.count(CaseOutcome::Accepted) > 0 { Ok(first) } else { once() }
}

/// Attacks every arm of the plan and writes down the outcome.
///
/// An arm that checks less is faster, and its figures would be of something else. So every arm is
/// attacked once, on a server of its own, before anything is timed; the outcome is kept
/// whatever it was, and an arm that fails ends the campaign.
///
/// # Errors
/// `Target`, naming the cases, when an arm does not hold; `Io` when that cannot be written, and
/// what starting a server or a signal says.
pub(super) fn pass(
    plan: &Plan,
    folder: &Folder,
    spared: Spared,
    interrupt: &Interrupt,
    progress: &mut dyn Progress,
) -> Result<()> {
    let mut arms = Vec::new();
    for arm in &plan.arms {
        let mut attacked = match spared(arm) {
            Some(why) => Attacked::spared(arm, why),
            None => attack(arm, interrupt, progress)?,
        };
        attacked.target.clone_from(arm);
        progress.attacked(&attacked);
        arms.push(attacked);
    }
    let attacks = AttackRecord { schema: ATTACKS_SCHEMA, plan: plan.hash(), arms };
    folder.write_attacks(&attacks)?;
    attacks.arms.iter().try_for_each(attack::judge).map_err(|error| {
        let root = folder.root().display();
        Error::Target(format!("{error}; nothing was timed, and {root}/attacks.json has every case"))
    })
}
