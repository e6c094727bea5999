//! The eight kinds of namespaces, and what each isolates.

use std::fmt;

use sys::clone;

/// A kind of namespace, in the order in which `holm ns` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Users, groups and capabilities (Linux 3.8).
    User,
    /// Process ids (Linux 2.6.24).
    Pid,
    /// Mounts (Linux 2.4.19).
    Mnt,
    /// The network (Linux 2.6.29).
    Net,
    /// System V IPC and POSIX message queues (Linux 2.6.19).
    Ipc,
    /// Host name and NIS domain name (Linux 2.6.19).
    Uts,
    /// The view of control groups (Linux 4.6).
    Cgroup,
    /// The monotonic and boot-time clocks (Linux 5.6).
    Time,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Pid, Self::Mnt, Self::Net, Self::Ipc, Self::Uts, Self::Cgroup, Self::Time];

    /// The kernel's name: that of the file in `/proc/PID/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pid => "pid",
            Self::Mnt => "mnt",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The kind of this name; `mount` and `network` are understood as well.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "mount" => Some(Self::Mnt),
            "network" => Some(Self::Net),
            _ => Self::ALL.into_iter().find(|kind| kind.name() == name),
        }
    }

    /// `CLONE_NEW*`
    pub fn flag(self) -> u64 {
        match self {
            Self::User => clone::CLONE_NEWUSER,
            Self::Pid => clone::CLONE_NEWPID,
            Self::Mnt => clone::CLONE_NEWNS,
            Self::Net => clone::CLONE_NEWNET,
            Self::Ipc => clone::CLONE_NEWIPC,
            Self::Uts => clone::CLONE_NEWUTS,
            Self::Cgroup => clone::CLONE_NEWCGROUP,
            Self::Time => clone::CLONE_NEWTIME,
        }
    }

    /// The kind with this `CLONE_NEW*`.
    pub fn from_flag(flag: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.flag() == flag)
    }

    /// The file in `/proc/PID/ns` for the namespace that a process's next child gets, where that can differ.
    pub fn file_for_children(self) -> Option<&'static str> {
        match self {
            Self::Pid => Some("pid_for_children"),
            Self::Time => Some("time_for_children"),
            _ => None,
        }
    }

    /// Whether its namespaces form a tree.
    pub fn has_parents(self) -> bool {
        matches!(self, Self::User | Self::Pid)
    }

    /// What a namespace of this kind has for itself, in a line.
    pub fn isolates(self) -> &'static str {
        match self {
            Self::User => "user and group ids, capabilities, keyrings: root inside need not be root outside",
            Self::Pid => "process ids: the first process inside is 1, and when it ends all inside are killed",
            Self::Mnt => "the table of mounts: what is mounted inside is not seen outside, and vice versa",
            Self::Net => "interfaces, addresses, routes, firewall, ports and sockets, /proc/net",
            Self::Ipc => "System V message queues, semaphores and shared memory; POSIX message queues",
            Self::Uts => "the host name and the NIS domain name",
            Self::Cgroup => "the view of control groups: /proc/self/cgroup begins at the own group",
            Self::Time => {
                "the monotonic and the boot-time clock, by an offset fixed before the first process"
            }
        }
    }

    /// What is shared all the same, in a line.
    pub fn shares(self) -> &'static str {
        match self {
            Self::User => "each id inside is one outside as well: files and limits see that one",
            Self::Pid => {
                "all namespaces above see each process, under another number; /proc has to be mounted anew"
            }
            Self::Mnt => "the files themselves, and mounts that propagate (shared, slave)",
            Self::Net => "UNIX sockets in the file system, and most of /proc/sys outside of net",
            Self::Ipc => "pipes, UNIX sockets, futexes and POSIX shared memory, which are files in /dev/shm",
            Self::Uts => "everything else: a host name is only a name, DNS and /etc/hosts stay",
            Self::Cgroup => "the groups and their limits: the view changes, what may be used does not",
            Self::Time => "the wall clock (CLOCK_REALTIME), timers in hardware, and time's pace",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One namespace: its kind and inode number, as `/proc/PID/ns` shows them. Inode numbers of living namespaces
/// differ; that of a dead one is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// The kind.
    pub kind: Kind,
    /// The inode number in nsfs.
    pub inode: u64,
}

impl Id {
    /// The namespace that a link such as `net:[4026531840]` names.
    pub fn parse(link: &str) -> Option<Self> {
        let (kind, number) = link.split_once(":[")?;
        let inode = number.strip_suffix(']')?;
        let plain = !inode.is_empty() && inode.bytes().all(|byte| byte.is_ascii_digit());
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        Some(Self { kind, inode: plain.then(|| inode.parse().ok())?? })
    }
}

/// `net:[4026531840]`, as the kernel writes it.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[{}]", self.kind, self.inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_of_proc_names_a_namespace() {
        let id = Id::parse("net:[4026531840]").unwrap();
        assert_eq!(id, Id { kind: Kind::Net, inode: 4_026_531_840 });
        assert_eq!(id.to_string(), "net:[4026531840]");
        for text in
            ["", "net", "net:[]", "net:[+1]", "net:[1", "nat:[1]", "socket:[1]", "net:[99999999999999999999]"]
        {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn each_kind_is_found_by_name_and_flag() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
            assert_eq!(Kind::from_flag(kind.flag()), Some(kind));
            assert!(kind.isolates().len() < 100 && kind.shares().len() < 100, "{kind}: one line each");
        }
        assert_eq!(Kind::from_name("mount"), Some(Kind::Mnt));
        assert_eq!(Kind::from_name("tim"), None);
    }
}
