//! What a format of the report is; the list of them is in the module itself.

use super::analysis::Analysis;
use crate::sanitise;

/// A format of the report: what it is called, its file, and how it is set.
pub struct Format {
    /// Name for `--format`.
    pub name: &'static str,
    /// File in the campaign's folder.
    pub file: &'static str,
    /// Whether every campaign leaves it, or only who asks for it gets it.
    pub always: bool,
    pub(super) set: fn(&Analysis) -> String,
}

impl Format {
    /// Sets an analysis in type. What comes out has no control character but the line feed.
    pub fn render(&self, analysis: &Analysis) -> String {
        sanitise::document(&(self.set)(analysis)).into_owned()
    }
}
