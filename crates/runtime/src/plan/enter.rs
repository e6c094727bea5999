//! From a program to start in a running container to what is done: the same builder, the same stage, another order.
//!
//! A process in a container's pid namespace can be seen, and by one with `CAP_SYS_PTRACE` be changed, by what runs in there. So the
//! stage does all of its work outside of that namespace, where nothing of the container sees it: it joins the other
//! namespaces, takes the program's limits, ids, capabilities and, if the filter leaves what is needed after it, the
//! filter. Only then it goes on in a process that is born inside, which has nothing left that the program does not get
//! (CVE-2016-9962, CVE-2019-5736).

use cgroups::{Recorded, Version};
use init::ops::{Op, Slot};
use init::program::Writer;
use seccomp::{Action, Arch, Call, evaluate};
use spec::NamespaceType;
use spec::process::CpuAffinity;
use sys::{Errno, raw};

use super::identity::{self, Credentials};
use super::namespaces::{self, JOIN_ORDER};
use super::terminal;
use super::{Act, Builder, Plan, PlanError, Produced};
use crate::enter::Enter;
use crate::facts::HostFacts;

/// `CAP_SYS_NICE`
const SYS_NICE: u64 = 1 << 23;
/// `f_type` of devpts (linux/magic.h).
const DEVPTS: u64 = 0x1cd1;
/// `f_type` of procfs.
pub(super) const PROCFS: u64 = 0x9fa0;

