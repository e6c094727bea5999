//! What ends a command: an error, and the exit status that goes with it.

use std::process::ExitCode;

use report::{BoxedExplain, Explain};

use crate::log::Log;

/// What a command returns.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// A command's error and its exit status, which is 1 unless the command says otherwise.
#[derive(Debug)]
pub(crate) struct Failure {
    error: BoxedExplain,
    status: u8,
}

impl Failure {
    /// Tells it to a person on standard error, in lines, and to programs in the log, in one line.
    pub(crate) fn report(self, log: &Log) -> ExitCode {
        log.error(&report::one_line(&*self.error));
        eprint!("{}", report::render(&*self.error));
        ExitCode::from(self.status)
    }
}

impl<E: Explain + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: Box::new(error), status: 1 }
    }
}
