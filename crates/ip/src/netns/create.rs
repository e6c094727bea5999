//! Names are given and taken away.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use namespaces::{Kind, hold};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use sys::Errno;
use sys::raw;

use super::{CLONE_NEWNET, DIRECTORY, failed, names, path};
use crate::fail::Fail;
use crate::options::Options;
use crate::words::{Words, number};

/// `netns add NAME`
pub(super) fn add(words: &Words<'_>) -> Result<u8, Fail> {
    let name =
        words.next().ok_or_else(|| Fail::impossible("which name shall the network namespace have?"))?;
    // This process needs no namespace afterwards, so it stays in the new one.
    create(name, "/proc/thread-self/ns/net", || {
        raw::unshare(CLONE_NEWNET).map_err(|errno| {
            failed(format!("cannot make network namespace `{name}`"), "unshare", "CLONE_NEWNET", errno)
        })
    })?;
    Ok(0)
}

/// `netns attach NAME PID`
pub(super) fn attach(words: &Words<'_>) -> Result<u8, Fail> {
    let wanted = || Fail::impossible("`netns attach` takes a name and a process id");
    let (name, pid) = (words.next().ok_or_else(wanted)?, words.next().ok_or_else(wanted)?);
    let pid = number(pid)
        .filter(|pid| *pid != 0 && *pid <= i32::MAX as u64)
        .ok_or_else(|| Fail::impossible(format!("`{pid}` is no process id")))?;
    let source = format!("/proc/{pid}/ns/net");
    create(name, &source, || Ok(()))?;
    Ok(0)
}

/// Makes the file and binds to it what `source` is after `before`.
fn create(name: &str, source: &str, before: impl FnOnce() -> Result<(), Fail>) -> Result<(), Fail> {
    prepare()?;
    let file = path(name);
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o000).open(&file);
    made.map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let fail = failed(format!("cannot make network namespace `{name}`"), "openat", show(&file), error);
        if exists {
            fail.hint(format!("the name is taken; `holm ip netns delete {name}` takes it away"))
        } else {
            fail
        }
    })?;
    let bound = before().and_then(|()| {
        mount_bind(source, &file).map_err(|errno| {
            failed(format!("cannot give a namespace the name `{name}`"), "mount", source, errno)
        })
    });
    if bound.is_err() {
        let _ = unmount(&file, UnmountFlags::DETACH);
        let _ = fs::remove_file(&file);
    }
    bound
}

/// Makes the directory of names as it has to be.
pub(super) fn prepare() -> Result<(), Fail> {
    hold::prepare(Kind::Net).map_err(|cause| {
        let denied = cause.errno == Errno::PERM;
        let fail = Fail::system(format!("cannot prepare {DIRECTORY}"), cause);
        if denied { fail.hint("it takes CAP_SYS_ADMIN; try as root") } else { fail }
    })
}

/// `netns delete NAME`, or `-all netns delete`
pub(super) fn delete(options: &Options, words: &Words<'_>) -> Result<u8, Fail> {
    if options.all {
        for name in names() {
            take_away(&name)?;
        }
        return Ok(0);
    }
    let name =
        words.next().ok_or_else(|| Fail::impossible("which network namespace? Its name is missing"))?;
    take_away(name)?;
    Ok(0)
}

fn take_away(name: &str) -> Result<(), Fail> {
    let file = path(name);
    let _ = unmount(&file, UnmountFlags::DETACH);
    fs::remove_file(&file).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let busy = Errno::from(error);
        let fail = failed(format!("cannot delete network namespace `{name}`"), "unlink", show(&file), busy);
        if missing { fail.hint("`holm ip netns list` lists them") } else { fail }
    })
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
