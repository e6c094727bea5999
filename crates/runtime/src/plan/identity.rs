//! The last steps: the process takes the program's limits, ids, capabilities and filter, and becomes it.

use init::ops::{Op, Slot, Table};
use spec::{CapabilitySet, CapabilitySets};
use sys::raw;

use super::namespaces::{self, Namespaces};
use super::{Act, Builder, PlanError, filter, landlock, wait};

/// `CAP_SYS_ADMIN`
const SYS_ADMIN: u64 = 1 << 21;
/// More memory nodes than any kernel is built for (`CONFIG_NODES_SHIFT` is at most 10).
const MAX_NODES: usize = 1024;
/// What a stage does from the load of its filter until it becomes the program, if it waits in between.
const WHILE_WAITING: &[&str] = &[
    "read",
    "write",
    "sendmsg",
    "recvmsg",
    "signalfd4",
    "ppoll",
    "accept4",
    "close",
    "rt_sigprocmask",
    "close_range",
    "fcntl",
    "prlimit64",
    "execve",
    "exit",
    "exit_group",
];
/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(crate) fn become_user(
    plan: &mut Builder<'_>,
    namespaces: &Namespaces,
    listener: Option<Slot>,
) -> Result<(), PlanError> {
    let launch = plan.launch;

    let credentials = Credentials::decide(plan, namespaces.foreign_ids)?;
    settings(plan)?;
    scheduling(plan);
    limits(plan)?;
    working_directory(plan);
    let no_groups = namespaces.setgroups_denied(plan);
    ids(plan, no_groups)?;
    if launch.die_with_parent {
        namespaces::die_with_parent(plan);
    }
    credentials.take(plan, 0);

    let candidates = candidates(plan);
    if let (Some(listener), Some(candidates)) = (listener, candidates) {
        plan.stage("look for the program", "who creates the container learns that it is not there");
        plan.push(Op::FindProgram { candidates });
        plan.stage(
            "close what only the creation needs",
            "whoever looks into a container that waits finds nothing of the host",
        );
        let also = credentials.landlock.unwrap_or(Slot::NONE);
        plan.push(Op::CloseOthers { first: 3 + launch.preserve_fds, keep: listener, also });
    }
    // Whoever answers for calls gets the listener while the container is created, as with runc.
    let early = listener.is_some() && credentials.filter_lets_wait(plan);
    if early {
        credentials.restrict(plan, false)?;
    }
    wait::start(plan, listener);
    leave_nothing(plan);
    if launch.init {
        plan.stage("stay behind as a reaper", "processes without a parent come to pid 1");
        plan.push(Op::Supervise {});
    }
    plan.push(Op::CloseOnExec { first: 3 + launch.preserve_fds });
    if !early {
        credentials.restrict(plan, listener.is_some())?;
    }
    execute(plan, candidates);
    Ok(())
}

/// What the program may do: capabilities, Landlock rules, and its filter of system calls.
pub(crate) struct Credentials {
    sets: CapabilitySets,
    landlock: Option<Slot>,
    pub(crate) filter: Option<seccomp::Filter>,
}

