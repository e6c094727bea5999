//! A flush deletes what a list has, round after round, until a list has nothing.

use netlink::Requests;
use sys::Errno;

use crate::fail::Fail;
use crate::session::Session;

/// The rounds of a flush.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// What is flushed, for people.
    pub(crate) what: &'static str,
    /// The word that iproute2 counts them by.
    pub(crate) counted: &'static str,
    /// What the kernel says of one that has gone by itself meanwhile, which is as good as deleted.
    pub(crate) gone: Errno,
    /// The exit status of a refusal.
    pub(crate) status: u8,
    /// How many there were so far.
    pub(crate) done: u32,
}

impl Rounds {
    /// Deletes what is in `batch` and returns how many that were; none means that the flush is complete.
    pub(crate) fn delete(&mut self, session: &mut Session, mut batch: Requests) -> Result<usize, Fail> {
        let Self { what, counted, gone, status, done } = *self;
        let statistics = session.options.statistics > 0;
        if batch.is_empty() {
            if statistics {
                match done {
                    0 => session.out.text(format_args!("Nothing to flush.\n")),
                    1 => session.out.text(format_args!("*** Flush is complete after 1 round ***\n")),
                    _ => session.out.text(format_args!("*** Flush is complete after {done} rounds ***\n")),
                }
            }
            return Ok(0);
        }
        let count = batch.len();
        let mut refused = None;
        let sent = session.socket.transact_each(&mut batch, |outcome| {
            if let Err(error) = outcome
                && error.errno != gone
                && refused.is_none()
            {
                refused = Some(error);
            }
        });
        sent.map_err(|error| Fail::kernel(format!("cannot flush {what}"), error))?;
        if let Some(refused) = refused {
            return Err(Fail::kernel(format!("cannot flush {what}"), refused.into()).status(status));
        }
        self.done += 1;
        if statistics {
            session.out.text(format_args!("\n*** Round {}, deleting {count} {counted} ***\n", self.done));
        }
        Ok(count)
    }
}
