//! The object `netns`: network namespaces with names.
//!
//! A name is a file below [`DIRECTORY`] that a namespace is bound to, as iproute2 has it; so both programs see each
//! other's. Ids are the kernel's numbers by which namespaces know each other.

mod create;
mod exec;
mod ids;
mod list;
mod watch;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use sys::raw::{self, Fd};
use sys::{Errno, SyscallError};

pub(crate) use exec::enter;
pub(crate) use ids::{id_or_assign, ids};

use crate::fail::{Fail, IMPOSSIBLE};
use crate::help::{self, Topic};
use crate::options::Options;
use crate::words::{Words, number, short};

/// Where names are.
pub const DIRECTORY: &str = namespaces::hold::NET_DIRECTORY;

const CLONE_NEWNET: u64 = 0x4000_0000;

pub(crate) fn run(options: Options, words: &Words<'_>, args: &[OsString]) -> Result<u8, Fail> {
    let Some(command) = words.next() else { return list::list(options) };
    if let Some(name) = words.peek().filter(|name| !options.all && !valid(name)) {
        return Err(Fail::wrong(format!("`{name}` is no name for a network namespace"))
            .hint("a file name: no `/`, not empty, not `.` or `..`"));
    }
    match command {
        _ if short(command, "list") || short(command, "show") || short(command, "lst") || command == "ls" => {
            list::list(options)
        }
        _ if short(command, "list-id") => ids::list(options, words),
        _ if short(command, "help") => Ok(help::print(Topic::Netns)),
        _ if short(command, "add") => create::add(words),
        _ if short(command, "set") => ids::set(words),
        _ if short(command, "delete") => create::delete(&options, words),
        _ if short(command, "identify") => list::identify(words),
        _ if short(command, "pids") => list::pids(words),
        _ if short(command, "exec") => exec::exec(&options, &args[1..]),
        _ if short(command, "monitor") => watch::monitor(),
        _ if short(command, "attach") => create::attach(words),
        _ => Err(Fail::wrong(format!("`netns` has no command `{command}`"))
            .hint("`holm ip netns help` lists the commands")),
    }
}

/// A name that a file can have.
fn valid(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255 && !name.contains('/') && name != "." && name != ".."
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(DIRECTORY).join(name)
}

/// Opens the namespace with a name, or below a path.
pub(crate) fn open(name: &str) -> Result<OwnedFd, Fail> {
    let path = if name.contains('/') { PathBuf::from(name) } else { path(name) };
    File::open(&path).map(OwnedFd::from).map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let cause = SyscallError::new("openat", path.display().to_string(), error);
        let fail = Fail::system(format!("cannot open network namespace `{name}`"), cause);
        if missing { fail.hint("`holm ip netns list` lists them") } else { fail }
    })
}

/// A namespace that was named, or a process whose namespace is meant.
pub(crate) enum Named {
    Open(OwnedFd),
    Pid(u32),
}

/// The value of `netns`: a name first, then a process id.
pub(crate) fn open_or_pid(word: &str) -> Result<Named, Fail> {
    match (open(word), number(word).and_then(|pid| u32::try_from(pid).ok())) {
        (Ok(namespace), _) => Ok(Named::Open(namespace)),
        (Err(_), Some(pid)) => Ok(Named::Pid(pid)),
        (Err(fail), None) => Err(fail.status(crate::fail::WRONG)),
    }
}

/// Moves this process to the network namespace with a name.
pub(crate) fn join(name: &str) -> Result<(), Fail> {
    let namespace = open(name).map_err(|fail| fail.status(crate::fail::WRONG))?;
    raw::setns(Fd::from(&namespace), CLONE_NEWNET).map_err(|errno| {
        let fail = failed(format!("cannot enter network namespace `{name}`"), "setns", name, errno);
        fail.status(crate::fail::WRONG)
    })
}

fn failed(
    what: impl Into<String>,
    call: &'static str,
    subject: impl Into<String>,
    errno: impl Into<Errno>,
) -> Fail {
    let errno = errno.into();
    let fail = Fail::system(what, SyscallError::new(call, subject, errno)).status(IMPOSSIBLE);
    if errno == Errno::PERM { fail.hint("it takes CAP_SYS_ADMIN; try as root") } else { fail }
}

/// Standard output for those who print without a session.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let _ = std::io::stdout().lock().flush();
}

/// The names, in the directory's own order.
fn names() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(DIRECTORY) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::valid;

    #[test]
    fn a_name_is_a_file_name() {
        for name in ["", ".", "..", "a/b", "/", &"x".repeat(256)] {
            assert!(!valid(name), "{name}");
        }
        assert!(valid("jayce") && valid("-") && valid("a b") && valid(&"x".repeat(255)));
    }
}
