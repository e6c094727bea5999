//! A program in new namespaces, or new namespaces held by names.
//!
//! [`Request::check`] finds what contradicts itself, before anything is done; [`Checked::run`] does it: a helper stays
//! behind where one is needed, the namespaces are made, ids mapped, clocks shifted, mounts made private, and the
//! program starts.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags};
use sys::{Errno, SyscallError, raw};

use crate::error::{Error, hint_on_make};
use crate::helper::{Helper, Moment, Task};
use crate::hold::{self, Name, Reserved};
use crate::kind::Kind;
use crate::maps::{self, IdRange};
use crate::newer;
use crate::program::{Identity, execute, in_child};

/// What a new namespace is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// A file that exists.
    File(PathBuf),
    /// A name of ours.
    Name(Name),
}

/// How mounts of a new mount namespace relate to those of the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// Not at all.
    #[default]
    Private,
    /// What is mounted outside appears inside.
    Slave,
    /// Both ways.
    Shared,
    /// As each mount was before.
    Unchanged,
}

impl Propagation {
    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "private" => Some(Self::Private),
            "slave" => Some(Self::Slave),
            "shared" => Some(Self::Shared),
            "unchanged" => Some(Self::Unchanged),
            _ => None,
        }
    }
}

/// What is wanted.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The new namespaces, and what they are bound to.
    pub kinds: Vec<(Kind, Option<Bind>)>,
    /// Start the program in a child, also where nothing needs that.
    pub fork: bool,
    /// User ids to map.
    pub users: Vec<IdRange>,
    /// Group ids to map.
    pub groups: Vec<IdRange>,
    /// Allow or deny setgroups(2).
    pub setgroups: Option<bool>,
    /// How mounts propagate.
    pub propagation: Option<Propagation>,
    /// Mount a new procfs there.
    pub mount_proc: Option<PathBuf>,
    /// The host name.
    pub hostname: Option<String>,
    /// Seconds that the monotonic clock goes ahead.
    pub monotonic_s: Option<i64>,
    /// Seconds that the boot-time clock goes ahead.
    pub boottime_s: Option<i64>,
    /// The root directory.
    pub root: Option<PathBuf>,
    /// The working directory, inside of the root.
    pub directory: Option<PathBuf>,
    /// Who the program runs as.
    pub identity: Identity,
    /// The signal that the child gets when this process dies.
    pub death_signal: Option<i32>,
    /// What to run; `None` only makes what is bound.
    pub program: Option<Vec<OsString>>,
}

/// A request that does not contradict itself.
#[derive(Debug)]
pub struct Checked(Request);

impl Request {
    /// Looks for contradictions, and adds what is implied: `mount_proc` a mount namespace, pid and time namespaces and a
    /// death signal a child.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(mut self) -> Result<Checked, Error> {
        let has = |request: &Self, kind| request.kinds.iter().any(|(it, _)| *it == kind);
        if self.mount_proc.is_some() && !has(&self, Kind::Mnt) {
            self.kinds.push((Kind::Mnt, None));
        }
        let mapped = !self.users.is_empty() || !self.groups.is_empty();
        if mapped && !has(&self, Kind::User) {
            self.kinds.push((Kind::User, None));
        }
        for (given, flag, kind, short) in [
            (self.setgroups.is_some(), "--setgroups", Kind::User, "-U"),
            (self.propagation.is_some(), "--propagation", Kind::Mnt, "-m"),
            (self.hostname.is_some(), "--hostname", Kind::Uts, "-u"),
            (self.monotonic_s.is_some(), "--monotonic", Kind::Time, "-T"),
            (self.boottime_s.is_some(), "--boottime", Kind::Time, "-T"),
        ] {
            if given && !has(&self, kind) {
                let hint = format!("add {short}: otherwise it would change the host's");
                return Err(Error::input(format!("{flag} needs a new {kind} namespace"), &hint));
            }
        }
        if self
            .hostname
            .as_ref()
            .is_some_and(|name| name.is_empty() || name.len() > 64 || name.contains('\0'))
        {
            return Err(Error::input("the host name has to be 1 to 64 bytes long", "choose a shorter one"));
        }
        maps::check(&self.users)?;
        maps::check(&self.groups)?;
        if self.kinds.is_empty() && self.root.is_none() {
            return Err(Error::input("no new namespace is asked for", "name kinds: -m -u -i -n -p -U -C -T"));
        }
        let bound_pid = self.kinds.iter().any(|(kind, bind)| *kind == Kind::Pid && bind.is_some());
        if bound_pid && self.program.is_none() {
            return Err(Error::input(
                "a new pid namespace cannot be held by itself: it is dead without its first process",
                "hold that of a running process (--target PID), or start one: holm ns run --pid=NAME -- PROGRAM",
            ));
        }
        self.fork |= self.program.is_some()
            && (has(&self, Kind::Pid) || has(&self, Kind::Time) || self.death_signal.is_some());
        self.kinds.sort_by_key(|(kind, _)| *kind);
        Ok(Checked(self))
    }
}

