//! Reading a container's log, over the files that it was spread to or out of the journal, and on as it grows.
//!
//! [`open`] finds where to begin; the reader hands out line after line and, when following, waits for more until the
//! container has ended and its monitor has gone.

mod files;
mod journal;
mod line;
mod tail;

use monitor::{Driver, log::Stream};
use report::{BoxedExplain, Explain, Hint, Kind};

use super::home::{Home, Places};
use crate::host::boxed;

pub use line::Line;

/// Which lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogOptions {
    /// Wait for more.
    pub follow: bool,
    /// Not before this time, in nanoseconds since 1970.
    pub since_ns: Option<u64>,
    /// Not after this time.
    pub until_ns: Option<u64>,
    /// Only so many from the end.
    pub tail: Option<u64>,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the log of container `{name}` cannot be read here: its driver is {driver}")]
struct NoFiles {
    name: String,
    driver: &'static str,
}

impl Explain for NoFiles {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
    fn hint(&self) -> Option<Hint> {
        Some(match self.driver {
            "journald" => Hint::new(format!(
                "journalctl, which reads the journal, is not here; where it is: journalctl CONTAINER_NAME={}",
                self.name
            )),
            _ => Hint::new("make the container with --log-driver json-file to have its output kept"),
        })
    }
}

/// A log that is being read.
#[derive(Debug)]
pub struct LogReader(Source);

#[derive(Debug)]
enum Source {
    Files(Box<files::Files>),
    Journal(journal::Journal),
}

/// Opens a container's log.
///
/// # Errors
/// When it is kept nowhere, or cannot be read.
pub fn open(places: &Places, home: &Home, options: LogOptions) -> Result<LogReader, BoxedExplain> {
    let definition = home.definition().map_err(boxed)?;
    let driver = definition.log.driver;
    let source = match driver {
        _ if driver.is_file() => Source::Files(Box::new(files::open(places, home, &definition, options)?)),
        Driver::Journald if crate::host::in_path(journal::PROGRAM) => {
            Source::Journal(journal::Journal::open(places, home, options)?)
        }
        _ => return Err(boxed(NoFiles { name: definition.name, driver: driver.name() })),
    };
    Ok(LogReader(source))
}

impl LogReader {
    /// The next line; none when there are no more. Waits when following.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next_line(&mut self) -> Result<Option<Line>, BoxedExplain> {
        match &mut self.0 {
            Source::Files(files) => files.next_line(),
            Source::Journal(journal) => journal.next_line(),
        }
    }

    /// Whether a line can be read without waiting, as far as that is known without looking.
    pub fn has_more(&self) -> bool {
        match &self.0 {
            Source::Files(files) => files.has_more(),
            Source::Journal(journal) => journal.has_more(),
        }
    }
}

impl Line {
    /// Whether it is from standard error.
    pub fn is_error(&self) -> bool {
        self.stream == Stream::Error
    }
}
