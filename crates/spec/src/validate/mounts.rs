//! Rules of the `mounts` section.

use super::{Findings, ids};
use crate::config::{Mount, Spec};
use crate::linux::NamespaceType;
use crate::mount_options::{self, MountOptions};

pub(super) fn check(spec: &Spec, findings: &mut Findings) {
    for (at, mount) in spec.mounts.iter().enumerate() {
        if mount.destination.is_empty() {
            findings
                .wrong(format_args!("mounts[{at}].destination"), "is empty; it is a path in the container");
        } else if !mount.destination.starts_with('/') {
            let wrong =
                format!("`{0}` is relative, which is deprecated; it is taken as `/{0}`", mount.destination);
            findings.warn(format_args!("mounts[{at}].destination"), wrong);
        }
        match mount_options::parse(mount) {
            Ok(options) => check_kind(spec, at, mount, &options, findings),
            Err(refused) => findings.wrong(
                format_args!("mounts[{at}].options[{}]", refused.index),
                format!("`{}` {}", refused.option, refused.wrong),
            ),
        }
    }
}

fn check_kind(spec: &Spec, at: usize, mount: &Mount, options: &MountOptions, findings: &mut Findings) {
    let made = !options.remount && options.propagation.is_empty();
    if options.is_bind() {
        if mount.source.is_empty() && made {
            findings.wrong(format_args!("mounts[{at}].source"), "is missing; a bind mount needs one");
        }
    } else if mount.fstype.is_empty() && made {
        let wrong =
            "is missing; it is a filesystem such as `tmpfs`, or one of the options is `bind` or `rbind`";
        findings.wrong(format_args!("mounts[{at}].type"), wrong);
    }
    let (uids, gids) = (&mount.uid_mappings, &mount.gid_mappings);
    if uids.is_empty() != gids.is_empty() {
        let (there, missing) = if gids.is_empty() { ("uid", "gid") } else { ("gid", "uid") };
        findings.wrong(
            format_args!("mounts[{at}].{missing}Mappings"),
            format!("is missing; {there}Mappings needs it"),
        );
    }
    if !uids.is_empty() || !gids.is_empty() {
        if !options.is_bind() {
            findings.wrong(
                format_args!("mounts[{at}].uidMappings"),
                "is for bind mounts only; add `bind` or `rbind`",
            );
        }
        ids::check(format_args!("mounts[{at}].uidMappings"), uids, findings);
        ids::check(format_args!("mounts[{at}].gidMappings"), gids, findings);
    } else if options.idmap.is_some() && spec.linux.namespace(NamespaceType::User).is_none() {
        let wrong =
            "asks for an id-mapped mount: it needs uidMappings and gidMappings, or a `user` namespace";
        findings.wrong(format_args!("mounts[{at}].options"), wrong);
    }
}
