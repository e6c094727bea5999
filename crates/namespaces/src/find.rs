//! Every namespace of the host that this process can see.
//!
//! [`find`] goes through /proc once: the namespaces of each process and of threads that differ, those that only
//! a descriptor or a mount holds, and from each of them up to its owner and parent. What may not be looked at
//! is counted, so that a list that is not whole says so.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use sys::SyscallError;

use crate::error::Error;
use crate::kind::{Id, Kind};
use crate::text;

/// What keeps a namespace alive, beside the processes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// It is mounted at `path`, as process `pid` sees paths.
    Mount {
        /// Where.
        path: PathBuf,
        /// A process that sees it there.
        pid: u32,
    },
    /// A descriptor of a process.
    Descriptor {
        /// The process.
        pid: u32,
        /// The descriptor's number.
        fd: u32,
    },
    /// A thread that is in another namespace than its process.
    Thread {
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
    },
    /// The next child of this process gets it.
    Children {
        /// The process.
        pid: u32,
    },
    /// A namespace that belongs to it or lies below it.
    Below {
        /// That namespace.
        id: Id,
    },
}

/// A namespace that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Which one.
    pub id: Id,
    /// The inode of the user namespace that owns it; of a user namespace that is its parent. `None` where it lies
    /// above this process's own.
    pub owner: Option<u64>,
    /// The inode of the pid or user namespace above it.
    pub parent: Option<u64>,
    /// User namespaces: who made it, as this process's user namespace numbers users.
    pub owner_uid: Option<u32>,
    /// How many processes are in it.
    pub processes: u32,
    /// The one with the lowest number.
    pub first_pid: Option<u32>,
    /// The user that process runs as.
    pub uid: Option<u32>,
    /// Its command line; without a process, that of one that holds the namespace.
    pub command: String,
    /// The container that process belongs to: engine and id.
    pub container: Option<(&'static str, String)>,
    /// What else keeps it alive, at most [`MAX_HOLDERS`] of a sort.
    pub holders: Vec<Holder>,
}

/// The most holders that are remembered of one namespace.
pub const MAX_HOLDERS: usize = 16;

/// The namespaces of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Sorted by kind and inode.
    pub namespaces: Vec<Namespace>,
    /// How many processes could not be looked into.
    pub unreadable: u32,
}

impl Found {
    /// The namespace `id`.
    pub fn get(&self, id: Id) -> Option<&Namespace> {
        self.namespaces.iter().find(|namespace| namespace.id == id)
    }
}

#[derive(Default)]
struct Gathered {
    all: BTreeMap<Id, Namespace>,
    unreadable: u32,
}

/// Finds them.
///
/// # Errors
/// When /proc cannot be listed.
pub fn find() -> Result<Found, Error> {
    let mut gathered = Gathered::default();
    let pids =
        numbers_in(Path::new("/proc")).map_err(|cause| Error::step("list the host's processes", cause))?;
    let mut mount_namespaces = BTreeMap::new();
    for &pid in &pids {
        gathered.process(pid, &mut mount_namespaces);
    }
    // One process for each mount namespace shows what is mounted there.
    for &pid in mount_namespaces.values() {
        for (id, path) in text::namespace_mounts(&text::read(&proc(pid, "mountinfo")).unwrap_or_default()) {
            gathered.held(id, Holder::Mount { path, pid });
        }
    }
    gathered.relate();
    for namespace in gathered.all.values_mut() {
        describe(namespace);
    }
    Ok(Found { namespaces: gathered.all.into_values().collect(), unreadable: gathered.unreadable })
}

