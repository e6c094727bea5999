//! All groups of a host, put together from its hierarchies: on v1 each may have other ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::cgroup::Cgroup;
use crate::dir::Dir;
use crate::error::Error;
use crate::layout::Layout;

/// A group, in whichever hierarchies it exists.
#[derive(Debug)]
pub struct Node {
    /// Its path below the mounts; empty for the topmost.
    pub path: PathBuf,
    /// Its directories.
    pub cgroup: Cgroup,
}

/// The most groups that are read: a host with more is shown in part, and the caller is told.
pub const MAX_GROUPS: usize = 20_000;

/// Every group at or below `top`, parents before their children, children by name. The second value tells whether that is
/// all.
///
/// # Errors
/// When a hierarchy cannot be opened.
pub fn read(layout: &Layout, top: &Path) -> Result<(Vec<Node>, bool), Error> {
    let mut paths: BTreeMap<Vec<OsString>, ()> = BTreeMap::new();
    let mut whole = true;
    for hierarchy in layout.hierarchies() {
        let mount = Dir::open_mount(&hierarchy.mount)?;
        let mut waiting = vec![mount.at(top)];
        while let Some(dir) = waiting.pop() {
            if paths.len() >= MAX_GROUPS {
                whole = false;
                break;
            }
            // A group that is removed meanwhile is none.
            let Ok(children) = dir.children() else { continue };
            paths.insert(dir.below().iter().map(OsString::from).collect(), ());
            waiting.extend(children.iter().map(|name| dir.child(name)));
        }
    }
    let nodes = paths
        .into_keys()
        .map(|names| {
            let path: PathBuf = names.iter().collect();
            let cgroup = Cgroup::at_path(layout, &path)?;
            Ok(Node { path, cgroup })
        })
        .collect::<Result<_, Error>>()?;
    Ok((nodes, whole))
}
