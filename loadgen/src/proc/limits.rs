//! File descriptors: a connection takes one here and one in the server, which inherits our limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Result};
use crate::units::grouped;

/// What a process opens in addition to its connections: event queues, pipes, files, listeners.
const OTHER_DESCRIPTORS: u64 = 64;

/// Raises the limit of open files as far as this process may, and refuses connections beyond it.
///
/// # Errors
/// `Config` with what is needed and what is allowed.
pub fn allow_connections(connections: u32) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // A refusal leaves the limit as it was, and that is what is judged.
    let _ = setrlimit(Resource::Nofile, raised);
    judge(connections, getrlimit(Resource::Nofile).current)
}

fn judge(connections: u32, limit: Option<u64>) -> Result<()> {
    let needed = u64::from(connections) + OTHER_DESCRIPTORS;
    match limit {
        Some(limit) if limit < needed => Err(Error::Config(format!(
            "{} connections need {} open files, and this process may have {}; raise the limit with \
             `ulimit -n {needed}`, or use fewer connections",
            grouped(u64::from(connections)),
            grouped(needed),
            grouped(limit)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fault 4: the limit is known before the load.
    #[test]
    fn connections_beyond_the_limit_are_refused_with_the_remedy() {
        let refused = judge(1000, Some(1024)).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("ulimit -n 1064"), "{refused}");
        assert!(judge(1000, Some(1064)).is_ok() && judge(1_000_000, None).is_ok());
    }
}
