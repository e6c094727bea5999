//! Which namespaces are new, joined or the host's, in which order they are entered, and who maps ids.

use init::ops::{Op, Slot};
use spec::{IdMapping, Namespace, NamespaceType};
use sys::clone;
use sys::raw;

use super::cgroup::Group;
use super::{Act, Builder, IdMaps, PlanError, Produced, Ticket, host_mounts};

/// Where a container gets a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The one of the process that launches.
    Host,
    /// One of its own.
    New,
    /// An existing one, by its file.
    Join(String),
}

impl Source {
    pub(crate) fn of(entry: Option<&Namespace>) -> Self {
        match entry {
            None => Self::Host,
            Some(entry) if entry.is_new() => Self::New,
            Some(entry) => Self::Join(entry.path.clone()),
        }
    }

    pub(crate) fn is_new(&self) -> bool {
        *self == Self::New
    }
}

/// `CAP_SETUID` and `CAP_SETGID`, which writing more than one's own id takes.
const SET_IDS: u64 = 1 << 7 | 1 << 6;

/// The decisions about namespaces.
pub(crate) struct Namespaces {
    /// Made by clone3(2).
    at_birth: u64,
    /// Made by the stage itself: later than its birth, so that both sides work meanwhile.
    network: bool,
    /// Whether that was made ahead, and is joined.
    pub(crate) network_ahead: bool,
    time: bool,
    pub(crate) cgroup: bool,
    joined: Vec<(NamespaceType, String)>,
    /// Whether there is a new user namespace.
    pub(crate) user: bool,
    /// Whether the container's ids are those of a user namespace other than the host's, new or joined.
    pub(crate) foreign_ids: bool,
    mapped: Option<Ticket>,
    /// The new user namespace, for mounts that take its mapping.
    pub(crate) user_fd: Option<Produced>,
    /// The user namespace to join.
    joined_user: Option<Produced>,
    /// User namespaces that are made for mounts alone, with their mappings.
    for_mounts: Vec<(IdMaps, Produced)>,
    /// Namespaces that the stage is born in, with their kinds: with a user namespace that is not the host's, the host's rights over
    /// them (or over that one, for what is made in it) are needed before.
    born_in: Vec<(Produced, u64)>,
    /// The pid namespace to join.
    pid_fd: Option<Produced>,
}

impl Namespaces {
    /// Those of a container that runs: `user` is its user namespace, where that is not the host's and mounts take its mapping.
    pub(crate) fn of_running(foreign_ids: bool, user: Option<Produced>) -> Self {
        Self {
            at_birth: 0,
            network: false,
            network_ahead: false,
            time: false,
            cgroup: false,
            joined: Vec::new(),
            user: false,
            foreign_ids,
            mapped: None,
            user_fd: None,
            joined_user: user,
            for_mounts: Vec::new(),
            born_in: Vec::new(),
            pid_fd: None,
        }
    }

    /// The new user namespace, opened by the engine the first time that something takes its mapping.
    pub(crate) fn user_fd(&mut self, plan: &mut Builder<'_>) -> Produced {
        *self.user_fd.get_or_insert_with(|| {
            plan.produce("open the user namespace", "mounts take its mapping", Act::OpenUserNamespace)
        })
    }

    /// What gives a mount its mapping: a user namespace with the mount's own mappings, else the container's. None without either.
    pub(crate) fn for_mount(&mut self, plan: &mut Builder<'_>, mount: &spec::Mount) -> Option<Produced> {
        let linux = &plan.launch.spec.linux;
        let own = !mount.uid_mappings.is_empty();
        let same = mount.uid_mappings == linux.uid_mappings && mount.gid_mappings == linux.gid_mappings;
        if self.user && (!own || same) {
            return Some(self.user_fd(plan));
        }
        if !own {
            return self.joined_user;
        }
        let (uid, gid) = (mount.uid_mappings.clone(), mount.gid_mappings.clone());
        let maps = IdMaps { uid, gid, by_helpers: false, deny_setgroups: false };
        if let Some((_, made)) = self.for_mounts.iter().find(|(known, _)| *known == maps) {
            return Some(*made);
        }
        let what = format!("make a user namespace that maps {}", describe(&maps));
        let made = plan.produce(what, "mounts take its mapping", Act::MakeUserNamespace(maps.clone()));
        self.for_mounts.push((maps, made));
        Some(made)
    }

    /// Whether the kernel refuses setgroups(2) in the container.
    pub(crate) fn setgroups_denied(&self, plan: &Builder<'_>) -> bool {
        self.user && id_maps(plan).deny_setgroups
    }
}

/// The order in which namespaces are joined: the user namespace first, for the rights it gives over the others; mount
/// last, because paths change meaning with it.
pub(crate) const JOIN_ORDER: [NamespaceType; 8] = [
    NamespaceType::User,
    NamespaceType::Pid,
    NamespaceType::Network,
    NamespaceType::Ipc,
    NamespaceType::Uts,
    NamespaceType::Time,
    NamespaceType::Cgroup,
    NamespaceType::Mount,
];

