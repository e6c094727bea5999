//! Everything that the stage can do: one operation is one system call, or a fixed handful of them.

use core::fmt;

/// A place for a descriptor. Operations name descriptors by their slots; [`Slot::CWD`] is the working directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

impl Slot {
    /// `AT_FDCWD`
    pub const CWD: Self = Self(u16::MAX);
    /// No descriptor.
    pub const NONE: Self = Self(u16::MAX - 1);
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CWD => f.write_str("cwd"),
            Self::NONE => f.write_str("-"),
            Self(number) => write!(f, "#{number}"),
        }
    }
}

/// A terminated string of the program, by its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text(pub u32);

/// Bytes of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Where they begin.
    pub at: u32,
    /// How many they are.
    pub len: u32,
}

/// A table of strings of the program ([`sys::raw::Image`]), by its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table(pub u32);

/// One argument of an operation in a 64-bit word.
trait Word: Sized {
    fn to_word(self) -> u64;
    fn from_word(word: u64) -> Option<Self>;
}

impl Word for u64 {
    fn to_word(self) -> u64 {
        self
    }
    fn from_word(word: u64) -> Option<Self> {
        Some(word)
    }
}

impl Word for u32 {
    fn to_word(self) -> u64 {
        self.into()
    }
    fn from_word(word: u64) -> Option<Self> {
        u32::try_from(word).ok()
    }
}

