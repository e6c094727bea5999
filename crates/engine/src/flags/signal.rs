//! Signals by name or number: `--stop-signal`.

use super::{Problem, Value, parse_count};

/// A signal of Linux on x86-64 and arm64 (signal(7)), 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(u8);

/// The names in the order of their numbers, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The first and last real-time signal that glibc leaves to programs.
const REAL_TIME: (u64, u64) = (34, 64);

impl Signal {
    /// The number.
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    /// The name without number where there is one: `SIGTERM`, `SIGRTMIN+3`.
    pub fn name(self) -> String {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => format!("SIG{name}"),
            None if u64::from(self.0) >= REAL_TIME.0 => {
                format!("SIGRTMIN+{}", u64::from(self.0) - REAL_TIME.0)
            }
            None => self.0.to_string(),
        }
    }
}

impl Value for Signal {
    const FORM: &'static str = "a signal's name, with or without SIG, or its number";
    const EXAMPLE: &'static str = "SIGTERM";

    fn parse(text: &str) -> Result<Self, Problem> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return match parse_count(text)? {
                number @ 1..=64 => Ok(Self(number as u8)),
                _ => Err("signals are numbered 1 to 64".into()),
            };
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(index) = NAMES.iter().position(|known| *known == name) {
            return Ok(Self(index as u8 + 1));
        }
        let number = match name {
            "POLL" => Some(29),
            "IOT" => Some(6),
            "CLD" => Some(17),
            "RTMIN" => Some(REAL_TIME.0),
            "RTMAX" => Some(REAL_TIME.1),
            _ => name
                .strip_prefix("RTMIN+")
                .and_then(|n| parse_count(n).ok())
                .and_then(|n| REAL_TIME.0.checked_add(n))
                .or_else(|| {
                    name.strip_prefix("RTMAX-")
                        .and_then(|n| parse_count(n).ok())
                        .and_then(|n| REAL_TIME.1.checked_sub(n))
                })
                .filter(|number| (REAL_TIME.0..=REAL_TIME.1).contains(number)),
        };
        number.map(|number| Self(number as u8)).ok_or_else(|| "there is no such signal".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn signals_have_names_and_numbers() {
        expect![[r#"
            TERM => Signal(15)
            sigint => Signal(2)
            9 => Signal(9)
            64 => Signal(64)
            RTMIN => Signal(34)
            SIGRTMIN+3 => Signal(37)
            RTMAX-1 => Signal(63)
            RTMIN+31 !! there is no such signal
            RTMAX-31 !! there is no such signal
            0 !! signals are numbered 1 to 64
            65 !! signals are numbered 1 to 64
             !! there is no such signal
            FOO !! there is no such signal
            SIGTERM => Signal(15)
        "#]]
        .assert_eq(&table::<Signal>(&[
            "TERM",
            "sigint",
            "9",
            "64",
            "RTMIN",
            "SIGRTMIN+3",
            "RTMAX-1",
            "RTMIN+31",
            "RTMAX-31",
            "0",
            "65",
            "",
            "FOO",
        ]));
        assert_eq!(Signal(37).name(), "SIGRTMIN+3");
        assert_eq!(Signal(15).name(), "SIGTERM");
    }
}
