//! The in-container stage as an executable: entry point, arguments, and what a panic would do.
//!
//! Built by the runtime crate's build script, without the standard library. It is started with one argument,
//! "CONTROL,FILE,OFFSET,LEN": the numbers of the socket to the engine and of the file that holds the program, and where that is in it;
//! or with "CONTROL,KEEP": the program comes over the socket, with the descriptors that it begins with, and will keep no more than these
//! capabilities in the bounding set.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};

use init::player::{self, Begun};
use sys::raw::{Fd, Image, MAX_FDS, PR_SET_DUMPABLE, exit, prctl};

/// Exit status for a stage that was not started by the engine.
const NOT_FOR_PEOPLE: i32 = 125;

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym main,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x0, sp",
    "bl {main}",
    "brk #1",
    main = sym main,
);

/// `stack` is what execve(2) leaves there: the number of arguments, and their addresses.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: the kernel put the count there.
    if unsafe { *stack } != 2 {
        exit(NOT_FOR_PEOPLE);
    }
    // SAFETY: the kernel put the addresses of name and argument behind the count, and the argument is terminated.
    let argument = unsafe { CStr::from_ptr(*stack.add(2) as *const c_char) };
    let mut numbers = argument.to_bytes().split(|byte| *byte == b',').map(number);
    let mut next = || numbers.next().flatten();
    let (Some(control), Some(second)) = (next(), next()) else { exit(NOT_FOR_PEOPLE) };
    let control = Fd(control as i32);
    match (next(), next()) {
        (Some(offset), Some(len)) => match Image::map(Fd(second as i32), offset, len) {
            Ok(image) => player::play(image, control, Begun::default()),
            Err(errno) => player::end(control, 0, 0, errno),
        },
        _ => await_program(control, second as u64),
    }
}

/// Waits for the program, hidden from whoever can see this process, and plays it.
fn await_program(control: Fd, keep: u64) -> ! {
    let mut fds = [Fd::NONE; MAX_FDS];
    let hidden = prctl(PR_SET_DUMPABLE, 0, 0);
    let begun = Begun::meanwhile(keep);
    match hidden.and_then(|_| Image::receive(control, &mut fds)) {
        Ok(Some((image, count))) => {
            player::play(image, control, Begun { received: fds.get(..count).unwrap_or(&[]), ..begun })
        }
        // Nobody wants it any more.
        Ok(None) => exit(0),
        Err(errno) => player::end(control, 0, 0, errno),
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0usize, |number, digit| {
        number.checked_mul(10)?.checked_add(usize::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))
    })
}

unsafe extern "C" {
    /// Defined nowhere.
    fn the_stage_can_panic() -> !;
}

/// What the compiler asks for. Were there any way to get here, the executable could not be linked: that nothing in the stage
/// panics is proven with every build.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: never called.
    unsafe { the_stage_can_panic() }
}

/// What the compiler expects of a C library, in its plainest form: nothing here moves more than a few pages.
mod memory {
    use core::ffi::c_char;

    /// memcpy(3)
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's promise of memcpy(3); the direction flag is clear (System V ABI).
        unsafe {
            core::arch::asm!(
                "rep movsb",
                inout("rdi") to => _, inout("rsi") from => _, inout("rcx") len => _,
                options(nostack, preserves_flags)
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        for index in 0..len {
            // SAFETY: the caller's promise of memcpy(3). Volatile, lest this loop become a call of itself.
            unsafe { to.add(index).write_volatile(from.add(index).read_volatile()) };
        }
        to
    }

    /// memmove(3)
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
        if (to as usize).wrapping_sub(from as usize) >= len {
            // SAFETY: going upwards overwrites nothing that is still to be read.
            return unsafe { memcpy(to, from, len) };
        }
        for index in (0..len).rev() {
            // SAFETY: the caller's promise of memmove(3); going downwards, for the ranges overlap.
            unsafe { to.add(index).write_volatile(from.add(index).read_volatile()) };
        }
        to
    }

    /// memset(3)
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's promise of memset(3); the direction flag is clear (System V ABI).
        unsafe {
            core::arch::asm!(
                "rep stosb",
                inout("rdi") to => _, in("al") byte as u8, inout("rcx") len => _,
                options(nostack, preserves_flags)
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        for index in 0..len {
            // SAFETY: the caller's promise of memset(3). Volatile, lest this loop become a call of itself.
            unsafe { to.add(index).write_volatile(byte as u8) };
        }
        to
    }

    /// memcmp(3)
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
        for index in 0..len {
            // SAFETY: the caller's promise of memcmp(3).
            let (left, right) = unsafe { (left.add(index).read_volatile(), right.add(index).read_volatile()) };
            if left != right {
                return i32::from(left) - i32::from(right);
            }
        }
        0
    }

    /// bcmp(3)
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
        // SAFETY: the caller's promise of bcmp(3), which is that of memcmp(3).
        unsafe { memcmp(left, right, len) }
    }

    /// strlen(3)
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const c_char) -> usize {
        let mut len = 0;
        // SAFETY: the caller's promise of strlen(3): there is a zero byte.
        while unsafe { text.add(len).read_volatile() } != 0 {
            len += 1;
        }
        len
    }
}
