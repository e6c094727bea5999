//! A program in namespaces that exist.
//!
//! [`Entry::open`] opens everything before the first namespace is joined, because afterwards paths lead elsewhere;
//! [`Entry::run`] joins in the order that [`crate::order`] decides and executes the program.
//!
//! Whoever joins namespaces can be seen from inside. So this process is not dumpable meanwhile, which keeps those inside
//! from tracing it and from opening its descriptors and its executable (CVE-2016-9962), all its descriptors are
//! close-on-exec, and its working directory never stays outside of a root that was changed (CVE-2024-21626).

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sys::SyscallError;

use crate::error::{Error, hint_on_join};
use crate::find;
use crate::kind::{Id, Kind};
use crate::order::{Wanted, order};
use crate::program::{Identity, execute, in_child};
use crate::reference::{self, Reference};
use crate::text;

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From<T> {
    /// From the target process.
    Target,
    /// As given.
    Given(T),
}

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The process whose namespaces are meant where none is named.
    pub target: Option<u32>,
    /// The namespaces to join.
    pub kinds: Vec<(Kind, From<Reference>)>,
    /// All namespaces of the target that differ from this process's.
    pub all: bool,
    /// The root directory.
    pub root: Option<From<PathBuf>>,
    /// The working directory, opened before joining.
    pub directory: Option<From<PathBuf>>,
    /// The working directory, looked up after joining.
    pub directory_inside: Option<PathBuf>,
    /// The user id.
    pub uid: Option<From<u32>>,
    /// The group id.
    pub gid: Option<From<u32>>,
    /// Leave user, group and supplementary groups as they are.
    pub preserve_credentials: bool,
    /// Do not fork, although a pid namespace is joined: the program itself stays outside, its children are inside.
    pub no_fork: bool,
    /// The program and its arguments; the caller's shell if there is none.
    pub program: Vec<OsString>,
}

/// Everything opened and decided.
#[derive(Debug)]
pub struct Entry {
    joins: Vec<Join>,
    root: Option<OwnedFd>,
    directory: Option<OwnedFd>,
    directory_inside: Option<PathBuf>,
    identity: Identity,
    fork: bool,
    program: Vec<OsString>,
}

#[derive(Debug)]
struct Join {
    id: Id,
    fd: OwnedFd,
}

impl Entry {
    /// Opens what `request` names; nothing is changed yet.
    ///
    /// # Errors
    /// A request that contradicts itself; a namespace, process or directory that is not there or may not be opened.
    pub fn open(request: Request) -> Result<Self, Error> {
        let target = || {
            request.target.ok_or_else(|| {
                Error::input(
                    "no process is named to take it from",
                    "name one with -t PID, or give a file: --net=FILE",
                )
            })
        };
        let mut joins = Vec::new();
        let given = |kind: Kind| request.kinds.iter().find(|(it, _)| *it == kind);
        for kind in Kind::ALL {
            let (fd, id) = match (given(kind), request.all) {
                (Some((_, From::Given(reference))), _) => reference.open(kind, &find::find)?,
                (Some((_, From::Target)), _) => reference::open_of_process(target()?, kind)?,
                (None, true) => {
                    let target = target()?;
                    match reference::open_of_process(target, kind) {
                        // Kernels without a kind have no file for it.
                        Err(_) if find::own(kind).is_err() => continue,
                        other => other?,
                    }
                }
                (None, false) => continue,
            };
            let is_own = find::own(kind).is_ok_and(|own| own == id);
            // Entering one's own user namespace is refused by the kernel, any other one changes nothing.
            if is_own && (kind == Kind::User || request.all) {
                continue;
            }
            joins.push(Join { id, fd });
        }
        let nothing_else = request.root.is_none() && request.directory.is_none();
        if joins.is_empty() && nothing_else && !request.all && request.kinds.is_empty() {
            return Err(Error::input(
                "nothing to enter",
                "name kinds with -m -u -i -n -p -U -C -T, or all that differ with -a",
            ));
        }
        let directory = |from: &From<PathBuf>, file: &str| match from {
            From::Given(path) => open_directory(path),
            From::Target => open_directory(&find::proc(target()?, file)),
        };
        let root = request.root.as_ref().map(|from| directory(from, "root")).transpose()?;
        let working = request.directory.as_ref().map(|from| directory(from, "cwd")).transpose()?;
        let enters_user = joins.iter().any(|join| join.id.kind == Kind::User);
        let enters_pid = joins.iter().any(|join| join.id.kind == Kind::Pid);
        let identity = identity(&request, enters_user, &target)?;
        let order = order(&owners(&joins));
        let mut slots: Vec<_> = joins.into_iter().map(Some).collect();
        let joins = order.into_iter().filter_map(|index| slots[index].take()).collect();
        Ok(Self {
            joins,
            root,
            directory: working,
            directory_inside: request.directory_inside,
            identity,
            fork: enters_pid && !request.no_fork,
            program: request.program,
        })
    }