pub(crate) fn decide(plan: &mut Builder<'_>) -> Result<Namespaces, PlanError> {
    let new = |kind| plan.namespace(kind).is_new();
    host_mounts::check(plan)?;
    let user = new(NamespaceType::User);
    if !user && !plan.facts.is_privileged() {
        return Err(PlanError::unsupported(
            "launch without a user namespace",
            "this process has no CAP_SYS_ADMIN, so it can make other namespaces only inside a new user namespace",
        )
        .with_hint("ask for a user namespace, or run as root"));
    }
    let mut at_birth = 0;
    for kind in [
        NamespaceType::User,
        NamespaceType::Mount,
        NamespaceType::Pid,
        NamespaceType::Ipc,
        NamespaceType::Uts,
    ] {
        if new(kind) {
            at_birth |= kind.clone_flag();
        }
    }
    if new(NamespaceType::Time) && !plan.facts.calls.time_namespace_at_exec {
        return Err(PlanError::unsupported(
            "time namespace",
            format!(
                "Linux {}.{} enters one only with fork; 6.3 is needed",
                plan.facts.kernel.0, plan.facts.kernel.1
            ),
        ));
    }
    let joined = JOIN_ORDER
        .into_iter()
        .filter_map(|kind| match plan.namespace(kind) {
            Source::Join(path) => Some((kind, path)),
            _ => None,
        })
        .collect::<Vec<_>>();
    let foreign_ids = user || joined.iter().any(|(kind, _)| *kind == NamespaceType::User);
    Ok(Namespaces {
        at_birth,
        network: new(NamespaceType::Network),
        network_ahead: plan.facts.network_ahead
            && new(NamespaceType::Network)
            && !foreign_ids
            && plan.launch.spec.linux.net_devices.is_empty(),
        time: new(NamespaceType::Time),
        cgroup: new(NamespaceType::Cgroup),
        joined,
        user,
        foreign_ids,
        mapped: None,
        user_fd: None,
        joined_user: None,
        born_in: Vec::new(),
        for_mounts: Vec::new(),
        pid_fd: None,
    })
}

/// Opens the namespaces to join while the host's paths still mean what the caller meant.
pub(crate) fn open_joined(plan: &mut Builder<'_>, namespaces: &mut Namespaces) -> Vec<(NamespaceType, Slot)> {
    let mut slots = Vec::with_capacity(namespaces.joined.len());
    for (kind, path) in namespaces.joined.clone() {
        let act = Act::OpenNamespace { path: path.clone().into() };
        let fd = plan.produce(format!("open the {kind} namespace {path}"), "it is joined, not made", act);
        if kind == NamespaceType::User {
            namespaces.joined_user = Some(fd);
        }
        match kind {
            // setns(2) moves only later children there: the stage has to be born in it.
            NamespaceType::Pid => namespaces.pid_fd = Some(fd),
            // Paths change meaning with it, and what the engine opens later is the host's.
            NamespaceType::Mount => slots.push((kind, plan.inherit(fd))),
            _ if namespaces.foreign_ids => namespaces.born_in.push((fd, kind.clone_flag())),
            _ => slots.push((kind, plan.inherit(fd))),
        }
    }
    slots
}

pub(crate) fn spawn(plan: &mut Builder<'_>, namespaces: &mut Namespaces, cgroup: &Group) {
    let names: Vec<_> = JOIN_ORDER
        .into_iter()
        .filter(|kind| namespaces.at_birth & kind.clone_flag() != 0)
        .map(NamespaceType::name)
        .collect();
    let what = match names.as_slice() {
        [] => "start the stage".to_owned(),
        names => format!("start the stage in new namespaces: {}", names.join(" ")),
    };
    let act = Act::Spawn {
        namespaces: namespaces.at_birth,
        into_cgroup: cgroup.clone_into(),
        pid_namespace: namespaces.pid_fd,
        joined: namespaces.born_in.clone(),
    };
    plan.engine(what, "from a sealed copy, so that no file of the host is ever mapped in the container", act);
}

pub(crate) fn map_ids(plan: &mut Builder<'_>, namespaces: &mut Namespaces) -> Result<(), PlanError> {
    if !namespaces.user {
        return Ok(());
    }
    let maps = id_maps(plan);
    let how = if maps.by_helpers { " through newuidmap and newgidmap" } else { "" };
    let what = format!("map ids {}{how}", describe(&maps));
    plan.engine(what, "an id without a mapping is nobody's", Act::MapIds(maps));
    let (ticket, _) = plan.hand_over(Vec::new());
    namespaces.mapped = Some(ticket);
    Ok(())
}

