//! `holm ns enter`.

use std::ffi::OsString;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;

use crate::commands::failure::Failure;
use clap::ArgMatches;
use namespaces::enter::{Entry, From, Request};
use namespaces::reference::Reference;
use namespaces::{Error, Kind};
use sys::{Errno, SyscallError};

use crate::cli::ns::KINDS;

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    let entry = Entry::open(request(matches)?)?;
    if entry.ids().iter().any(|id| id.kind == Kind::Mnt) {
        protect_executable()?;
    }
    Ok(entry.run()?)
}

fn request(matches: &ArgMatches) -> Result<Request, Error> {
    let target = super::text(matches, "target").map(super::pid).transpose()?;
    let kinds = KINDS
        .iter()
        .filter_map(|(kind, flag, _)| {
            let from = match super::text(matches, flag)? {
                "" => Ok(From::Target),
                named => Reference::parse(named).map(From::Given),
            };
            Some(from.map(|from| (*kind, from)))
        })
        .collect::<Result<_, Error>>()?;
    let directory = |id: &str| match super::text(matches, id)? {
        "" => Some(From::Target),
        path => Some(From::Given(PathBuf::from(path))),
    };
    let id = |name: &str, flag: &str| {
        let text = super::text(matches, name);
        let id = text.map(|text| super::id_or_follow(text, flag)).transpose()?;
        Ok::<_, Error>(id.map(|id| id.map_or(From::Target, From::Given)))
    };
    Ok(Request {
        target,
        kinds,
        all: matches.get_flag("all"),
        root: directory("root"),
        directory: directory("wd"),
        directory_inside: super::text(matches, "wdns").map(PathBuf::from),
        uid: id("setuid", "--setuid")?,
        gid: id("setgid", "--setgid")?,
        preserve_credentials: matches.get_flag("preserve-credentials"),
        no_fork: matches.get_flag("no-fork"),
        program: matches.get_many::<OsString>("program").into_iter().flatten().cloned().collect(),
    })
}

/// Runs this program again from a sealed copy in memory, with the same arguments.
///
/// A program in the entered mount namespace may be a script whose interpreter is `/proc/self/exe`: executing it executes
/// this program once more, inside, and its file could be written to afterwards (CVE-2019-5736). A sealed copy cannot be
/// changed by anybody.
fn protect_executable() -> Result<(), Error> {
    let own = std::fs::read_link("/proc/self/exe").unwrap_or_default();
    if own.to_string_lossy().starts_with("/memfd:") {
        return Ok(());
    }
    let failed = |call, errno: Errno| {
        Error::step("copy this program", SyscallError::new(call, "/proc/self/exe", errno))
    };
    let bytes = std::fs::read("/proc/self/exe").map_err(|error| failed("read", error.into()))?;
    let copy = sys::memfd::sealed(c"holm", true, &[&bytes])
        .map_err(|cause| Error::step("copy this program", cause))?;
    drop(bytes);
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| "holm".into());
    let error = std::process::Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd()))
        .arg0(name)
        .args(args)
        .exec();
    Err(failed("execve", error.into()))
}
