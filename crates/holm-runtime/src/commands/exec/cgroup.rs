//! `exec --cgroup`: a cgroup below the container's, for all hierarchies or by controller.

use std::path::{Component, Path, PathBuf};

use cgroups::{Controller, Recorded};

use super::process::BadRequest;

/// The cgroups that the program joins: the container's own, with what the flags name below them.
pub(super) fn below<'a>(
    mut groups: Vec<Recorded>,
    flags: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<Recorded>, BadRequest> {
    let flags: Vec<&String> = flags.into_iter().collect();
    let mut taken = vec![false; groups.len()];
    for flag in &flags {
        let wrong = |why: &str| BadRequest(format!("--cgroup {}: {why}", flag.escape_debug()));
        let (controllers, path) = match flag.split_once(':') {
            Some((controllers, path)) => (Some(controllers), path),
            None if flags.len() > 1 => return Err(wrong("only one path without a controller is possible")),
            None => (None, flag.as_str()),
        };
        let path = relative(path)
            .ok_or_else(|| wrong("bad sub cgroup path: it may not lead above the container's cgroup"))?;
        let Some(controllers) = controllers else {
            groups.iter_mut().for_each(|group| group.path.push(&path));
            break;
        };
        for name in controllers.split(',') {
            let index = groups.iter().position(|group| serves(group, name));
            let index = index.ok_or_else(|| {
                wrong(&format!("unknown controller {name}: the container has no cgroup of it"))
            })?;
            if std::mem::replace(&mut taken[index], true) {
                // Two controllers of one hierarchy are one cgroup.
                if !groups[index].path.ends_with(&path) {
                    return Err(wrong("another path was given for that hierarchy"));
                }
                continue;
            }
            groups[index].path.push(&path);
        }
    }
    Ok(groups)
}

fn serves(group: &Recorded, name: &str) -> bool {
    match name.strip_prefix("name=") {
        Some(name) => group.controllers.is_empty() && group.mount.ends_with(name),
        None => Controller::from_name(name.as_bytes()).is_some_and(|one| group.controllers.contains(one)),
    }
}

/// The path without a leading slash; none when it leads upwards.
fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => relative.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(relative)
}

#[cfg(test)]
mod tests {
    use cgroups::{ControllerSet, Version};

    use super::*;

    fn groups() -> Vec<Recorded> {
        [("cpu cpuacct", Version::V1), ("memory", Version::V1), ("", Version::V2)]
            .map(|(controllers, version)| Recorded {
                version,
                controllers: ControllerSet::parse(controllers.as_bytes()),
                mount: PathBuf::from("/sys/fs/cgroup").join(controllers.split(' ').next().unwrap()),
                path: PathBuf::from("web"),
            })
            .to_vec()
    }

    fn paths(flags: &[&str]) -> Result<Vec<String>, BadRequest> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let groups = below(groups(), &flags)?;
        Ok(groups
            .iter()
            .map(|group| group.path.components().collect::<PathBuf>().display().to_string())
            .collect())
    }

    #[test]
    fn a_path_is_for_all_hierarchies_or_for_those_named() {
        assert_eq!(paths(&[]).unwrap(), ["web", "web", "web"]);
        assert_eq!(paths(&["sub"]).unwrap(), ["web/sub"; 3]);
        assert_eq!(paths(&["/"]).unwrap(), ["web"; 3]);
        assert_eq!(paths(&["cpu,cpuacct:a", "memory:/b/c"]).unwrap(), ["web/a", "web/b/c", "web"]);
    }

    #[test]
    fn no_path_leads_out_of_the_container() {
        for flags in
            [&["../other"][..], &["a", "b"], &["cpu:../x"], &["pids:x"], &["cpu:a", "cpuacct:b"], &[":x"]]
        {
            assert!(paths(flags).is_err(), "{flags:?}");
        }
    }
}
