//! The environment that a program gets, from the one that a document asks for.

use std::collections::HashSet;

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
