//! In which order namespaces are joined. Pure.
//!
//! Joining takes `CAP_SYS_ADMIN` in the user namespace that owns the one joined (setns(2)). Entering a user
//! namespace gives all capabilities there and takes those outside. So what is owned from outside of the
//! entered user namespace has to come before it, and what it owns comes after it: from then on this process
//! can do nothing to the host any more that the entered user namespace could not, and a caller without
//! privileges gets in at all.

use crate::kind::Kind;

/// A namespace to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its kind.
    pub kind: Kind,
    /// The user namespace among those to join, or one below it, owns this one.
    pub owned_inside: bool,
}

/// The indices of `wanted` in the order to join.
pub fn order(wanted: &[Wanted]) -> Vec<usize> {
    let enters_user = wanted.iter().any(|it| it.kind == Kind::User);
    let stage = |it: &Wanted| match it.kind {
        Kind::User => 1,
        _ if enters_user && it.owned_inside => 2,
        _ => 0,
    };
    let mut indices: Vec<_> = (0..wanted.len()).collect();
    indices.sort_by_key(|&index| (stage(&wanted[index]), rank(wanted[index].kind)));
    indices
}

/// Mounts come last within a stage: from then on, paths lead elsewhere. The pid namespace only concerns children.
fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::User => 0,
        Kind::Cgroup => 1,
        Kind::Ipc => 2,
        Kind::Uts => 3,
        Kind::Net => 4,
        Kind::Time => 5,
        Kind::Pid => 6,
        Kind::Mnt => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &[(Kind, bool)]) -> String {
        let wanted: Vec<_> =
            wanted.iter().map(|&(kind, owned_inside)| Wanted { kind, owned_inside }).collect();
        let names: Vec<_> = order(&wanted).into_iter().map(|index| wanted[index].kind.name()).collect();
        names.join(" ")
    }

    #[test]
    fn what_the_user_namespace_owns_comes_after_it() {
        let all = Kind::ALL.map(|kind| (kind, true));
        assert_eq!(names(&all), "user cgroup ipc uts net time pid mnt");
    }

    #[test]
    fn what_the_host_owns_comes_before_the_user_namespace() {
        assert_eq!(
            names(&[(Kind::Mnt, true), (Kind::User, false), (Kind::Net, false), (Kind::Pid, true)]),
            "net user pid mnt"
        );
    }

    #[test]
    fn mounts_come_last_without_a_user_namespace() {
        assert_eq!(names(&[(Kind::Mnt, true), (Kind::Uts, true), (Kind::Pid, false)]), "uts pid mnt");
    }
}
