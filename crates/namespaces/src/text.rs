//! Texts of /proc, read and taken apart. Nothing of the parsing fails: what is not understood is left out, so that
//! a line of a newer kernel, or of a process that is just going, does not spoil the rest.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use sys::SyscallError;

use crate::kind::Id;

/// A whole file of /proc.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, SyscallError> {
    let failed = |call, errno: rustix::io::Errno| SyscallError::new(call, path.display().to_string(), errno);
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
        .map_err(|errno| failed("open", errno))?;
    let mut bytes = Vec::with_capacity(1024);
    let mut chunk = [0u8; 4096];
    loop {
        match rustix::io::read(&fd, &mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed("read", errno)),
        }
    }
}

/// The same as text, empty where it cannot be read.
pub fn read_lossy(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&read(path.as_ref()).unwrap_or_default()).into_owned()
}

/// The namespaces that the lines of a mountinfo show as mounted (type `nsfs`), with where.
pub fn namespace_mounts(mountinfo: &[u8]) -> Vec<(Id, PathBuf)> {
    let lines = mountinfo.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let (root, point) = (fields.nth(3)?, fields.next()?);
            fields.by_ref().find(|&field| field == b"-")?;
            (fields.next()? == b"nsfs").then_some(())?;
            Some((Id::parse(str::from_utf8(root).ok()?)?, unescaped(point)))
        })
        .collect()
}

/// A path with mountinfo's octal escapes (`\040`) undone.
pub fn unescaped(escaped: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\').then(|| tail.get(..3)).flatten();
        let byte = octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The value of a line such as `Uid:\t0\t0\t0\t0` of `/proc/PID/status`, as words.
pub fn status_words<'a>(status: &'a str, key: &str) -> Option<Vec<&'a str>> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.split_ascii_whitespace().collect())
}

/// A command line as people read it: `/proc/PID/cmdline`, or the short name in brackets where that is empty
/// (kernel threads, and processes that are gone). Control characters are shown escaped, so that nobody's
/// arguments reach a terminal as they are.
pub fn command(cmdline: &[u8], comm: &str) -> String {
    let words: Vec<_> = cmdline.split(|&byte| byte == 0).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return if comm.trim().is_empty() { String::new() } else { format!("[{}]", printable(comm.trim())) };
    }
    let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    printable(&words.join(" "))
}

/// `text` without control characters.
pub fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The container that the groups in a `/proc/PID/cgroup` belong to, by the names that engines give: the engine and
/// the container's id.
pub fn container(cgroup: &str) -> Option<(&'static str, String)> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let names: Vec<_> = path.split('/').filter(|name| !name.is_empty()).collect();
        if let Some(found) = names.iter().rev().find_map(|name| scope(name)) {
            return Some(found);
        }
        // Engines without systemd: /docker/ID, /lxc.payload.NAME, /kubepods/…/ID.
        let docker = names.windows(2).find(|pair| pair[0] == "docker" && is_hex_id(pair[1]));
        let lxc = names.iter().find_map(|name| name.strip_prefix("lxc.payload."));
        let kubernetes =
            names.first().filter(|name| **name == "kubepods").and(names.last()).filter(|id| is_hex_id(id));
        docker
            .map(|pair| ("docker", pair[1].to_owned()))
            .or_else(|| lxc.map(|name| ("lxc", name.to_owned())))
            .or_else(|| kubernetes.map(|id| ("kubernetes", (*id).to_owned())))
    })
}

/// `docker-ID.scope` of systemd drivers, `holm-ID`, `libpod-ID`.
fn scope(name: &str) -> Option<(&'static str, String)> {
    let plain = name.strip_suffix(".scope").unwrap_or(name);
    for (prefix, engine) in [
        ("docker-", "docker"),
        ("libpod-", "podman"),
        ("cri-containerd-", "containerd"),
        ("crio-", "cri-o"),
        ("nerdctl-", "containerd"),
    ] {
        if let Some(id) = plain.strip_prefix(prefix).filter(|id| is_hex_id(id)) {
            return Some((engine, id.to_owned()));
        }
    }
    let id = plain.strip_prefix("holm-")?;
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    (!id.is_empty() && id.chars().all(fine)).then(|| ("holm", id.to_owned()))
}

fn is_hex_id(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn mounted_namespaces_are_found_with_their_places() {
        let text = b"23 1 254:0 / / rw - ext4 /dev/root rw\n\
            90 30 0:4 net:[4026532200] /run/netns/blue rw shared:5 - nsfs nsfs rw\n\
            91 30 0:4 mnt:[4026532201] /run/a\\040b rw - nsfs nsfs rw\n\
            92 30 0:4 weird /x rw - nsfs nsfs rw\nshort\n";
        let found = namespace_mounts(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], (Id { kind: Kind::Net, inode: 4_026_532_200 }, "/run/netns/blue".into()));
        assert_eq!(found[1].1, PathBuf::from("/run/a b"));
    }

    #[test]
    fn a_command_reads_as_people_type_it_and_cannot_drive_a_terminal() {
        assert_eq!(command(b"sleep\x0060\0", "sleep\n"), "sleep 60");
        assert_eq!(command(b"", "kthreadd\n"), "[kthreadd]");
        assert_eq!(command(b"a\x1b[2Jb\0", ""), "a\\u{1b}[2Jb");
        assert_eq!(command(b"", ""), "");
    }

    #[test]
    fn containers_are_known_by_their_groups() {
        let id = "0123456789abcdef";
        for (line, engine, expected) in [
            (format!("0::/system.slice/docker-{id}.scope"), "docker", id),
            (format!("4:memory:/docker/{id}"), "docker", id),
            (format!("0::/user.slice/libpod-{id}.scope/container"), "podman", id),
            (format!("0::/kubepods.slice/cri-containerd-{id}.scope"), "containerd", id),
            (format!("5:cpu:/kubepods/burstable/pod1/{id}"), "kubernetes", id),
            ("3:cpu:/\n0::/holm-web".to_owned(), "holm", "web"),
            ("0::/lxc.payload.c1/init.scope".to_owned(), "lxc", "c1"),
        ] {
            assert_eq!(container(&line), Some((engine, expected.to_owned())), "{line}");
        }
        for line in ["0::/", "0::/user.slice/session-2.scope", "0::/docker-desktop", "", "nonsense"] {
            assert_eq!(container(line), None, "{line}");
        }
    }

    #[test]
    fn a_line_of_status_is_split_into_words() {
        let status = "Name:\tx\nUid:\t0\t1\t2\t3\nNSpid:\t40\t1\n";
        assert_eq!(status_words(status, "NSpid"), Some(vec!["40", "1"]));
        assert_eq!(status_words(status, "Gid"), None);
    }
}
