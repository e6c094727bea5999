//! Number of processes and threads: the `pids` controller.

use crate::limits::Limit;
use crate::write::Write;

/// What to write; both versions say `max` for unlimited.
pub fn writes(max: Option<Limit>) -> Vec<Write> {
    max.map(|max| Write::new("pids.max", max.v2())).into_iter().collect()
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
    /// The limit; `None` if there is none.
    pub max: Option<u64>,
    /// The most there were (Linux 6.1).
    pub peak: Option<u64>,
    /// How often a fork failed because of the limit.
    pub limit_hits: u64,
}
