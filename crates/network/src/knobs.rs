//! Settings of the host below `/proc/sys/net` that netlink has no words for.
//!
//! A container's packets are forwarded where the link that they come by forwards: holm's own, and those that answers come by. On a host that
//! forwards anyway nothing is changed. Otherwise forwarding is switched on for those links alone, and rules drop whatever they would forward
//! to anywhere but holm's bridges, so that the host is no router for others. What was changed is noted before it is, and is turned back
//! when the last bridge goes.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::facts::HostNetwork;
use crate::host::{Knobs, knobs_path};
use crate::places::Places;

/// A setting, what it is to be, and what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Knob {
    path: PathBuf,
    value: String,
    before: String,
    /// What is said of it; nothing for what is a matter of course.
    say: String,
}

fn ipv4(link: &str, key: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv4/conf").join(link).join(key)
}

fn ipv6(link: &str, key: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv6/conf").join(link).join(key)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Whether the host refuses packets that come by another link than answers to them would leave by (RFC 3704, strict).
pub(crate) fn checks_sources_strictly() -> bool {
    read(&ipv4("all", "rp_filter")).as_deref() == Some("1")
}

/// Writes a setting that is there; one that is not is none of this kernel's.
pub(crate) fn write(path: &Path, value: &str) -> Result<(), Error> {
    write_at(CWD, path, path, value)
}

/// The same from a directory on; `whole` is what it is called in an error.
pub(crate) fn write_at(
    directory: BorrowedFd<'_>,
    path: &Path,
    whole: &Path,
    value: &str,
) -> Result<(), Error> {
    let file = match openat(directory, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        outcome => outcome.map_err(|errno| Error::file(whole, "openat", errno))?,
    };
    rustix::io::write(&file, value.as_bytes()).map_err(|errno| Error::file(whole, "write", errno))?;
    Ok(())
}

/// Links that forward for holm alone, by number, for IPv4 and IPv6.
pub(crate) type Opened = [Vec<u32>; 2];

/// Which links of the host are to forward for holm's sake, and what is set for it. `own` tells which links are holm's. `settled`: only those
/// that do so already count, and nothing is to be set.
pub(crate) fn forwarding(
    places: &Places,
    host: &HostNetwork,
    own: &dyn Fn(&str) -> bool,
    with_ipv6: bool,
    settled: bool,
) -> (Opened, Knobs) {
    let noted = noted(places);
    let mut opened = Opened::default();
    let mut knobs = Knobs::new();
    let is_on = |path: &Path| read(path).as_deref() == Some("1");
    // Links that packets can come back by: those with a route, but for the loopback one.
    let others: Vec<_> = host
        .links
        .iter()
        .filter(|link| link.index != 1 && !own(&link.name) && link.name != crate::host::GATE.0)
        .filter(|link| host.routes.iter().any(|route| route.link == link.index))
        .collect();
    let mut open = |family: usize, path: PathBuf, index: u32, say: String| match read(&path) {
        Some(now) if now != "1" && !settled => {
            knobs.push(Knob { path, value: "1".to_owned(), before: now, say });
            opened[family].push(index);
        }
        Some(_) if noted.iter().any(|knob| knob.path == path) => opened[family].push(index),
        _ => {}
    };
    if !is_on(Path::new("/proc/sys/net/ipv4/ip_forward")) {
        for link in &others {
            let say = format!("{} forwards IPv4 packets of containers now, and no others", link.name);
            open(0, ipv4(&link.name, "forwarding"), link.index, say);
        }
    }
    if !with_ipv6 {
        return (opened, knobs);
    }
    let all = ipv6("all", "forwarding");
    let by_link = ipv6("all", "force_forwarding").exists();
    let by_holm = noted.iter().any(|knob| knob.path == all);
    if by_link && !is_on(&all) {
        for link in &others {
            let say = format!("{} forwards IPv6 packets of containers now, and no others", link.name);
            open(1, ipv6(&link.name, "force_forwarding"), link.index, say);
        }
        for link in host.links.iter().filter(|link| own(&link.name) && !settled) {
            let path = ipv6(&link.name, "force_forwarding");
            if let Some(before) = read(&path).filter(|now| now != "1") {
                knobs.push(Knob { path, value: "1".to_owned(), before, say: String::new() });
            }
        }
    } else if !by_link && (by_holm || !settled && !is_on(&all)) {
        // A host that forwards takes no more advertisements unless it is told to go on: it would lose its own way out.
        for link in &others {
            let path = ipv6(&link.name, "accept_ra");
            if is_on(&path) {
                let say = format!("{} goes on taking router advertisements (accept_ra=2)", link.name);
                knobs.push(Knob { path, value: "2".to_owned(), before: "1".to_owned(), say });
            }
            opened[1].push(link.index);
        }
        if !is_on(&all) {
            let say = "IPv6 packets of containers are forwarded now, and no others; this kernel knows no forwarding by link";
            knobs.push(Knob {
                path: all,
                value: "1".to_owned(),
                before: "0".to_owned(),
                say: say.to_owned(),
            });
        }
    }
    (opened, knobs)
}

/// Notes what is about to be changed, and changes it.
pub(crate) fn turn(places: &Places, knobs: &[Knob], say: &mut dyn FnMut(&str)) -> Result<(), Error> {
    if knobs.is_empty() {
        return Ok(());
    }
    let mut noted = noted(places);
    for knob in knobs {
        if !noted.iter().any(|other| other.path == knob.path) {
            noted.push(knob.clone());
        }
    }
    note(places, &noted)?;
    for knob in knobs {
        write(&knob.path, &knob.value)?;
        if !knob.say.is_empty() {
            say(&knob.say);
        }
    }
    Ok(())
}

/// Turns back what is as holm left it.
pub(crate) fn turn_back(places: &Places) -> Result<(), Error> {
    for knob in noted(places).iter().rev() {
        if read(&knob.path).as_ref() == Some(&knob.value) {
            write(&knob.path, &knob.before)?;
        }
    }
    match fs::remove_file(knobs_path(places)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::file(&knobs_path(places), "unlink", error))
        }
        _ => Ok(()),
    }
}

fn noted(places: &Places) -> Knobs {
    fs::read(knobs_path(places)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn note(places: &Places, knobs: &Knobs) -> Result<(), Error> {
    let path = knobs_path(places);
    let fresh = path.with_extension("new");
    let text = serde_json::to_vec(knobs).unwrap_or_default();
    fs::write(&fresh, text).map_err(|error| Error::file(&fresh, "write", error))?;
    fs::rename(&fresh, &path).map_err(|error| Error::file(&path, "rename", error))
}
