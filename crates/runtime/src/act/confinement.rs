//! What holds a hook that is started in the place of the container's program: a `startContainer` hook is a file of the container's root,
//! so it gets the rights of the program and no other.

use init::ops::{Op, Slot};
use init::program::Writer;
use spec::{CapabilitySet, CapabilitySets, NamespaceType, Spec};
use sys::{Errno, SyscallError, raw};

use super::Cause;
use crate::plan::compile_filter;

/// `CAP_SYS_ADMIN`
const SYS_ADMIN: u64 = 1 << 21;

/// The program's user, capabilities, no_new_privs and filter.
#[derive(Debug)]
pub(crate) struct Confinement {
    uid: u32,
    gid: u32,
    groups: Vec<u8>,
    sets: CapabilitySets,
    no_new_privileges: bool,
    filter: Option<seccomp::Filter>,
}

impl Confinement {
    /// Of the container's program.
    ///
    /// # Errors
    /// When its filter cannot be compiled, or this process's capabilities cannot be read.
    pub(crate) fn of(spec: &Spec) -> Result<Self, Cause> {
        let process = &spec.process;
        let mut sets = process.capabilities.sets();
        if spec.linux.namespace(NamespaceType::User).is_none() {
            let own = raw::capget().map_err(|errno| SyscallError::new("capget", "this process", errno))?;
            let possible = CapabilitySet(own.permitted);
            for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable, &mut sets.ambient] {
                *set = set.intersection(possible);
            }
        }
        let filter = spec.linux.seccomp.as_ref().map(|section| compile_filter(section, None)).transpose();
        Ok(Self {
            uid: process.user.uid,
            gid: process.user.gid,
            groups: process.user.additional_gids.iter().flat_map(|group| group.to_ne_bytes()).collect(),
            sets,
            no_new_privileges: process.no_new_privileges,
            filter: filter.map_err(|error| Cause::Filter(Box::new(error)))?,
        })
    }

    /// Everything but the filter.
    pub(crate) fn take(&self, ops: &mut Writer) {
        ops.push(Op::LimitBounding { keep: self.sets.bounding.0 });
        ops.push(Op::Prctl { option: raw::PR_SET_KEEPCAPS, argument: 1, second: 0 });
        let groups = ops.blob(&self.groups);
        // Where a user namespace forbids it there are none to take (user_namespaces(7)).
        ops.push(Op::Tolerate { errno: Errno::PERM.raw() as u32, skip: 0 });
        ops.push(Op::SetGroups { groups });
        ops.push(Op::SetGid { gid: self.gid });
        ops.push(Op::SetUid { uid: self.uid });
        // A filter takes CAP_SYS_ADMIN to load without no_new_privs; execve takes it away.
        let to_load = if self.filter.is_some() && !self.no_new_privileges { SYS_ADMIN } else { 0 };
        ops.push(Op::SetCapabilities {
            effective: self.sets.effective.0 & self.sets.permitted.0 | to_load,
            permitted: self.sets.permitted.0 | to_load,
            inheritable: self.sets.inheritable.0,
        });
        ops.push(Op::SetAmbient { capabilities: self.sets.ambient.0 });
        if self.no_new_privileges {
            ops.push(Op::Prctl { option: raw::PR_SET_NO_NEW_PRIVS, argument: 1, second: 0 });
        }
    }

    /// The filter, last before execve. Calls that somebody else shall answer for fail with `ENOSYS`: the hook has no listener.
    pub(crate) fn restrict(&self, ops: &mut Writer) {
        /// `SECCOMP_FILTER_FLAG_NEW_LISTENER` and `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`, which is nothing without.
        const LISTENING: u32 = 1 << 3 | 1 << 5;
        let Some(filter) = &self.filter else { return };
        let bytes = ops.blob(&filter.to_bytes());
        let flags = u64::from(filter.flags() & !LISTENING);
        ops.push(Op::LoadFilter { flags, filter: bytes, listener: Slot::NONE });
    }
}
