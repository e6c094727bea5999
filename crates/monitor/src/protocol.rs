//! What is spoken between a monitor and those who attach: messages of a sequenced-packet socket, each with its kind first.
//!
//! A client says [`HELLO`] with what it wants. Then it may send input, its end and window sizes; the monitor sends output, and [`EXIT`]
//! when the container has ended. Who breaks the rules is disconnected.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use sys::SyscallError;

/// The socket's name in the run directory.
pub const SOCKET: &str = "attach";
/// The most bytes that a message carries.
pub const CHUNK: usize = 16 * 1024;

/// To the monitor: what the client wants, a byte of [`WANTS_OUTPUT`] and [`GIVES_INPUT`].
pub const HELLO: u8 = b'a';
/// To the monitor: input.
pub const INPUT: u8 = b'i';
/// To the monitor: there is no more input.
pub const INPUT_END: u8 = b'c';
/// To the monitor: rows and columns of the client's terminal, 16 bits each, the lower byte first.
pub const RESIZE: u8 = b'w';
/// To the client: standard output, or what the terminal shows.
pub const OUTPUT: u8 = b'o';
/// To the client: standard error.
pub const ERROR: u8 = b'e';
/// To the client: the container has ended; its status in 32 bits, the lowest byte first.
pub const EXIT: u8 = b'x';
/// To the client: it is attached from here on.
pub const WELCOME: u8 = b'k';

/// The client is sent what the container writes.
pub const WANTS_OUTPUT: u8 = 1;
/// The client sends input.
pub const GIVES_INPUT: u8 = 2;

/// Connects to the monitor whose run directory this is. One that has so many clients already that it takes no more is waited for this long.
///
/// # Errors
/// Those of connect(2): NOENT and CONNREFUSED where there is no monitor, AGAIN where it takes no more clients.
pub fn dial(run_directory: &Path, patience: Option<Duration>) -> Result<OwnedFd, SyscallError> {
    let directory = crate::exit::open_directory(run_directory)?;
    let failed = |call| move |errno: rustix::io::Errno| SyscallError::new(call, SOCKET, errno);
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(failed("socket"))?;
    if patience.is_some() {
        sockopt::set_socket_timeout(&socket, Timeout::Send, patience).map_err(failed("setsockopt"))?;
    }
    connect(&socket, &address(&directory).map_err(failed("connect"))?).map_err(failed("connect"))?;
    Ok(socket)
}

/// The socket's address behind a directory's descriptor: paths may be longer than an address.
pub(crate) fn address(directory: impl AsFd) -> Result<SocketAddrUnix, rustix::io::Errno> {
    use std::os::fd::AsRawFd as _;
    SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", directory.as_fd().as_raw_fd()))
}

/// Sends a message.
///
/// # Errors
/// Those of send(2).
pub fn send(socket: impl AsFd, kind: u8, bytes: &[u8], wait: bool) -> Result<(), rustix::io::Errno> {
    let mut message = [0; CHUNK + 1];
    let bytes = &bytes[..bytes.len().min(CHUNK)];
    message[0] = kind;
    message[1..=bytes.len()].copy_from_slice(bytes);
    let flags = if wait { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::DONTWAIT };
    rustix::net::send(socket, &message[..=bytes.len()], flags).map(drop)
}

/// The message that tells a window's size.
pub fn resize(rows: u16, columns: u16) -> [u8; 4] {
    let (rows, columns) = (rows.to_le_bytes(), columns.to_le_bytes());
    [rows[0], rows[1], columns[0], columns[1]]
}

/// Rows and columns of such a message.
pub fn parse_resize(bytes: &[u8]) -> Option<(u16, u16)> {
    match *bytes {
        [a, b, c, d] => Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]))),
        _ => None,
    }
}
