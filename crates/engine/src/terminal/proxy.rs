//! Which signals reach the container, and what becomes of one that its first process has no handler for.
//!
//! The first process of a pid namespace is shielded from signals it does not handle (pid_namespaces(7)): Ctrl-C
//! on `sleep` would do nothing. [`reaction`] ends it then, as the signal would have ended any other process.

use std::time::Duration;

use spec::Signal;

/// Signals that somebody sends to us and means the container: all that end or inform a program. Those that the
/// kernel raises for our own doings (SIGCHLD, SIGPIPE, SIGURG, faults) stay ours.
pub const FORWARDED: [i32; 12] = [
    1,  // HUP
    2,  // INT
    3,  // QUIT
    10, // USR1
    12, // USR2
    14, // ALRM
    15, // TERM
    18, // CONT
    20, // TSTP
    24, // XCPU
    29, // IO
    30, // PWR
];

/// What is done with a signal that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// It is sent on.
    Forward,
    /// The container is killed, because the signal would have ended an ordinary program.
    Kill,
}

/// How a process has arranged for signals, bit *n* - 1 for signal *n* (proc_pid_status(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalState {
    /// Blocked: perhaps read in another way.
    pub blocked: u64,
    /// Ignored on purpose.
    pub ignored: u64,
    /// Handled.
    pub caught: u64,
    /// Whether it is the first process of its pid namespace.
    pub first_of_its_namespace: bool,
    /// Whether it may be waiting for signals as such: while sigtimedwait(2) waits for a signal, the kernel shows
    /// it as not blocked. Inits do nothing else.
    pub may_be_waiting: bool,
}

/// rt_sigtimedwait(2), as `/proc/PID/syscall` shows it.
const SIGTIMEDWAIT: &str = if cfg!(target_arch = "aarch64") { "137" } else { "128" };

impl SignalState {
    /// Looks at a process.
    pub fn read(pid: u32) -> Self {
        let file = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let mut tries = 0;
        loop {
            // Before and after, because a wait may begin or end in between.
            let before = file("syscall");
            let status = file("status");
            let after = file("syscall");
            // In the middle of execve nobody may look; it is over soon.
            tries += 1;
            if (before.is_empty() || after.is_empty()) && !status.is_empty() && tries < 20 {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            return Self::parse(&status, &[&before, &after]);
        }
    }

    /// Reads the text of `/proc/PID/status`, and those of `/proc/PID/syscall`. Lines of the former that are missing mean
    /// that nothing is arranged; of the latter that are empty, that nothing is known.
    pub fn parse(status: &str, calls: &[&str]) -> Self {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let set = |name| field(name).and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
        let in_namespace = field("NSpid").and_then(|text| text.split_whitespace().last());
        Self {
            blocked: set("SigBlk"),
            ignored: set("SigIgn"),
            caught: set("SigCgt"),
            first_of_its_namespace: in_namespace == Some("1"),
            may_be_waiting: calls.iter().any(|call| {
                let number = call.split_whitespace().next();
                number.is_none_or(|number| number == SIGTIMEDWAIT)
            }),
        }
    }
}

/// What to do with `signal` for a process in `state`.
pub fn reaction(signal: Signal, state: &SignalState) -> Reaction {
    // Their default action ends a process (signal(7)).
    const ENDING: [u32; 9] = [1, 2, 3, 10, 12, 14, 15, 24, 30];
    let arranged = (state.blocked | state.ignored | state.caught) & (1 << (signal.number() - 1)) != 0;
    let shielded = state.first_of_its_namespace && !arranged && !state.may_be_waiting;
    match shielded && ENDING.contains(&signal.number()) {
        true => Reaction::Kill,
        false => Reaction::Forward,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tsleep\nNSpid:\t1234\t1\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n\
                          SigCgt:\t0000000000004000\n";

    fn react(signal: u32, status: &str) -> Reaction {
        reaction(Signal::from_number(signal).unwrap(), &SignalState::parse(status, &["230 0x0", "running"]))
    }

    #[test]
    fn a_process_that_waits_for_signals_gets_them() {
        for calls in [[SIGTIMEDWAIT, "1 0x2"], ["1 0x2", SIGTIMEDWAIT], ["", "1"]] {
            let state = SignalState::parse(STATUS, &calls);
            assert_eq!(reaction(Signal::from_number(2).unwrap(), &state), Reaction::Forward, "{calls:?}");
        }
    }

    #[test]
    fn a_signal_that_would_end_a_program_ends_the_first_process_too() {
        assert_eq!(react(2, STATUS), Reaction::Kill);
        assert_eq!(react(15, STATUS), Reaction::Forward, "it is handled");
        assert_eq!(react(1, STATUS), Reaction::Forward, "it is ignored on purpose");
        assert_eq!(react(18, STATUS), Reaction::Forward, "it does not end a program");
    }

    #[test]
    fn other_processes_get_what_the_kernel_gives_them() {
        assert_eq!(react(2, "NSpid:\t1234\n"), Reaction::Forward);
        assert_eq!(react(2, ""), Reaction::Forward);
        assert_eq!(react(2, "NSpid:\t5\t1\nSigBlk:\tffffffffffffffff\n"), Reaction::Forward, "it is blocked");
    }
}
