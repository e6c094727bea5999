//! A container's files, opened through a process of their own, as the caller's process sees them.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Stdio};

use report::{BoxedExplain, Explain, Hint, Kind};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use sys::SyscallError;

use super::child::{Answer, Ask, Mounted, hear, say};
use super::rules::Into;
use super::side::Look;
use crate::containers::definition::Definition;
use crate::containers::home::{Home, Lock, Places};
use crate::containers::start::own_program;
use crate::containers::state::Status;
use crate::containers::{root, stop};
use crate::flags::mount::Mount;
use crate::host::boxed;
use crate::request::Changes;
use crate::volumes;

/// A container's files. Dropping it ends the process.
#[derive(Debug)]
pub struct Opened {
    name: String,
    socket: Option<OwnedFd>,
    child: Child,
    /// Of one that does not run, so that it is not started meanwhile.
    _lock: Option<Lock>,
}

/// What somebody wants to do with the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// To read them, as the container sees them.
    Reading,
    /// To change them.
    Writing,
    /// To read its own root alone, without what is mounted in it.
    Root,
}

/// A container whose files cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{verb} the files of container `{name}`: {why}")]
struct NoFiles {
    verb: &'static str,
    name: String,
    why: &'static str,
    advice: &'static str,
}

impl Explain for NoFiles {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new(self.advice))
    }
}

/// Something failed with a container's files.
#[derive(Debug, thiserror::Error)]
#[error("{what} container `{name}`")]
pub(super) struct Failed {
    what: String,
    name: String,
    cause: BoxedExplain,
}

impl Explain for Failed {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&*self.cause)
    }
}

impl Opened {
    /// Opens the files of a container.
    ///
    /// # Errors
    /// When they cannot be had.
    pub fn open(places: &Places, home: &Home, what_for: For) -> Result<Self, BoxedExplain> {
        let definition = home.definition().map_err(boxed)?;
        let records = runtime::state::StateRoot::open(&places.records()).map_err(boxed)?;
        let mut lock = None;
        let mut state = crate::containers::state::of(home, &records);
        if !state.status.is_alive() {
            lock = Some(home.lock().map_err(boxed)?);
            // It may have been started until the lock was there.
            state = crate::containers::state::of(home, &records);
            if state.status.is_alive() {
                lock = None;
            }
        }
        let (socket, child) = spawn(home)?;
        let mut opened = Self { name: definition.name.clone(), socket: Some(socket), child, _lock: lock };
        match state.status {
            Status::Running | Status::Paused => opened.enter(places, home, what_for)?,
            _ => opened.mount(places, home, &definition, what_for)?,
        }
        Ok(opened)
    }

    fn failed(&self, what: impl ToString, cause: BoxedExplain) -> BoxedExplain {
        boxed(Failed { what: what.to_string(), name: self.name.clone(), cause })
    }

    fn enter(&mut self, places: &Places, home: &Home, what_for: For) -> Result<(), BoxedExplain> {
        let (state, _, pidfd) = stop::living(places, home, "reach the files of")?;
        let open = |what: &str, flags: OFlags| {
            let path = format!("/proc/{}/{what}", state.pid);
            openat(CWD, &path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|errno| {
                self.failed("reach the files of", boxed(SyscallError::new("openat", path, errno)))
            })
        };
        let root = open("root", OFlags::PATH | OFlags::DIRECTORY)?;
        let mounts = open("ns/mnt", OFlags::RDONLY)?;
        let users = open("ns/user", OFlags::RDONLY)?;
        // The number was the container's as long as the handle says so.
        if stop::has_ended(&pidfd, Some(std::time::Duration::ZERO)) {
            let cause = SyscallError::new("pidfd_send_signal", "its first process", sys::Errno::SRCH);
            return Err(self.failed("reach the files of", boxed(cause)));
        }
        let own = openat(CWD, "/proc/self/ns/user", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let inode = |fd: &OwnedFd| fstat(fd).map(|status| status.st_ino).unwrap_or(0);
        let has_own_users = !own.is_ok_and(|own| inode(&own) == inode(&users));
        let mut fds = vec![root.as_fd(), mounts.as_fd()];
        if has_own_users {
            fds.push(users.as_fd());
        }
        self.ask(&Ask::Enter { bare: what_for == For::Root }, &fds, "reach the files of").map(drop)
    }

    fn mount(
        &mut self,
        places: &Places,
        home: &Home,
        definition: &Definition,
        what_for: For,
    ) -> Result<(), BoxedExplain> {
        let refuse = |verb, why, advice| {
            let name = definition.name.clone();
            Err(boxed(NoFiles { verb, name, why, advice }))
        };
        if !rustix::process::geteuid().is_root() {
            return refuse(
                "reach",
                "it does not run, and only root can mount its layers",
                "start it, then its files can be reached",
            );
        }
        let mut flags = definition.request.clone();
        root::find(home, definition.manifest.as_deref(), &mut flags)?;
        let rootfs = flags.rootfs;
        let (changes, readonly) = match rootfs.changes {
            Changes::Keep(directory) => {
                crate::containers::create::make_layer(&directory, &rootfs.directory)
                    .map_err(|cause| self.failed("reach the files of", cause))?;
                (Some(directory), false)
            }
            Changes::WriteThrough => (None, false),
            Changes::Discard if what_for == For::Writing => {
                return refuse(
                    "change",
                    "it goes with its end, so what it changes is kept in memory, and it does not run",
                    "start it first, or make it without --rm",
                );
            }
            Changes::Discard => (None, true),
        };
        let binds = match what_for {
            For::Root => Vec::new(),
            _ => {
                // One that is gone keeps nobody from the rest.
                let _ = volumes::ready(places, &definition.request);
                binds(places, &definition.request.mounts)
            }
        };
        let mut lower = vec![rootfs.directory];
        lower.extend(rootfs.below);
        let mounted = Mounted { lower, changes, readonly, binds };
        self.ask(&Ask::Mount(mounted), &[], "mount the root of").map(drop)
    }

    fn ask(
        &self,
        ask: &Ask,
        fds: &[BorrowedFd<'_>],
        what: &str,
    ) -> Result<(Answer, Vec<OwnedFd>), BoxedExplain> {
        self.tell(ask, fds, what)?;
        self.answer(what)
    }

    fn tell(&self, ask: &Ask, fds: &[BorrowedFd<'_>], what: &str) -> Result<(), BoxedExplain> {
        let Some(socket) = &self.socket else { return Ok(()) };
        say(socket, ask, fds).map_err(|cause| self.failed(what, boxed(cause)))
    }

    fn answer(&self, what: &str) -> Result<(Answer, Vec<OwnedFd>), BoxedExplain> {
        let gone = || boxed(SyscallError::new("recvmsg", "the process for its files", sys::Errno::PIPE));
        let Some(socket) = &self.socket else { return Err(self.failed(what, gone())) };
        match hear(socket) {
            Ok(Some((Answer::Failed(words), _))) => Err(self.failed(what, words.into_error())),
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.failed(what, gone())),
            Err(cause) => Err(self.failed(what, boxed(cause))),
        }
    }

    /// Looks at a path, which is what is sent or taken next.
    ///
    /// # Errors
    /// Those of looking, beside that nothing is there.
    pub fn look(&self, path: &str, follow: bool) -> Result<Look, BoxedExplain> {
        let ask = Ask::Look { path: path.to_owned(), follow };
        let what = format!("look at {path} in");
        match self.ask(&ask, &[], &what)? {
            (Answer::Looked(look), _) => Ok(look),
            _ => Err(self.failed(what, boxed(SyscallError::new("recvmsg", "channel", sys::Errno::INVAL)))),
        }
    }

    /// Begins to write what was looked at to an archive; [`Opened::done`] waits for the end.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn send(&self, name: &str, out: BorrowedFd<'_>) -> Result<(), BoxedExplain> {
        self.tell(&Ask::Send { name: name.to_owned() }, &[out], "copy from")
    }

    /// Begins to take an archive where what was looked at is, or beside it.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn take(
        &self,
        into: Into,
        as_root: bool,
        whole: bool,
        input: BorrowedFd<'_>,
    ) -> Result<(), BoxedExplain> {
        self.tell(&Ask::Take { into, as_root, whole }, &[input], "copy to")
    }

