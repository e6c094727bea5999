//! Who is in a group.

use rustix::io::Errno as Failure;

use super::Cgroup;
use crate::dir::Dir;
use crate::error::Error;
use crate::layout::Version;

impl Cgroup {
    /// The processes in the group and in those below it, as this pid namespace numbers them; those of a pid
    /// namespace outside of it read as 0 and are left out.
    ///
    /// # Errors
    /// When a list cannot be read.
    pub fn processes(&self) -> Result<Vec<u32>, Error> {
        self.tracking().map_or(Ok(Vec::new()), |group| members(&group.dir, "cgroup.procs"))
    }

    /// The threads, likewise.
    ///
    /// # Errors
    /// When a list cannot be read.
    pub fn tasks(&self) -> Result<Vec<u32>, Error> {
        let file = |version| match version {
            Version::V1 => "tasks",
            Version::V2 => "cgroup.threads",
        };
        self.tracking().map_or(Ok(Vec::new()), |group| members(&group.dir, file(group.version)))
    }

    /// Whether no process is in the group or below it.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn is_empty(&self) -> Result<bool, Error> {
        match self.v2().map(|group| group.text("cgroup.events")).transpose()?.flatten() {
            Some(events) => Ok(crate::parse::flat_value(&events, "populated") == Some(0)),
            None => Ok(self.processes()?.is_empty()),
        }
    }
}

/// The numbers in `file` of a directory and of those below it.
pub(super) fn members(dir: &Dir, file: &str) -> Result<Vec<u32>, Error> {
    let mut numbers = Vec::new();
    let mut dirs = vec![dir.clone()];
    while let Some(dir) = dirs.pop() {
        match dir.read(file) {
            Ok(text) => numbers.extend(parse(&text)),
            // Removed meanwhile; a threaded group lists its processes in the one above it.
            Err(Failure::NOENT | Failure::NODEV | Failure::OPNOTSUPP) => {}
            Err(errno) => return Err(dir.failed("read", file, errno)),
        }
        match dir.children() {
            Ok(children) => dirs.extend(children.iter().map(|name| dir.child(name))),
            Err(Failure::NOENT) => {}
            Err(errno) => return Err(dir.failed("getdents", "", errno)),
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

pub(super) fn parse(text: &[u8]) -> impl Iterator<Item = u32> {
    let words = text.split(|byte| byte.is_ascii_whitespace());
    words.filter_map(|word| str::from_utf8(word).ok()?.parse().ok()).filter(|&number| number != 0)
}
