//! Looking. Nothing is left behind: what is opened is closed, and what is made ends with this process.

use cgroups::{Controller, Layout};
use runtime::facts::Calls;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use spec::CapabilitySet;

use super::{HostReport, Namespace};
use crate::host::{self, Caller, read};
use crate::{idmap, ids};

impl HostReport {
    /// Looks at this host. In the end the process has namespaces of its own, so a program calls this last before it prints
    /// and ends.
    pub fn probe() -> Self {
        let caller = Caller::read();
        let facts = runtime::HostFacts::read().ok();
        let kernel = facts.as_ref().map_or((0, 0), |facts| facts.kernel);
        let layout = facts.as_ref().map(|facts| facts.cgroups.clone()).unwrap_or_default();
        let ids = host::read_id_facts(&caller, ids::parse_id_map(&read("/proc/self/uid_map")), None);
        let on = |path: &str| matches!(read(path).trim(), "1" | "Y");
        Self {
            kernel,
            uid: caller.uid,
            capabilities: caller.capabilities,
            max_user_namespaces: read("/proc/sys/user/max_user_namespaces").trim().parse().ok(),
            userns_for_root_only: read("/proc/sys/kernel/unprivileged_userns_clone").trim() == "0",
            userns_restricted_by_apparmor: on("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            controllers: controllers(&layout),
            cgroups_writable: cgroups_writable(&layout),
            overlay: overlay(caller.capabilities),
            layer_index: images::mount::support()
                .map_or_else(|_| String::new(), |way| way.describe().to_owned()),
            no_layer_index: images::mount::support().err(),
            no_idmap: no_idmap(kernel),
            missing_calls: facts.as_ref().map(|facts| missing_calls(facts.calls)).unwrap_or_default(),
            seccomp_actions: read("/proc/sys/kernel/seccomp/actions_avail")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            landlock: sys::probe::landlock_version(),
            apparmor: on("/sys/module/apparmor/parameters/enabled"),
            selinux: std::path::Path::new("/sys/fs/selinux/enforce").exists(),
            subuids: ids.subuids,
            subgids: ids.subgids,
            id_helpers: host::in_path("newuidmap") && host::in_path("newgidmap"),
            ip_forward: on("/proc/sys/net/ipv4/ip_forward"),
            nftables: nftables(),
            criu: host::in_path("criu"),
            memfd_noexec: read("/proc/sys/vm/memfd_noexec").trim().parse().unwrap_or(0),
            namespaces: namespaces(),
        }
    }
}

fn controllers(layout: &Layout) -> Vec<(&'static str, Option<cgroups::Version>)> {
    const ASKED: [(&str, Controller); 7] = [
        ("cpu", Controller::Cpu),
        ("cpuset", Controller::Cpuset),
        ("memory", Controller::Memory),
        ("pids", Controller::Pids),
        ("io", Controller::Io),
        ("devices", Controller::Devices),
        ("freezer", Controller::Freezer),
    ];
    ASKED.map(|(name, controller)| (name, layout.serving(controller).map(|found| found.version))).to_vec()
}

fn cgroups_writable(layout: &Layout) -> bool {
    let writable = |hierarchy: &cgroups::layout::Hierarchy| {
        let directory = hierarchy.own_below_mount().map(|own| hierarchy.mount.join(own));
        let may = |path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
        !hierarchy.read_only && directory.is_some_and(may)
    };
    layout.hierarchies().any(writable)
}

/// The kernel lists it, or loads it when root asks.
fn overlay(capabilities: CapabilitySet) -> bool {
    let listed =
        || read("/proc/filesystems").lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay");
    if !listed() && capabilities.contains(spec::Capability::SysAdmin) {
        let flags = rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC;
        return rustix::mount::fsopen("overlay", flags).is_ok();
    }
    listed()
}

fn no_idmap(kernel: (u32, u32)) -> Option<String> {
    if kernel < (5, 19) {
        return Some("overlay has layers with other owners since Linux 5.19".to_owned());
    }
    let magic = rustix::fs::statfs("/").map(|stat| stat.f_type as u64).unwrap_or(0);
    idmap::unsupported(magic & u64::from(u32::MAX), kernel)
}

fn missing_calls(calls: Calls) -> Vec<(&'static str, &'static str)> {
    [
        (calls.openat2, ("openat2", "5.6")),
        (calls.clone_into_cgroup, ("clone3 into a cgroup", "5.7")),
        (calls.close_range, ("close_range", "5.11")),
        (calls.mount_setattr, ("mount_setattr", "5.12")),
    ]
    .into_iter()
    .filter(|(there, _)| !there)
    .map(|(_, name)| name)
    .collect()
}

/// Makes them, in this process, the user namespace first: in it everybody may make the others.
fn namespaces() -> Vec<(&'static str, Namespace)> {
    use spec::NamespaceType;
    const KINDS: [(&str, NamespaceType); 8] = [
        ("user", NamespaceType::User),
        ("mount", NamespaceType::Mount),
        ("pid", NamespaceType::Pid),
        ("network", NamespaceType::Network),
        ("ipc", NamespaceType::Ipc),
        ("uts", NamespaceType::Uts),
        ("cgroup", NamespaceType::Cgroup),
        ("time", NamespaceType::Time),
    ];
    let there = |kind: NamespaceType| std::path::Path::new("/proc/self/ns").join(kind.proc_name()).exists();
    let look = |kind: NamespaceType| match (there(kind), sys::raw::unshare(kind.clone_flag())) {
        (false, _) => Namespace::Absent,
        (true, Ok(())) => Namespace::Made,
        (true, Err(_)) => Namespace::Refused,
    };
    KINDS.map(|(name, kind)| (name, look(kind))).to_vec()
}

/// Asks nftables for the generation of its rules, which changes nothing (nfnetlink, `NFT_MSG_GETGEN`).
fn nftables() -> bool {
    let protocol = Some(rustix::net::netlink::NETFILTER);
    let Ok(socket) =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
    else {
        return false;
    };
    const NFT_MSG_GETGEN: u16 = 10 << 8 | 16;
    const NLM_F_REQUEST: u16 = 1;
    const NLMSG_ERROR: u16 = 2;
    let mut request = Vec::with_capacity(20);
    request.extend(20u32.to_ne_bytes());
    request.extend(NFT_MSG_GETGEN.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    // Sequence number and port, then family, version and resource id.
    request.extend([0; 12]);
    if rustix::net::send(&socket, &request, SendFlags::empty()).is_err() {
        return false;
    }
    // The kernel answers while it is asked, so there is nothing to wait for.
    let mut answer = [0u8; 512];
    match rustix::net::recv(&socket, &mut answer, RecvFlags::DONTWAIT) {
        Ok((count, _)) if count >= 8 => u16::from_ne_bytes([answer[4], answer[5]]) != NLMSG_ERROR,
        _ => false,
    }
}
