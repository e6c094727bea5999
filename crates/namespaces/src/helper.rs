//! A process that stays behind in the old namespaces and does there what cannot be done from the new ones: it writes id
//! maps, which takes capabilities in the user namespace above, and binds namespaces to files.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::mount::UnmountFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use sys::{Errno, SyscallError, raw};

use crate::error::Error;
use crate::hold;
use crate::kind::Kind;
use crate::maps::{self, IdRange};

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

/// What the helper does.
#[derive(Debug, Clone, Default)]
pub(crate) struct Task {
    /// The user ids to map.
    pub(crate) users: Vec<IdRange>,
    /// The group ids to map.
    pub(crate) groups: Vec<IdRange>,
    /// `allow` or `deny` for setgroups(2), where that was asked for.
    pub(crate) setgroups: Option<bool>,
    /// Which of the new namespaces to bind where.
    pub(crate) binds: Vec<(Kind, PathBuf)>,
}

impl Task {
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && self.setgroups.is_none() && self.binds.is_empty()
    }
}

/// When the helper acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The namespaces are there.
    Made,
    /// The mount namespace is there that is to be bound: the first one, or another in its place.
    Mounts,
    /// The first process is in the pid namespace: only now it can be bound.
    Born,
    /// A later step failed: what was bound is taken away again.
    Undone,
    /// Nothing is left to do.
    Done,
}

/// The helper, seen from the process that it helps.
#[derive(Debug)]
pub(crate) struct Helper {
    pid: i32,
    to: OwnedFd,
    from: OwnedFd,
}

impl Helper {
    /// Starts it, before any namespace is made.
    pub(crate) fn start(task: &Task) -> Result<Self, Error> {
        let failed = |call, errno: Errno| Error::step("start a helper", SyscallError::new(call, "", errno));
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed("pipe2", errno.into()));
        let ((orders, to), (from, answers)) = (pipe()?, pipe()?);
        let helped = raw::getpid();
        match raw::fork().map_err(|errno| failed("fork", errno))? {
            0 => {
                drop((to, from));
                serve(task, helped, &orders, &answers);
                raw::exit(0)
            }
            pid => Ok(Self { pid, to, from }),
        }
    }

    /// Lets it act and waits until it has.
    pub(crate) fn act(&self, moment: Moment) -> Result<(), Error> {
        let gone = || {
            Error::step("wait for the helper", SyscallError::new("read", "the helper's answer", Errno::PIPE))
        };
        let order = [moment as u8];
        rustix::io::write(&self.to, &order).map_err(|_| gone())?;
        let mut answer = Vec::new();
        let mut byte = [0];
        loop {
            match rustix::io::read(&self.from, &mut byte) {
                Ok(1) if byte[0] == b'\n' => break,
                Ok(1) => answer.push(byte[0]),
                Err(rustix::io::Errno::INTR) => {}
                _ => return Err(gone()),
            }
        }
        decode(&answer).map_or(Ok(()), Err)
    }

    /// Lets it end, and waits for that.
    pub(crate) fn end(&self) -> Result<(), Error> {
        // An order, because a child may hold the pipe open a moment longer. The pipe of a dead one refuses it.
        let _ = rustix::io::write(&self.to, &[Moment::Done as u8]);
        while raw::wait4(self.pid, 0) == Err(Errno::INTR) {}
        Ok(())
    }
}

/// The helper's life. It ends with its orders, so also with the process that it helps.
fn serve(task: &Task, helped: i32, orders: &OwnedFd, answers: &OwnedFd) {
    let mut order = [0];
    loop {
        match rustix::io::read(orders, &mut order) {
            Ok(1) => {}
            Err(rustix::io::Errno::INTR) => continue,
            _ => return,
        }
        let outcome = match order[0] {
            made if made == Moment::Made as u8 => map_ids(task, helped)
                .and_then(|()| bind(task, helped, |kind| !matches!(kind, Kind::Mnt | Kind::Pid))),
            mounts if mounts == Moment::Mounts as u8 => bind(task, helped, |kind| kind == Kind::Mnt),
            born if born == Moment::Born as u8 => bind(task, helped, |kind| kind == Kind::Pid),
            undone if undone == Moment::Undone as u8 => {
                for (_, target) in &task.binds {
                    let _ = rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
                }
                Ok(())
            }
            _ => return,
        };
        let mut answer = outcome.err().map(|error| encode(&error)).unwrap_or_default();
        answer.push(b'\n');
        if rustix::io::write(answers, &answer).is_err() {
            return;
        }
    }
}

fn bind(task: &Task, helped: i32, wanted: impl Fn(Kind) -> bool) -> Result<(), Error> {
    for (kind, target) in task.binds.iter().filter(|(kind, _)| wanted(*kind)) {
        let file = kind.file_for_children().unwrap_or(kind.name());
        let source = PathBuf::from(format!("/proc/{helped}/ns/{file}"));
        hold::bind(&source, target).map_err(|cause| {
            let hint = (cause.errno == Errno::INVAL && *kind == Kind::Mnt).then_some(
                "a mount namespace can only be bound below a mount with private propagation, and in a mount namespace that \
                 the kernel numbered before it",
            );
            Error::step_with(format!("bind the {kind} namespace to {}", target.display()), cause, hint)
        })?;
    }
    Ok(())
}

