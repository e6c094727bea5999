//! Mounts of a container that runs: made outside and detached, then attached below its root by a stage that has joined its mount
//! namespace; or taken away there.
//!
//! The stage stays outside of the container's pid namespace, so nothing in there sees it. What the sources of bind mounts are is decided
//! in the mount namespace of who asks, and by descriptor from then on: nothing of the host's is named inside.

use std::path::Path;

use init::ops::{Op, Slot};
use spec::NamespaceType;
use sys::raw;

use super::enter::{self, PROCFS};
use super::mounts::{self, From, Scratch, Source as Taken, Tree};
use super::namespaces::{Namespaces, Source};
use super::{Act, Builder, Plan, PlanError, Produced, root};
use crate::facts::HostFacts;
use crate::mount_change::{MountChange, What};

/// The kinds that mounts depend on: a sysfs shows a network, an mqueue belongs to an ipc namespace.
const KINDS: [NamespaceType; 4] =
    [NamespaceType::User, NamespaceType::Network, NamespaceType::Ipc, NamespaceType::Mount];

/// Decides what is done to change the mounts of a running container.
///
/// # Errors
/// [`PlanError`] when this host cannot give what is asked for.
pub fn change_mounts(change: &MountChange, facts: &HostFacts) -> Result<Plan, PlanError> {
    let mut builder = Builder::new(&change.launch, facts);
    let plan = &mut builder;
    check(plan, change)?;
    for problem in change.launch.spec.warnings() {
        plan.note(problem.to_string());
    }
    let why = "by its handle, which never comes to mean another process";
    let target = plan.produce("take hold of the container's first process", why, Act::TakeContainer);
    let act = Act::OpenRootOf { pid: change.pid };
    let root = plan.produce("open the container's root", "every destination is looked up below it", act);
    let root = plan.inherit(root);
    let has = |kind: &NamespaceType| plan.launch.spec.linux.namespace(*kind).is_some();
    let kinds: Vec<NamespaceType> = KINDS.into_iter().filter(has).collect();
    let ways = enter::open_namespaces(plan, change.pid, &kinds, target);
    match change.what {
        What::Add => add(plan, change, root, &kinds, ways)?,
        What::Remove => remove(plan, root, &kinds, ways),
    }
    plan.stage("say that it is done", "an end without a word is a failure");
    let turn = plan.next_turn();
    plan.push(Op::Tell { turn, fd: Slot::NONE });
    plan.push(Op::Finish {});
    plan.engine("wait until it is done", "the stage says so", Act::AwaitTurn { turn });
    builder.finish()
}

fn check(plan: &Builder<'_>, change: &MountChange) -> Result<(), PlanError> {
    if plan.namespace(NamespaceType::Mount) == Source::Host {
        let why = "it has no mount namespace of its own: the mounts would be the host's";
        return Err(PlanError::unsupported("change the container's mounts", why));
    }
    if !plan.facts.calls.mount_setattr {
        let why = "it takes mount_setattr(2), which Linux has since 5.12";
        return Err(PlanError::unsupported("change the mounts of a running container", why));
    }
    for mount in change.mounts() {
        let on = format!("mount on {}", mount.destination);
        let nowhere = mounts::normal(&mount.destination) == Path::new("/");
        match (change.what, mount.fstype.as_str()) {
            (What::Remove, _) if nowhere => {
                return Err(PlanError::invalid(on, "this is the container's root, which stays"));
            }
            (What::Add, _) if mounts::options(mount)?.is_bind() => {}
            (What::Add, "proc") => {
                let why =
                    "a procfs belongs to the pid namespace that it is made in, which nobody enters for it";
                return Err(PlanError::unsupported(on, why));
            }
            (What::Add, "cgroup" | "cgroup2") => {
                let why = "what a container sees of its cgroup is made with the container";
                return Err(PlanError::unsupported(on, why));
            }
            _ => {}
        }
    }
    Ok(())
}

