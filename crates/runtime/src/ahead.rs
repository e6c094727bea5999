//! What is made while it is still being planned what for.
//!
//! A network namespace takes the kernel longer than anything else of a launch, and it depends on nothing but that one is wanted, which a
//! configuration tells as soon as it is read. [`Network::begin`] has a thread make it; the plan is told by
//! [`crate::HostFacts::network_ahead`], and the launch takes it. A namespace that nobody takes ends with this value.
//!
//! What enters a container is started by a stage outside of it, and to execute that takes as long as to read a configuration.
//! [`Stage::start`] has it done by another processor; the stage waits, and plays the program that [`crate::enter_with`] sends it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroups::{Recorded, Version};
use rustix::process::{Signal, pidfd_send_signal};
use rustix::thread::sched_getaffinity;
use spec::{CapabilitySet, NamespaceType, Spec};
use sys::SyscallError;
use sys::clone::NewNetwork;

use crate::act;
use crate::facts::Calls;
use crate::plan::Produced;
use crate::record::has_ended;

/// A network namespace, with its loopback interface up, that is being made.
#[derive(Debug)]
pub struct Network(NewNetwork);

impl Network {
    /// Begins to make one if this container gets one of its own, of the host's user namespace, and there is a processor to spare for it.
    pub fn begin(spec: &Spec) -> Option<Self> {
        let linux = &spec.linux;
        let is_new = linux.namespace(NamespaceType::Network).is_some_and(spec::Namespace::is_new);
        let own_users = linux.namespace(NamespaceType::User).is_some();
        // Devices are moved while the stage stands in its namespace, early on.
        let wanted = is_new && !own_users && linux.net_devices.is_empty();
        if !wanted || !rustix::process::geteuid().is_root() || !has_processor_to_spare() {
            return None;
        }
        NewNetwork::begin().ok().map(Self)
    }

    /// Waits until it is made.
    ///
    /// # Errors
    /// Those of unshare(2).
    pub(crate) fn finish(self) -> Result<OwnedFd, SyscallError> {
        self.0.finish()
    }
}

/// Whether there is another processor than this one.
pub fn has_processor_to_spare() -> bool {
    sched_getaffinity(None).is_ok_and(|processors| processors.count() > 1)
}

/// A stage that waits for its program, outside of all of a container but its cgroup (v2). One that nobody takes is ended.
#[derive(Debug)]
pub struct Stage {
    /// None only while it is taken.
    parts: Option<(OwnedFd, act::Stage)>,
    /// The directory of the cgroup.
    group: Option<(PathBuf, Group)>,
}

#[derive(Debug)]
enum Group {
    Held(OwnedFd),
    HandedOut(Produced),
}

impl Stage {
    /// Starts one for a container in these cgroups, whose program will have at most the capabilities `keep` in its bounding set. What
    /// stands in the way shows when it is done again, by [`crate::enter()`].
    pub fn start(cgroups: &[Recorded], keep: CapabilitySet) -> Option<Self> {
        let v2 = cgroups.iter().find(|group| group.version == Version::V2);
        let group = match v2 {
            Some(group) if Calls::of_version(sys::kernel::version()).clone_into_cgroup => {
                let path = group.mount.join(&group.path).join("");
                let opened = act::open_group(&path).ok()?;
                Some((path, opened))
            }
            _ => None,
        };
        let parts =
            act::Stage::start_waiting(group.as_ref().map(|(_, opened)| opened.as_fd()), keep.0).ok()?;
        let group = group.map(|(path, opened)| (path, Group::Held(opened)));
        Some(Self { parts: Some(parts), group })
    }

    /// Whether it proves that a process can be in these cgroups: on v2 none can be in one that hands controllers down, and it is in there.
    pub fn is_in(&self, cgroups: &[Recorded]) -> bool {
        self.group.is_some() || cgroups.iter().all(|group| group.version != Version::V2)
    }

    /// The handle of its cgroup, if this is that directory; `place` is where it goes.
    pub(crate) fn take_group(&mut self, path: &Path, place: Produced) -> Option<OwnedFd> {
        let (_, group) = self.group.as_mut().filter(|(own, _)| own == path)?;
        match std::mem::replace(group, Group::HandedOut(place)) {
            Group::Held(opened) => Some(opened),
            Group::HandedOut(_) => None,
        }
    }

    /// Whether it is where a stage is to be born.
    pub(crate) fn is_born_in(&self, cgroup: Option<Produced>) -> bool {
        match (&self.group, cgroup) {
            (None, None) => true,
            (Some((_, Group::HandedOut(place))), Some(cgroup)) => *place == cgroup,
            _ => false,
        }
    }

    /// The socket to it, and itself.
    pub(crate) fn into_parts(mut self) -> Option<(OwnedFd, act::Stage)> {
        self.parts.take()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some((control, stage)) = self.parts.take() else { return };
        drop(control);
        // It may stand still in a frozen cgroup, where only v2 lets it end.
        let _ = pidfd_send_signal(stage.pidfd(), Signal::KILL);
        if has_ended(stage.pidfd(), act::PATIENCE) {
            let _ = stage.wait();
        }
    }
}

/// Makes one now.
///
/// # Errors
/// Those of clone3(2) and unshare(2).
pub(crate) fn make() -> Result<OwnedFd, SyscallError> {
    NewNetwork::begin()?.finish()
}
