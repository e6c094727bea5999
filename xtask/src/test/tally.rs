//! Counting tests from what their harnesses print.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most failed tests that are run again.
const MOST_AGAIN: usize = 10;

/// The sum over all test programs.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Names of tests that skipped themselves, by reason.
    skipped: BTreeMap<String, Vec<String>>,
    failures: Vec<String>,
    passes: BTreeSet<String>,
    /// Tests that failed, and passed when they were run again alone.
    unsteady: Vec<String>,
    /// Runs that ended badly without a failed test to show for it: a build that broke, a test program that died.
    broken: Vec<String>,
}

impl Tally {
    /// Takes one line of output into account.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim_end();
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += number_before(counts, " passed");
            self.failed += number_before(counts, " failed");
            self.ignored += number_before(counts, " ignored");
        } else if let Some((name, reason)) =
            line.strip_prefix("SKIPPED ").and_then(|skip| skip.split_once(": "))
        {
            self.skipped.entry(reason.to_owned()).or_default().push(name.to_owned());
        } else if let Some(name) =
            line.strip_prefix("test ").and_then(|test| test.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        } else if let Some(name) = line.strip_prefix("test ").and_then(|test| test.strip_suffix(" ... ok")) {
            self.passes.insert(name.to_owned());
        }
    }

    /// Names of tests that failed.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Whether what failed are some tests: more than these are no accident, and what broke is not to be run by a test's name.
    pub(crate) fn can_be_tried_again(&self) -> bool {
        (1..=MOST_AGAIN).contains(&self.failures.len()) && self.broken.is_empty()
    }

    /// Takes a second run of the failed tests into account: those that passed in it are unsteady, and not failed.
    pub(crate) fn again(&mut self, second: &Self) {
        let passed = |name: &String| {
            second.passes.contains(name) && !second.failures.iter().any(|failed| failed == name)
        };
        let (unsteady, failures): (Vec<_>, Vec<_>) = self.failures.drain(..).partition(passed);
        self.failures = failures;
        self.failed = self.failed.saturating_sub(unsteady.len() as u64);
        self.passed += unsteady.len() as u64;
        self.unsteady.extend(unsteady);
    }

    /// Notes how a run of several test programs ended.
    pub(crate) fn ended(&mut self, run: &str, success: bool) {
        if !success && self.failed == 0 {
            self.broke(format!("`cargo test {run}` ended badly before its tests could be counted"));
        }
    }

    /// Notes a failure that no test shows.
    pub(crate) fn broke(&mut self, what: String) {
        self.broken.push(what);
    }

    /// Tests that failed so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    pub(crate) fn is_success(&self) -> bool {
        self.failed == 0 && self.broken.is_empty()
    }

    /// Skips by reason, failures by name, and the counts as the last line.
    pub(crate) fn report(&self) -> String {
        let mut text = String::from("\n");
        for (reason, names) in &self.skipped {
            let _ = writeln!(text, "skipped {}: {reason}", names.len());
            names.iter().for_each(|name| text.push_str(&format!("    {name}\n")));
        }
        if self.ignored > 0 {
            let _ = writeln!(text, "skipped {}: marked `ignore`", self.ignored);
        }
        for name in &self.unsteady {
            let _ = writeln!(text, "unsteady, failed and then passed alone: {name}");
        }
        for name in &self.failures {
            let _ = writeln!(text, "failed: {name}");
        }
        for run in &self.broken {
            let _ = writeln!(text, "failed: {run}");
        }
        let _ = writeln!(text, "{}", self.counts());
        text
    }

    /// `3 passed, 0 failed, 1 skipped`.
    pub(crate) fn counts(&self) -> String {
        let skipped: u64 = self.skipped.values().map(|names| names.len() as u64).sum();
        let passed = self.passed.saturating_sub(skipped);
        // A program that dies after a failed test prints no result of its own.
        let failed = self.failed.max(self.failures.len() as u64) + self.broken.len() as u64;
        format!("{passed} passed, {failed} failed, {} skipped", skipped + self.ignored)
    }
}

/// The number that stands before `word`: `3` in `ok. 3 passed; …` for ` passed`.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(output: &str, expected: Expect) {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.line(line));
        expected.assert_eq(&tally.report());
    }

    #[test]
    fn programs_are_added_up_and_skips_are_not_passes() {
        check(
            "test a ... ok\n\
             SKIPPED b: no cgroup v2 here\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test tests::c ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            expect![[r#"

                skipped 1: no cgroup v2 here
                    b
                skipped 1: marked `ignore`
                failed: tests::c
                3 passed, 1 failed, 2 skipped
            "#]],
        );
    }

    #[test]
    fn a_failure_counts_although_its_program_died_before_it_could_tell_its_result() {
        check(
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test a ... FAILED\n\
             test b ... FAILED\n",
            expect![[r#"

                failed: a
                failed: b
                1 passed, 2 failed, 0 skipped
            "#]],
        );
    }

    #[test]
    fn what_passes_alone_is_unsteady_and_what_does_not_has_failed() {
        let (mut tally, mut second) = (Tally::default(), Tally::default());
        for line in ["test a ... ok", "test b ... FAILED", "test c ... FAILED", "test d ... FAILED"] {
            tally.line(line);
        }
        tally.line("test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out");
        // The last is not there at all.
        second.line("test b ... ok");
        second.line("test c ... FAILED");
        tally.again(&second);
        assert!(!tally.is_success());
        expect![[r#"

            unsteady, failed and then passed alone: b
            failed: c
            failed: d
            2 passed, 2 failed, 0 skipped
        "#]]
        .assert_eq(&tally.report());
    }

    #[test]
    fn a_run_that_dies_is_a_failure() {
        let mut tally = Tally::default();
        tally.ended("--doc", false);
        assert!(!tally.is_success());
        assert!(tally.report().ends_with("0 passed, 1 failed, 0 skipped\n"));
    }
}
