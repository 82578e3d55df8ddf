//! Flags of `authbench run` that shape the request for a plain URL.

use clap::Args;
use servers::contract::{BodyFormat, Statuses, Target};

use crate::error::{Error, Result};

/// The long help of `--body`. clap takes the marker for the user's number for a line break, unless
/// something stands within it: here a style that changes nothing.
const BODY_HELP: &str = "Send this body to a URL\n\n`{\u{1b}[0mn}` in it is the user's number. Say \
                         what the body is with --header 'Content-Type: ...'.";

/// What is asked of a plain URL.
#[derive(Debug, Args)]
pub(super) struct PlainArgs {
    /// Send this method to a URL [default: GET; POST with --body]
    #[arg(long, value_name = "METHOD", requires = "url")]
    method: Option<String>,
    /// Send this body to a URL
    #[arg(long, value_name = "TEXT", requires = "url", long_help = BODY_HELP)]
    body: Option<String>,
    /// Accept this status from a URL, `204` or `200,304` [default: 200]
    #[arg(long, value_name = "STATUS", requires = "url", value_delimiter = ',')]
    status: Vec<u16>,
}

impl PlainArgs {
    /// Puts what was asked for into the one request of a target.
    ///
    /// # Errors
    /// `Flag` when there is no such status.
    pub(super) fn shape(&self, target: &mut Target) -> Result<()> {
        for step in target.journeys.values_mut().flat_map(|journey| &mut journey.steps) {
            if let Some(body) = &self.body {
                step.body = Some(body.clone());
                step.format = BodyFormat::Raw;
                step.method = "POST".into();
            }
            if let Some(method) = &self.method {
                step.method.clone_from(method);
            }
            if !self.status.is_empty() {
                step.expect_status = Statuses::new(&self.status).map_err(|_| {
                    let found: Vec<_> = self.status.iter().map(ToString::to_string).collect();
                    Error::flag("--status", "from 200 to 999", found.join(","))
                })?;
            }
        }
        Ok(())
    }
}
