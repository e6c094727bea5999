//! Documents that a command line names.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use report::Explain;
use sys::SyscallError;

/// A file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}", path.display())]
pub(super) struct FileFailed {
    pub(super) what: &'static str,
    pub(super) path: PathBuf,
    #[source]
    pub(super) cause: SyscallError,
}

impl Explain for FileFailed {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
}

/// What is in a file, or comes on standard input for `-`; `what` says for what, where it cannot be read.
pub(super) fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, FileFailed> {
    let failed = |error: std::io::Error| FileFailed {
        what,
        path: path.to_owned(),
        cause: SyscallError::new("read", path.display().to_string(), error),
    };
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
    } else {
        bytes = std::fs::read(path).map_err(failed)?;
    }
    Ok(bytes)
}