impl Credentials {
    /// `foreign_ids`: in a user namespace other than this process's, where it has all capabilities. The stage is in the container's root
    /// by then.
    pub(crate) fn decide(plan: &mut Builder<'_>, foreign_ids: bool) -> Result<Self, PlanError> {
        let landlock = landlock::collect(plan)?;
        let spec = &plan.launch.spec;
        let mut sets = spec.process.capabilities.sets();
        if !foreign_ids {
            let possible = CapabilitySet(plan.facts.capabilities);
            let missing = sets.permitted.union(sets.bounding).difference(possible);
            if !missing.is_empty() {
                plan.note(format!("not given, for this process does not have them: {missing}"));
            }
            for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable, &mut sets.ambient] {
                *set = set.intersection(possible);
            }
        }
        let filter = match &spec.linux.seccomp {
            Some(section) => Some(filter::compile(section, plan.facts.on_demand.filters.as_deref())?),
            None => None,
        };
        Ok(Self { sets, landlock, filter })
    }

    /// The other sets, and no_new_privs. `more` stays effective until execve takes it away.
    pub(crate) fn take(&self, plan: &mut Builder<'_>, more: u64) {
        let no_new_privileges = plan.launch.spec.process.no_new_privileges;
        // Without no_new_privs a filter and Landlock rules take CAP_SYS_ADMIN to load. It cannot outlive execve: what a program gets
        // follows from the bounding, inheritable and ambient sets, which do not have it (capabilities(7)).
        let restricted = self.filter.is_some() || self.landlock.is_some();
        let to_load = if restricted && !no_new_privileges { SYS_ADMIN } else { 0 };
        let sets = &self.sets;
        plan.stage("take the capabilities of the specification", "and no other");
        plan.push(Op::SetCapabilities {
            effective: sets.effective.0 & sets.permitted.0 | to_load | more,
            permitted: sets.permitted.0 | to_load | more,
            inheritable: sets.inheritable.0,
        });
        plan.push(Op::SetAmbient { capabilities: sets.ambient.0 });
        if no_new_privileges {
            plan.push(Op::Prctl { option: raw::PR_SET_NO_NEW_PRIVS, argument: 1, second: 0 });
        }
    }

    /// Whether the filter has a listener, and holds up nothing that a stage does which waits for its start.
    fn filter_lets_wait(&self, plan: &Builder<'_>) -> bool {
        let needs_listener = self.filter.as_ref().is_some_and(seccomp::Filter::needs_listener);
        let section = plan.launch.spec.linux.seccomp.as_ref();
        needs_listener && section.is_some_and(|section| filter::allows(section, WHILE_WAITING))
    }

    /// Landlock rules and the filter begin to hold; `at_start`: whoever starts the container passes the filter's listener on.
    pub(crate) fn restrict(&self, plan: &mut Builder<'_>, at_start: bool) -> Result<(), PlanError> {
        landlock::restrict(plan, self.landlock);
        let Some(filter) = &self.filter else { return Ok(()) };
        let count = filter.instructions().len();
        plan.stage(
            format!("load the system call filter of {count} instructions"),
            "so late that it has to allow little more than execve",
        );
        plan.told.push(format!("seccomp filter flags: {}", filter.flags()));
        let bytes = plan.ops.blob(&filter.to_bytes());
        let listener = if filter.needs_listener() { plan.ops.slot() } else { Slot::NONE };
        plan.push(Op::LoadFilter { flags: filter.flags().into(), filter: bytes, listener });
        if listener != Slot::NONE { pass_listener(plan, listener, at_start) } else { Ok(()) }
    }
}

/// Changes to the working directory, and sets the mask for new files.
pub(crate) fn working_directory(plan: &mut Builder<'_>) {
    let process = &plan.launch.spec.process;
    plan.stage(format!("change to {}", process.cwd), "inside the root, which the kernel is asked to confirm");
    let path = plan.ops.text(&process.cwd);
    plan.push(Op::ChangeDirectory { path });
    plan.push(Op::SetUmask { mask: process.user.umask.unwrap_or(0o022) });
}

/// User, group and supplementary groups; `no_groups` where the kernel refuses the last (CVE-2014-8989).
pub(crate) fn ids(plan: &mut Builder<'_>, no_groups: bool) -> Result<(), PlanError> {
    let user = &plan.launch.spec.process.user;
    plan.stage(
        format!("become user {}:{}", user.uid, user.gid),
        "with exactly the groups of the specification",
    );
    plan.push(Op::Prctl { option: raw::PR_SET_KEEPCAPS, argument: 1, second: 0 });
    groups(plan, no_groups)?;
    plan.push(Op::SetGid { gid: user.gid });
    plan.push(Op::SetUid { uid: user.uid });
    Ok(())
}

