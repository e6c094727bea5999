//! What is inside of a namespace: the few things that tell it from others of its kind.
//!
//! Some of it is asked by a thread that joins the namespace; a mount, pid or user namespace is asked through the
//! files of a process in it.

use std::os::fd::OwnedFd;

use crate::find::{self, Namespace};
use crate::kind::Kind;
use crate::text;

/// What is known, as names and values in the order to print them.
pub type Facts = Vec<(&'static str, String)>;

/// Looks into `namespace`. What may not be seen is left out.
pub fn inside(namespace: &Namespace, fd: &OwnedFd) -> Facts {
    let kind = namespace.id.kind;
    let mut facts = Facts::new();
    let by_process = |file: &str| namespace.first_pid.map(|pid| text::read_lossy(find::proc(pid, file)));
    match kind {
        Kind::User => {
            for (name, file) in [("uid map", "uid_map"), ("gid map", "gid_map"), ("setgroups", "setgroups")] {
                let value = by_process(file).unwrap_or_default();
                let lines =
                    value.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
                let value = lines.collect::<Vec<_>>().join(", ");
                facts.extend((!value.is_empty()).then_some((name, value)));
            }
        }
        Kind::Pid => {
            if let Some(status) = by_process("status")
                && let Some(ids) = text::status_words(&status, "NSpid")
            {
                facts.push(("first process", ids.join(" outside, ") + " inside"));
            }
        }
        Kind::Mnt => {
            if let Some(mounts) = by_process("mountinfo") {
                facts.push(("mounts", mounts.lines().count().to_string()));
                if let Some(root) = mounts.lines().find_map(root_mount) {
                    facts.push(("root", root));
                }
            }
        }
        Kind::Net => {
            let devices = within(fd, kind, "/proc/thread-self/net/dev");
            let names = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
            let names: Vec<_> = names.collect();
            facts.extend((!names.is_empty()).then(|| ("interfaces", names.join(" "))));
        }
        Kind::Ipc => {
            for (name, file) in [
                ("message queues", "/proc/sysvipc/msg"),
                ("semaphore sets", "/proc/sysvipc/sem"),
                ("shared segments", "/proc/sysvipc/shm"),
            ] {
                let lines = within(fd, kind, file).lines().count();
                facts.extend(lines.checked_sub(1).map(|count| (name, count.to_string())));
            }
        }
        Kind::Uts => {
            let name = within(fd, kind, "/proc/sys/kernel/hostname");
            facts.extend((!name.is_empty()).then(|| ("host name", text::printable(name.trim()))));
        }
        Kind::Cgroup => {
            if let Some(groups) = by_process("cgroup") {
                // As this process's own namespace shows them.
                let groups: Vec<_> = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
                let mut distinct = groups.clone();
                distinct.sort_unstable();
                distinct.dedup();
                facts.push(("groups of the first process", text::printable(&distinct.join(" "))));
            }
        }
        Kind::Time => {
            let offsets = by_process("timens_offsets").unwrap_or_default();
            for line in offsets.lines() {
                let words: Vec<_> = line.split_ascii_whitespace().collect();
                let name = match words.first() {
                    Some(&"monotonic") => "monotonic clock ahead",
                    Some(&"boottime") => "boot-time clock ahead",
                    _ => continue,
                };
                facts.push((name, format!("{} s", words.get(1).unwrap_or(&"0"))));
            }
        }
    }
    facts
}

/// A file of /proc as a thread in the namespace sees it; empty where joining is refused. Only for kinds that a single
/// thread can be in.
fn within(fd: &OwnedFd, kind: Kind, file: &str) -> String {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| match sys::ns::join(fd, kind.flag()) {
            Ok(()) => text::read_lossy(file),
            Err(_) => String::new(),
        });
        asked.join().unwrap_or_default()
    })
}

/// `ext4 on /dev/root` from the line of mountinfo for `/`.
fn root_mount(line: &str) -> Option<String> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?;
    let mut words = after.split(' ');
    let (fstype, source) = (words.next()?, words.next()?);
    (point == "/").then(|| text::printable(&format!("{fstype} on {source}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_mount_is_named_by_type_and_source() {
        let line = "23 1 254:0 / / rw,relatime - ext4 /dev/root rw";
        assert_eq!(root_mount(line).as_deref(), Some("ext4 on /dev/root"));
        assert_eq!(root_mount("24 23 0:6 / /dev rw - devtmpfs devtmpfs rw"), None);
    }
}