impl Gathered {
    fn process(&mut self, pid: u32, mount_namespaces: &mut BTreeMap<u64, u32>) {
        let mut own = [None; Kind::ALL.len()];
        let mut denied = false;
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            match link(&proc(pid, "ns").join(kind.name())) {
                Ok(Some(id)) => {
                    own[index] = Some(id);
                    let known = self.entry(id);
                    known.processes += 1;
                    known.first_pid = Some(known.first_pid.map_or(pid, |first| first.min(pid)));
                    if kind == Kind::Mnt {
                        mount_namespaces.entry(id.inode).or_insert(pid);
                    }
                }
                Ok(None) => {}
                Err(errno) => denied |= errno == rustix::io::Errno::ACCESS,
            }
            let children =
                kind.file_for_children().and_then(|file| link(&proc(pid, "ns").join(file)).ok()?);
            if let Some(id) = children.filter(|id| Some(*id) != own[index]) {
                self.held(id, Holder::Children { pid });
            }
        }
        if denied {
            self.unreadable += 1;
            return;
        }
        self.threads(pid, &own);
        let Ok(descriptors) = numbers_in(&proc(pid, "fd")) else { return };
        for fd in descriptors {
            if let Ok(Some(id)) = link(&proc(pid, "fd").join(fd.to_string())) {
                self.held(id, Holder::Descriptor { pid, fd });
            }
        }
    }

    /// Threads have namespaces of their own; most are in those of their process.
    fn threads(&mut self, pid: u32, own: &[Option<Id>]) {
        let Ok(tids) = numbers_in(&proc(pid, "task")) else { return };
        for tid in tids.into_iter().filter(|&tid| tid != pid) {
            let ns = proc(pid, "task").join(tid.to_string()).join("ns");
            for (kind, own) in Kind::ALL.into_iter().zip(own) {
                if let Ok(Some(id)) = link(&ns.join(kind.name()))
                    && Some(id) != *own
                {
                    self.held(id, Holder::Thread { pid, tid });
                }
            }
        }
    }

    fn entry(&mut self, id: Id) -> &mut Namespace {
        self.all.entry(id).or_insert_with(|| Namespace {
            id,
            owner: None,
            parent: None,
            owner_uid: None,
            processes: 0,
            first_pid: None,
            uid: None,
            command: String::new(),
            container: None,
            holders: Vec::new(),
        })
    }

    fn held(&mut self, id: Id, holder: Holder) {
        let holders = &mut self.entry(id).holders;
        if holders.len() < MAX_HOLDERS && !holders.contains(&holder) {
            holders.push(holder);
        }
    }

    /// Asks the kernel for owners and parents, and adds those that nobody else led to.
    fn relate(&mut self) {
        let known: Vec<_> = self.all.values().cloned().collect();
        for namespace in known {
            if let Ok(fd) = open(&namespace) {
                self.climb(namespace.id, &fd);
            }
        }
    }

    fn climb(&mut self, id: Id, fd: &OwnedFd) {
        let mut up: Vec<(Id, OwnedFd)> = Vec::new();
        if let Ok(owner) = sys::ns::owner(fd)
            && let Ok(owner_id) = id_of(&owner)
        {
            self.entry(id).owner = Some(owner_id.inode);
            up.push((owner_id, owner));
        }
        if id.kind == Kind::User {
            self.entry(id).owner_uid = sys::ns::owner_uid(fd).ok();
        }
        if id.kind.has_parents()
            && let Ok(parent) = sys::ns::parent(fd)
            && let Ok(parent_id) = id_of(&parent)
        {
            self.entry(id).parent = Some(parent_id.inode);
            up.push((parent_id, parent));
        }
        for (above, fd) in up {
            if !self.all.contains_key(&above) {
                self.held(above, Holder::Below { id });
                self.climb(above, &fd);
            }
        }
    }
}

/// Who is in it, in words.
fn describe(namespace: &mut Namespace) {
    let holder = namespace.holders.iter().find_map(|holder| match holder {
        Holder::Descriptor { pid, .. } | Holder::Thread { pid, .. } | Holder::Children { pid } => Some(*pid),
        Holder::Mount { .. } | Holder::Below { .. } => None,
    });
    let Some(pid) = namespace.first_pid.or(holder) else { return };
    let cmdline = text::read(&proc(pid, "cmdline")).unwrap_or_default();
    namespace.command = text::command(&cmdline, &text::read_lossy(proc(pid, "comm")));
    namespace.container = text::container(&text::read_lossy(proc(pid, "cgroup")));
    let status = text::read_lossy(proc(pid, "status"));
    namespace.uid = text::status_words(&status, "Uid").and_then(|words| words.get(1)?.parse().ok());
}

