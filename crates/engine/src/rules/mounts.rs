//! What is mounted besides the root.

use std::path::Path;

use report::Kind;
use spec::{Mount, Propagation};

use super::{Facts, Ids, Refused, Source as Found, refused};
use crate::flags::mount::Mount as Asked;
use crate::flags::namespace::Source;
use crate::flags::volume::{Bind, Idmap};
use crate::request::RunRequest;

/// The file systems every container has, then those asked for, outer ones first. One that is asked for takes
/// the place of a usual one at the same path.
pub(super) fn mounts(request: &RunRequest, facts: &Facts) -> Result<Vec<Mount>, Refused> {
    let mut asked = Vec::new();
    let mut sources = facts.sources.iter();
    for mount in &request.mounts {
        asked.push(match mount {
            Asked::Bind(bind) => bind_mount(bind, sources.next().unwrap_or(&Found::default()), facts)?,
            // What is left of a volume is where it is, and how it is mounted.
            Asked::Volume(volume) => {
                let bind = Bind {
                    source: volume.shown().into(),
                    destination: volume.destination.clone(),
                    options: volume.options.clone(),
                };
                bind_mount(&bind, sources.next().unwrap_or(&Found::default()), facts)?
            }
            Asked::Tmpfs(tmpfs) => Mount {
                destination: tmpfs.destination.as_path().to_string_lossy().into_owned(),
                fstype: "tmpfs".to_owned(),
                source: "tmpfs".to_owned(),
                options: tmpfs.options.to_oci(),
                ..Mount::default()
            },
        });
    }
    asked.sort_by_key(|mount| Path::new(&mount.destination).components().count());
    let mut list = usual(request, facts);
    list.retain(|mount| asked.iter().all(|other| other.destination != mount.destination));
    list.append(&mut asked);
    Ok(list)
}

/// /proc, /sys, /dev and what belongs there, /run and /tmp.
fn usual(request: &RunRequest, facts: &Facts) -> Vec<Mount> {
    let in_userns = facts.ids != Ids::Host;
    let mut list = Vec::new();
    // In a user namespace procfs, sysfs and mqueue can only be mounted when the namespace that they show belongs
    // to it; what is the host's is then bound instead.
    list.push(match in_userns && request.pid == Source::Host {
        true => bound("/proc", &["rbind", "nosuid", "noexec", "nodev"]),
        false => mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    });
    list.push(mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]));
    list.push(devpts(facts));
    let access = if request.privileged { "rw" } else { "ro" };
    list.push(match in_userns && !request.network.is_own() {
        true => bound("/sys", &["rbind", "nosuid", "noexec", "nodev", access, "rslave"]),
        false => mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access]),
    });
    list.push(match in_userns && request.cgroupns != Source::Private {
        true => bound("/sys/fs/cgroup", &["rbind", "nosuid", "noexec", "nodev", access, "rslave"]),
        false => {
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access])
        }
    });
    // What the host does not have cannot be shared, and that is no reason to fail.
    let on_host = |path| facts.ipc_mounts.contains(&path);
    if !in_userns || request.ipc.source == Source::Private {
        list.push(mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]));
    } else if on_host("/dev/mqueue") {
        list.push(bound("/dev/mqueue", &["bind", "nosuid", "noexec", "nodev"]));
    }
    if request.ipc.shared_memory {
        let size = format!("size={}", request.shm_size.map_or(64 << 20, |size| size.get()));
        list.push(match request.ipc.source {
            Source::Host if on_host("/dev/shm") => bound("/dev/shm", &["bind", "nosuid", "noexec", "nodev"]),
            _ => mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]),
        });
    }
    list.push(mount("/run", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=755"]));
    list.push(mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777"]));
    list
}

/// A terminal belongs to the group 5, `tty` by convention, where the container has that id.
fn devpts(facts: &Facts) -> Mount {
    let mut options = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    let has_tty_group = match &facts.ids {
        Ids::Maps(maps) => spec::id_map::to_host(&maps.gids, 5).is_some(),
        Ids::Host | Ids::Join(_) => true,
    };
    if has_tty_group {
        options.push("gid=5");
    }
    mount("/dev/pts", "devpts", "devpts", &options)
}

fn bind_mount(bind: &Bind, found: &Found, facts: &Facts) -> Result<Mount, Refused> {
    let options = &bind.options;
    let mut words = vec![if options.recursive { "rbind" } else { "bind" }, options.propagation.name()];
    words.push(if options.read_only || found.read_only { "ro" } else { "rw" });
    let flags = [(options.no_suid, "nosuid"), (options.no_dev, "nodev"), (options.no_exec, "noexec")];
    words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word));
    let flag = || format!("--volume {}", bind.source.display());
    if options.relabel.is_some() && facts.selinux {
        let advice = "label the files with chcon, or use --security-opt label=disable";
        return refused(flag(), "relabelling files for SELinux is not offered", advice, Kind::Unsupported);
    }
    let mut mount = Mount {
        destination: bind.destination.as_path().to_string_lossy().into_owned(),
        fstype: "bind".to_owned(),
        source: found.path.to_string_lossy().into_owned(),
        ..Mount::default()
    };
    let Ids::Maps(maps) = &facts.ids else {
        if options.idmap == Idmap::Required {
            let advice = "leave out `idmap`, or give the container a user namespace";
            return refused(
                flag(),
                "the container has no user namespace of its own",
                advice,
                Kind::InvalidInput,
            );
        }
        mount.options = words.into_iter().map(str::to_owned).collect();
        return Ok(mount);
    };
    match (options.idmap, &found.no_idmap) {
        (Idmap::Required, Some(reason)) => {
            let advice = "leave out `idmap`: files then keep their owners on the host";
            return refused(
                flag(),
                format!("the owners cannot be mapped: {reason}"),
                advice,
                Kind::Unsupported,
            );
        }
        (Idmap::Off, _) | (Idmap::IfPossible, Some(_)) => {}
        (wanted, None) => {
            // Mounts below may be of file systems that cannot do it: they are only mapped on demand.
            words.push(if wanted == Idmap::Required && options.recursive { "ridmap" } else { "idmap" });
            mount.uid_mappings.clone_from(&maps.uids);
            mount.gid_mappings.clone_from(&maps.gids);
        }
    }
    mount.options = words.into_iter().map(str::to_owned).collect();
    Ok(mount)
}

/// A mount that shall propagate needs a root that lets it through (mount_namespaces(7)).
pub(super) fn root_propagation(request: &RunRequest) -> Option<Propagation> {
    let mut found = None;
    for mount in &request.mounts {
        let Asked::Bind(bind) = mount else { continue };
        match bind.options.propagation {
            Propagation::Shared | Propagation::Rshared => return Some(Propagation::Rshared),
            Propagation::Slave | Propagation::Rslave => found = Some(Propagation::Rslave),
            _ => {}
        }
    }
    found
}

fn mount(destination: &str, fstype: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        fstype: fstype.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..Mount::default()
    }
}

/// The host's own, at the same place.
fn bound(path: &str, options: &[&str]) -> Mount {
    mount(path, "bind", path, options)
}
