//! Device nodes, and which devices may be used.

use spec::resources::{DeviceRule, DeviceRuleType};
use spec::{Device, DeviceType};

use super::Facts;
use crate::flags::device::Access;
use crate::request::RunRequest;

/// A device node of the host that the container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where, in the container.
    pub path: String,
    /// Whether it is a block device; a character device otherwise.
    pub block: bool,
    /// The major number.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
    /// The permission bits on the host.
    pub mode: u32,
    /// What may be done with it.
    pub access: Access,
}

/// The character devices every container may use: null, zero, full, random, urandom, tty, console, ptmx, and
/// the terminals of its own devpts.
const USUAL: [(i64, Option<i64>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// The nodes besides those that every container has.
pub(super) fn nodes(_request: &RunRequest, facts: &Facts) -> Vec<Device> {
    let node = |node: &Node| Device {
        path: node.path.clone(),
        kind: if node.block { DeviceType::Block } else { DeviceType::Character },
        major: node.major.into(),
        minor: node.minor.into(),
        file_mode: Some(node.mode & 0o777),
        uid: None,
        gid: None,
    };
    facts.devices.iter().map(node).collect()
}

/// Everything is denied first; making a node is always allowed, because using it is what is checked.
pub(super) fn rules(request: &RunRequest, facts: &Facts) -> Vec<DeviceRule> {
    if !facts.device_rules {
        return Vec::new();
    }
    if request.privileged {
        return vec![DeviceRule { allow: true, access: "rwm".to_owned(), ..DeviceRule::default() }];
    }
    let rule = |kind, major, minor, access: &str| DeviceRule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access: access.to_owned(),
    };
    let character = DeviceRuleType::Character;
    let mut list = vec![
        DeviceRule { allow: false, access: "rwm".to_owned(), ..DeviceRule::default() },
        rule(character, None, None, "m"),
        rule(DeviceRuleType::Block, None, None, "m"),
    ];
    list.extend(USUAL.map(|(major, minor)| rule(character, Some(major), minor, "rwm")));
    list.extend(facts.devices.iter().map(|node| {
        let kind = if node.block { DeviceRuleType::Block } else { character };
        rule(kind, Some(node.major.into()), Some(node.minor.into()), &node.access.letters())
    }));
    list
}
