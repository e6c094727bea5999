//! Running as on an older kernel: chosen system calls answer `ENOSYS`.

use std::io;
use sys::raw::{prctl, seccomp_set_filter};

/// Calls that can be hidden. All are newer than Linux 5.0, from where every architecture gives a call the same number,
/// so the filter needs no look at the architecture.
const CALLS: &[(&str, u32)] = &[
    ("pidfd_send_signal", 424),
    ("open_tree", 428),
    ("move_mount", 429),
    ("fsopen", 430),
    ("fsconfig", 431),
    ("fsmount", 432),
    ("fspick", 433),
    ("pidfd_open", 434),
    ("clone3", 435),
    ("close_range", 436),
    ("openat2", 437),
    ("pidfd_getfd", 438),
    ("faccessat2", 439),
    ("epoll_pwait2", 441),
    ("mount_setattr", 442),
    ("landlock_create_ruleset", 444),
    ("fchmodat2", 452),
    ("statmount", 457),
    ("listmount", 458),
    ("open_tree_attr", 467),
];

/// The number of a call by name.
pub(super) fn known(name: &str) -> Result<u32, String> {
    let call = CALLS.iter().find(|(known, _)| *known == name);
    call.map(|(_, number)| *number).ok_or_else(|| {
        let names: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
        format!("not a call that can be hidden; those are {}", names.join(", "))
    })
}

/// Hides `calls` from this process and everything it starts from now on. There is no way back.
///
/// # Kernel
/// Linux 3.17. Without `CAP_SYS_ADMIN` the process also gives up gaining privileges (`no_new_privs`), so set-uid
/// helpers such as newuidmap(1) no longer work in it.
pub(super) fn syscalls(calls: &[u32]) -> io::Result<()> {
    if calls.is_empty() {
        return Ok(());
    }
    let filter = filter(calls);
    if seccomp_set_filter(0, &filter).is_err() {
        const PR_SET_NO_NEW_PRIVS: u64 = 38;
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0)
            .and_then(|_| seccomp_set_filter(0, &filter))
            .map_err(|errno| io::Error::other(format!("seccomp(SECCOMP_SET_MODE_FILTER): {errno:?}")))?;
    }
    Ok(())
}

/// Classic BPF, eight bytes an instruction (`struct sock_filter`): load the call's number, compare with each, answer.
fn filter(calls: &[u32]) -> Vec<u8> {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO_ENOSYS: u32 = 0x0005_0000 | 38;
    let mut bytes = Vec::new();
    let mut push = |code: u16, if_true: u8, if_false: u8, value: u32| {
        bytes.extend(code.to_ne_bytes());
        bytes.extend([if_true, if_false]);
        bytes.extend(value.to_ne_bytes());
    };
    push(LOAD_WORD, 0, 0, 0);
    for call in calls {
        push(JUMP_IF_EQUAL, 0, 1, *call);
        push(RETURN, 0, 0, ERRNO_ENOSYS);
    }
    push(RETURN, 0, 0, ALLOW);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_name_and_others_are_listed() {
        assert_eq!(known("openat2"), Ok(437));
        assert!(known("open").unwrap_err().contains("openat2"));
    }

    #[test]
    fn a_hidden_call_answers_enosys_and_the_others_work() {
        let thread = std::thread::spawn(|| {
            syscalls(&[437]).map_err(|error| error.to_string())?;
            let openat2 = rustix::fs::openat2(
                rustix::fs::CWD,
                "/",
                rustix::fs::OFlags::RDONLY,
                rustix::fs::Mode::empty(),
                rustix::fs::ResolveFlags::empty(),
            );
            let openat = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
            Ok::<_, String>((openat2.err(), openat.is_ok()))
        });
        assert_eq!(thread.join().unwrap(), Ok((Some(rustix::io::Errno::NOSYS), true)));
    }
}