impl Checked {
    /// Whether the program gets a process of its own.
    pub fn forks(&self) -> bool {
        self.0.fork
    }

    /// The new namespaces.
    pub fn kinds(&self) -> Vec<Kind> {
        self.0.kinds.iter().map(|(kind, _)| *kind).collect()
    }

    /// Does it: returns the program's status if that runs in a child, 0 without a program, else only on failure. What
    /// was reserved for names is removed again on failure.
    ///
    /// # Errors
    /// The first step that the kernel refuses.
    pub fn run(self) -> Result<u8, Error> {
        let request = self.0;
        let mut task = Task {
            users: request.users.clone(),
            groups: request.groups.clone(),
            setgroups: request.setgroups,
            binds: Vec::new(),
        };
        let mut reserved: Vec<Reserved> = Vec::new();
        for (kind, bind) in &request.kinds {
            match bind {
                None => {}
                Some(Bind::File(path)) => task.binds.push((*kind, path.clone())),
                Some(Bind::Name(name)) => {
                    let place = hold::reserve(*kind, name)?;
                    task.binds.push((*kind, place.path().to_path_buf()));
                    reserved.push(place);
                }
            }
        }
        let helper = if task.is_empty() { None } else { Some(Helper::start(&task)?) };
        let act = |moment| helper.as_ref().map_or(Ok(()), |helper| helper.act(moment));
        let flags = request.kinds.iter().fold(0, |flags, (kind, _)| flags | kind.flag());
        if flags != 0 {
            sys::ns::make(flags).map_err(|cause| {
                let names: Vec<_> = request.kinds.iter().map(|(kind, _)| kind.name()).collect();
                let hint = hint_on_make(cause.errno);
                Error::step_with(format!("make new namespaces: {}", names.join(", ")), cause, hint)
            })?;
        }
        let undo = || drop(act(Moment::Undone));
        let bind = || {
            act(Moment::Made)?;
            match act(Moment::Mounts) {
                Err(Error::Step { cause, .. }) if cause.call == "mount" && cause.errno == Errno::INVAL => {
                    newer::mount_namespace()?;
                    act(Moment::Mounts)
                }
                outcome => outcome,
            }
        };
        bind().and_then(|()| request.settle()).inspect_err(|_| undo())?;
        let names: Vec<_> = reserved.iter().map(|name| name.path().to_path_buf()).collect();
        // From here on a child would remove them as well when it fails.
        reserved.into_iter().for_each(Reserved::keep);
        let finish = || helper.as_ref().map_or(Ok(()), Helper::end);
        let Some(program) = request.program.clone() else {
            finish()?;
            return Ok(0);
        };
        if !request.fork {
            finish()?;
            return request.begin(&program).map(|never| match never {});
        }
        let binds_pid = task.binds.iter().any(|(kind, _)| *kind == Kind::Pid);
        let meanwhile = || {
            if binds_pid {
                act(Moment::Born).inspect_err(|_| {
                    undo();
                    names.iter().for_each(|path| drop(std::fs::remove_file(path)));
                })?;
            }
            Ok(())
        };
        in_child(request.death_signal, || request.begin(&program), || meanwhile().and(finish()))
    }
}

