//! A program is executed inside of a network namespace, with a `/sys` and files in `/etc` that belong to it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use sys::raw::{self, Fd};

use super::{CLONE_NEWNET, failed, names, open};
use crate::fail::{Fail, IMPOSSIBLE, WRONG};
use crate::options::Options;

const CLONE_NEWNS: u64 = 0x0002_0000;

/// Where the administrator keeps files for the programs in a namespace.
const FILES: &str = "/etc/netns";

/// `netns exec NAME PROGRAM…`, or `-all netns exec PROGRAM…`
pub(super) fn exec(options: &Options, args: &[OsString]) -> Result<u8, Fail> {
    if options.all {
        let Some(_) = args.first() else { return Err(no_program()) };
        for name in names() {
            super::say(&format!("\nnetns: {name}\n"));
            in_child(&name, args)?;
        }
        return Ok(0);
    }
    let Some((name, program)) = args.split_first() else {
        return Err(Fail::impossible("in which network namespace? Its name is missing"));
    };
    if program.is_empty() {
        return Err(no_program());
    }
    let name = name.to_str().ok_or_else(|| Fail::wrong("the name of the namespace is no UTF-8 text"))?;
    enter(name).map_err(|fail| fail.status(WRONG))?;
    Err(execute(program))
}

fn no_program() -> Fail {
    Fail::impossible("which program? Its name is missing").hint("holm ip netns exec NAME PROGRAM [ARGUMENT…]")
}

/// Becomes the program; what comes back is why not.
fn execute(program: &[OsString]) -> Fail {
    let (name, rest) =
        program.split_first().map_or((OsString::new(), &[][..]), |(name, rest)| (name.clone(), rest));
    let error = Command::new(&name).args(rest).exec();
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let fail =
        failed(format!("cannot execute `{}`", name.display()), "execve", name.display().to_string(), error);
    if missing { fail.hint("no such program in the directories of PATH") } else { fail }
}

/// Runs the program in a child and waits for it.
fn in_child(name: &str, program: &[OsString]) -> Result<(), Fail> {
    match raw::fork() {
        Err(errno) => Err(failed("cannot start a process", "clone", "", errno)),
        Ok(0) => {
            let fail = enter(name).err().unwrap_or_else(|| execute(program));
            eprint!("{}", fail.render());
            raw::exit(IMPOSSIBLE.into())
        }
        Ok(pid) => {
            raw::wait4(pid, 0)
                .map_err(|errno| failed("cannot wait for the program", "wait4", pid.to_string(), errno))?;
            Ok(())
        }
    }
}

/// Joins the namespace, with a mount namespace of its own where `/sys` shows it.
pub(crate) fn enter(name: &str) -> Result<(), Fail> {
    let cannot = || format!("cannot enter network namespace `{name}`");
    let namespace = open(name)?;
    raw::setns(Fd::from(&namespace), CLONE_NEWNET).map_err(|errno| failed(cannot(), "setns", name, errno))?;
    raw::unshare(CLONE_NEWNS).map_err(|errno| failed(cannot(), "unshare", "CLONE_NEWNS", errno))?;
    // What is mounted here must not show elsewhere; what is unmounted elsewhere shall go here too.
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|errno| failed(cannot(), "mount", "MS_SLAVE, /", errno))?;
    // The new one goes on top of the old one: taking that away first, as ip-netns(8) does, lets the kernel wait until no processor looks
    // at it any more. A read-only one is taken away, since it cannot be hidden behind one that can be written.
    let mut flags = MountFlags::empty();
    let read_only = rustix::fs::statvfs("/sys")
        .is_ok_and(|state| state.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
    if read_only && unmount("/sys", UnmountFlags::DETACH).is_err() {
        flags = MountFlags::RDONLY;
    }
    mount(name, "/sys", "sysfs", flags, None)
        .map_err(|errno| failed(cannot(), "mount", "sysfs, /sys", errno))?;
    bind_files(name);
    Ok(())
}

/// Binds the files of `/etc/netns/NAME` over those in `/etc`.
fn bind_files(name: &str) {
    let Ok(entries) = fs::read_dir(format!("{FILES}/{name}")) else { return };
    for entry in entries.flatten() {
        let target = std::path::Path::new("/etc").join(entry.file_name());
        if let Err(errno) = mount_bind(entry.path(), &target) {
            let what = format!("cannot bind {} over {}", entry.path().display(), target.display());
            eprint!(
                "{}",
                failed(what, "mount", target.display().to_string(), errno)
                    .render()
                    .replacen("error:", "warning:", 1)
            );
        }
    }
}
