//! `--init`: a reaper in the container's pid 1.
//!
//! It waits for all processes, passes signals on to the program, and ends with the program's status. It comes last before execve,
//! so it runs with the container's own ids, capabilities and filter.

use sys::Errno;
use sys::raw;

const SIGCHLD: u32 = 17;
const WNOHANG: u32 = 1;

/// Goes on in a child; this process stays behind, reaps, and never returns.
pub(crate) fn split(with_close_range: bool) -> Result<(), Errno> {
    // Signals wait until the loop below asks for them; the child starts with none blocked.
    let before = raw::set_signal_mask(u64::MAX)?;
    match raw::fork()? {
        0 => {
            raw::set_signal_mask(before)?;
            // A process group and a session of its own, so that it can be a terminal's foreground.
            Ok(())
        }
        program => {
            raw::set_name(c"holm-init");
            release_descriptors(with_close_range);
            reap(program)
        }
    }
}

/// The engine takes the end of its socket for success: this process must not hold it open.
fn release_descriptors(with_close_range: bool) {
    const FIRST: u32 = 3;
    if with_close_range && raw::close_range(FIRST, u32::MAX).is_ok() {
        return;
    }
    for number in FIRST..1024 {
        let _ = raw::close(raw::Fd(number as i32));
    }
}

fn reap(program: i32) -> ! {
    loop {
        match raw::wait_signal() {
            Ok(SIGCHLD) => {
                while let Ok((pid, status)) = raw::wait4(-1, WNOHANG) {
                    if pid == program {
                        raw::exit(exit_code(status));
                    }
                    if pid == 0 {
                        break;
                    }
                }
            }
            Ok(signal) => {
                let _ = raw::kill(program, signal as i32);
            }
            Err(_) => {}
        }
    }
}

/// The status of a process in one number, as shells do it: 128 and the signal if one ended it.
fn exit_code(status: i32) -> i32 {
    match status & 0x7f {
        0 => status >> 8 & 0xff,
        signal => 128 + signal,
    }
}
