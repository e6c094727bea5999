//! The environment that a program gets, from the one that a document asks for.

use std::collections::HashSet;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use spec::{Hooks, Process};

use crate::passwd;

/// `entries` with the last of each name only, and with `HOME` where it is missing or empty.
///
/// Programs differ in which of two entries of one name they take, so that one must not be there: what looks at the
/// environment before them might see the other. The order is that of the entries which stay.
pub fn settled(entries: &[String], home: impl FnOnce() -> String) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut kept: Vec<&String> =
        entries.iter().rev().filter(|entry| seen.insert(entry.split('=').next())).collect();
    kept.reverse();
    let mut settled: Vec<String> = kept.into_iter().filter(|entry| *entry != "HOME=").cloned().collect();
    if !settled.iter().any(|entry| entry.starts_with("HOME=")) {
        settled.push(format!("HOME={}", home()));
    }
    settled
}

/// The environment of a container's first process, whose root is this directory of the host.
pub fn of_process(process: &Process, root: &Path) -> Vec<String> {
    settled(&process.env, || match File::open(root) {
        Ok(root) => passwd::home(root.as_fd(), process.user.uid),
        Err(_) => "/".to_owned(),
    })
}

/// `hooks` with the environment of the process for `startContainer` hooks that name none, as other runtimes have it: such a hook is
/// started in the place of the process.
pub(crate) fn inherited(hooks: &Hooks, environment: &[String]) -> Hooks {
    let mut hooks = hooks.clone();
    for hook in hooks.start_container.iter_mut().filter(|hook| hook.env.is_empty()) {
        hook.env = environment.to_vec();
    }
    hooks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[&str], expected: &[&str]) {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        assert_eq!(settled(&entries, || "/home/r".to_owned()), expected);
    }

    #[test]
    fn the_last_entry_of_a_name_stays() {
        check(&["A=1", "HOME=/x", "B=2", "A=3"], &["HOME=/x", "B=2", "A=3"]);
        check(&["A=1\nB=2", "B=3", "HOME=/x"], &["A=1\nB=2", "B=3", "HOME=/x"]);
    }

    #[test]
    fn a_missing_or_empty_home_is_the_users() {
        check(&[], &["HOME=/home/r"]);
        check(&["HOME="], &["HOME=/home/r"]);
        check(&["HOME=/x", "HOME="], &["HOME=/home/r"]);
        check(&["HOME=", "HOME=/x"], &["HOME=/x"]);
    }
}
