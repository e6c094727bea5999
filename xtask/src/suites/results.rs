//! What the suites printed, as outcomes of single tests.

use super::catalogue::Suite;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "not ok",
            Self::Skipped => "skip",
        }
    }
}

/// The outcome of every test, by `SUITE FILE: TEST`.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<String, Verdict>);

/// How results differ from a baseline.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) text: String,
    /// Tests that pass in the baseline and not here.
    pub(super) lost: usize,
}

impl Results {
    /// Takes the output of one file of a suite into account.
    pub(crate) fn read(&mut self, suite: Suite, file: &str, output: &str) {
        let mut seen = 0;
        for line in output.lines() {
            let line = line.trim_end();
            let found = match suite {
                Suite::Contest => contest_line(line),
                Suite::Runc | Suite::Crun | Suite::Validation | Suite::Engines => tap_line(line),
            };
            let Some((verdict, name)) = found else { continue };
            seen += 1;
            self.insert(format!("{} {file}: {name}", suite.name()), verdict);
        }
        if seen == 0 {
            self.insert(format!("{} {file}: (says something)", suite.name()), Verdict::Failed);
        }
    }

    /// Names may repeat; each gets a number then.
    fn insert(&mut self, name: String, verdict: Verdict) {
        let mut unique = name.clone();
        let mut count = 1;
        while self.0.contains_key(&unique) {
            count += 1;
            unique = format!("{name} ({count})");
        }
        self.0.insert(unique, verdict);
    }

    /// One test a line: what `--record` writes.
    pub(super) fn to_text(&self) -> String {
        self.0.iter().map(|(name, verdict)| format!("{} {name}\n", verdict.word())).collect()
    }

    /// The inverse of [`Results::to_text`].
    pub(super) fn from_text(text: &str) -> Self {
        let verdicts = [Verdict::Passed, Verdict::Failed, Verdict::Skipped];
        let read = |line: &str| {
            verdicts.iter().find_map(|verdict| {
                let name = line.strip_prefix(verdict.word())?.strip_prefix(' ')?;
                Some((name.to_owned(), *verdict))
            })
        };
        Self(text.lines().filter_map(read).collect())
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.0.values().all(|verdict| *verdict == Verdict::Passed)
    }

    /// A line a suite.
    pub(crate) fn counts(&self) -> String {
        let mut text = String::new();
        for suite in Suite::ALL.into_iter().chain([Suite::Engines]) {
            let of = |wanted: Verdict| {
                self.0
                    .iter()
                    .filter(|(name, verdict)| suite_of(name) == suite.name() && **verdict == wanted)
                    .count()
            };
            let (passed, failed) = (of(Verdict::Passed), of(Verdict::Failed));
            let skipped = of(Verdict::Skipped);
            if passed + failed + skipped > 0 {
                let _ = writeln!(
                    text,
                    "{:<10} {passed:>5} ok {failed:>5} not ok {skipped:>5} skipped",
                    suite.name()
                );
            }
        }
        text
    }

    /// What passes in the baseline and not here, and the other way round. `partly` leaves tests out that did not run here.
    pub(super) fn difference(&self, baseline: &Self, partly: bool) -> Difference {
        let suites: Vec<&str> = self.0.keys().map(|name| suite_of(name)).collect();
        let mut difference = Difference { text: String::new(), lost: 0 };
        let passing = |results: &BTreeMap<String, Verdict>, name: &str| {
            results.get(name).is_some_and(|verdict| *verdict == Verdict::Passed)
        };
        for name in baseline.0.keys().filter(|name| passing(&baseline.0, name)) {
            let ran = self.0.contains_key(name);
            if passing(&self.0, name) || !suites.contains(&suite_of(name)) || (partly && !ran) {
                continue;
            }
            let what = self.0.get(name).map_or("absent", |verdict| verdict.word());
            let _ = writeln!(difference.text, "  - {what}: {name}");
            difference.lost += 1;
        }
        let won: Vec<&String> =
            self.0.keys().filter(|name| passing(&self.0, name) && !passing(&baseline.0, name)).collect();
        for name in &won {
            let _ = writeln!(difference.text, "  + {name}");
        }
        let _ = writeln!(difference.text, "  {} lost, {} won", difference.lost, won.len());
        difference
    }
}

