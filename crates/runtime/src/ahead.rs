//! What is made while a launch is still being planned.
//!
//! A network namespace takes the kernel longer than anything else of a launch, and it depends on nothing but that one is wanted, which a
//! configuration tells as soon as it is read. [`Network::begin`] has a thread make it; the plan is told by
//! [`crate::HostFacts::network_ahead`], and the launch takes it. A namespace that nobody takes ends with this value.

use std::os::fd::OwnedFd;

use rustix::thread::sched_getaffinity;
use spec::{NamespaceType, Spec};
use sys::SyscallError;
use sys::clone::NewNetwork;

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
        let to_spare = || sched_getaffinity(None).is_ok_and(|processors| processors.count() > 1);
        if !wanted || !rustix::process::geteuid().is_root() || !to_spare() {
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

/// Makes one now.
///
/// # Errors
/// Those of clone3(2) and unshare(2).
pub(crate) fn make() -> Result<OwnedFd, SyscallError> {
    NewNetwork::begin()?.finish()
}
