//! Which of root's powers a container has.

use report::Kind;
use spec::{Capability, CapabilitySet};

use super::{Facts, Ids, Refused, refused};
use crate::flags::capability::Capabilities;
use crate::request::RunRequest;

/// What docker and podman have agreed on for years (moby's `DefaultCapabilities`).
const DEFAULT: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

/// The bounding set: the default ones and those added, without those dropped. `ALL` on one side makes the
/// other side's list the exceptions.
pub(super) fn bounding(request: &RunRequest, facts: &Facts) -> Result<CapabilitySet, Refused> {
    let one = |list: &[Capabilities]| -> CapabilitySet {
        list.iter()
            .filter_map(|entry| match entry {
                Capabilities::One(capability) => Some(*capability),
                Capabilities::All => None,
            })
            .collect()
    };
    let all = |list: &[Capabilities]| list.contains(&Capabilities::All);
    let (added, dropped) = (one(&request.cap_add), one(&request.cap_drop));
    let everything = request.privileged || all(&request.cap_add);
    let start = match (everything, all(&request.cap_drop)) {
        (true, _) => CapabilitySet::ALL,
        (false, true) => CapabilitySet::EMPTY,
        (false, false) => DEFAULT.into_iter().collect(),
    };
    let set = start.difference(dropped).union(added);
    if facts.ids != Ids::Host {
        return Ok(set);
    }
    // Without a user namespace nobody can give what they do not have.
    let lacking = added.difference(facts.caller_capabilities);
    if let Some(capability) = lacking.iter().next() {
        return refused(
            format!("--cap-add {capability}"),
            "the caller does not have this capability",
            "a container with a user namespace has its own: leave out --userns host and --privileged",
            Kind::PermissionDenied,
        );
    }
    Ok(set.intersection(facts.caller_capabilities))
}