impl Word for bool {
    fn to_word(self) -> u64 {
        self.into()
    }
    fn from_word(word: u64) -> Option<Self> {
        match word {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Word for Slot {
    fn to_word(self) -> u64 {
        self.0.into()
    }
    fn from_word(word: u64) -> Option<Self> {
        u16::try_from(word).ok().map(Self)
    }
}

impl Word for Text {
    fn to_word(self) -> u64 {
        self.0.into()
    }
    fn from_word(word: u64) -> Option<Self> {
        u32::try_from(word).ok().map(Self)
    }
}

impl Word for Table {
    fn to_word(self) -> u64 {
        self.0.into()
    }
    fn from_word(word: u64) -> Option<Self> {
        u32::try_from(word).ok().map(Self)
    }
}

impl Word for Blob {
    fn to_word(self) -> u64 {
        u64::from(self.at) << 32 | u64::from(self.len)
    }
    fn from_word(word: u64) -> Option<Self> {
        Some(Self { at: (word >> 32) as u32, len: word as u32 })
    }
}

/// How many arguments an operation has at most.
pub const ARGUMENTS: usize = 7;

macro_rules! ops {
    ($( $(#[$doc:meta])* $name:ident = $code:literal $call:literal { $($field:ident : $type:ident),* $(,)? } )*) => {
        /// An operation. Fields are named as the arguments of the call that it stands for; `out` is the slot for its result.
        #[allow(missing_docs, reason = "fields are the call's own arguments")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Op {
            $( $(#[$doc])* $name { $($field: $type),* }, )*
        }

        impl Op {
            /// Its number and its arguments.
            pub fn encode(self) -> (u32, [u64; ARGUMENTS]) {
                let mut words = [0; ARGUMENTS];
                #[allow(unused_mut, unused_variables, reason = "some operations have no argument")]
                let mut places = words.iter_mut();
                let code = match self {
                    $( Self::$name { $($field),* } => {
                        $( if let Some(place) = places.next() { *place = $field.to_word(); } )*
                        $code
                    } )*
                };
                (code, words)
            }

            /// The operation of this number and these arguments; none when there is no such operation.
            pub fn decode(code: u32, words: &[u64; ARGUMENTS]) -> Option<Self> {
                #[allow(unused_mut, unused_variables, reason = "some operations have no argument")]
                let mut words = words.iter();
                match code {
                    $( $code => Some(Self::$name { $($field: $type::from_word(*words.next()?)?),* }), )*
                    _ => None,
                }
            }

            /// The call that a person would look up.
            pub const fn call(self) -> &'static str {
                match self {
                    $( Self::$name { .. } => $call, )*
                }
            }
        }
    };
}

ops! {
    /// Leaves these namespaces for new ones.
    Unshare = 1 "unshare" { kinds: u64 }
    /// Joins a namespace of one of these kinds.
    Join = 2 "setns" { ns: Slot, kinds: u64 }
    /// Sets the loopback interface up.
    LoopbackUp = 3 "ioctl SIOCSIFFLAGS" {}
    /// Sets how mount events travel to and from every mount of this namespace.
    PropagateAll = 4 "mount" { flags: u64 }
    /// A context for a new filesystem.
    FsOpen = 5 "fsopen" { fstype: Text, out: Slot }
    /// A flag of it.
    FsFlag = 6 "fsconfig" { context: Slot, key: Text }
    /// A parameter of it.
    FsString = 7 "fsconfig" { context: Slot, key: Text, value: Text }
    /// A parameter of it that is a descriptor.
    FsFd = 8 "fsconfig" { context: Slot, key: Text, value: Slot }
    /// Makes the filesystem and a detached mount of it; the context is closed.
    FsMount = 9 "fsmount" { context: Slot, attributes: u64, out: Slot }
    /// A mount, or with `OPEN_TREE_CLONE` a detached copy.
    OpenTree = 10 "open_tree" { dir: Slot, name: Text, flags: u64, out: Slot }
    /// Changes a mount's attributes.
    MountAttr = 11 "mount_setattr" { mount: Slot, recursive: bool, set: u64, clear: u64, propagation: u64, userns: Slot }
    /// Attaches a detached mount at a name below a directory, or at the place that `to` is.
    MoveMount = 12 "move_mount" { from: Slot, to: Slot, name: Text }
    /// mount(2) on a mount given by descriptor, through /proc/self/fd: what kernels before mount_setattr(2) have.
    MountByFd = 13 "mount" { mount: Slot, flags: u64 }
    /// Opens a path below a root directory.
    OpenBelow = 14 "openat2" { root: Slot, path: Text, flags: u64, no_links: bool, out: Slot }
    /// Opens a directory below a root directory as a place, and makes it if it is missing.
    EnsureDirectory = 15 "openat2" { root: Slot, path: Text, no_links: bool, out: Slot }
    /// Opens a file below a root directory as a place, and makes it if it is missing.
    EnsureFile = 16 "openat2" { root: Slot, path: Text, no_links: bool, out: Slot }
    /// Opens a name in a directory, following no link at its end.
    Open = 17 "openat" { dir: Slot, name: Text, flags: u64, out: Slot }
    /// Closes a descriptor.
    Close = 18 "close" { fd: Slot }
    /// Makes a directory.
    MakeDirectory = 19 "mkdirat" { dir: Slot, name: Text, mode: u32 }
    /// Makes a device node or another special file.
    MakeNode = 20 "mknodat" { dir: Slot, name: Text, mode: u32, device: u64 }
    /// Makes a symlink.
    MakeLink = 21 "symlinkat" { target: Text, dir: Slot, name: Text }
    /// Changes the owner of a name in a directory.
    Chown = 22 "fchownat" { dir: Slot, name: Text, uid: u32, gid: u32 }
    /// Refuses to go on (`ENODEV`) unless the descriptor is this character device.
    CheckDevice = 23 "statx" { fd: Slot, major: u32, minor: u32 }
    /// Writes to a descriptor.
    Write = 24 "write" { to: Slot, bytes: Blob }
    /// Opens a file below a root directory without following any link, and writes to it.
    WriteBelow = 25 "write" { root: Slot, path: Text, bytes: Blob }
    /// Writes to a file in this process's own directory of a procfs.
    WriteOwn = 26 "write" { proc: Slot, name: Text, bytes: Blob }
    /// Makes a directory the root and lets go of the old root, with the `above` mounts that lie on it.
    PivotRoot = 27 "pivot_root" { root: Slot, above: u32 }
    /// Changes to a directory of the new root and makes sure that it is in there.
    ChangeDirectory = 28 "chdir" { path: Text }
    /// Sets the host name.
    SetHostname = 29 "sethostname" { name: Blob }
    /// Sets the NIS domain name.
    SetDomainname = 30 "setdomainname" { name: Blob }
    /// Sets a resource limit.
    SetRlimit = 31 "prlimit64" { resource: u32, soft: u64, hard: u64 }
    /// Sets the file mode creation mask.
    SetUmask = 32 "umask" { mask: u32 }
    /// Sets the execution domain.
    SetPersonality = 33 "personality" { persona: u64 }
    /// Sets the scheduling policy; arguments as in `struct sched_attr`, `nice` as a 32-bit pattern.
    SetScheduler = 34 "sched_setattr" {
        policy: u32, flags: u64, nice: u32, priority: u32, runtime_ns: u64, deadline_ns: u64, period_ns: u64,
    }
    /// Sets the processors to run on.
    SetAffinity = 35 "sched_setaffinity" { mask: Blob }
    /// Sets the I/O priority.
    SetIoPriority = 36 "ioprio_set" { priority: u64 }
    /// Sets the NUMA memory policy.
    SetMemoryPolicy = 37 "set_mempolicy" { mode: u32, nodes: Blob }
    /// Starts a session keyring of this name.
    JoinKeyring = 38 "keyctl" { name: Text }
    /// Starts a session without a terminal.
    SetSession = 39 "setsid" {}
    /// Opens a new pseudoterminal of this devpts, both ends.
    OpenTerminal = 40 "open ptmx" { devpts: Slot, master: Slot, peer: Slot }
    /// Sets a terminal's size.
    SetWindowSize = 41 "ioctl TIOCSWINSZ" { terminal: Slot, rows: u32, columns: u32 }
    /// Leaves line ends as they are written: no carriage return is added.
    PlainLines = 97 "ioctl TCSETS" { terminal: Slot }
    /// Makes a terminal the session's own.
    SetTerminal = 42 "ioctl TIOCSCTTY" { terminal: Slot }
    /// Makes a descriptor number (0 to 2) mean this descriptor.
    Duplicate = 43 "dup3" { fd: Slot, number: u32 }
    /// Sets the supplementary groups.
    SetGroups = 44 "setgroups" { groups: Blob }
    /// Sets all group ids.
    SetGid = 45 "setresgid" { gid: u32 }
    /// Sets all user ids.
    SetUid = 46 "setresuid" { uid: u32 }
    /// Sets a property of the process by number.
    Prctl = 47 "prctl" { option: u64, argument: u64, second: u64 }
    /// Drops from the bounding set what is not in `keep`.
    LimitBounding = 48 "prctl PR_CAPBSET_DROP" { keep: u64 }
    /// Sets the capability sets.
    SetCapabilities = 49 "capset" { effective: u64, permitted: u64, inheritable: u64 }
    /// Raises these ambient capabilities, and no other.
    SetAmbient = 50 "prctl PR_CAP_AMBIENT" { capabilities: u64 }
    /// Loads a system call filter.
    LoadFilter = 51 "seccomp" { flags: u64, filter: Blob, listener: Slot }
    /// Gives every signal its default disposition.
    ResetSignals = 52 "rt_sigaction" {}
    /// Blocks these signals and no others, bit n-1 for signal n.
    SetSignalMask = 95 "rt_sigprocmask" { mask: u64 }
    /// Marks every descriptor from this number on as close-on-exec.
    CloseOnExec = 53 "close_range" { first: u32 }
    /// Waits for the engine's turn and receives that many descriptors into the slots from `first` on.
    Await = 54 "recvmsg" { turn: u32, first: Slot, count: u32 }
    /// Passes a turn to the engine, with a descriptor unless it is [`Slot::NONE`].
    Tell = 55 "sendmsg" { turn: u32, fd: Slot }
    /// Goes on in a child and stays behind as its reaper, until it ends.
    Supervise = 56 "clone" {}
    /// Executes the first of the candidates that can be.
    Execute = 57 "execve" { candidates: Table, arguments: Table, environment: Table }
    /// Makes sure that one of the candidates can be executed, as far as that shows before.
    FindProgram = 98 "execve" { candidates: Table }
    /// Closes every descriptor from this number on, but those of two slots and the engine's.
    CloseOthers = 99 "close_range" { first: u32, keep: Slot, also: Slot }
    /// The parameter `mode` of a new filesystem: the permission bits of a directory.
    FsMode = 101 "fsconfig" { context: Slot, like: Slot }
    /// Detaches what is mounted at a path of the host and all below it; where it may not be detached, an empty directory covers it.
    LetGo = 100 "umount2" { path: Text }
    /// The next operation may fail with this error; the `skip` operations after it are then left out.
    Tolerate = 58 "" { errno: u32, skip: u32 }
    /// Opens a place below a root directory, and makes what is missing: a directory or a file, as `like` is.
    EnsureSame = 60 "openat2" { root: Slot, path: Text, like: Slot, out: Slot }
    /// Hides a path below a root directory: a directory under the mount `empty`, anything else under a copy of `null`. What does not
    /// exist needs no hiding. `empty` is detached until it hides the first directory; the others get copies of it, for a copy of a
    /// detached mount takes Linux 6.15.
    ///
    /// `direct`: the path is one name of a filesystem whose names are the kernel's own, so that there is nothing to follow.
    Mask = 61 "mask" { root: Slot, path: Text, null: Slot, empty: Slot, direct: bool }
    /// Reads the filesystem's type and refuses to go on (`EXDEV`) unless it is this one (statfs(2)).
    CheckFilesystem = 62 "fstatfs" { fd: Slot, magic: u64 }
    /// A parameter of a new filesystem that is a path: that of a descriptor, and a name below it.
    FsPath = 63 "fsconfig" { context: Slot, key: Text, dir: Slot, below: Text }
    /// Makes a file with this content; it must not be there yet.
    MakeFile = 64 "openat" { dir: Slot, name: Text, mode: u32, bytes: Blob }
    /// Goes on in a new process whose parent is this one's, passes its handle to the engine, and ends this one. The new process is
    /// in the pid namespace joined before; this one never was.
    Rebirth = 65 "clone" {}
    /// Tells the engine the number of the listener of a filter that was loaded just before, and waits for the turn. Only read(2) and
    /// write(2) are used, which a filter allows if any.
    PassListener = 80 "read" { listener: Slot, turn: u32 }
    /// Copies what is in a directory to another, empty one.
    CopyTree = 81 "copy" { from: Slot, to: Slot }
    /// Refuses to go on (`EEXIST`) unless the descriptor is a node of this kind and number.
    CheckNode = 83 "statx" { fd: Slot, kind: u32, major: u32, minor: u32 }
    /// mount(2) with `MS_REMOUNT` on a mount given by descriptor: flags and parameters of its filesystem.
    Reconfigure = 84 "mount" { mount: Slot, flags: u64, data: Text }
    /// A set of Landlock rules over these rights.
    LandlockCreate = 85 "landlock_create_ruleset" { access: u64, out: Slot }
    /// Grants rights to what is at and below a place.
    LandlockAllow = 86 "landlock_add_rule" { rules: Slot, place: Slot, access: u64 }
    /// Holds the process to the rules.
    LandlockRestrict = 87 "landlock_restrict_self" { rules: Slot }
    /// Takes one connection of a listening socket and from then on talks to the engine over that; the socket is closed.
    Accept = 90 "accept4" { listener: Slot }
    /// Makes a directory the root and the working directory, without changing the mounts.
    ChangeRoot = 91 "chroot" { root: Slot }
    /// Attaches a detached mount of a directory to a place below a root directory, which is made if it is missing. `direct`: the
    /// path leads over no link, or over one at its end that is not followed; that is tried first.
    Attach = 110 "move_mount" { from: Slot, root: Slot, path: Text, direct: bool, no_links: bool }
    /// A detached copy of a mount that has these attributes from the start (Linux 6.15).
    OpenTreeAttr = 111 "open_tree_attr" { dir: Slot, name: Text, flags: u64, set: u64, out: Slot }
    /// Refuses to go on unless something is mounted exactly at the place, and that is not the root: `EINVAL`, `EBUSY`. The text is for
    /// the sentence that tells of it.
    CheckMount = 112 "umount2" { place: Slot, root: Slot, path: Text }
    /// Detaches what is mounted at the place, and all below it. `own`: the directory of this process's descriptors in a procfs.
    Detach = 113 "umount2" { place: Slot, own: Slot, path: Text }
    /// Ends the process; all is done.
    Finish = 114 "exit" {}
    /// Writes what time it is into the program itself, in nanoseconds of the monotonic clock. For profiles.
    Stamp = 96 "clock_gettime" { at: u32 }
    /// Fails. For tests of what a failure leaves behind.
    Fail = 59 "fail" { errno: u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_survive_their_encoding() {
        let ops = [
            Op::LoopbackUp {},
            Op::MountAttr {
                mount: Slot(3),
                recursive: true,
                set: 1,
                clear: 2,
                propagation: 1 << 18,
                userns: Slot::NONE,
            },
            Op::Write { to: Slot(1), bytes: Blob { at: 77, len: 5 } },
            Op::SetScheduler {
                policy: 6,
                flags: 1,
                nice: -5i32 as u32,
                priority: 0,
                runtime_ns: 1,
                deadline_ns: 2,
                period_ns: 3,
            },
        ];
        for op in ops {
            let (code, words) = op.encode();
            assert_eq!(Op::decode(code, &words), Some(op));
        }
    }

    #[test]
    fn an_unknown_number_or_argument_is_no_operation() {
        assert_eq!(Op::decode(0, &[0; ARGUMENTS]), None);
        assert_eq!(Op::decode(9999, &[0; ARGUMENTS]), None);
        assert_eq!(Op::decode(18, &[1 << 20, 0, 0, 0, 0, 0, 0]), None);
    }
}
