//! Pseudoterminals by descriptor, never by the name of the other end (ioctl_tty(2)).

use super::{Fd, as_fd, nr, syscall};
use crate::Errno;

/// Unlocks the other end of a pseudoterminal (`TIOCSPTLCK`).
pub fn unlock_pty(master: Fd) -> Result<(), Errno> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    let unlocked = 0i32;
    // SAFETY: the kernel reads one integer.
    unsafe { syscall!(nr::IOCTL, master.arg(), TIOCSPTLCK, &raw const unlocked) }.map(drop)
}

/// Opens the other end of a pseudoterminal (`TIOCGPTPEER`, Linux 4.13), with open(2)'s `flags`.
pub fn open_pty_peer(master: Fd, flags: u64) -> Result<Fd, Errno> {
    const TIOCGPTPEER: usize = 0x5441;
    // SAFETY: integers.
    unsafe { syscall!(nr::IOCTL, master.arg(), TIOCGPTPEER, flags) }.map(as_fd)
}

/// Makes a terminal the controlling one of this session (`TIOCSCTTY`).
pub fn set_controlling_terminal(terminal: Fd) -> Result<(), Errno> {
    const TIOCSCTTY: usize = 0x540e;
    // SAFETY: integers.
    unsafe { syscall!(nr::IOCTL, terminal.arg(), TIOCSCTTY, 0usize) }.map(drop)
}

/// Sets a terminal's size (`TIOCSWINSZ`).
pub fn set_window_size(terminal: Fd, rows: u16, columns: u16) -> Result<(), Errno> {
    const TIOCSWINSZ: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    // SAFETY: the kernel reads a `struct winsize`.
    unsafe { syscall!(nr::IOCTL, terminal.arg(), TIOCSWINSZ, size.as_ptr()) }.map(drop)
}
