//! RDMA adapters: the `rdma` controller.

use std::fmt::Write as _;

use crate::error::Refused;
use crate::limits::RdmaLimit;
use crate::write::Write;

/// What to write; the file is called the same in both versions.
///
/// # Errors
/// A device's name that is none.
pub fn writes(limits: &[RdmaLimit]) -> Result<Vec<Write>, Refused> {
    let mut writes = Vec::new();
    for limit in limits {
        if limit.device.is_empty() || limit.device.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Refused::value("rdma", format!("`{}` is not a device", limit.device.escape_debug())));
        }
        let mut value = limit.device.clone();
        for (key, most) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)] {
            if let Some(most) = most {
                let _ = write!(value, " {key}={most}");
            }
        }
        if value != limit.device {
            writes.push(Write::new("rdma.max", value));
        }
    }
    Ok(writes)
}

/// What is used of one adapter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RdmaStats {
    /// The adapter.
    pub device: String,
    /// Handles.
    pub hca_handles: u64,
    /// Objects.
    pub hca_objects: u64,
}

/// Parses `rdma.current`: `mlx4_0 hca_handle=2 hca_object=2000`.
pub fn parse(text: &str) -> Vec<RdmaStats> {
    crate::parse::nested(text)
        .map(|(device, pairs)| {
            let mut stats = RdmaStats { device: device.to_owned(), ..RdmaStats::default() };
            for (name, value) in pairs {
                match name {
                    "hca_handle" => stats.hca_handles = value,
                    "hca_object" => stats.hca_objects = value,
                    _ => {}
                }
            }
            stats
        })
        .collect()
}