pub(crate) fn id_maps(plan: &Builder<'_>) -> IdMaps {
    let linux = &plan.launch.spec.linux;
    let (uid, gid) = (linux.uid_mappings.clone(), linux.gid_mappings.clone());
    let privileged = plan.facts.capabilities & SET_IDS == SET_IDS;
    let own = |maps: &[IdMapping], id: u32| matches!(maps, [map] if map.size == 1 && map.host_id == id);
    let only_own = own(&uid, plan.facts.uid) && own(&gid, plan.facts.gid);
    IdMaps { by_helpers: !privileged && !only_own, deny_setgroups: !privileged && only_own, uid, gid }
}

fn describe(maps: &IdMaps) -> String {
    let list = |maps: &[IdMapping]| {
        let each = maps.iter().map(|map| format!("{}:{}:{}", map.container_id, map.host_id, map.size));
        each.collect::<Vec<_>>().join(",")
    };
    let (uid, gid) = (list(&maps.uid), list(&maps.gid));
    if uid == gid { uid } else { format!("{uid} (users) {gid} (groups)") }
}

/// The stage's first steps.
pub(crate) fn enter(
    plan: &mut Builder<'_>,
    namespaces: &Namespaces,
    joined: &[(NamespaceType, Slot)],
) -> Result<(), PlanError> {
    if namespaces.foreign_ids {
        plan.stage("become the owner of the user namespace", "mounts and names are its to make");
        if let Some(ticket) = namespaces.mapped {
            plan.need(ticket);
        }
        become_owner(plan);
    }
    plan.stage(
        "hide the stage from other processes",
        "nothing may look into it from namespaces it joins (CVE-2016-9962)",
    );
    plan.push(Op::Prctl { option: raw::PR_SET_DUMPABLE, argument: 0, second: 0 });
    plan.push(Op::SetSession {});
    if plan.launch.die_with_parent {
        die_with_parent(plan);
    }
    for (kind, slot) in joined {
        plan.stage(format!("join the {kind} namespace"), "as the specification asks");
        plan.push(Op::Join { ns: *slot, kinds: kind.clone_flag() });
        plan.ops.close(*slot);
    }
    if namespaces.network && !namespaces.network_ahead {
        plan.stage("make a network namespace", "by the stage, while the engine makes the cgroup");
        plan.push(Op::Unshare { kinds: clone::CLONE_NEWNET });
        plan.push(Op::LoopbackUp {});
    }
    if namespaces.time {
        plan.stage("make a time namespace", "its clocks take effect with execve");
        plan.push(Op::Unshare { kinds: clone::CLONE_NEWTIME });
    }
    Ok(())
}

/// Ids 0 of the user namespace, or the first that it has; then no more ambient capabilities than the program shall get.
pub(crate) fn become_owner(plan: &mut Builder<'_>) {
    let linux = &plan.launch.spec.linux;
    let first = |maps: &[IdMapping]| {
        if maps.iter().any(|map| map.container_id == 0) {
            0
        } else {
            maps.iter().map(|map| map.container_id).min().unwrap_or(0)
        }
    };
    let (uid, gid) = (first(&linux.uid_mappings), first(&linux.gid_mappings));
    // Capabilities outlive a change from user 0 to another only if asked to; from no user to another they stay.
    plan.push(Op::Prctl { option: raw::PR_SET_KEEPCAPS, argument: 1, second: 0 });
    plan.push(Op::SetGid { gid });
    plan.push(Op::SetUid { uid });
    plan.push(Op::SetAmbient { capabilities: 0 });
}

/// Must be said again after every change of user (PR_SET_PDEATHSIG(2const)).
pub(crate) fn die_with_parent(plan: &mut Builder<'_>) {
    const SIGKILL: u64 = 9;
    plan.push(Op::Prctl { option: raw::PR_SET_PDEATHSIG, argument: SIGKILL, second: 0 });
}

/// Host and domain name.
pub(crate) fn names(plan: &mut Builder<'_>) {
    let spec = &plan.launch.spec;
    if !spec.hostname.is_empty() {
        plan.stage(format!("set the host name {}", spec.hostname), "in the container's UTS namespace");
        let name = plan.ops.blob(spec.hostname.as_bytes());
        plan.push(Op::SetHostname { name });
    }
    if !spec.domainname.is_empty() {
        plan.stage(format!("set the domain name {}", spec.domainname), "in the container's UTS namespace");
        let name = plan.ops.blob(spec.domainname.as_bytes());
        plan.push(Op::SetDomainname { name });
    }
}

/// The lines for `timens_offsets` (time_namespaces(7)).
pub(crate) fn time_offsets(plan: &Builder<'_>) -> String {
    let offsets = &plan.launch.spec.linux.time_offsets;
    let mut lines = String::new();
    for (clock, offset) in [("monotonic", offsets.monotonic), ("boottime", offsets.boottime)] {
        if let Some(offset) = offset {
            lines.push_str(&format!("{clock} {} {}\n", offset.secs, offset.nanosecs));
        }
    }
    lines
}