fn suite_of(name: &str) -> &str {
    name.split(' ').next().unwrap_or_default()
}

/// `ok 3 - name # SKIP reason`, as the Test Anything Protocol has it and three programs print it.
fn tap_line(line: &str) -> Option<(Verdict, String)> {
    let (failed, rest) = match line.strip_prefix("not ") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let rest = rest.strip_prefix("ok ")?;
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if number.parse::<u32>().is_err() {
        return None;
    }
    let lower = rest.to_ascii_lowercase();
    let skip = lower.find("# skip").or_else(|| lower.find("#skip"));
    let name = match skip {
        // Some put the name behind the word.
        Some(0) => rest[6..].trim(),
        Some(place) => rest[..place].trim(),
        // crun's tests end in the time they took.
        None => rest.rsplit_once(" # ").map_or(rest, |(name, _)| name).trim(),
    };
    let name = name.strip_prefix("- ").unwrap_or(name).trim().to_owned();
    let verdict = match (failed, skip) {
        (true, _) => Verdict::Failed,
        (false, Some(_)) => Verdict::Skipped,
        (false, None) => Verdict::Passed,
    };
    Some((verdict, name))
}

/// `3 / 12 : name : ok`.
fn contest_line(line: &str) -> Option<(Verdict, String)> {
    if let Some(reason) = line.strip_prefix("not ok 0 ") {
        return Some((Verdict::Failed, reason.to_owned()));
    }
    let (number, rest) = line.split_once(" / ")?;
    number.trim().parse::<u32>().ok()?;
    let (_, rest) = rest.split_once(" : ")?;
    let (name, verdict) = rest.rsplit_once(" : ")?;
    let verdict = match verdict.trim() {
        "ok" => Verdict::Passed,
        "not ok" => Verdict::Failed,
        "skipped" => Verdict::Skipped,
        _ => return None,
    };
    Some((verdict, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn each_dialect_is_read() {
        let mut results = Results::default();
        results.read(Suite::Runc, "run", "1..3\r\nok 1 runc run\r\nnot ok 2 runc run --keep\r\n# (in test)\r\nok 3 pidfd # skip test requires rootless\r\n");
        results.read(
            Suite::Crun,
            "test_start",
            "1..2\nok 1 - start # 0.033s\nok 2 - systemd #SKIP not running on systemd # 0.005s\n",
        );
        results.read(
            Suite::Validation,
            "state",
            "ok 1 - has a pid\n  ---\nok 2 # SKIP no device\nok 1 - has a pid\n1..2\n",
        );
        results.read(
            Suite::Contest,
            "lifecycle",
            "# Start group lifecycle\n1 / 2 : create : ok\n2 / 2 : kill : not ok\n\tno such thing\n# End\n",
        );
        results.read(Suite::Contest, "pidfile", "Error\n");
        expect![[r#"
            ok contest lifecycle: create
            not ok contest lifecycle: kill
            not ok contest pidfile: (says something)
            ok crun test_start: start
            skip crun test_start: systemd
            skip runc run: pidfd
            ok runc run: runc run
            not ok runc run: runc run --keep
            ok validation state: has a pid
            ok validation state: has a pid (2)
            skip validation state: no device
        "#]]
        .assert_eq(&results.to_text());
    }

    #[test]
    fn what_a_baseline_passes_and_we_do_not_is_lost() {
        let baseline =
            Results::from_text("ok runc run: a\nok runc run: b\nnot ok runc run: c\nok crun x: y\n");
        let ours = Results::from_text("ok runc run: a\nnot ok runc run: b\nok runc run: c\n");
        let difference = ours.difference(&baseline, false);
        expect![[r#"
              - not ok: runc run: b
              + runc run: c
              1 lost, 1 won
        "#]]
        .assert_eq(&difference.text);
        assert_eq!(difference.lost, 1);
    }
}
