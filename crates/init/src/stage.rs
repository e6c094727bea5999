//! The in-container stage as an executable: entry point, arguments, and what a panic would do.
//!
//! Built by the runtime crate's build script, without the standard library. It is started with one argument, "CONTROL,IMAGE,LEN":
//! the numbers of the socket to the engine and of the program's file, and how long that is.

#![no_std]
#![no_main]
#![allow(unsafe_code)]

use core::ffi::{CStr, c_char};

use init::player;
use sys::raw::{Fd, Image, exit};

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
    if unsafe { *stack } != 1 {
        exit(NOT_FOR_PEOPLE);
    }
    // SAFETY: the kernel put the address of the first argument behind the count, and the argument is terminated.
    let argument = unsafe { CStr::from_ptr(*stack.add(1) as *const c_char) };
    let mut numbers = argument.to_bytes().split(|byte| *byte == b',').map(number);
    let (Some(Some(control)), Some(Some(image)), Some(Some(len))) = (numbers.next(), numbers.next(), numbers.next())
    else {
        exit(NOT_FOR_PEOPLE)
    };
    match Image::map(Fd(image as i32), len) {
        Ok(image) => player::play(image, Fd(control as i32)),
        Err(_) => exit(NOT_FOR_PEOPLE),
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0usize, |number, digit| {
        number.checked_mul(10)?.checked_add(usize::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?))
    })
}

/// Nothing in the stage panics; this is what the compiler asks for.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(NOT_FOR_PEOPLE)
}
