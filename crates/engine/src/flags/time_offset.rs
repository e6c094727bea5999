//! The clocks of a container's time namespace: `--time-offset` (time_namespaces(7), Linux 5.6).

use super::{Problem, Value, parse_count};

/// `--time-offset [CLOCK=]TIME`: what is added to a clock inside the container. The wall clock has no
/// namespace and cannot be shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TimeOffset {
    /// Which clock.
    pub clock: Clock,
    /// Whole seconds, also negative.
    pub seconds: i64,
    /// Nanoseconds added to them, below one second.
    pub nanoseconds: u32,
}

/// A clock with an offset in each time namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Clock {
    /// CLOCK_MONOTONIC and its coarse and raw forms.
    Monotonic,
    /// CLOCK_BOOTTIME, which `uptime` shows.
    Boottime,
    /// Both.
    Both,
}

impl Value for TimeOffset {
    const FORM: &'static str = "[monotonic=|boottime=]TIME with a unit s, m, h or d";
    const EXAMPLE: &'static str = "boottime=-2h";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (clock, time) = match text.split_once('=') {
            Some(("monotonic", time)) => (Clock::Monotonic, time),
            Some(("boottime", time)) => (Clock::Boottime, time),
            Some(("realtime", _)) => return Err("the wall clock is the same in every namespace".into()),
            Some((other, _)) => return Err(format!("`{other}` is neither monotonic nor boottime").into()),
            None => (Clock::Both, text),
        };
        let (negative, size) = match time.as_bytes() {
            [b'-', ..] => (true, &time[1..]),
            [b'+', ..] => (false, &time[1..]),
            _ => (false, time),
        };
        let (number, factor) = match size.char_indices().last() {
            Some((at, 's')) => (&size[..at], 1),
            Some((at, 'm')) => (&size[..at], 60),
            Some((at, 'h')) => (&size[..at], 3600),
            Some((at, 'd')) => (&size[..at], 86_400),
            _ => (size, 1),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 9 || (number.contains('.') && (fraction.is_empty() || factor != 1)) {
            return Err("a fraction is of seconds and has at most nine digits".into());
        }
        // The kernel keeps a namespace's clocks below KTIME_SEC_MAX / 2, 146 years.
        let whole = parse_count(whole)?.checked_mul(factor).filter(|seconds| *seconds <= 4_611_686_018);
        let Some(whole) = whole else { return Err("more than 146 years".into()) };
        let nanoseconds =
            if fraction.is_empty() { 0 } else { parse_count(&format!("{fraction:0<9}"))? as u32 };
        let whole = whole as i64;
        Ok(match (negative, nanoseconds) {
            (false, _) => Self { clock, seconds: whole, nanoseconds },
            (true, 0) => Self { clock, seconds: -whole, nanoseconds: 0 },
            (true, _) => Self { clock, seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn an_offset_is_a_time_with_a_sign() {
        expect![[r#"
            3600 => TimeOffset { clock: Both, seconds: 3600, nanoseconds: 0 }
            +1h => TimeOffset { clock: Both, seconds: 3600, nanoseconds: 0 }
            monotonic=-1.5 => TimeOffset { clock: Monotonic, seconds: -2, nanoseconds: 500000000 }
            1d => TimeOffset { clock: Both, seconds: 86400, nanoseconds: 0 }
            0.000000001s => TimeOffset { clock: Both, seconds: 0, nanoseconds: 1 }
            realtime=1 !! the wall clock is the same in every namespace
            wall=1 !! `wall` is neither monotonic nor boottime
             !! a number is missing
            1w !! `1w` is not a number
            1.5h !! a fraction is of seconds and has at most nine digits
            1. !! a fraction is of seconds and has at most nine digits
            - !! a number is missing
            9999999999999999d !! more than 146 years
            boottime=-2h => TimeOffset { clock: Boottime, seconds: -7200, nanoseconds: 0 }
        "#]]
        .assert_eq(&table::<TimeOffset>(&[
            "3600",
            "+1h",
            "monotonic=-1.5",
            "1d",
            "0.000000001s",
            "realtime=1",
            "wall=1",
            "",
            "1w",
            "1.5h",
            "1.",
            "-",
            "9999999999999999d",
        ]));
    }
}
