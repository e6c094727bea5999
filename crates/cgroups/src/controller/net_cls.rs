//! Classes of network packets, on v1: the `net_cls` controller.

use crate::error::Refused;
use crate::layout::{Controller, Version};
use crate::write::Write;

/// What to write.
///
/// # Errors
/// On v2, where netfilter matches the group itself.
pub fn writes(class_id: Option<u32>, version: Version) -> Result<Vec<Write>, Refused> {
    super::only_v1("network.classID", class_id.is_some(), Controller::NetCls, version)?;
    Ok(class_id.map(|id| Write::new("net_cls.classid", id)).into_iter().collect())
}
