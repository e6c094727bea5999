//! What ends a command: an error, and the exit status that goes with it.

use std::process::ExitCode;

use report::{BoxedExplain, Explain, Kind};

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
    /// What sort of error it is.
    pub(crate) fn kind(&self) -> Kind {
        self.error.kind()
    }

    /// The same error with another exit status.
    pub(crate) fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// Tells it on standard error, with what to do about it, and in the log. Each takes one line: engines show the last one.
    pub(crate) fn report(self, log: &Log) -> ExitCode {
        let line = report::one_line(&*self.error);
        log.error(&line);
        match report::first_hint(&*self.error) {
            Some(hint) => eprintln!("error: {line} (hint: {})", hint.text()),
            None => eprintln!("error: {line}"),
        }
        ExitCode::from(self.status)
    }
}

impl<E: Explain + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: Box::new(error), status: 1 }
    }
}
