//! What a launch leaves in a container's layer, and nobody else made: empty files and directories to mount something on.

use images::files::changes::{Change, What};

use crate::containers::Definition;

/// Where something is mounted in every container.
const USUAL: [&str; 8] =
    ["/dev", "/proc", "/run", "/sys", "/tmp", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The places of a container, as changes call them, that something is mounted on.
pub(super) fn places(definition: &Definition) -> Vec<Vec<u8>> {
    let asked = definition.request.mounts.iter().map(|mount| mount.destination().as_path());
    asked
        .chain(USUAL.iter().map(std::path::Path::new))
        .map(|path| path.to_string_lossy().trim_matches('/').as_bytes().to_vec())
        .collect()
}

/// Leaves out the changes that are no more than `places` being there. `is_empty` tells whether a new entry has nothing in it, and
/// `is_same` whether a directory is as it was but for what is in it.
pub(super) fn leave_out(
    changes: Vec<Change>,
    places: &[Vec<u8>],
    is_empty: impl Fn(&[u8]) -> bool,
    is_same: impl Fn(&[u8]) -> bool,
) -> Vec<Change> {
    let is_stub = |change: &Change| {
        change.what == What::Added && places.contains(&change.path) && is_empty(&change.path)
    };
    let (stubs, rest): (Vec<_>, Vec<_>) = changes.into_iter().partition(is_stub);
    let below = |directory: &[u8], path: &[u8]| {
        path.strip_prefix(directory).is_some_and(|rest| rest.first() == Some(&b'/'))
    };
    let kept: Vec<Vec<u8>> = rest.iter().map(|change| change.path.clone()).collect();
    let is_only_for_stubs = |change: &Change| {
        change.what == What::Changed
            && stubs.iter().any(|stub| below(&change.path, &stub.path))
            && !kept.iter().any(|path| below(&change.path, path))
            && is_same(&change.path)
    };
    rest.into_iter().filter(|change| !is_only_for_stubs(change)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Vec<Change> {
        let one = |line: &str| {
            let what = match &line[..1] {
                "A" => What::Added,
                "C" => What::Changed,
                _ => What::Deleted,
            };
            Change { path: line.as_bytes()[2..].to_vec(), what }
        };
        text.split(", ").map(one).collect()
    }

    #[test]
    fn only_what_is_there_for_mounts_is_left_out() {
        let places: Vec<Vec<u8>> = ["dev", "etc/hosts", "data"].map(|path| path.as_bytes().to_vec()).to_vec();
        let left = |text: &str, full: &str, other: &str| {
            let outcome = leave_out(
                changes(text),
                &places,
                |path| path != full.as_bytes(),
                |path| path != other.as_bytes(),
            );
            let show = |change: &Change| {
                format!("{} {}", change.what.letter(), String::from_utf8_lossy(&change.path))
            };
            outcome.iter().map(show).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(left("A data, A dev, C etc, A etc/hosts", "", ""), "");
        assert_eq!(left("C etc, A etc/hosts, A etc/own", "", ""), "C etc, A etc/own");
        assert_eq!(left("C etc, A etc/hosts", "etc/hosts", ""), "C etc, A etc/hosts");
        assert_eq!(left("C etc, A etc/hosts", "", "etc"), "C etc");
        assert_eq!(left("C dev, D etc/hosts", "", ""), "C dev, D etc/hosts");
    }
}