    /// Waits for what was begun. Yields how many entries there were, and remarks.
    ///
    /// # Errors
    /// Why it failed.
    pub fn done(&self, what: &str) -> Result<(u64, Vec<String>), BoxedExplain> {
        match self.answer(what)? {
            (Answer::Done(count, remarks), _) => Ok((count, remarks)),
            _ => Err(self.failed(what, boxed(SyscallError::new("recvmsg", "channel", sys::Errno::INVAL)))),
        }
    }

    /// The root as a descriptor of this process's.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn root(&self) -> Result<OwnedFd, BoxedExplain> {
        let (_, mut fds) = self.ask(&Ask::Root, &[], "reach the files of")?;
        let missing = || boxed(SyscallError::new("recvmsg", "channel", sys::Errno::INVAL));
        fds.pop().ok_or_else(|| self.failed("reach the files of", missing()))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // It ends with the socket; one that is in the middle of something finds its pipe closed.
        drop(self.socket.take());
        let _ = self.child.wait();
    }
}

fn spawn(home: &Home) -> Result<(OwnedFd, Child), BoxedExplain> {
    let failed = |cause| boxed(home.failed("reach the files of", cause));
    let (ours, theirs) = sys::channel::pair().map_err(failed)?;
    let number = sys::inherited::pass(theirs).map_err(failed)?;
    let mut command = own_program("--files", &home.id);
    let null = Stdio::null;
    let spawned =
        command.arg(number.to_string()).stdin(null()).stdout(null()).stderr(Stdio::inherit()).spawn();
    drop(sys::inherited::take(number));
    let child = spawned.map_err(|error| failed(SyscallError::new("execve", "/proc/self/exe", error)))?;
    Ok((ours, child))
}

/// What is mounted in the root of the host's files: memory and the kernel's own are not there while nothing runs.
/// A part of a volume is not there either: the way to it could lead elsewhere by the time that it is mounted.
fn binds(places: &Places, mounts: &[Mount]) -> Vec<(std::path::PathBuf, std::path::PathBuf, bool)> {
    let bind = |mount: &Mount| match mount {
        Mount::Bind(bind) if bind.source.exists() => {
            Some((bind.source.clone(), bind.destination.as_path().to_owned(), bind.options.read_only))
        }
        Mount::Volume(volume) if volume.subpath.is_none() => {
            let (data, fixed) = volumes::data_path(&places.durable, volume);
            let read_only = volume.options.read_only || fixed;
            data.is_dir().then(|| (data, volume.destination.as_path().to_owned(), read_only))
        }
        _ => None,
    };
    mounts.iter().filter_map(bind).collect()
}

/// A pipe between two sides.
///
/// # Errors
/// Those of pipe2(2).
pub(super) fn pipe() -> Result<(File, File), BoxedExplain> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|errno| boxed(SyscallError::new("pipe2", "", errno)))?;
    // Larger than usual: both sides then work for longer at a time.
    let _ = rustix::pipe::fcntl_setpipe_size(&write, 1 << 20);
    Ok((read.into(), write.into()))
}
