//! `authbench schemes`: the arms there are.

use clap::Args;

use super::shared::Format;
use super::{output, serve};
use crate::error::{Error, Result};
use crate::sanitise::Page;

/// Flags of `authbench schemes`.
#[derive(Debug, Args)]
pub(super) struct SchemesArgs {
    /// Print text for people, or JSON for programs
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// Lists the arms.
///
/// # Errors
/// `Bug` when they cannot be written as JSON.
pub(super) fn schemes(args: &SchemesArgs) -> Result<()> {
    if args.format == Format::Json {
        let text = serde_json::to_string_pretty(serve::arms())
            .map_err(|e| Error::Bug(format!("the arms cannot be written: {e}")))?;
        return output::json(&text);
    }
    let mut page = Page::default();
    for arm in serve::arms() {
        let yes = |able: bool, what: &'static str| if able { what } else { "" };
        let able: Vec<_> = [
            yes(arm.stateful, "keeps state for each user"),
            yes(arm.revokes, "can log out"),
            yes(arm.refreshes, "refreshes"),
            yes(arm.revokes_refresh, "a logout ends the refreshing and not the access token"),
        ]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
        page.line(&format!("{} ({})", arm.arm, arm.form.word()));
        page.text(&format!("    {}", arm.summary), 4);
        if !able.is_empty() {
            page.text(&format!("    {}", able.join(", ")), 4);
        }
        page.text(&format!("    After a restart: {}", arm.after_restart), 4);
    }
    output::page(&page)
}
