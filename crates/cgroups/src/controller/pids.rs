//! Number of processes and threads: the `pids` controller.

use crate::limits::Limit;
use crate::write::Write;

/// What to write; both versions say `max` for unlimited.
pub fn writes(max: Option<Limit>) -> Vec<Write> {
    max.map(|max| Write::new("pids.max", max.v2())).into_iter().collect()
}
