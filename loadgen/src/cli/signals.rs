//! SIGINT and SIGTERM: the first one stops what runs and keeps what was measured, the second one
//! ends the process at once. Files are whole at every moment, so neither loses any.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Interrupt, Result};

/// Begins to listen for signals.
///
/// # Errors
/// `Bug` when the operating system refuses.
pub(super) fn listen() -> Result<Interrupt> {
    let interrupt = Interrupt::default();
    let again = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds `again` unset, sets it, and the second one ends us.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))
            .and_then(|_| flag::register(signal, Arc::clone(&again)))
            .and_then(|_| {
                let number = usize::try_from(signal).unwrap_or_default();
                flag::register_usize(signal, Arc::clone(interrupt.flag()), number)
            })
            .map_err(|e| Error::Bug(format!("signals cannot be heard: {e}")))?;
    }
    Ok(interrupt)
}
