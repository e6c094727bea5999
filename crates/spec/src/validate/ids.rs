//! Rules of id mappings (user_namespaces(7), "Defining user and group ID mappings").

use super::Findings;
use crate::id_map::IdMapping;
use std::fmt::Display;

/// `UID_GID_MAP_MAX_EXTENTS`, since Linux 4.15; five before.
const MOST: usize = 340;

pub(super) fn check(path: impl Display, mappings: &[IdMapping], findings: &mut Findings) {
    if mappings.len() > MOST {
        findings.wrong(
            format_args!("{path}"),
            format!("has {} ranges; at most {MOST} are allowed", mappings.len()),
        );
        return;
    }
    for (at, mapping) in mappings.iter().enumerate() {
        if mapping.size == 0 {
            findings.wrong(format_args!("{path}[{at}].size"), "is 0; a range holds 1 id or more");
        }
        for (property, first) in [("containerID", mapping.container_id), ("hostID", mapping.host_id)] {
            // 4294967295 is no id: it means "none" to the kernel.
            if u64::from(first) + u64::from(mapping.size) > u64::from(u32::MAX) {
                let wrong = format!("{first} with size {} goes beyond 4294967294, the last id", mapping.size);
                findings.wrong(format_args!("{path}[{at}].{property}"), wrong);
            }
        }
        for (earlier_at, earlier) in mappings[..at].iter().enumerate() {
            let wrong = |side| format!("overlaps {path}[{earlier_at}] {side}; ranges have to be apart");
            if overlap(mapping.container_id, mapping.size, earlier.container_id, earlier.size) {
                findings.wrong(format_args!("{path}[{at}].containerID"), wrong("in the container"));
            }
            if overlap(mapping.host_id, mapping.size, earlier.host_id, earlier.size) {
                findings.wrong(format_args!("{path}[{at}].hostID"), wrong("on the host"));
            }
        }
    }
}

fn overlap(one: u32, one_size: u32, other: u32, other_size: u32) -> bool {
    let (one, other) = (u64::from(one), u64::from(other));
    one < other + u64::from(other_size) && other < one + u64::from(one_size)
}