fn add(
    plan: &mut Builder<'_>,
    change: &MountChange,
    root: Slot,
    kinds: &[NamespaceType],
    ways: enter::Namespaces,
) -> Result<(), PlanError> {
    let foreign_ids = kinds.contains(&NamespaceType::User);
    let mapped = |mount: &spec::Mount| {
        mounts::options(mount).is_ok_and(|options| mounts::is_mapped(mount, &options))
            && mount.uid_mappings.is_empty()
    };
    let user = (foreign_ids && change.mounts().iter().any(mapped)).then(|| {
        let act = Act::OpenNamespaceOf { pid: change.pid, kind: NamespaceType::User };
        plan.produce("open the container's user namespace", "mounts take its mapping", act)
    });
    let mut namespaces = Namespaces::of_running(foreign_ids, user);
    let mut sources = Vec::new();
    for (index, mount) in change.mounts().iter().enumerate() {
        let options = mounts::options(mount)?;
        if !options.is_bind() || options.remount {
            continue;
        }
        if !plan.facts.is_privileged() {
            return Err(PlanError::unsupported(
                format!("mount {} on {}", mount.source, mount.destination),
                "to take a directory of the host while the container runs takes CAP_SYS_ADMIN",
            )
            .with_hint("run as root, or mount a directory above it when the container is made"));
        }
        let taken: Produced = mounts::take(plan, &mut namespaces, mount, &options)?;
        sources.push(Taken { index, from: From::Inherited(plan.inherit(taken)) });
    }
    spawn(plan);
    enter::hide(plan);
    enter::join_namespaces(plan, kinds, ways);
    plan.push(Op::SetUmask { mask: 0 });
    let mut tree = Tree::bare(root, Scratch::NONE);
    for (index, mount) in change.mounts().iter().enumerate() {
        mounts::one(plan, &mut tree, index, mount, &sources, &namespaces)?;
    }
    root::readonly_at_last(plan, &tree);
    Ok(())
}

fn remove(plan: &mut Builder<'_>, root: Slot, kinds: &[NamespaceType], ways: enter::Namespaces) {
    spawn(plan);
    enter::hide(plan);
    plan.stage("open its own descriptors' directory", "mounts are detached by descriptor, files as well");
    let own = plan.ops.slot();
    let name = plan.ops.text("/proc/self/fd");
    plan.push(Op::Open { dir: Slot::CWD, name, flags: raw::O_PATH | raw::O_DIRECTORY, out: own });
    plan.push(Op::CheckFilesystem { fd: own, magic: PROCFS });
    enter::join_namespaces(plan, kinds, ways);
    // The last first: of those that lie in one another none is missing when its turn comes.
    let destinations = plan.launch.spec.mounts.iter().rev().map(|mount| &mount.destination);
    for destination in destinations.clone() {
        plan.stage(format!("find what is mounted on {destination}"), "before any is taken away");
        let place = find(plan, root, destination);
        let path = plan.ops.text(destination);
        plan.push(Op::CheckMount { place, root, path });
        plan.ops.close(place);
    }
    for destination in destinations {
        plan.stage(format!("unmount {destination}"), "with all below it; who uses it keeps it");
        let place = find(plan, root, destination);
        let path = plan.ops.text(destination);
        plan.push(Op::CheckMount { place, root, path });
        plan.push(Op::Detach { place, own, path });
        plan.ops.close(place);
    }
}

fn find(plan: &mut Builder<'_>, root: Slot, destination: &str) -> Slot {
    let place = plan.ops.slot();
    let path = plan.ops.text(destination);
    plan.push(Op::OpenBelow { root, path, flags: raw::O_PATH, no_links: false, out: place });
    place
}

fn spawn(plan: &mut Builder<'_>) {
    let act = Act::SpawnOutside { cgroup: None, any_processor: false };
    plan.engine(
        "start the stage",
        "from a sealed copy, so that no file of the host is ever mapped in the container",
        act,
    );
}