    /// Which namespaces are joined, in order.
    pub fn ids(&self) -> Vec<Id> {
        self.joins.iter().map(|join| join.id).collect()
    }

    /// Joins, and runs the program: returns its status if it runs in a child, else only on failure.
    ///
    /// # Errors
    /// The first step that the kernel refuses.
    pub fn run(self) -> Result<u8, Error> {
        let mounts = self.joins.iter().any(|join| join.id.kind == Kind::Mnt);
        sys::raw::prctl(sys::raw::PR_SET_DUMPABLE, 0, 0).map_err(|errno| {
            Error::step(
                "keep those inside from tracing this process",
                SyscallError::new("prctl", "PR_SET_DUMPABLE", errno),
            )
        })?;
        for Join { id, fd } in &self.joins {
            sys::ns::join(fd, id.kind.flag()).map_err(|cause| {
                let hint = hint_on_join(cause.errno);
                Error::step_with(format!("enter {id}"), cause, hint)
            })?;
        }
        let failed = |what: &str, call, errno: rustix::io::Errno| {
            Error::step(what, SyscallError::new(call, "", errno))
        };
        if let Some(root) = &self.root {
            let what = "change the root directory";
            rustix::process::fchdir(root).map_err(|errno| failed(what, "fchdir", errno))?;
            rustix::process::chroot(".").map_err(|errno| failed(what, "chroot", errno))?;
        }
        if let Some(directory) = &self.directory {
            rustix::process::fchdir(directory)
                .map_err(|errno| failed("change the working directory", "fchdir", errno))?;
        } else if (mounts || self.root.is_some()) && self.directory_inside.is_none() {
            rustix::process::chdir("/")
                .map_err(|errno| failed("change the working directory", "chdir", errno))?;
        }
        if let Some(path) = &self.directory_inside {
            rustix::process::chdir(path).map_err(|errno| {
                let cause = SyscallError::new("chdir", path.display().to_string(), errno);
                Error::step("change the working directory", cause)
            })?;
        }
        let Self { identity, fork, program, .. } = self;
        let begin = move || {
            identity.assume()?;
            Err(execute(&program))
        };
        if fork { in_child(None, begin, || Ok(())) } else { begin().map(|never| match never {}) }
    }
}

/// Which of them the user namespace among them owns.
fn owners(joins: &[Join]) -> Vec<Wanted> {
    let user = joins.iter().find(|join| join.id.kind == Kind::User).map(|join| join.id.inode);
    joins
        .iter()
        .map(|join| Wanted {
            kind: join.id.kind,
            owned_inside: user.is_some_and(|user| is_owned_below(&join.fd, user)),
        })
        .collect()
}

/// Whether the user namespace `user` or one below it owns `fd`.
fn is_owned_below(fd: &OwnedFd, user: u64) -> bool {
    /// User namespaces are nested 32 deep at most (user_namespaces(7)).
    const DEPTH: usize = 33;
    let mut owner = sys::ns::owner(fd);
    for _ in 0..DEPTH {
        let Ok(above) = owner else { return false };
        if find::id_of(&above).is_ok_and(|id| id.inode == user) {
            return true;
        }
        owner = sys::ns::parent(&above);
    }
    false
}

fn identity(
    request: &Request,
    enters_user: bool,
    target: &dyn Fn() -> Result<u32, Error>,
) -> Result<Identity, Error> {
    let id = |from: &Option<From<u32>>, key: &str| match from {
        None => Ok(None),
        Some(From::Given(id)) => Ok(Some(*id)),
        Some(From::Target) => {
            let pid = target()?;
            let status = text::read_lossy(find::proc(pid, "status"));
            let words = text::status_words(&status, key).and_then(|words| words.get(1)?.parse().ok());
            words
                .map(Some)
                .ok_or_else(|| Error::not_found(format!("there is no process {pid}"), "see `ps -e`"))
        }
    };
    let (uid, gid) = (id(&request.uid, "Uid")?, id(&request.gid, "Gid")?);
    if request.preserve_credentials {
        if uid.is_some() || gid.is_some() {
            return Err(Error::input(
                "--preserve-credentials and a user or group contradict each other",
                "give one of them",
            ));
        }
        return Ok(Identity::default());
    }
    // Root of the user namespace is who may do something there; and our own ids mean others inside.
    let or_root = |id: Option<u32>| id.or(enters_user.then_some(0));
    Ok(Identity {
        uid: or_root(uid),
        gid: or_root(gid),
        clear_groups: enters_user || uid.is_some() || gid.is_some(),
        keep_capabilities: false,
    })
}

fn open_directory(path: &Path) -> Result<OwnedFd, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let cause = SyscallError::new("open", path.display().to_string(), errno);
        Error::step(format!("open the directory {}", path.display()), cause)
    })
}
