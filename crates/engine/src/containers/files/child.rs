//! The process that reads and writes a container's files.
//!
//! It is this program once more, and none of the container's: it enters the container's user and mount namespace, makes the container's
//! root its own, keeps no more capabilities than files take, and then does what it is asked for over a socket until that is closed. So a
//! name that the container controls leads nowhere else, owners are the container's by themselves, and nothing of the container is
//! executed or loaded (CVE-2019-14271). Of one that does not run it mounts the root where nobody else sees it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use images::files::take::Rules;
use images::files::walk::Reopener;
use images::layer::Bad;
use report::{BoxedExplain, Explain, Kind};
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use sys::below::Links;
use sys::raw::{self, Capabilities, Fd};
use sys::{SyscallError, channel};

use super::rules::Into;
use super::side::{Look, Root, Seen, Side};
use crate::containers::told::Words;
use crate::host::boxed;

/// The most bytes of a message.
const MAX_MESSAGE: usize = 256 << 10;

/// What the process is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Ask {
    /// Enters a container that runs. Descriptors: its root, its mount namespace, and its user namespace if it has one of its own.
    Enter {
        /// Without what is mounted in its root.
        bare: bool,
    },
    /// Mounts the root of one that does not run.
    Mount(Mounted),
    /// Looks at a path.
    Look {
        /// The path.
        path: String,
        /// A link at its end is followed.
        follow: bool,
    },
    /// Writes what was looked at last to an archive. Descriptor: where to.
    Send {
        /// What it is called there.
        name: String,
    },
    /// Takes an archive where what was looked at last is. Descriptor: where from.
    Take {
        /// There, or beside it.
        into: Into,
        /// Owners are the container's root, as long as the archive's are not wanted.
        as_root: bool,
        /// Everything that an archive says counts.
        whole: bool,
    },
    /// Hands out the root as a descriptor.
    Root,
}

/// The root of a container that does not run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mounted {
    /// The layers, the topmost first; one directory where changes go to it itself.
    pub(super) lower: Vec<PathBuf>,
    /// The layer for changes; none where they go to the directory itself, or nothing may change.
    pub(super) changes: Option<PathBuf>,
    /// Nothing may change.
    pub(super) readonly: bool,
    /// What is mounted in it: from where, to where, and whether nothing may change there.
    pub(super) binds: Vec<(PathBuf, PathBuf, bool)>,
}

/// What it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is done. Remarks, a line each.
    Done(u64, Vec<String>),
    /// What was looked at.
    Looked(Look),
    /// It is not done.
    Failed(Words),
}

/// An archive that is not usable.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct BadArchive(Bad);

impl Explain for BadArchive {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// A step that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {errno}")]
struct Refused {
    doing: &'static str,
    errno: sys::Errno,
}

impl Explain for Refused {
    fn kind(&self) -> Kind {
        sys::kind_of(self.errno)
    }
}

/// What taking an archive met, as an error for people.
pub(super) fn explained(bad: Bad) -> BoxedExplain {
    match bad {
        Bad::Io { doing, cause } if cause.raw_os_error().is_some() => {
            boxed(Refused { doing, errno: cause.into() })
        }
        other => boxed(BadArchive(other)),
    }
}

/// Sends a question or an answer.
pub(super) fn say(
    socket: impl AsFd,
    message: &impl Serialize,
    fds: &[BorrowedFd<'_>],
) -> Result<(), SyscallError> {
    let text = serde_json::to_vec(message)
        .map_err(|error| SyscallError::new("sendmsg", "channel", io::Error::other(error)))?;
    channel::send(socket, &text, fds)
}

/// Receives one; none when the other side is gone.
pub(super) fn hear<T: for<'a> Deserialize<'a>>(
    socket: impl AsFd,
) -> Result<Option<(T, Vec<OwnedFd>)>, SyscallError> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let (len, fds) = channel::receive(socket, &mut bytes)?;
    if len == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&bytes[..len])
        .map_err(|error| SyscallError::new("recvmsg", "channel", io::Error::other(error)))?;
    Ok(Some((message, fds)))
}

