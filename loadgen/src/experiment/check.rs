//! What the experiments check of their tables, and cells that several of them share.

use super::question::{Cell, Cells};
use crate::error::Result;
use crate::plan::{Action, DrillPlan};
use crate::spec::Spec;
use crate::units::Span;

/// A cell for every arm with the one drill that it is.
pub(super) fn drills(spec: &Spec, blocks: u32, drill: &DrillPlan) -> Cells {
    let actions = || vec![Action::Drill(drill.clone())];
    let cell =
        |arm: &String| Cell { arm: arm.clone(), level: 0, server: Vec::new(), actions: actions() };
    Cells { blocks, cells: spec.arms.iter().map(cell).collect() }
}

/// The default of a field in a table that has a field without one, so that no default of the whole
/// table can be given: a number.
pub(super) const fn count<const N: u32>() -> u32 {
    N
}

/// The same for a span, in ms.
pub(super) const fn millis<const MS: u64>() -> Span {
    Span::from_millis(MS)
}

/// A number as a human wrote it, within a range.
pub(super) fn within(
    spec: &Spec,
    place: &str,
    found: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32> {
    if range.contains(&found) {
        return Ok(found);
    }
    let (least, most) = (range.start(), range.end());
    Err(spec.refuse(format!("{place}: expected {least} to {most}, found {found}")))
}

/// Levels of a sweep as a human wrote them: at least `least`, each within `range`, made ascending.
pub(super) fn levels(
    spec: &Spec,
    table: &str,
    field: &str,
    mut levels: Vec<u32>,
    least: usize,
    range: std::ops::RangeInclusive<u32>,
) -> Result<Vec<u32>> {
    levels.sort_unstable();
    levels.dedup();
    if levels.len() < least {
        return Err(spec.refuse(format!(
            "[{table}] {field}: expected at least {least} different levels, found {}",
            levels.len()
        )));
    }
    if let Some(wrong) = levels.iter().find(|level| !range.contains(level)) {
        return Err(spec.refuse(format!(
            "[{table}] {field}: expected levels from {} to {}, found {wrong}",
            range.start(),
            range.end()
        )));
    }
    Ok(levels)
}
