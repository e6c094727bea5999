//! Network devices of the host that move into the container (config-linux.md, "Network Devices").

use init::ops::{Op, Slot};

use super::{Act, Builder, PlanError, Ticket};

/// `CAP_NET_ADMIN`
const NET_ADMIN: u64 = 1 << 12;

/// A device that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NetDevice {
    /// Its name on the host.
    pub(crate) name: String,
    /// Its name in the container; with `%d` the kernel chooses a number.
    pub(crate) inside: String,
}

/// The stage is in its network namespace: the engine moves the devices there.
pub(crate) fn take(plan: &mut Builder<'_>) -> Result<Option<Ticket>, PlanError> {
    let wanted = &plan.launch.spec.linux.net_devices;
    if wanted.is_empty() {
        return Ok(None);
    }
    if plan.facts.capabilities & NET_ADMIN == 0 {
        return Err(PlanError::unsupported(
            "linux.netDevices",
            "moving a network device takes CAP_NET_ADMIN over the host's network namespace",
        ));
    }
    let devices: Vec<_> = wanted
        .iter()
        .map(|(name, device)| NetDevice {
            name: name.clone(),
            inside: if device.name.is_empty() { name.clone() } else { device.name.clone() },
        })
        .collect();
    let list: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
    let what = format!("move network devices into the container: {}", list.join(" "));
    plan.stage("tell that the network namespace is there", "the engine moves devices into it");
    let turn = plan.next_turn();
    plan.push(Op::Tell { turn, fd: Slot::NONE });
    plan.engine(what, "with their addresses, and up", Act::MoveNetDevices { turn, devices });
    Ok(Some(plan.hand_over(Vec::new()).0))
}

/// The stage is in its new network namespace: the caller lays its cables there, while the stage goes on. One that is joined, or the
/// host's, is somebody else's to connect.
pub(crate) fn connect(plan: &mut Builder<'_>) -> Option<Ticket> {
    if !plan.namespace(spec::NamespaceType::Network).is_new() {
        return None;
    }
    plan.stage("tell that the network namespace is there", "the engine connects it");
    let turn = plan.next_turn();
    plan.push(Op::Tell { turn, fd: Slot::NONE });
    plan.engine(
        "connect the container to its networks",
        "cables, addresses, routes and ports",
        Act::Connect { turn },
    );
    Some(plan.hand_over(Vec::new()).0)
}