/// The life of the process. Yields its exit status.
pub fn main(socket: i32) -> u8 {
    let Ok(socket) = sys::inherited::take(socket) else { return 125 };
    // What is told to the caller's terminal is the caller's business, which closes the socket.
    let _ = rustix::process::setsid();
    raw::umask(0);
    let Ok(reopener) = Reopener::new() else { return 125 };
    let mut files = Files { reopener: Some(reopener), side: None, seen: None };
    loop {
        let Ok(Some((ask, fds))) = hear::<Ask>(&socket) else { return 0 };
        let mut out = None;
        let answer = files.act(ask, fds, &mut out).unwrap_or_else(|error| Answer::Failed(Words::of(&*error)));
        let passed: Vec<BorrowedFd<'_>> = out.iter().map(AsFd::as_fd).collect();
        if say(&socket, &answer, &passed).is_err() {
            return 0;
        }
    }
}

struct Files {
    reopener: Option<Reopener>,
    side: Option<Side>,
    seen: Option<Seen>,
}

fn early() -> BoxedExplain {
    boxed(SyscallError::new("recvmsg", "channel", sys::Errno::INVAL))
}

impl Files {
    fn act(
        &mut self,
        ask: Ask,
        fds: Vec<OwnedFd>,
        out: &mut Option<OwnedFd>,
    ) -> Result<Answer, BoxedExplain> {
        let done = Answer::Done(0, Vec::new());
        let mut fds = fds.into_iter();
        match ask {
            Ask::Enter { bare } => {
                let root = fds.next().ok_or_else(early)?;
                let root = enter(root, fds.next(), fds.next(), bare).map_err(boxed)?;
                self.begin(root)?;
                Ok(done)
            }
            Ask::Mount(mounted) => {
                let root = mount(&mounted).map_err(boxed)?;
                self.begin(root)?;
                Ok(done)
            }
            Ask::Look { path, follow } => {
                let side = self.side.as_ref().ok_or_else(early)?;
                let (seen, look) = side.look(&path, follow).map_err(boxed)?;
                self.seen = Some(seen);
                Ok(Answer::Looked(look))
            }
            Ask::Send { name } => {
                let (side, seen) = self.ready()?;
                let out = File::from(fds.next().ok_or_else(early)?);
                let remarks = side
                    .send(seen, &name, out)
                    .map_err(|error| boxed(SyscallError::new("read", name, error)))?;
                Ok(Answer::Done(0, remarks))
            }
            Ask::Take { into, as_root, whole } => {
                let (side, seen) = self.ready()?;
                let input = File::from(fds.next().ok_or_else(early)?);
                let rules = Rules {
                    owner: as_root.then_some((0, 0)),
                    devices: true,
                    privileges: whole,
                    directories: whole,
                };
                let (count, remarks) = side.take(seen, into, rules, input).map_err(explained)?;
                Ok(Answer::Done(count, remarks))
            }
            Ask::Root => {
                let side = self.side.as_ref().ok_or_else(early)?;
                let Root::Below(root) = &side.root else { return Err(early()) };
                let copy = root.try_clone().map_err(|error| SyscallError::new("fcntl", "the root", error));
                *out = Some(copy.map_err(boxed)?);
                Ok(done)
            }
        }
    }

    fn ready(&mut self) -> Result<(&Side, Seen), BoxedExplain> {
        match (&self.side, self.seen.take()) {
            (Some(side), Some(seen)) => Ok((side, seen)),
            _ => Err(early()),
        }
    }

    /// From here on nothing but files can be had.
    fn begin(&mut self, root: OwnedFd) -> Result<(), BoxedExplain> {
        let reopener = self.reopener.take().ok_or_else(early)?;
        let failed = |call| move |errno| boxed(SyscallError::new(call, "the container's root", errno));
        raw::fchdir(Fd::from(&root)).map_err(failed("fchdir"))?;
        match raw::chroot_here() {
            Ok(()) => {}
            // Paths are followed below the root in any case.
            Err(sys::Errno::PERM) => {}
            Err(errno) => return Err(failed("chroot")(errno)),
        }
        let now = raw::capget().map_err(failed("capget"))?;
        let kept = CAPABILITIES & now.permitted;
        raw::capset(&Capabilities { effective: kept, permitted: kept, inheritable: 0 })
            .map_err(failed("capset"))?;
        raw::prctl(raw::PR_SET_NO_NEW_PRIVS, 1, 0).map_err(failed("prctl"))?;
        raw::prctl(raw::PR_SET_DUMPABLE, 0, 0).map_err(failed("prctl"))?;
        self.side = Some(Side { root: Root::Below(root), reopener });
        Ok(())
    }
}

