//! The caller's terminal in raw mode, and back.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{OptionalActions, Termios};
use sys::SyscallError;

/// The terminal to put right if this program panics: it is built to abort, so no destructor would run.
static SAVED: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// A terminal in raw mode as long as this lives. Signals that would end the program are to be blocked meanwhile
/// ([`attend`](super::attend) has them so); what remains is SIGKILL.
#[derive(Debug)]
#[must_use = "the terminal is put right when this is dropped"]
pub struct RawMode(());

impl RawMode {
    /// Puts `terminal` into raw mode.
    ///
    /// # Errors
    /// Those of tcgetattr(3) and tcsetattr(3).
    pub fn enter(terminal: impl AsFd) -> Result<Self, SyscallError> {
        let failed = |call| move |errno: rustix::io::Errno| SyscallError::new(call, "the terminal", errno);
        let before = rustix::termios::tcgetattr(&terminal).map_err(failed("tcgetattr"))?;
        let own = rustix::io::fcntl_dupfd_cloexec(&terminal, 3).map_err(failed("fcntl"))?;
        HOOK.call_once(|| {
            let next = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                next(info);
            }));
        });
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some((own, before.clone()));
        let guard = Self(());
        let mut raw = before;
        raw.make_raw();
        rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &raw).map_err(failed("tcsetattr"))?;
        Ok(guard)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // A panic while the lock is held cannot wait for it.
    let Ok(mut saved) = SAVED.try_lock() else { return };
    if let Some((terminal, before)) = saved.take() {
        // After pending output, so that the last line is still written as it was meant.
        let _ = rustix::termios::tcsetattr(&terminal, OptionalActions::Drain, &before);
    }
}

/// Rows and columns of a terminal; none for what is no terminal or does not know.
pub fn size_of(terminal: impl AsFd) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}
