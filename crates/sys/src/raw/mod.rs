//! System calls as safe functions on plain numbers: no allocation, no standard library, no errno variable.
//!
//! One function a call, named as the call. A descriptor is an [`Fd`], a plain number: owning it is the
//! business of the layers above. Everything unsafe about a call (its pointers) is argued for here;
//! start reading at `call`, the one door to the kernel.

#![allow(unsafe_code)]

mod arch;
mod clock;
mod datagrams;
mod fs;
mod image;
mod landlock;
mod memfd;
mod mount;
mod netlink;
mod process;
mod socket;
mod statmount;
mod terminal;
mod tun;

pub use arch::nr;
pub use clock::*;
pub use datagrams::*;
pub use fs::*;
pub use image::Image;
pub use landlock::*;
pub use memfd::*;
pub use mount::*;
pub use netlink::*;
pub use process::*;
pub use socket::*;
pub use statmount::*;
pub use terminal::*;
pub use tun::*;

use core::ffi::CStr;

use crate::Errno;

/// A descriptor by its number, or [`Fd::CWD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fd(pub i32);

impl Fd {
    /// `AT_FDCWD`: a relative name is looked up in the working directory.
    pub const CWD: Self = Self(-100);
    /// No descriptor.
    pub const NONE: Self = Self(-1);

    const fn arg(self) -> usize {
        self.0 as isize as usize
    }
}

#[cfg(feature = "std")]
impl<T: std::os::fd::AsFd> From<&T> for Fd {
    fn from(fd: &T) -> Self {
        use std::os::fd::AsRawFd;
        Self(fd.as_fd().as_raw_fd())
    }
}

/// The numbers from which the kernel reports errors: -4095 to -1.
const LAST_ERROR: isize = -4095;

/// Makes a call and splits the result register into value and error.
///
/// # Safety
/// As [`arch::syscall6`].
#[inline]
pub(crate) unsafe fn call(number: usize, args: [usize; 6]) -> Result<usize, Errno> {
    // SAFETY: passed on to the caller.
    let result = unsafe { arch::syscall6(number, args) };
    if (LAST_ERROR..0).contains(&result) { Err(Errno::from_raw(-result as i32)) } else { Ok(result as usize) }
}

/// A call of up to six arguments, missing ones zero.
macro_rules! syscall {
    ($number:expr $(, $arg:expr)* $(,)?) => {{
        let given = [$($arg as usize),*];
        let mut args = [0usize; 6];
        let mut index = 0;
        while index < given.len() {
            args[index] = given[index];
            index += 1;
        }
        $crate::raw::call($number, args)
    }};
}
pub(crate) use syscall;

fn text(name: &CStr) -> usize {
    name.as_ptr() as usize
}

/// A name that may be absent: the kernel then gets a null pointer.
fn optional_text(name: Option<&CStr>) -> usize {
    name.map_or(0, |name| name.as_ptr() as usize)
}

fn as_fd(number: usize) -> Fd {
    Fd(number as i32)
}