/// Decides what is done to start a program in a running container.
///
/// # Errors
/// [`PlanError`] when this host cannot give what is asked for.
pub fn enter(enter: &Enter, facts: &HostFacts) -> Result<Plan, PlanError> {
    let mut builder = Builder::with_program(&enter.launch, facts, Writer::with_room(64, 4096), 32);
    let plan = &mut builder;
    let why = "by its handle, which never comes to mean another process";
    let target = plan.produce("take hold of the container's first process", why, Act::TakeContainer);
    let groups = open_cgroups(plan, &enter.cgroups);
    let kinds = kinds(plan);
    let namespaces = open_namespaces(plan, enter.target.pid, &kinds, target);
    let root = plan.in_host_mounts().then(|| {
        let act = Act::OpenRootOf { pid: enter.target.pid };
        let root = plan.produce("open the container's root", "no namespace tells it", act);
        plan.inherit(root)
    });
    spawn(plan, &groups);

    hide(plan);
    let after = raise_limits(plan, enter)?;
    oom_score(plan);
    labels(plan)?;
    let affinity = &plan.launch.spec.process.exec_cpu_affinity;
    run_on_any(plan, affinity);
    run_on(plan, &affinity.initial, "before it counts for the container, as the specification asks")?;
    join_cgroups(plan, &groups);
    run_on(plan, &affinity.r#final, "as the specification asks")?;
    let late_scheduling = scheduling_ends_with_fork(plan);
    if !late_scheduling {
        identity::scheduling(plan);
    }
    join_namespaces(plan, &kinds, namespaces);
    if let Some(root) = root {
        plan.stage("change to the container's root", "it has no mount namespace of its own");
        plan.push(Op::ChangeRoot { root });
        plan.ops.close(root);
    }
    let foreign_ids = kinds.contains(&NamespaceType::User);
    let credentials = Credentials::decide(plan, foreign_ids)?;
    identity::settings(plan)?;
    identity::keyring(plan);
    let terminal = open_terminal(plan);
    identity::working_directory(plan);
    lower_limits(plan, &after);

    let new_user = |entry: &spec::Namespace| entry.kind == NamespaceType::User && entry.is_new();
    let new_user = plan.launch.spec.linux.namespaces.iter().any(new_user);
    identity::bound(plan);
    let no_groups = new_user && namespaces::id_maps(plan).deny_setgroups;
    identity::ids(plan, no_groups)?;
    credentials.take(plan, if late_scheduling { SYS_NICE } else { 0 });
    identity::reset_signals(plan);
    identity::leave_nothing(plan);
    standard_streams(plan, terminal);
    plan.push(Op::CloseOnExec { first: 3 + plan.launch.preserve_fds });

    let born = kinds.contains(&NamespaceType::Pid);
    let early_filter = born && !late_scheduling && filter_allows_birth(&credentials, terminal.is_some());
    if early_filter {
        credentials.restrict(plan, false)?;
    }
    if born {
        plan.stage(
            "be born in the container's pid namespace",
            "with nothing left that the program does not get",
        );
        plan.push(Op::Rebirth {});
    }
    plan.stage("start a session", "the caller's terminal is not the container's");
    plan.push(Op::SetSession {});
    if let Some(terminal) = terminal {
        plan.push(Op::SetTerminal { terminal });
    }
    if late_scheduling {
        identity::scheduling(plan);
    }
    if !early_filter {
        credentials.restrict(plan, false)?;
    }
    let candidates = identity::candidates(plan);
    identity::execute(plan, candidates);
    plan.engine(
        "wait for the program to start",
        "the stage's socket ends when execve succeeds",
        Act::AwaitExec,
    );
    builder.finish()
}

/// The kinds of namespaces in which the container differs from the host.
fn kinds(plan: &Builder<'_>) -> Vec<NamespaceType> {
    let has = |kind: &NamespaceType| plan.launch.spec.linux.namespace(*kind).is_some();
    JOIN_ORDER.into_iter().filter(has).collect()
}

/// The ways into the container's cgroups.
struct Groups {
    /// The v2 directory, for a stage that starts in it.
    clone_into: Option<Produced>,
    /// Files that it writes itself into.
    files: Vec<Slot>,
}

fn open_cgroups(plan: &mut Builder<'_>, cgroups: &[Recorded]) -> Groups {
    let mut groups = Groups { clone_into: None, files: Vec::new() };
    if cgroups.is_empty() {
        return groups;
    }
    let by_clone = plan.facts.calls.clone_into_cgroup;
    let mut ways = Vec::with_capacity(cgroups.len());
    for group in cgroups {
        let file = match group.version {
            Version::V1 => "tasks",
            Version::V2 if by_clone => "",
            Version::V2 => "cgroup.procs",
        };
        ways.push((group.version, group.mount.join(&group.path).join(file)));
    }
    let list: Vec<_> =
        cgroups.iter().map(|group| group.mount.join(&group.path).display().to_string()).collect();
    let what = format!("open the ways into {}", list.join(" "));
    plan.engine(what, "while the host's paths mean what they say", Act::OpenGroups(ways.clone()));
    let first = plan.yielded(ways.len());
    for (index, (version, _)) in ways.iter().enumerate() {
        let produced = Produced(first.0 + index);
        if *version == Version::V2 && by_clone {
            groups.clone_into = Some(produced);
        } else {
            groups.files.push(plan.inherit(produced));
        }
    }
    groups
}

/// What the stage joins: the process with all its namespaces, or each one by its file.
pub(super) enum Namespaces {
    All(Slot),
    Each(Vec<(NamespaceType, Slot)>),
}

pub(super) fn open_namespaces(
    plan: &mut Builder<'_>,
    pid: i32,
    kinds: &[NamespaceType],
    target: Produced,
) -> Namespaces {
    if plan.facts.calls.setns_pidfd {
        return Namespaces::All(plan.inherit(target));
    }
    // The user namespace gives an ordinary user the rights over the others. Who has them already loses those over namespaces of
    // another owner with it.
    let mut order = kinds.to_vec();
    if plan.facts.is_privileged() {
        order.sort_by_key(|kind| *kind == NamespaceType::User);
    }
    let mut each = Vec::with_capacity(order.len());
    for kind in order {
        let what = format!("open the container's {kind} namespace");
        let act = Act::OpenNamespaceOf { pid, kind };
        let fd = plan.produce(what, "Linux before 5.8 joins one at a time", act);
        each.push((kind, plan.inherit(fd)));
    }
    Namespaces::Each(each)
}

fn spawn(plan: &mut Builder<'_>, groups: &Groups) {
    let act = Act::SpawnOutside { cgroup: groups.clone_into };
    let place = if groups.clone_into.is_some() { " in the container's cgroup" } else { "" };
    plan.engine(
        format!("start the stage{place}"),
        "from a sealed copy, so that no file of the host is ever mapped in the container",
        act,
    );
}

pub(super) fn hide(plan: &mut Builder<'_>) {
    plan.stage(
        "hide the stage from other processes",
        "nothing may look into it from namespaces it joins (CVE-2016-9962)",
    );
    plan.push(Op::Prctl { option: raw::PR_SET_DUMPABLE, argument: 0, second: 0 });
}

/// A limit to set: resource, soft, hard.
type ToSet = (u32, u64, u64);

/// Raises the limits that are to be higher than the caller's, which takes rights in the host's user namespace; returns those that are
/// to be others.
fn raise_limits(plan: &mut Builder<'_>, enter: &Enter) -> Result<Vec<ToSet>, PlanError> {
    let facts = plan.facts;
    let (mut raised, mut others) = (Vec::new(), Vec::new());
    for (resource, (soft, hard)) in enter.target.limits.iter().enumerate() {
        let asked = plan
            .launch
            .spec
            .process
            .rlimits
            .iter()
            .find(|limit| limit.resource.number() as usize == resource);
        let (mut soft, mut hard) = asked.map_or((*soft, *hard), |limit| (limit.soft, limit.hard));
        let ceiling = facts.hard_limits[resource];
        if hard > ceiling && !facts.can_raise_limits() {
            if let Some(limit) = asked {
                return Err(PlanError::unsupported(
                    format!("{} with a hard limit of {hard}", limit.resource),
                    format!("this process's is {ceiling}, and raising it takes CAP_SYS_RESOURCE"),
                ));
            }
            // What the container's first process has is a wish nobody made.
            hard = ceiling;
            soft = soft.min(hard);
        }
        if (soft, hard) == (facts.soft_limits[resource], ceiling) {
            // The stage has it from this process.
            continue;
        }
        let list = if hard > ceiling { &mut raised } else { &mut others };
        list.push((resource as u32, soft, hard));
    }
    if !raised.is_empty() {
        plan.stage("raise the resource limits", "while the rights for it are there");
        set_limits(plan, &raised);
    }
    Ok(others)
}

fn lower_limits(plan: &mut Builder<'_>, limits: &[ToSet]) {
    if limits.is_empty() {
        return;
    }
    plan.stage(
        "set the resource limits",
        "of the specification and of the container's first process, not of the caller",
    );
    set_limits(plan, limits);
}

fn set_limits(plan: &mut Builder<'_>, limits: &[ToSet]) {
    for (resource, soft, hard) in limits {
        plan.push(Op::SetRlimit { resource: *resource, soft: *soft, hard: *hard });
    }
}

fn oom_score(plan: &mut Builder<'_>) {
    let Some(wish) = plan.launch.spec.process.oom_score_adj else { return };
    let possible =
        if plan.facts.can_raise_limits() { wish } else { wish.max(plan.facts.on_demand.oom_score_adj()) };
    if possible != wish {
        plan.note(format!(
            "the OOM score adjustment is {possible}, not {wish}: lowering it takes CAP_SYS_RESOURCE"
        ));
    }
    plan.stage(
        format!("set the OOM score adjustment to {possible}"),
        "through the host's procfs, which the container has no hand in",
    );
    write_own(plan, "oom_score_adj", &possible.to_string());
}

/// AppArmor's profile and SELinux's label of the program, which take effect with execve (apparmor(7), proc_pid_attr(5)).
fn labels(plan: &mut Builder<'_>) -> Result<(), PlanError> {
    let process = &plan.launch.spec.process;
    let profile = &process.apparmor_profile;
    if !profile.is_empty() {
        if !plan.facts.on_demand.apparmor() {
            let what = format!("process.apparmorProfile `{profile}`");
            return Err(PlanError::unsupported(what, "AppArmor is not active on this host"));
        }
        plan.stage(format!("take the AppArmor profile {profile}"), "with execve");
        // A directory of its own since Linux 5.8; before, and where that is not built in, LSMs share one file.
        let name = if plan.facts.kernel >= (5, 8) { "attr/apparmor/exec" } else { "attr/exec" };
        write_own(plan, name, &format!("exec {profile}"));
    }
    let label = &process.selinux_label;
    if !label.is_empty() {
        if !plan.facts.on_demand.selinux() {
            let what = format!("process.selinuxLabel `{label}`");
            return Err(PlanError::unsupported(what, "SELinux is not active on this host"));
        }
        plan.stage(format!("take the SELinux label {label}"), "with execve; keys made until then get it too");
        write_own(plan, "attr/exec", label);
        write_own(plan, "attr/keycreate", label);
    }
    Ok(())
}

/// Writes to a file of the stage's own in the host's procfs, which the container has no hand in.
fn write_own(plan: &mut Builder<'_>, name: &str, text: &str) {
    let file = plan.ops.slot();
    let name = plan.ops.text(format!("/proc/self/{name}"));
    plan.push(Op::Open { dir: Slot::CWD, name, flags: raw::O_WRONLY, out: file });
    plan.push(Op::CheckFilesystem { fd: file, magic: PROCFS });
    let bytes = plan.ops.blob(text.as_bytes());
    plan.push(Op::Write { to: file, bytes });
    plan.ops.close(file);
}

/// More than `CONFIG_NR_CPUS` of any kernel.
const MAX_CPUS: usize = 8192;

/// Where the specification does not say, as with other runtimes.
fn run_on_any(plan: &mut Builder<'_>, affinity: &CpuAffinity) {
    if !affinity.initial.is_empty() || !affinity.r#final.is_empty() {
        return;
    }
    plan.stage("run on any processor", "the caller may be held to some; the cgroup's are the container's");
    let mask = plan.ops.blob(&[0xff; MAX_CPUS / 8]);
    // To be told no is no reason to fail.
    plan.push(Op::Tolerate { errno: Errno::PERM.raw() as u32, skip: 0 });
    plan.push(Op::SetAffinity { mask });
}

