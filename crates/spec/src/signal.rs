//! Signals by name and number.

use std::fmt;
use std::str::FromStr;

/// A signal: a number from 1 to 64 (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// A text that is no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a signal; allowed are names such as TERM or SIGTERM, RTMIN+1, RTMAX-1, and 1 to 64")]
pub struct UnknownSignal {
    /// The text.
    pub text: String,
}

impl report::Explain for UnknownSignal {
    fn kind(&self) -> report::Kind {
        report::Kind::InvalidInput
    }
}

/// The numbers of x86, Arm and most others, `include/uapi/asm-generic/signal.h`; MIPS, Alpha, SPARC and PA-RISC,
/// which differ, are not supported.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const OTHER_NAMES: [(&str, u8); 4] = [("IOT", 6), ("CLD", 17), ("POLL", 29), ("UNUSED", 31)];

/// The first real-time signal, as libc counts: 32 and 33 are its own.
const RTMIN: u8 = 34;
const RTMAX: u8 = 64;

impl Signal {
    /// `SIGKILL`
    pub const KILL: Self = Self(9);
    /// `SIGTERM`
    pub const TERM: Self = Self(15);

    /// The signal of that number.
    pub const fn from_number(number: u32) -> Option<Self> {
        if number >= 1 && number <= RTMAX as u32 { Some(Self(number as u8)) } else { None }
    }

    /// The kernel's number.
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

impl serde::Serialize for Signal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Signal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Names with or without `SIG`, in any case; real-time signals from either end; numbers.
///
/// ```
/// let signal: spec::Signal = "sigrtmin+3".parse().unwrap();
/// assert_eq!((signal.number(), signal.to_string().as_str()), (37, "SIGRTMIN+3"));
/// ```
impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        find(text).ok_or_else(|| UnknownSignal { text: text.to_owned() })
    }
}

fn find(text: &str) -> Option<Signal> {
    if let Some(number) = digits(text) {
        return Signal::from_number(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return Signal::from_number(at as u32 + 1);
    }
    if let Some((_, number)) = OTHER_NAMES.iter().find(|(known, _)| *known == name) {
        return Some(Signal(*number));
    }
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        u32::from(RTMIN) + offset(rest, '+')?
    } else {
        u32::from(RTMAX).checked_sub(offset(name.strip_prefix("RTMAX")?, '-')?)?
    };
    Signal::from_number(number).filter(|signal| signal.0 >= RTMIN)
}

/// What follows `RTMIN` or `RTMAX`: nothing, or a sign and a number.
fn offset(rest: &str, sign: char) -> Option<u32> {
    if rest.is_empty() { Some(0) } else { digits(rest.strip_prefix(sign)?) }
}

/// A number of at most three digits, and nothing else.
fn digits(text: &str) -> Option<u32> {
    let fits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// `SIGTERM`, `SIGRTMIN+3`; 32 and 33 have no name and are numbers.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RTMIN => f.write_str("SIGRTMIN"),
            RTMAX => f.write_str("SIGRTMAX"),
            number if number > RTMIN => write!(f, "SIGRTMIN+{}", number - RTMIN),
            number => match NAMES.get(usize::from(number) - 1) {
                Some(name) => write!(f, "SIG{name}"),
                None => write!(f, "{number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_is_found_by_its_name_and_its_number() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(signal.to_string().parse(), Ok(signal));
            assert_eq!(number.to_string().parse(), Ok(signal));
        }
    }

    #[test]
    fn names_are_taken_as_people_write_them() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigterm", 15),
            ("Kill", 9),
            ("CLD", 17),
            ("POLL", 29),
            ("IOT", 6),
            ("RTMIN", 34),
            ("SIGRTMIN+30", 64),
            ("rtmax-30", 34),
            ("RTMAX", 64),
            ("09", 9),
        ] {
            assert_eq!(text.parse::<Signal>().map(Signal::number), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in [
            "",
            "0",
            "65",
            "-9",
            "+9",
            "SIG",
            "SIG9",
            "TERMINATE",
            "RTMIN+31",
            "RTMIN-1",
            "RTMAX-31",
            "RTMIN+",
            "9 ",
        ] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
    }
}
