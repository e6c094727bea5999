//! Removing a group.

use std::time::{Duration, Instant};

use rustix::io::Errno as Failure;

use super::Cgroup;
use crate::dir::Dir;
use crate::error::Error;

impl Cgroup {
    /// Removes the group in every hierarchy, and the groups below it first. A group is busy for a moment after
    /// its last process was reaped, so `EBUSY` is tried again for at most `patience`.
    ///
    /// Goes on after a failure and returns every error it met; a directory that is gone is none.
    pub fn remove(&self, patience: Duration) -> Result<(), Vec<Error>> {
        let until = Instant::now() + patience;
        let errors: Vec<_> =
            self.groups.iter().filter_map(|group| remove_tree(&group.dir, until, patience).err()).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Removes the groups above this one as far as they were made for it and nobody else uses them.
    pub fn remove_made_parents(&self) {
        for parent in self.groups.iter().flat_map(|group| group.made_parents.iter().rev()) {
            let _ = parent.unmake();
        }
    }
}

/// rmdir(2) first: almost every group has no groups below it.
fn remove_tree(dir: &Dir, until: Instant, patience: Duration) -> Result<(), Error> {
    let mut pause = Duration::from_micros(100);
    loop {
        match dir.unmake() {
            Ok(()) | Err(Failure::NOENT) => return Ok(()),
            // cgroupfs says EBUSY for both: a process in it, or a group below it.
            Err(Failure::BUSY | Failure::NOTEMPTY) => {}
            Err(errno) => return Err(dir.failed("rmdir", "", errno)),
        }
        match dir.children() {
            Ok(children) => {
                children.iter().try_for_each(|name| remove_tree(&dir.child(name), until, patience))?;
                if !children.is_empty() && dir.unmake().is_ok() {
                    return Ok(());
                }
            }
            Err(Failure::NOENT) => return Ok(()),
            Err(errno) => return Err(dir.failed("getdents", "", errno)),
        }
        if Instant::now() >= until {
            let waited_ms = patience.as_millis() as u64;
            return Err(Error::TimedOut { group: dir.path(), wanted: "removed", waited_ms });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
