//! Which processors and memory nodes: the `cpuset` controller.

use crate::error::Refused;
use crate::limits::CpusetLimits;
use crate::write::Write;

/// What to write; the files are called the same in both versions.
///
/// # Errors
/// A list that is none.
pub fn writes(limits: &CpusetLimits) -> Result<Vec<Write>, Refused> {
    let mut writes = Vec::new();
    for (file, limit, list) in
        [("cpuset.cpus", "cpu.cpus", &limits.cpus), ("cpuset.mems", "cpu.mems", &limits.mems)]
    {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            parse_list(list).ok_or_else(|| {
                Refused::value(limit, format!("`{}` is not a list such as `0-3,8`", list.escape_debug()))
            })?;
            writes.push(Write::new(file, list));
        }
    }
    Ok(writes)
}

/// The ranges of a list such as `0-3,8` (cpuset(7), list format; `0-31:2/8` with a stride as well).
pub fn parse_list(text: &str) -> Option<Vec<(u32, u32)>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    text.split(',')
        .map(|part| {
            let (range, stride) =
                part.split_once(':').map_or((part, None), |(range, stride)| (range, Some(stride)));
            if let Some(stride) = stride {
                let (used, group) = stride.split_once('/')?;
                let (used, group): (u32, u32) = (used.parse().ok()?, group.parse().ok()?);
                (used <= group && group > 0).then_some(())?;
            }
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last).then_some((first, last))
        })
        .collect()
}
