//! What holds for every command: the flags before its name.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::{self, Arguments};
use rustix::process::{geteuid, getuid};
use sys::SyscallError;

use crate::failure::Failure;
use crate::log::{Format, Log};

/// What `--rootless` says: whether the caller is one who may not make cgroups wherever a configuration wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rootless {
    Yes,
    No,
    /// Who is not root is one, and root of a user namespace.
    Auto,
}

impl Rootless {
    /// From the words before the command's name, which have been found to be right.
    pub(crate) fn of(args: &[OsString]) -> Self {
        let mut value = Self::Auto;
        let mut words = args.iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next().filter(|word| word.starts_with('-')) {
            let given = match word.split_once('=') {
                Some(("--rootless", given)) => Some(given.to_owned()),
                Some(_) => None,
                None if word == "--rootless" => words.next().map(|given| given.into_owned()),
                None => {
                    if cli::takes_a_value(&word) {
                        words.next();
                    }
                    None
                }
            };
            match given.as_deref() {
                Some("true") => value = Self::Yes,
                Some("false") => value = Self::No,
                Some(_) => value = Self::Auto,
                None => {}
            }
        }
        value
    }

    /// Whether the caller is one.
    pub(crate) fn applies(self) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::Auto => !geteuid().is_root() || is_in_user_namespace(),
        }
    }
}

/// Whether this process's user namespace is not the first one, whose inode is `PROC_USER_INIT_INO` (linux/proc_ns.h).
fn is_in_user_namespace() -> bool {
    const FIRST: u64 = 0xeffffffd;
    rustix::fs::stat("/proc/self/ns/user").is_ok_and(|status| status.st_ino != FIRST)
}

/// The global flags, understood.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where records are.
    pub(crate) root: PathBuf,
    /// Cgroups are asked for from systemd.
    pub(crate) systemd_cgroup: bool,
    /// What becomes of a container whose cgroup the caller may not make.
    pub(crate) rootless: Rootless,
    /// Where messages go.
    pub(crate) log: Log,
}

impl Context {
    /// From the arguments of the command, which hold the global ones as well.
    pub(crate) fn new(arguments: &Arguments, rootless: Rootless) -> Result<Self, Failure> {
        let path = |name: &str| arguments.get_one::<PathBuf>(name);
        let format = match arguments.get_one::<String>("log-format").map(String::as_str) {
            Some("json") => Format::Json,
            _ => Format::Text,
        };
        let log = path("log").map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty());
        let root = path("root").cloned().unwrap_or_else(default_root);
        Ok(Self {
            // The record has to be found again from any directory.
            root: std::path::absolute(&root)
                .map_err(|error| SyscallError::new("getcwd", root.display().to_string(), error))?,
            systemd_cgroup: arguments.get_flag("systemd-cgroup"),
            rootless,
            log: Log::open(log, format, arguments.get_flag("debug"))?,
        })
    }
}

/// Where records are when `--root` does not say: for root on tmpfs, for others in their runtime directory, and so for who became root
/// of a user namespace.
fn default_root() -> PathBuf {
    let directory = std::env::var_os("XDG_RUNTIME_DIR");
    if geteuid().is_root() && getuid().is_root() {
        let was_other =
            || std::env::var_os("USER").is_none_or(|user| user != "root") && is_in_user_namespace();
        if directory.is_none() || !was_other() {
            return PathBuf::from("/run/holm-runtime");
        }
    }
    match directory {
        Some(dir) => PathBuf::from(dir).join("holm-runtime"),
        None => PathBuf::from(format!("/tmp/holm-runtime-{}", geteuid().as_raw())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rootless_is_what_stands_before_the_command() {
        for (line, expected) in [
            ("run web", Rootless::Auto),
            ("--rootless true run web", Rootless::Yes),
            ("--rootless=false --root /r run web", Rootless::No),
            ("--root --rootless --log=/l --rootless=true run web", Rootless::Yes),
            ("--rootless true --rootless auto run web", Rootless::Auto),
            ("spec --rootless", Rootless::Auto),
            ("--debug spec --rootless=true", Rootless::Auto),
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(Rootless::of(&args), expected, "{line}");
        }
    }
}
