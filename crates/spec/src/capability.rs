//! Linux capabilities and sets of them.

use crate::names::names;
use std::fmt;

names! {
    /// A Linux capability (capabilities(7)). The order is that of the kernel's numbers.
    #[allow(missing_docs)]
    pub enum Capability {
        Chown = "CAP_CHOWN",
        DacOverride = "CAP_DAC_OVERRIDE",
        DacReadSearch = "CAP_DAC_READ_SEARCH",
        Fowner = "CAP_FOWNER",
        Fsetid = "CAP_FSETID",
        Kill = "CAP_KILL",
        Setgid = "CAP_SETGID",
        Setuid = "CAP_SETUID",
        Setpcap = "CAP_SETPCAP",
        LinuxImmutable = "CAP_LINUX_IMMUTABLE",
        NetBindService = "CAP_NET_BIND_SERVICE",
        NetBroadcast = "CAP_NET_BROADCAST",
        NetAdmin = "CAP_NET_ADMIN",
        NetRaw = "CAP_NET_RAW",
        IpcLock = "CAP_IPC_LOCK",
        IpcOwner = "CAP_IPC_OWNER",
        SysModule = "CAP_SYS_MODULE",
        SysRawio = "CAP_SYS_RAWIO",
        SysChroot = "CAP_SYS_CHROOT",
        SysPtrace = "CAP_SYS_PTRACE",
        SysPacct = "CAP_SYS_PACCT",
        SysAdmin = "CAP_SYS_ADMIN",
        SysBoot = "CAP_SYS_BOOT",
        SysNice = "CAP_SYS_NICE",
        SysResource = "CAP_SYS_RESOURCE",
        SysTime = "CAP_SYS_TIME",
        SysTtyConfig = "CAP_SYS_TTY_CONFIG",
        Mknod = "CAP_MKNOD",
        Lease = "CAP_LEASE",
        AuditWrite = "CAP_AUDIT_WRITE",
        AuditControl = "CAP_AUDIT_CONTROL",
        Setfcap = "CAP_SETFCAP",
        MacOverride = "CAP_MAC_OVERRIDE",
        MacAdmin = "CAP_MAC_ADMIN",
        Syslog = "CAP_SYSLOG",
        WakeAlarm = "CAP_WAKE_ALARM",
        BlockSuspend = "CAP_BLOCK_SUSPEND",
        AuditRead = "CAP_AUDIT_READ",
        /// Linux 5.8.
        Perfmon = "CAP_PERFMON",
        /// Linux 5.8.
        Bpf = "CAP_BPF",
        /// Linux 5.9.
        CheckpointRestore = "CAP_CHECKPOINT_RESTORE",
    }
}

impl Capability {
    /// The kernel's number, `include/uapi/linux/capability.h`.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The capability of that number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

/// A set of capabilities: bit *n* stands for capability number *n*, as in `/proc/<pid>/status`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// Every capability this version knows.
    pub const ALL: Self = Self((1 << Capability::ALL.len()) - 1);

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `capability` is in it.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability.number()) != 0
    }

    /// Adds `capability`.
    pub const fn insert(&mut self, capability: Capability) {
        self.0 |= 1 << capability.number();
    }

    /// Takes `capability` out.
    pub const fn remove(&mut self, capability: Capability) {
        self.0 &= !(1 << capability.number());
    }

    /// Whether all of it is in `other`.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// What is in one or the other.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in it and not in `other`.
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The known capabilities in it, by number.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut set = Self::EMPTY;
        for capability in capabilities {
            set.insert(capability);
        }
        set
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Capability::name)).finish()
    }
}

/// The names, separated by spaces.
impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, capability) in self.iter().enumerate() {
            write!(f, "{}{capability}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// The five sets of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySets {
    /// What execve(2) can ever give.
    pub bounding: CapabilitySet,
    /// What the kernel checks.
    pub effective: CapabilitySet,
    /// What survives execve(2) of a file with the same inheritable capability.
    pub inheritable: CapabilitySet,
    /// What may become effective.
    pub permitted: CapabilitySet,
    /// What survives execve(2) of an ordinary file.
    pub ambient: CapabilitySet,
}

impl crate::process::Capabilities {
    /// The sets the names stand for. Unknown names are left out, and so are ambient capabilities that are not
    /// both permitted and inheritable: the kernel refuses to raise those (prctl(2), `PR_CAP_AMBIENT`), and
    /// `runc spec` up to 1.2 writes documents that ask for them.
    pub fn sets(&self) -> CapabilitySets {
        let set = |names: &[String]| -> CapabilitySet {
            names.iter().filter_map(|name| Capability::from_name(name)).collect()
        };
        let (inheritable, permitted) = (set(&self.inheritable), set(&self.permitted));
        CapabilitySets {
            bounding: set(&self.bounding),
            effective: set(&self.effective),
            inheritable,
            permitted,
            ambient: set(&self.ambient).intersection(inheritable).intersection(permitted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Capabilities;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        for (capability, number) in [
            (Capability::Chown, 0),
            (Capability::SysAdmin, 21),
            (Capability::Setfcap, 31),
            (Capability::AuditRead, 37),
            (Capability::CheckpointRestore, 40),
        ] {
            assert_eq!(capability.number(), number);
            assert_eq!(Capability::from_number(number), Some(capability));
        }
        assert_eq!(Capability::from_number(41), None);
        assert_eq!(CapabilitySet::ALL.0, 0x1ff_ffff_ffff);
    }

    #[test]
    fn an_ambient_capability_is_permitted_and_inheritable() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let capabilities = Capabilities {
            permitted: names(&["CAP_KILL", "CAP_CHOWN", "CAP_OF_TOMORROW"]),
            inheritable: names(&["CAP_KILL"]),
            ambient: names(&["CAP_KILL", "CAP_CHOWN"]),
            ..Capabilities::default()
        };
        let sets = capabilities.sets();
        assert_eq!(sets.permitted.to_string(), "CAP_CHOWN CAP_KILL");
        assert_eq!(sets.ambient.to_string(), "CAP_KILL");
    }
}
