//! What is said of every Redis: its name and how its URL is written, how the records of one kind
//! are told from others, and how its `INFO` is read.

pub(super) const STORE: &str = "redis";
/// How a URL of one is written.
pub const URL: &str = "redis://[[USER]:PASSWORD@]HOST:PORT[/DATABASE]";

/// How records of one kind are told from others.
pub(in crate::stores) struct Kind {
    /// What the key of a record begins with.
    pub(in crate::stores) key: &'static str,
    /// What the key of a user's index begins with.
    pub(in crate::stores) index: &'static str,
    /// Bytes of a value before its data.
    pub(in crate::stores) head: usize,
}

/// A field of what `INFO` answers.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