/// What can be done at any time: while the engine works the stage would only wait.
pub(crate) fn early(plan: &mut Builder<'_>) {
    keyring(plan);
    bound(plan);
    reset_signals(plan);
}

/// A session keyring of its own.
pub(crate) fn keyring(plan: &mut Builder<'_>) {
    let launch = plan.launch;
    if !launch.keep_keyring {
        plan.stage("start a session keyring", "keys of the caller's session are not the container's");
        let name = plan.ops.text(format!("_ses.{}", launch.id));
        // A kernel without keyrings has none to leak.
        plan.push(Op::Tolerate { errno: sys::Errno::NOSYS.raw() as u32, skip: 0 });
        plan.push(Op::JoinKeyring { name });
    }
}

/// The bounding set.
pub(crate) fn bound(plan: &mut Builder<'_>) {
    plan.stage("limit the capabilities that execve can give", "to the bounding set of the specification");
    plan.push(Op::LimitBounding { keep: plan.launch.spec.process.capabilities.sets().bounding.0 });
}

/// Every signal as in a fresh process.
pub(crate) fn reset_signals(plan: &mut Builder<'_>) {
    plan.stage("reset the signals", "as in a fresh process; they stay blocked until the end");
    plan.push(Op::ResetSignals {});
}

pub(crate) fn leave_nothing(plan: &mut Builder<'_>) {
    plan.stage("leave nothing of the caller's behind", "no signal blocked, descriptors closed by execve");
    plan.push(Op::SetSignalMask { mask: 0 });
}

/// The stage has the listener only once the filter holds, so it names it with calls that every filter has to allow, and the engine
/// fetches it.
fn pass_listener(plan: &mut Builder<'_>, listener: Slot, at_start: bool) -> Result<(), PlanError> {
    const WHAT: &str = "seccomp action SCMP_ACT_NOTIFY";
    let launch = plan.launch;
    if plan.facts.kernel < (5, 6) {
        return Err(PlanError::unsupported(WHAT, "it takes pidfd_getfd(2), which Linux has since 5.6"));
    }
    if launch.init {
        return Err(PlanError::unsupported(
            WHAT,
            "the listener of a program that has a reaper cannot be fetched",
        ));
    }
    let Some(section) = &launch.spec.linux.seccomp else { return Ok(()) };
    let turn = plan.next_turn();
    plan.push(Op::PassListener { listener, turn });
    let act = Act::PassListener { turn, socket: section.listener_path.clone().into(), at_start };
    plan.engine(
        format!("pass the filter's listener to {}", section.listener_path),
        "who listens there answers for the calls",
        act,
    );
    Ok(())
}

/// What a process inherits from its parent and its session.
pub(crate) fn settings(plan: &mut Builder<'_>) -> Result<(), PlanError> {
    let launch = plan.launch;
    let process = &launch.spec.process;
    if let Some(personality) = &launch.spec.linux.personality {
        plan.stage(format!("set the execution domain {}", personality.domain), "as the specification asks");
        plan.push(Op::SetPersonality { persona: personality.domain.number().into() });
    }
    if let Some(policy) = &launch.spec.linux.memory_policy {
        plan.stage(format!("set the memory policy {}", policy.mode), "as the specification asks");
        let nodes = spec::cpu_list::parse(&policy.nodes).ok_or_else(|| {
            PlanError::invalid("memory policy", format!("`{}` is no list of nodes", policy.nodes))
        })?;
        let nodes: Vec<u32> = nodes.into_iter().flatten().take(MAX_NODES).collect();
        let nodes = plan.ops.blob(&bits(&nodes));
        let flags = policy.flags.iter().fold(0, |flags, flag| flags | flag.bit());
        plan.push(Op::SetMemoryPolicy { mode: policy.mode.number() | flags, nodes });
    }
    if let Some(priority) = process.io_priority {
        plan.stage(
            format!("set the I/O priority {} {}", priority.class, priority.priority),
            "as the specification asks",
        );
        let value = u64::from(priority.class.number()) << 13 | priority.priority as u64;
        plan.push(Op::SetIoPriority { priority: value });
    }
    Ok(())
}

