//! What was found out about an engine, in the Test Anything Protocol.

/// Prints a line a check as it goes.
#[derive(Debug, Default)]
pub(super) struct Report {
    checks: u32,
    failures: u32,
}

impl Report {
    /// Notes a check; `sentence` says what holds if it went well.
    pub(super) fn check(&mut self, sentence: &str, outcome: Result<(), String>) {
        self.checks += 1;
        match outcome {
            Ok(()) => println!("ok {} - {sentence}", self.checks),
            Err(reason) => {
                self.failures += 1;
                println!("not ok {} - {sentence}", self.checks);
                reason.lines().for_each(|line| println!("#   {line}"));
            }
        }
    }

    pub(super) fn failed(&self) -> bool {
        self.failures > 0
    }
}