impl Request {
    /// What is done in the new namespaces before there is a child.
    fn settle(&self) -> Result<(), Error> {
        if self.kinds.iter().any(|(kind, _)| *kind == Kind::Mnt) {
            let flags = match self.propagation.unwrap_or_default() {
                Propagation::Private => Some(MountPropagationFlags::PRIVATE),
                Propagation::Slave => Some(MountPropagationFlags::DOWNSTREAM),
                Propagation::Shared => Some(MountPropagationFlags::SHARED),
                Propagation::Unchanged => None,
            };
            if let Some(flags) = flags {
                rustix::mount::mount_change("/", flags | MountPropagationFlags::REC).map_err(|errno| {
                    Error::step("set how mounts propagate", SyscallError::new("mount", "/", errno))
                })?;
            }
        }
        if let Some(name) = &self.hostname {
            raw::sethostname(name.as_bytes()).map_err(|errno| {
                Error::step("set the host name", SyscallError::new("sethostname", name.clone(), errno))
            })?;
        }
        let clocks = [("monotonic", self.monotonic_s), ("boottime", self.boottime_s)];
        for (clock, seconds) in clocks {
            let Some(seconds) = seconds else { continue };
            let file = "/proc/self/timens_offsets";
            std::fs::write(file, format!("{clock} {seconds} 0")).map_err(|error| {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::IO.raw()));
                let hint = (errno == Errno::RANGE)
                    .then_some("the clock would be negative, or beyond the 146 years that the kernel allows");
                let cause = SyscallError::new("write", file, errno);
                Error::step_with(format!("shift the {clock} clock by {seconds} s"), cause, hint)
            })?;
        }
        Ok(())
    }

    /// What the program's own process does.
    fn begin(&self, program: &[OsString]) -> Result<std::convert::Infallible, Error> {
        let failed = |what: String, call, path: &Path, errno: rustix::io::Errno| {
            Error::step(what, SyscallError::new(call, path.display().to_string(), errno))
        };
        if let Some(root) = &self.root {
            let what = || format!("change the root directory to {}", root.display());
            rustix::process::chroot(root).map_err(|errno| failed(what(), "chroot", root, errno))?;
            rustix::process::chdir("/").map_err(|errno| failed(what(), "chdir", root, errno))?;
        }
        if let Some(place) = &self.mount_proc {
            self.new_proc(place)?;
        }
        if let Some(directory) = &self.directory {
            rustix::process::chdir(directory).map_err(|errno| {
                failed("change the working directory".to_owned(), "chdir", directory, errno)
            })?;
        }
        self.identity.assume()?;
        // A change of the user id takes the signal away again (prctl(2), PR_SET_PDEATHSIG).
        if let Some(signal) = self.death_signal {
            raw::prctl(raw::PR_SET_PDEATHSIG, signal as u64, 0).map_err(|errno| {
                let cause = SyscallError::new("prctl", "PR_SET_PDEATHSIG", errno);
                Error::step("let the child die with its parent", cause)
            })?;
        }
        Err(execute(program))
    }

    fn new_proc(&self, place: &Path) -> Result<(), Error> {
        let failed = |errno: Errno| {
            let hint = match errno {
                Errno::PERM => Some(
                    "the kernel wants a pid namespace of one's own (-p), and nothing mounted over parts of the /proc \
                     that is there",
                ),
                _ => None,
            };
            let cause = SyscallError::new("mount", format!("proc, {}", place.display()), errno);
            Error::step_with(format!("mount a new procfs on {}", place.display()), cause, hint)
        };
        if self.propagation == Some(Propagation::Unchanged) || self.propagation == Some(Propagation::Shared) {
            // It must not appear outside. Where nothing is mounted there is nothing to change.
            let _ = rustix::mount::mount_change(
                place,
                MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
            );
        }
        CString::new(place.as_os_str().as_bytes()).map_err(|_| failed(Errno::INVAL))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("proc", place, "proc", flags, None).map_err(|errno| failed(errno.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kinds: &[Kind]) -> Request {
        Request {
            kinds: kinds.iter().map(|&kind| (kind, None)).collect(),
            program: Some(vec!["true".into()]),
            ..Request::default()
        }
    }

    #[test]
    fn what_a_request_implies_is_added() {
        let checked = Request { mount_proc: Some("/proc".into()), ..request(&[Kind::Pid]) }.check().unwrap();
        assert_eq!(checked.kinds(), [Kind::Pid, Kind::Mnt]);
        assert!(checked.forks());
        let users = vec![IdRange { inside: 0, outside: 0, count: 1 }];
        let checked = Request { users, ..request(&[Kind::Uts]) }.check().unwrap();
        assert_eq!(checked.kinds(), [Kind::User, Kind::Uts]);
        assert!(!checked.forks());
        assert!(request(&[Kind::Time]).check().unwrap().forks());
    }

    #[test]
    fn what_would_change_the_host_or_cannot_work_is_refused() {
        let refused = |request: Request| request.check().unwrap_err().to_string();
        let hostname = Request { hostname: Some("x".into()), ..request(&[Kind::Net]) };
        assert_eq!(refused(hostname), "--hostname needs a new uts namespace");
        let clock = Request { boottime_s: Some(1), ..request(&[Kind::Net]) };
        assert_eq!(refused(clock), "--boottime needs a new time namespace");
        let propagation = Request { propagation: Some(Propagation::Slave), ..request(&[Kind::Net]) };
        assert_eq!(refused(propagation), "--propagation needs a new mnt namespace");
        assert_eq!(refused(request(&[])), "no new namespace is asked for");
        let name = Name::parse("x").unwrap();
        let held = Request { kinds: vec![(Kind::Pid, Some(Bind::Name(name)))], ..Request::default() };
        assert!(refused(held).contains("dead without its first process"));
    }
}
