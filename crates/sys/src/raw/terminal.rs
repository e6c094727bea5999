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

/// Takes `ONLCR` from a terminal's output modes (`TCGETS`, `TCSETS`): line ends stay as they are written.
pub fn set_plain_lines(terminal: Fd) -> Result<(), Errno> {
    const TCGETS: usize = 0x5401;
    const TCSETS: usize = 0x5402;
    const ONLCR: u32 = 4;
    /// `struct termios` of the kernel: four words of modes, the discipline and 19 characters, 36 bytes.
    #[repr(C)]
    struct Modes([u32; 9]);
    let mut modes = Modes([0; 9]);
    // SAFETY: the kernel writes a `struct termios`.
    unsafe { syscall!(nr::IOCTL, terminal.arg(), TCGETS, &raw mut modes)? };
    modes.0[1] &= !ONLCR;
    // SAFETY: the kernel reads a `struct termios`.
    unsafe { syscall!(nr::IOCTL, terminal.arg(), TCSETS, &raw const modes) }.map(drop)
}
