//! The child that answers, as the keeper sees it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sys::raw::{self, Fd};
use sys::{Errno, SyscallError, channel, memfd};

use super::bound::Bound;
use crate::server::{self, order};

/// How long it may take to read a table.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Answerer {
    control: OwnedFd,
    pid: i32,
    /// The numbers of the table that was sent last, and of the one that it has read.
    sent: u64,
    read: u64,
}

impl Answerer {
    /// Starts a child and gives it the sockets that are there.
    pub(super) fn start(bound: &[&Bound]) -> Result<Self, SyscallError> {
        let (control, other) = channel::pair()?;
        match raw::fork().map_err(|errno| SyscallError::new("clone", "", errno))? {
            0 => child(&other),
            pid => {
                drop(other);
                let answerer = Self { control, pid, sent: 0, read: 0 };
                for bound in bound {
                    answerer.open(bound);
                }
                Ok(answerer)
            }
        }
    }

    /// Hands a network's sockets over. One that died meanwhile is noticed by [`Answerer::hear`].
    pub(super) fn open(&self, bound: &Bound) {
        for (socket, stream) in &bound.sockets {
            let order = if *stream { order::STREAMS } else { order::DATAGRAMS };
            let message = [&[order], bound.network.as_bytes()].concat();
            let _ = channel::send(&self.control, &message, &[socket.as_fd()]);
        }
    }

    pub(super) fn close(&self, network: &str) {
        let _ = channel::send(&self.control, &[&[order::CLOSE], network.as_bytes()].concat(), &[]);
    }

    pub(super) fn publish(&mut self, text: &str) {
        let Ok(file) = memfd::sealed(c"holm-dns", false, &[text.as_bytes()]) else { return };
        self.sent += 1;
        let message =
            [&[order::TABLE] as &[u8], &self.sent.to_le_bytes(), &(text.len() as u64).to_le_bytes()].concat();
        let _ = channel::send(&self.control, &message, &[file.as_fd()]);
    }

    /// Waits until the newest table is in use, or the child is dead, or too slow.
    pub(super) fn wait(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.read < self.sent {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match poll(&mut [PollFd::new(&self.control, PollFlags::IN)], Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(0) | Err(_) => return,
                // Its death is left to be heard of in its turn.
                Ok(_) if !self.hear() => return,
                Ok(_) => {}
            }
        }
    }

    /// Hears what the child says; false when it is dead.
    pub(super) fn hear(&mut self) -> bool {
        let mut message = [0; 64];
        match channel::receive(&self.control, &mut message) {
            Ok((8.., _)) => {
                self.read = u64::from_le_bytes(*message.first_chunk().unwrap_or(&[0; 8]));
                true
            }
            _ => false,
        }
    }
}

impl AsFd for Answerer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        // The end of the socket is its end: it holds nothing that would have to be saved.
        let _ = rustix::net::shutdown(&self.control, rustix::net::Shutdown::Both);
        let _ = raw::wait4(self.pid, 0);
    }
}

/// The child's life. It keeps nothing of the keeper's but its end of the socket, which becomes its standard input.
fn child(control: &OwnedFd) -> ! {
    let only = raw::dup3(Fd::from(control), Fd(0)).and_then(|()| close_others());
    let outcome = only.is_ok()
        && std::io::stdin().as_fd().try_clone_to_owned().is_ok_and(|control| server::serve(control).is_ok());
    raw::exit(i32::from(!outcome))
}

/// Closes all descriptors but standard input.
fn close_others() -> Result<(), Errno> {
    match raw::close_range(1, u32::MAX) {
        // Before Linux 5.9. Descriptors get the lowest free numbers, so those of a keeper with many networks lie here too.
        Err(Errno::NOSYS) => {
            for number in 1..65536 {
                let _ = raw::close(Fd(number));
            }
            Ok(())
        }
        outcome => outcome,
    }
}
