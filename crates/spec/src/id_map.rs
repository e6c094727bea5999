//! Ids of a user namespace and what they are outside.

use serde::{Deserialize, Serialize};

/// A range of ids in a user namespace and the range outside that it stands for
/// (user_namespaces(7), "User and group ID mappings").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct IdMapping {
    /// The first id in the container.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// The first id on the host, or in whichever user namespace the runtime runs.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

impl IdMapping {
    /// What `container_id` is on the host, if this range holds it.
    pub fn to_host(&self, container_id: u32) -> Option<u32> {
        let offset = container_id.checked_sub(self.container_id)?;
        if offset < self.size { self.host_id.checked_add(offset) } else { None }
    }

    /// What `host_id` is in the container, if this range holds it.
    pub fn to_container(&self, host_id: u32) -> Option<u32> {
        let offset = host_id.checked_sub(self.host_id)?;
        if offset < self.size { self.container_id.checked_add(offset) } else { None }
    }
}

/// What `container_id` is on the host; `None` when no range holds it.
pub fn to_host(mappings: &[IdMapping], container_id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| mapping.to_host(container_id))
}

/// What `host_id` is in the container; `None` when no range holds it.
pub fn to_container(mappings: &[IdMapping], host_id: u32) -> Option<u32> {
    mappings.iter().find_map(|mapping| mapping.to_container(host_id))
}

crate::optional::objects!(IdMapping);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_their_range_and_nowhere_else() {
        let mappings = [
            IdMapping { container_id: 0, host_id: 1000, size: 1 },
            IdMapping { container_id: 1, host_id: 100_000, size: 65_535 },
        ];
        for (container, host) in
            [(0, Some(1000)), (1, Some(100_000)), (65_535, Some(165_534)), (65_536, None)]
        {
            assert_eq!(to_host(&mappings, container), host);
            assert_eq!(host.and_then(|host| to_container(&mappings, host)), host.map(|_| container));
        }
        assert_eq!(to_container(&mappings, 0), None);
    }

    #[test]
    fn a_range_that_goes_beyond_the_last_id_does_not_wrap() {
        let mapping = IdMapping { container_id: u32::MAX - 1, host_id: u32::MAX, size: u32::MAX };
        assert_eq!(mapping.to_host(u32::MAX - 1), Some(u32::MAX));
        assert_eq!(mapping.to_host(u32::MAX), None);
    }
}
