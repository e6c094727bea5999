//! The id mappings of the stage's user namespace.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, openat};
use spec::IdMapping;
use sys::below::Links;
use sys::{SyscallError, mount, raw, resolve};

use super::Cause;
use crate::plan::IdMaps;

/// Writes the mappings of a process's user namespace (user_namespaces(7)).
pub(crate) fn write_maps(pid: i32, maps: &IdMaps) -> Result<(), Cause> {
    if maps.by_helpers {
        // Groups last: newgidmap decides about setgroups(2).
        helper("newuidmap", pid, &maps.uid)?;
        return helper("newgidmap", pid, &maps.gid);
    }
    let proc = mount::private_procfs()?;
    if maps.deny_setgroups {
        write(&proc, pid, "setgroups", "deny")?;
    }
    write(&proc, pid, "gid_map", &lines(&maps.gid))?;
    write(&proc, pid, "uid_map", &lines(&maps.uid))?;
    Ok(())
}

fn lines(maps: &[IdMapping]) -> String {
    maps.iter().map(|map| format!("{} {} {}\n", map.container_id, map.host_id, map.size)).collect()
}

fn write(proc: &OwnedFd, pid: i32, name: &str, text: &str) -> Result<(), SyscallError> {
    let path = PathBuf::from(format!("{pid}/{name}"));
    let file = resolve::open_below(proc.as_fd(), &path, raw::O_WRONLY, Links::Refused)?;
    rustix::io::write(&file, text.as_bytes())
        .map(drop)
        .map_err(|errno| SyscallError::new("write", format!("/proc/{pid}/{name}"), errno))
}

fn helper(program: &'static str, pid: i32, maps: &[IdMapping]) -> Result<(), Cause> {
    let mut command = Command::new(program);
    command.arg(pid.to_string()).stdin(Stdio::null());
    for map in maps {
        command.args([map.container_id, map.host_id, map.size].map(|number| number.to_string()));
    }
    let output = command.output().map_err(|error| Cause::Helper {
        program,
        said: if error.kind() == std::io::ErrorKind::NotFound {
            "it is not installed".to_owned()
        } else {
            error.to_string()
        },
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Cause::Helper { program, said })
}

/// A user namespace with these mappings and no process in it.
pub(crate) fn make_user_namespace(maps: &IdMaps) -> Result<OwnedFd, Cause> {
    let holder = sys::clone::hold(sys::clone::CLONE_NEWUSER)?;
    write_maps(holder.pid(), maps)?;
    Ok(open_user_namespace(holder.pid())?)
}

/// The user namespace of a process.
pub(crate) fn open_user_namespace(pid: i32) -> Result<OwnedFd, SyscallError> {
    open_namespace(pid, "user")
}

/// The network namespace of a process.
pub(crate) fn open_network_namespace(pid: i32) -> Result<OwnedFd, SyscallError> {
    open_namespace(pid, "net")
}

fn open_namespace(pid: i32, kind: &str) -> Result<OwnedFd, SyscallError> {
    let proc = mount::private_procfs()?;
    let path = format!("{pid}/ns/{kind}");
    openat(&proc, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SyscallError::new("openat", format!("/proc/{path}"), errno))
}