/// Opens a namespace that was found, by whatever leads to it.
///
/// # Errors
/// When all ways are gone, or may not be used.
pub fn open(namespace: &Namespace) -> Result<OwnedFd, Error> {
    let id = namespace.id;
    let mut failure = None;
    let mut ways = Vec::new();
    if let Some(pid) = namespace.first_pid {
        ways.push(proc(pid, "ns").join(id.kind.name()));
    }
    ways.extend(namespace.holders.iter().filter_map(|holder| match holder {
        Holder::Mount { path, pid } => Some(proc(*pid, "root").join(path.strip_prefix("/").unwrap_or(path))),
        Holder::Descriptor { pid, fd } => Some(proc(*pid, "fd").join(fd.to_string())),
        Holder::Thread { pid, tid } => {
            Some(proc(*pid, "task").join(tid.to_string()).join("ns").join(id.kind.name()))
        }
        Holder::Children { pid } => id.kind.file_for_children().map(|file| proc(*pid, "ns").join(file)),
        Holder::Below { .. } => None,
    }));
    for way in ways {
        match open_path(&way) {
            Ok((fd, found)) if found == id => return Ok(fd),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    // What only its relatives hold is reached through them.
    Err(failure.unwrap_or_else(|| {
        Error::not_found(
            format!("nothing leads to {id} any more"),
            "list the namespaces again: `holm ns list`",
        )
    }))
}

/// Opens the namespace at `path` and tells which it is.
///
/// # Errors
/// When it cannot be opened, or is none.
pub fn open_path(path: &Path) -> Result<(OwnedFd, Id), Error> {
    let what = || format!("open the namespace {}", path.display());
    let failed =
        |call, errno| Error::step(what(), SyscallError::new(call, path.display().to_string(), errno));
    // A handle first: opening a pipe or a device that somebody has put there would wait or do something.
    let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed("open", errno))?;
    const NSFS_MAGIC: u64 = 0x6e73_6673;
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let on = rustix::fs::fstatfs(&handle).map_err(|errno| failed("fstatfs", errno))?.f_type as u64;
    // Before Linux 3.19 namespaces were files of procfs.
    if on != NSFS_MAGIC && on != PROC_SUPER_MAGIC {
        return Err(Error::input(
            format!("{} is not a namespace", path.display()),
            "a namespace is a file such as /proc/PID/ns/net, or a place where one was bound to",
        ));
    }
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
    let fd = rustix::fs::open(&*again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed("open", errno))?;
    let id = id_of(&fd)
        .map_err(|_| Error::input(format!("{} is not a namespace", path.display()), "see /proc/PID/ns"))?;
    Ok((fd, id))
}

/// Which namespace `fd` is.
///
/// # Errors
/// When it is none.
pub fn id_of(fd: &OwnedFd) -> Result<Id, SyscallError> {
    let flag = sys::ns::kind(fd)?;
    let kind = Kind::from_flag(flag)
        .ok_or_else(|| SyscallError::new("ioctl", "NS_GET_NSTYPE", sys::Errno::INVAL))?;
    let status = rustix::fs::fstat(fd).map_err(|errno| SyscallError::new("fstat", kind.name(), errno))?;
    Ok(Id { kind, inode: status.st_ino })
}

/// The namespace of this process.
///
/// # Errors
/// When /proc is not there, or the kernel lacks the kind.
pub fn own(kind: Kind) -> Result<Id, Error> {
    let path = Path::new("/proc/self/ns").join(kind.name());
    let missing = || {
        Error::not_found(
            format!("this kernel, or this /proc, shows no {kind} namespace"),
            "see /proc/self/ns for the kinds that there are",
        )
    };
    link(&path).map_err(|_| missing())?.ok_or_else(missing)
}

/// The namespace that a link of /proc leads to; `None` if it leads to something else.
pub(crate) fn link(path: &Path) -> Result<Option<Id>, rustix::io::Errno> {
    let target = rustix::fs::readlinkat(rustix::fs::CWD, path, Vec::with_capacity(64))?;
    Ok(target.to_str().ok().and_then(Id::parse))
}

pub(crate) fn proc(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// The entries of a directory that are numbers, in ascending order.
fn numbers_in(directory: &Path) -> Result<Vec<u32>, SyscallError> {
    let failed =
        |call, errno: rustix::io::Errno| SyscallError::new(call, directory.display().to_string(), errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(rustix::fs::CWD, directory, flags, Mode::empty())
        .map_err(|errno| failed("open", errno))?;
    let mut numbers = Vec::new();
    for entry in rustix::fs::Dir::new(fd).map_err(|errno| failed("getdents", errno))? {
        // The process may go while its directory is read.
        let Ok(entry) = entry else { break };
        numbers.extend(entry.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whether `path` exists without following a last link.
pub(crate) fn exists(path: &Path) -> bool {
    rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
