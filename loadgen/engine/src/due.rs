//! A request that is due.

/// A request that is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) planned_ns: u64,
    /// Index of the user within the worker; of a visitor the place, as in `slot`.
    pub(super) user: u32,
    /// Which of the script's requests it is.
    pub(super) request: u32,
    /// The closed loop or the visit it belongs to; `NO_SLOT` in an open model.
    pub(super) slot: u32,
}

pub(super) const NO_SLOT: u32 = u32::MAX;
