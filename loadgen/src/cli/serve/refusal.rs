//! What is said where a server cannot be started or ends.

use servers::ServeError;

use crate::error::Error;

/// Options and addresses are for the user to mend; a part of a running server that dies is not.
pub(super) fn refused(error: &ServeError) -> Error {
    match error {
        ServeError::Task { .. } => Error::Target(error.to_string()),
        _ => Error::Config(error.to_string()),
    }
}