fn map_ids(task: &Task, helped: i32) -> Result<(), Error> {
    let capabilities = raw::capget().map(|sets| sets.effective).unwrap_or_default();
    let has = |capability: u32| capabilities & 1 << capability != 0;
    let own = |ranges: &[IdRange], id: u32| matches!(ranges, [only] if only.count == 1 && only.outside == id);
    let own_group = own(&task.groups, rustix::process::getegid().as_raw());
    // A group map without CAP_SETGID is only taken when setgroups(2) is denied (user_namespaces(7)): nobody
    // can then drop a group that denies him something.
    let must_deny = !task.groups.is_empty() && own_group && !has(CAP_SETGID);
    let setgroups = match (task.setgroups, must_deny) {
        (Some(true), true) => {
            return Err(Error::input(
                "setgroups cannot be allowed with a single group of an ordinary user",
                "leave --setgroups out, or map a range with --map-auto",
            ));
        }
        (asked, must) => asked.or(must.then_some(false)),
    };
    if let Some(allow) = setgroups {
        write(helped, "setgroups", if allow { "allow" } else { "deny" })?;
    }
    for (file, program, ranges, direct) in [
        ("gid_map", "newgidmap", &task.groups, own_group || has(CAP_SETGID)),
        (
            "uid_map",
            "newuidmap",
            &task.users,
            own(&task.users, rustix::process::geteuid().as_raw()) || has(CAP_SETUID),
        ),
    ] {
        match (ranges.is_empty(), direct) {
            (true, _) => {}
            (false, true) => write(helped, file, &maps::text(ranges))?,
            (false, false) => by_program(program, helped, ranges)?,
        }
    }
    Ok(())
}

/// One write with all lines: the kernel takes a map once.
fn write(helped: i32, file: &str, text: &str) -> Result<(), Error> {
    let path = format!("/proc/{helped}/{file}");
    let failed = |call, errno: rustix::io::Errno| {
        let hint = match errno {
            rustix::io::Errno::PERM => {
                Some("an ordinary user can map itself only, or what newuidmap(1) allows")
            }
            rustix::io::Errno::INVAL => Some("ids are mapped twice, or not known in this user namespace"),
            _ => None,
        };
        let what = format!("write `{}` to the new user namespace's {file}", text.trim().replace('\n', ", "));
        Error::step_with(what, SyscallError::new(call, path.clone(), errno), hint)
    };
    let fd = rustix::fs::open(Path::new(&path), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| failed("open", errno))?;
    rustix::io::write(&fd, text.as_bytes()).map(drop).map_err(|errno| failed("write", errno))
}

/// newuidmap(1) and newgidmap(1) write what /etc/subuid and /etc/subgid allow.
fn by_program(program: &'static str, helped: i32, ranges: &[IdRange]) -> Result<(), Error> {
    let numbers = ranges.iter().flat_map(|range| [range.inside, range.outside, range.count]);
    let output = Command::new(program)
        .arg(helped.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::IO.raw()));
        Error::step_with(
            "map ids of the user namespace",
            SyscallError::new("execve", program, errno),
            Some("install newuidmap and newgidmap (package uidmap), or map a single id"),
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Refused {
        what: format!("{program} maps no ids: {}", crate::text::printable(said.trim())),
        kind: report::Kind::PermissionDenied,
        hint: Some("/etc/subuid and /etc/subgid list what may be mapped".to_owned()),
    })
}

/// An error as a line for the pipe.
fn encode(error: &Error) -> Vec<u8> {
    let (what, call, subject, errno, hint) = match error {
        Error::Step { what, cause, hint } => {
            (what.as_str(), cause.call, cause.subject.as_str(), cause.errno.raw(), hint.unwrap_or(""))
        }
        Error::Refused { what, hint, .. } => (what.as_str(), "", "", 0, hint.as_deref().unwrap_or("")),
        Error::Program { program, cause } => (program.as_str(), cause.call, "", cause.errno.raw(), ""),
    };
    format!("{what}\0{call}\0{subject}\0{errno}\0{hint}").replace('\n', " ").into_bytes()
}

/// The error in a line; none in an empty one.
fn decode(line: &[u8]) -> Option<Error> {
    let text = String::from_utf8_lossy(line);
    if text.is_empty() {
        return None;
    }
    let mut parts = text.split('\0');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let (what, call, subject, errno, hint) = (next(), next(), next(), next(), next());
    let hint = Some(hint).filter(|hint| !hint.is_empty());
    let call = ["open", "write", "mount", "execve"].into_iter().find(|known| *known == call);
    Some(match call {
        Some(call) => {
            let cause = SyscallError::new(call, subject, Errno::from_raw(errno.parse().unwrap_or(0)));
            Error::Step { what, cause, hint: hint.map(|hint| &*hint.leak()) }
        }
        None => Error::Refused { what, kind: report::Kind::PermissionDenied, hint },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_passes_through_the_pipe() {
        let cause = SyscallError::new("write", "/proc/1/uid_map", Errno::PERM);
        let error = Error::step_with("write `0 0 1`", cause, Some("a word"));
        assert_eq!(decode(&encode(&error)), Some(error));
        assert_eq!(decode(b""), None);
    }
}