fn run_on(plan: &mut Builder<'_>, cpus: &str, why: &'static str) -> Result<(), PlanError> {
    if cpus.is_empty() {
        return Ok(());
    }
    let list = spec::cpu_list::parse(cpus)
        .ok_or_else(|| PlanError::invalid("CPU affinity", format!("`{cpus}` is no list of processors")))?;
    let list: Vec<u32> = list.into_iter().flatten().take(MAX_CPUS).collect();
    let bits = identity::bits(&list);
    plan.stage(format!("run on the processors {cpus}, CPU affinity: {}", hexadecimal(&bits)), why);
    let mask = plan.ops.blob(&bits);
    plan.push(Op::SetAffinity { mask });
    Ok(())
}

/// A mask of bits, the lowest byte first, as one number.
fn hexadecimal(bits: &[u8]) -> String {
    let digits: String = bits.iter().rev().map(|byte| format!("{byte:02x}")).collect();
    match digits.trim_start_matches('0') {
        "" => "0x0".to_owned(),
        digits => format!("0x{digits}"),
    }
}

fn join_cgroups(plan: &mut Builder<'_>, groups: &Groups) {
    if groups.files.is_empty() {
        return;
    }
    plan.stage("join the cgroup", "from here on everything counts");
    for file in &groups.files {
        let bytes = plan.ops.blob(b"0");
        plan.push(Op::Write { to: *file, bytes });
        plan.ops.close(*file);
    }
}