/// The scheduling policy.
pub(crate) fn scheduling(plan: &mut Builder<'_>) {
    if let Some(scheduler) = &plan.launch.spec.process.scheduler {
        plan.stage(format!("set the scheduling policy {}", scheduler.policy), "as the specification asks");
        plan.push(Op::SetScheduler {
            policy: scheduler.policy.number(),
            flags: scheduler.flags.iter().fold(0, |flags, flag| flags | flag.bit()),
            nice: scheduler.nice as u32,
            priority: scheduler.priority as u32,
            runtime_ns: scheduler.runtime,
            deadline_ns: scheduler.deadline,
            period_ns: scheduler.period,
        });
    }
}

/// A bit a number, lowest first, in whole 64-bit words.
pub(crate) fn bits(numbers: &[u32]) -> Vec<u8> {
    let words = numbers.iter().max().map_or(0, |highest| *highest as usize / 64 + 1);
    let mut bytes = vec![0; words * 8];
    for number in numbers {
        bytes[*number as usize / 8] |= 1 << (number % 8);
    }
    bytes
}

/// Resource limits. Without CAP_SYS_RESOURCE no hard limit can be raised, and the specification wants limits as they are or an error.
fn limits(plan: &mut Builder<'_>) -> Result<(), PlanError> {
    let launch = plan.launch;
    if launch.spec.process.rlimits.is_empty() {
        return Ok(());
    }
    plan.stage("set the resource limits", "as the specification asks");
    for (at, limit) in launch.spec.process.rlimits.iter().enumerate() {
        let ceiling =
            plan.facts.hard_limits.get(limit.resource.number() as usize).copied().unwrap_or(u64::MAX);
        if limit.hard > ceiling && !plan.facts.can_raise_limits() {
            return Err(PlanError::unsupported(
                format!("process.rlimits[{at}]: {} with a hard limit of {}", limit.resource, limit.hard),
                format!("this process's is {ceiling}, and raising it takes CAP_SYS_RESOURCE"),
            ));
        }
        plan.push(Op::SetRlimit { resource: limit.resource.number(), soft: limit.soft, hard: limit.hard });
    }
    Ok(())
}

fn groups(plan: &mut Builder<'_>, none: bool) -> Result<(), PlanError> {
    let groups = &plan.launch.spec.process.user.additional_gids;
    if none {
        if groups.is_empty() {
            return Ok(());
        }
        return Err(PlanError::unsupported(
            "supplementary groups",
            "a user namespace that an ordinary user mapped to its own id alone has none (user_namespaces(7))",
        )
        .with_hint("give the user a range in /etc/subuid and /etc/subgid"));
    }
    let bytes: Vec<u8> = groups.iter().flat_map(|group| group.to_ne_bytes()).collect();
    let groups = plan.ops.blob(&bytes);
    plan.push(Op::SetGroups { groups });
    Ok(())
}

/// Where the program may be.
pub(crate) fn candidates(plan: &mut Builder<'_>) -> Option<Table> {
    let process = &plan.launch.spec.process;
    let program = process.args.first()?;
    let candidates: Vec<String> = if program.contains('/') {
        vec![program.clone()]
    } else {
        let path =
            process.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        let directory = |directory| if str::is_empty(directory) { "." } else { directory };
        path.split(':').map(|entry| format!("{}/{program}", directory(entry))).collect()
    };
    Some(plan.ops.table(candidates))
}

/// Becomes the program.
pub(crate) fn execute(plan: &mut Builder<'_>, candidates: Option<Table>) {
    let process = &plan.launch.spec.process;
    let (Some(program), Some(candidates)) = (process.args.first(), candidates) else { return };
    plan.stage(format!("execute {program}"), "the stage becomes the program");
    let arguments = plan.ops.table(&process.args);
    let environment = plan.ops.table(&process.env);
    plan.push(Op::Execute { candidates, arguments, environment });
}
