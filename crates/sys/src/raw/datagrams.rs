//! Many datagrams in one call, and options of internet sockets.

use core::mem::size_of;
use core::ptr::null_mut;

use super::{Fd, nr, syscall};
use crate::Errno;

/// How many datagrams one call moves at most.
pub const MANY: usize = 32;

/// The address of an internet socket as the kernel has it (`struct sockaddr_in6`, or the shorter `sockaddr_in`).
#[repr(C, align(4))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawAddress(pub [u8; 28]);

impl RawAddress {
    /// No address.
    pub const NONE: Self = Self([0; 28]);
    /// `AF_INET`
    pub const V4: u16 = 2;
    /// `AF_INET6`
    pub const V6: u16 = 10;

    /// The family, one of the two above.
    pub const fn family(&self) -> u16 {
        u16::from_ne_bytes([self.0[0], self.0[1]])
    }

    const fn len(&self) -> u32 {
        if self.family() == Self::V4 { 16 } else { 28 }
    }
}

/// `struct iovec`
#[repr(C)]
#[derive(Clone, Copy)]
struct Piece {
    base: *mut u8,
    len: usize,
}

/// `struct msghdr`
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    name: *mut RawAddress,
    name_len: u32,
    pieces: *mut Piece,
    piece_count: usize,
    control: usize,
    control_len: usize,
    flags: i32,
}

/// `struct mmsghdr`
#[repr(C)]
#[derive(Clone, Copy)]
struct Slot {
    header: Header,
    len: u32,
}

const _: () = assert!(size_of::<Slot>() == 64, "64-bit kernels only");

const NO_PIECE: Piece = Piece { base: null_mut(), len: 0 };
const NO_SLOT: Slot = Slot {
    header: Header {
        name: null_mut(),
        name_len: 0,
        pieces: null_mut(),
        piece_count: 0,
        control: 0,
        control_len: 0,
        flags: 0,
    },
    len: 0,
};
const MSG_DONTWAIT: usize = 0x40;

/// Receives up to [`MANY`] datagrams (recvmmsg(2)) without waiting: the n-th to `buffer[n * size..]`, its length and
/// sender to the n-th places of `lengths` and `senders`. One that was longer than `size` has the length 0.
///
/// # Errors
/// `EAGAIN` when there is none; `EINVAL` when the buffer is too small for one.
pub fn receive_many(
    socket: Fd,
    buffer: &mut [u8],
    size: usize,
    lengths: &mut [usize; MANY],
    senders: &mut [RawAddress; MANY],
) -> Result<usize, Errno> {
    const MSG_TRUNC: i32 = 0x20;
    let mut pieces = [NO_PIECE; MANY];
    let mut slots = [NO_SLOT; MANY];
    let mut count = 0;
    for chunk in buffer.chunks_exact_mut(size.max(1)).take(MANY) {
        pieces[count] = Piece { base: chunk.as_mut_ptr(), len: chunk.len() };
        slots[count].header.name = &raw mut senders[count];
        slots[count].header.name_len = size_of::<RawAddress>() as u32;
        slots[count].header.pieces = &raw mut pieces[count];
        slots[count].header.piece_count = 1;
        count += 1;
    }
    if count == 0 {
        return Err(Errno::INVAL);
    }
    // SAFETY: the kernel writes within the slots, and through them within chunks of `buffer` and addresses of `senders`, with
    // their true lengths; all of them outlive the call.
    let received =
        unsafe { syscall!(nr::RECVMMSG, socket.arg(), slots.as_mut_ptr(), count, MSG_DONTWAIT, 0usize) }?;
    for (slot, length) in slots[..received.min(MANY)].iter().zip(lengths) {
        *length = if slot.header.flags & MSG_TRUNC == 0 { slot.len as usize } else { 0 };
    }
    Ok(received.min(MANY))
}

/// Sends datagrams (sendmmsg(2)) without waiting, at most [`MANY`]; each is a piece of `bytes` and where it goes. Returns how
/// many were sent.
///
/// # Errors
/// What the first of them met; `EINVAL` when a piece lies outside of `bytes`.
pub fn send_many(
    socket: Fd,
    bytes: &[u8],
    datagrams: &[(core::ops::Range<usize>, RawAddress)],
) -> Result<usize, Errno> {
    const MSG_NOSIGNAL: usize = 0x4000;
    let mut pieces = [NO_PIECE; MANY];
    let mut slots = [NO_SLOT; MANY];
    let mut count = 0;
    for (range, address) in datagrams.iter().take(MANY) {
        let data = bytes.get(range.clone()).ok_or(Errno::INVAL)?;
        pieces[count] = Piece { base: data.as_ptr().cast_mut(), len: data.len() };
        slots[count].header.name = (&raw const *address).cast_mut();
        slots[count].header.name_len = address.len();
        slots[count].header.pieces = &raw mut pieces[count];
        slots[count].header.piece_count = 1;
        count += 1;
    }
    // SAFETY: the kernel reads slots, pieces and addresses, and writes the slots' own lengths only; all outlive the call.
    unsafe { syscall!(nr::SENDMMSG, socket.arg(), slots.as_mut_ptr(), count, MSG_DONTWAIT | MSG_NOSIGNAL) }
}

/// Ties a socket to a network device (`SO_BINDTODEVICE`, socket(7)): what arrives at others does not reach it.
///
/// # Errors
/// `ENODEV` when there is no such device, `EPERM` without `CAP_NET_RAW` before Linux 5.7.
pub fn bind_to_device(socket: Fd, device: &[u8]) -> Result<(), Errno> {
    const SOL_SOCKET: usize = 1;
    const SO_BINDTODEVICE: usize = 25;
    // SAFETY: the kernel reads the name with the length given.
    unsafe {
        syscall!(nr::SETSOCKOPT, socket.arg(), SOL_SOCKET, SO_BINDTODEVICE, device.as_ptr(), device.len())
    }
    .map(drop)
}
