//! What holds for every command: the flags before its name.

use std::path::PathBuf;

use crate::cli::Arguments;
use rustix::process::{geteuid, getuid};
use sys::SyscallError;

use crate::failure::Failure;
use crate::log::{Format, Log};

/// The global flags, understood.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where records are.
    pub(crate) root: PathBuf,
    /// Cgroups are asked for from systemd.
    pub(crate) systemd_cgroup: bool,
    /// Where messages go.
    pub(crate) log: Log,
}

impl Context {
    /// From the arguments of the command, which hold the global ones as well.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Failure> {
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
            log: Log::open(log, format, arguments.get_flag("debug"))?,
        })
    }
}

/// Where records are when `--root` does not say: for root on tmpfs, for others in their runtime directory.
fn default_root() -> PathBuf {
    if geteuid().is_root() && getuid().is_root() {
        return PathBuf::from("/run/holm-runtime");
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => PathBuf::from(dir).join("holm-runtime"),
        None => PathBuf::from(format!("/tmp/holm-runtime-{}", geteuid().as_raw())),
    }
}
