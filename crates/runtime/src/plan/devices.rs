//! Device nodes and the links of /dev.

use std::path::Path;

use init::ops::{Op, Slot};
use spec::{Device, DeviceType};
use sys::{Errno, raw};

use super::mounts::Tree;
use super::namespaces::Namespaces;
use super::{Builder, PlanError};

/// The nodes that every container has (config-linux.md, "Default Devices"): name, major, minor.
pub(crate) const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// The links that every container has: name, target (config-linux.md, "Default Devices"; config.md, "/dev symbolic links").
pub(crate) const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(crate) fn make(
    plan: &mut Builder<'_>,
    tree: &mut Tree,
    namespaces: &Namespaces,
) -> Result<(), PlanError> {
    let launch = plan.launch;
    if !tree.dev_is_bound && !tree.dev_is_filled {
        let dev = directory(plan, tree);
        let fresh = tree.dev.is_some();
        plan.stage("make the default devices", "null, zero, full, random, urandom, tty");
        for (name, major, minor) in DEFAULT {
            let node = Node { name, kind: raw::S_IFCHR, major, minor, mode: 0o666 };
            node_in(plan, dev, &node, Path::new("/dev").join(name).as_path(), fresh, namespaces);
        }
        plan.stage("make the links of /dev", "fd, stdin, stdout, stderr, ptmx");
        for (name, target) in LINKS {
            let (name, target) = (plan.ops.text(name), plan.ops.text(target));
            if !fresh {
                plan.push(Op::Tolerate { errno: Errno::EXIST.raw() as u32, skip: 0 });
            }
            plan.push(Op::MakeLink { target, dir: dev, name });
        }
        tree.dev = Some(dev);
    }
    for device in &launch.spec.linux.devices {
        extra(plan, tree, device, namespaces)?;
    }
    Ok(())
}

/// /dev of the root, where nothing is mounted on it.
fn directory(plan: &mut Builder<'_>, tree: &Tree) -> Slot {
    if let Some(dev) = tree.dev {
        return dev;
    }
    plan.stage("open /dev of the root", "the specification mounts nothing there");
    let dev = plan.ops.slot();
    let path = plan.ops.text("/dev");
    plan.push(Op::EnsureDirectory { root: tree.root, path, no_links: false, out: dev });
    dev
}

struct Node<'a> {
    name: &'a str,
    kind: u32,
    major: u32,
    minor: u32,
    mode: u32,
}

/// Makes one node in a directory. In a user namespace no device can be made: the host's is mounted there instead.
fn node_in(
    plan: &mut Builder<'_>,
    dir: Slot,
    node: &Node<'_>,
    on_host: &Path,
    fresh: bool,
    namespaces: &Namespaces,
) {
    let name = plan.ops.text(node.name);
    let is_device = node.kind != S_IFIFO;
    if namespaces.foreign_ids && is_device {
        let (copy, place) = (plan.ops.slot(), plan.ops.slot());
        let host = plan.ops.text(on_host.as_os_str().as_encoded_bytes());
        plan.push(Op::OpenTree { dir: Slot::CWD, name: host, flags: raw::OPEN_TREE_CLONE, out: copy });
        if node.kind == raw::S_IFCHR {
            // What is mounted as /dev/null and hides other files must be that device (CVE-2025-31133).
            plan.push(Op::CheckDevice { fd: copy, major: node.major, minor: node.minor });
        }
        if !fresh {
            plan.push(Op::Tolerate { errno: Errno::EXIST.raw() as u32, skip: 0 });
        }
        plan.push(Op::MakeNode { dir, name, mode: raw::S_IFREG, device: 0 });
        plan.push(Op::Open { dir, name, flags: raw::O_PATH, out: place });
        let empty = plan.ops.text("");
        plan.push(Op::MoveMount { from: copy, to: place, name: empty });
        plan.ops.close(place);
        plan.ops.close(copy);
        return;
    }
    if !fresh {
        plan.push(Op::Tolerate { errno: Errno::EXIST.raw() as u32, skip: 0 });
    }
    let device = raw::makedev(node.major, node.minor);
    plan.push(Op::MakeNode { dir, name, mode: node.kind | node.mode, device });
    if !fresh && node.kind != raw::S_IFCHR {
        let there = plan.ops.slot();
        plan.push(Op::Open { dir, name, flags: raw::O_PATH, out: there });
        let (kind, major, minor) = (node.kind, node.major, node.minor);
        plan.push(Op::CheckNode { fd: there, kind, major, minor });
        plan.ops.close(there);
    }
    if !fresh && node.kind == raw::S_IFCHR {
        // What was there already may be anything the root's maker chose.
        let there = plan.ops.slot();
        plan.push(Op::Open { dir, name, flags: raw::O_PATH, out: there });
        plan.push(Op::CheckDevice { fd: there, major: node.major, minor: node.minor });
        plan.ops.close(there);
    }
}

const S_IFIFO: u32 = 0o010000;
const S_IFBLK: u32 = 0o060000;

/// A device of the specification, anywhere below the root.
fn extra(
    plan: &mut Builder<'_>,
    tree: &Tree,
    device: &Device,
    namespaces: &Namespaces,
) -> Result<(), PlanError> {
    let path = Path::new(&device.path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(PlanError::invalid(format!("device {}", device.path), "the path names no file"));
    };
    if (!namespaces.foreign_ids || tree.dev_is_filled)
        && parent == Path::new("/dev")
        && is_default(name, device)
    {
        return Ok(());
    }
    let number = |number: i64| {
        u32::try_from(number)
            .map_err(|_| PlanError::invalid(format!("device {}", device.path), "its number is out of range"))
    };
    plan.stage(format!("make the device {}", device.path), "as the specification asks");
    let dir = plan.ops.slot();
    let parent = plan.ops.text(parent.as_os_str().as_encoded_bytes());
    plan.push(Op::EnsureDirectory { root: tree.root, path: parent, no_links: false, out: dir });
    let node = Node {
        name,
        kind: match device.kind {
            DeviceType::Block => S_IFBLK,
            DeviceType::Character | DeviceType::Unbuffered => raw::S_IFCHR,
            DeviceType::Fifo => S_IFIFO,
        },
        major: number(device.major)?,
        minor: number(device.minor)?,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
    };
    node_in(plan, dir, &node, path, false, namespaces);
    let (uid, gid) = (device.uid.unwrap_or(0), device.gid.unwrap_or(0));
    if (uid, gid) != (0, 0) && !(namespaces.foreign_ids && node.kind != S_IFIFO) {
        let name = plan.ops.text(name);
        plan.push(Op::Chown { dir, name, uid, gid });
    }
    plan.ops.close(dir);
    Ok(())
}

/// Whether every container has something of this name in /dev.
pub(crate) fn is_default_name(name: &str) -> bool {
    DEFAULT.iter().any(|(default, ..)| *default == name) || LINKS.iter().any(|(default, _)| *default == name)
}

fn is_default(name: &str, device: &Device) -> bool {
    let same = |(default, major, minor): &(&str, u32, u32)| {
        *default == name && i64::from(*major) == device.major && i64::from(*minor) == device.minor
    };
    let plain = device.uid.unwrap_or(0) == 0 && device.gid.unwrap_or(0) == 0;
    plain && device.file_mode.unwrap_or(0o666) & 0o7777 == 0o666 && DEFAULT.iter().any(same)
}
