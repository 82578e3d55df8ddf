//! Where a reader takes the bytes that it looks at or copies, so that tests can count them.

#[cfg(test)]
thread_local! {
    /// Bytes that this thread has examined.
    pub(super) static EXAMINED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Passes on bytes that are about to be looked at or copied. Tests count them here: a reader is
/// linear in its bytes, however they arrive.
#[inline]
pub(super) fn examine(bytes: &[u8]) -> &[u8] {
    #[cfg(test)]
    EXAMINED.with(|examined| examined.set(examined.get() + bytes.len()));
    bytes
}