pub(super) fn join_namespaces(plan: &mut Builder<'_>, kinds: &[NamespaceType], namespaces: Namespaces) {
    match namespaces {
        _ if kinds.is_empty() => return,
        Namespaces::All(target) => {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            plan.stage(
                format!("join the namespaces: {}", names.join(" ")),
                "all at once, with the rights that the stage has before",
            );
            let kinds = kinds.iter().fold(0, |flags, kind| flags | kind.clone_flag());
            plan.push(Op::Join { ns: target, kinds });
            plan.ops.close(target);
        }
        Namespaces::Each(each) => {
            for (kind, slot) in each {
                plan.stage(format!("join the {kind} namespace"), "of the container");
                plan.push(Op::Join { ns: slot, kinds: kind.clone_flag() });
                plan.ops.close(slot);
            }
        }
    }
    if kinds.contains(&NamespaceType::User) {
        plan.stage(
            "become the owner of the user namespace",
            "files and names of the container are its to use",
        );
        namespaces::become_owner(plan);
    }
}

/// SCHED_DEADLINE does not fork, and a policy may say that children do not inherit it (sched(7)).
fn scheduling_ends_with_fork(plan: &Builder<'_>) -> bool {
    use spec::process::{SchedulerFlag, SchedulerPolicy};
    plan.launch.spec.process.scheduler.as_ref().is_some_and(|scheduler| {
        scheduler.policy == SchedulerPolicy::Deadline || scheduler.flags.contains(&SchedulerFlag::ResetOnFork)
    })
}