/// What files take: to give them to others, whatever their modes say, with capabilities, and to make devices where that is allowed.
const CAPABILITIES: u64 = 1 // CAP_CHOWN
    | 1 << 1 // CAP_DAC_OVERRIDE
    | 1 << 2 // CAP_DAC_READ_SEARCH
    | 1 << 3 // CAP_FOWNER
    | 1 << 4 // CAP_FSETID
    | 1 << 27 // CAP_MKNOD
    | 1 << 31; // CAP_SETFCAP

const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;

/// Enters a container's namespaces, and becomes its root.
fn enter(
    root: OwnedFd,
    mounts: Option<OwnedFd>,
    users: Option<OwnedFd>,
    bare: bool,
) -> Result<OwnedFd, SyscallError> {
    if let Some(users) = &users {
        sys::ns::join(users, CLONE_NEWUSER)?;
    }
    if let Some(mounts) = &mounts {
        sys::ns::join(mounts, CLONE_NEWNS)?;
    }
    if users.is_some() {
        // Where setgroups(2) is forbidden (user_namespaces(7)) there are none of others to lose.
        let _ = raw::setgroups(&[]);
        // A namespace without an id 0 has no root: its capabilities are there all the same.
        let _ = raw::set_gid(0);
        let _ = raw::set_uid(0);
    }
    if !bare {
        return Ok(root);
    }
    sys::mount::clone_bare(root.as_fd(), "the container's root")
}

/// Mounts the root of a container that does not run, in a mount namespace of this process's own.
fn mount(mounted: &Mounted) -> Result<OwnedFd, SyscallError> {
    // Before the namespace is a new one: only what is mounted in one's own can be copied.
    let mut binds = Vec::new();
    for (from, to, readonly) in &mounted.binds {
        let tree = sys::mount::clone_tree(from, true)?;
        if *readonly {
            let attr = raw::MountAttr { set: raw::MOUNT_ATTR_RDONLY, ..raw::MountAttr::default() };
            sys::mount::set_attributes(tree.as_fd(), true, &attr, &from.display().to_string())?;
        }
        binds.push((tree, to));
    }
    sys::mount::enter_private_namespace()?;
    let root = root(mounted)?;
    sys::mount::attach_over_root(root.as_fd(), "the container's root")?;
    for (tree, to) in binds {
        let is_file = rustix::fs::fstat(&tree).is_ok_and(|status| {
            rustix::fs::FileType::from_raw_mode(status.st_mode) != rustix::fs::FileType::Directory
        });
        let at = sys::resolve::ensure_below(root.as_fd(), to, is_file, Links::InRoot)?;
        sys::mount::attach(tree.as_fd(), at.as_fd(), "")?;
    }
    Ok(root)
}

fn root(mounted: &Mounted) -> Result<OwnedFd, SyscallError> {
    const SAFE: u64 = raw::MOUNT_ATTR_NOSUID | raw::MOUNT_ATTR_NODEV;
    let readonly = if mounted.readonly { raw::MOUNT_ATTR_RDONLY } else { 0 };
    if let (None, [only]) = (&mounted.changes, mounted.lower.as_slice()) {
        let tree = sys::mount::clone_tree(only, true)?;
        let attr = raw::MountAttr { set: raw::MOUNT_ATTR_NOSUID | readonly, ..raw::MountAttr::default() };
        sys::mount::set_attributes(tree.as_fd(), false, &attr, "the container's root")?;
        return Ok(tree);
    }
    let open = |path: &std::path::Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, path, flags, Mode::empty())
            .map_err(|errno| SyscallError::new("openat", path.display().to_string(), errno))
    };
    let layers = mounted.lower.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let changes = mounted.changes.as_ref().map(|directory| open(directory)).transpose()?;
    let layers: Vec<_> = layers.iter().map(AsFd::as_fd).collect();
    sys::overlay::of_directories(&layers, changes.as_ref().map(AsFd::as_fd), SAFE | readonly)
}
