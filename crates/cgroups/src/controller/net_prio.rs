//! Priorities of network packets by interface, on v1: the `net_prio` controller.

use crate::error::Refused;
use crate::layout::{Controller, Version};
use crate::write::Write;

/// What to write.
///
/// # Errors
/// On v2, where netfilter matches the group itself; and an interface's name that is none.
pub fn writes(priorities: &[(String, u32)], version: Version) -> Result<Vec<Write>, Refused> {
    super::only_v1("network.priorities", !priorities.is_empty(), Controller::NetPrio, version)?;
    priorities
        .iter()
        .map(|(interface, priority)| {
            if interface.is_empty() || interface.contains(|c: char| c.is_whitespace() || c.is_control()) {
                let why = format!("`{}` is not an interface", interface.escape_debug());
                return Err(Refused::value("network.priorities", why));
            }
            Ok(Write::new("net_prio.ifpriomap", format!("{interface} {priority}")))
        })
        .collect()
}