/// A new pseudoterminal of the container's devpts; the engine gets its other end.
fn open_terminal(plan: &mut Builder<'_>) -> Option<Slot> {
    let size = plan.launch.stdio.terminal()?;
    plan.stage(
        "open a pseudoterminal in /dev/pts",
        "of the container's own: the caller's could be typed into (CVE-2016-10124)",
    );
    let (root, devpts) = (plan.ops.slot(), plan.ops.slot());
    let (slash, path) = (plan.ops.text("/"), plan.ops.text("dev/pts"));
    let flags = raw::O_PATH | raw::O_DIRECTORY;
    plan.push(Op::Open { dir: Slot::CWD, name: slash, flags, out: root });
    plan.push(Op::OpenBelow { root, path, flags, no_links: false, out: devpts });
    plan.push(Op::CheckFilesystem { fd: devpts, magic: DEVPTS });
    let (master, peer) = (plan.ops.slot(), plan.ops.slot());
    plan.push(Op::OpenTerminal { devpts, master, peer });
    plan.ops.close(devpts);
    plan.ops.close(root);
    terminal::set_up(plan, master, size);
    let uid = plan.launch.spec.process.user.uid;
    if uid != 0 {
        let name = plan.ops.text("");
        // The group stays that of terminals.
        plan.push(Op::Chown { dir: peer, name, uid, gid: u32::MAX });
    }
    plan.stage("pass the terminal's other end", "the engine copies between it and the caller");
    let turn = plan.next_turn();
    plan.push(Op::Tell { turn, fd: master });
    plan.ops.close(master);
    plan.engine("receive the terminal", "its other end is the caller's", Act::ReceiveTerminal { turn });
    Some(peer)
}

fn standard_streams(plan: &mut Builder<'_>, terminal: Option<Slot>) {
    let Some(terminal) = terminal else { return };
    plan.stage("make the terminal the program's own", "standard input, output and error");
    for number in 0..3 {
        plan.push(Op::Duplicate { fd: terminal, number });
    }
}

/// Whether a process under this filter can still do what comes between it and the program.
fn filter_allows_birth(credentials: &Credentials, terminal: bool) -> bool {
    const TIOCSCTTY: u64 = 0x540e;
    const CLONE_PARENT: u64 = 0x8000;
    const CLONE_PIDFD: u64 = 0x1000;
    const SIGCHLD: u64 = 17;
    let (Some(filter), Some(arch)) = (&credentials.filter, Arch::native()) else { return true };
    // Its listener is fetched from the process that stays.
    if filter.needs_listener() {
        return false;
    }
    let mut calls = vec![
        ("clone", [CLONE_PARENT | CLONE_PIDFD | SIGCHLD, 0, 0, 0, 0, 0]),
        ("setsid", [0; 6]),
        ("exit_group", [0; 6]),
        ("sendmsg", [0; 6]),
        ("write", [0; 6]),
    ];
    if terminal {
        calls.push(("ioctl", [0, TIOCSCTTY, 0, 0, 0, 0]));
    }
    calls.into_iter().all(|(name, args)| {
        let allowed = |number| {
            let verdict = evaluate(filter, &Call::new(arch, number, args));
            // What depends on addresses and descriptors cannot be known here.
            let known = !verdict.loaded_arguments || matches!(name, "clone" | "ioctl");
            known && matches!(verdict.action(), Action::Allow | Action::Log)
        };
        seccomp::number(name, arch).is_some_and(allowed)
    })
}
