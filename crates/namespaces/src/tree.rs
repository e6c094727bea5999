//! Namespaces as trees: pid and user namespaces below their parents, the others below their owners. Pure.

use std::collections::BTreeSet;

use crate::find::Namespace;
use crate::kind::Kind;

/// How namespaces are put below each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Pid and user namespaces below their parents; the others stand alone.
    Parent,
    /// Each below the user namespace that owns it.
    Owner,
}

/// The namespaces in the order to print them, each with its depth. A list whose links go round still ends, with each
/// namespace once.
pub fn order(namespaces: &[Namespace], by: By) -> Vec<(usize, &Namespace)> {
    let above = |namespace: &Namespace| -> Option<(Kind, u64)> {
        match by {
            By::Parent => namespace.parent.map(|inode| (namespace.id.kind, inode)),
            By::Owner => namespace.owner.map(|inode| (Kind::User, inode)),
        }
    };
    let there = |(kind, inode): (Kind, u64)| {
        namespaces.iter().any(|other| other.id.kind == kind && other.id.inode == inode)
    };
    let mut seen = BTreeSet::new();
    let mut out = Vec::with_capacity(namespaces.len());
    let roots = namespaces.iter().filter(|namespace| {
        above(namespace).is_none_or(|(kind, inode)| {
            !there((kind, inode)) || (kind, inode) == (namespace.id.kind, namespace.id.inode)
        })
    });
    for root in roots.chain(namespaces) {
        let mut stack = vec![(0, root)];
        while let Some((depth, namespace)) = stack.pop() {
            if !seen.insert(namespace.id) {
                continue;
            }
            out.push((depth, namespace));
            let below = namespaces.iter().filter(|other| {
                above(other) == Some((namespace.id.kind, namespace.id.inode)) && other.id != namespace.id
            });
            let mut below: Vec<_> = below.map(|other| (depth + 1, other)).collect();
            below.reverse();
            stack.extend(below);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Id;

    fn namespace(kind: Kind, inode: u64, parent: Option<u64>, owner: Option<u64>) -> Namespace {
        Namespace {
            id: Id { kind, inode },
            owner,
            parent,
            owner_uid: None,
            processes: 1,
            first_pid: None,
            uid: None,
            command: String::new(),
            container: None,
            holders: Vec::new(),
        }
    }

    fn shown(namespaces: &[Namespace], by: By) -> String {
        let lines = order(namespaces, by);
        lines.iter().map(|(depth, it)| format!("{}{}\n", " ".repeat(*depth), it.id)).collect()
    }

    #[test]
    fn children_stand_below_their_parents() {
        let all = [
            namespace(Kind::User, 1, None, None),
            namespace(Kind::User, 2, Some(1), Some(1)),
            namespace(Kind::User, 3, Some(2), Some(2)),
            namespace(Kind::Pid, 4, None, Some(1)),
            namespace(Kind::Pid, 5, Some(4), Some(3)),
            namespace(Kind::Net, 6, None, Some(2)),
        ];
        assert_eq!(shown(&all, By::Parent), "user:[1]\n user:[2]\n  user:[3]\npid:[4]\n pid:[5]\nnet:[6]\n");
        assert_eq!(
            shown(&all, By::Owner),
            "user:[1]\n user:[2]\n  user:[3]\n   pid:[5]\n  net:[6]\n pid:[4]\n"
        );
    }

    #[test]
    fn a_parent_that_is_not_in_the_list_is_none_and_a_circle_ends() {
        let all = [namespace(Kind::Pid, 7, Some(99), None)];
        assert_eq!(shown(&all, By::Parent), "pid:[7]\n");
        let circle = [namespace(Kind::Pid, 1, Some(2), None), namespace(Kind::Pid, 2, Some(1), None)];
        assert_eq!(shown(&circle, By::Parent), "pid:[1]\n pid:[2]\n");
    }
}
