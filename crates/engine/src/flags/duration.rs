//! Lengths of time: `--health-interval`, `--since`.

use super::{Problem, Value};

/// A length of time as Go writes it: `1m30s`, `500ms`; a number alone is seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// In nanoseconds.
    pub ns: u64,
}

impl Span {
    /// In milliseconds, at least 1 unless it is nothing.
    pub fn ms(self) -> u64 {
        self.ns.div_ceil(1_000_000)
    }
}

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
    ("d", 8.64e13),
];

impl Value for Span {
    const FORM: &'static str = "a length of time such as 1m30s, 500ms or 2h";
    const EXAMPLE: &'static str = "30s";

    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err("a length of time is missing".into());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds: u64 = text.parse().map_err(|_| Problem::from(format!("`{text}` is too large")))?;
            let ns = seconds.checked_mul(1_000_000_000);
            return ns.map(|ns| Self { ns }).ok_or_else(|| format!("`{text}` is too large").into());
        }
        let (mut rest, mut total) = (text, 0.0f64);
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, behind) = rest.split_at(digits);
            let number: f64 =
                number.parse().map_err(|_| Problem::from("a number is missing before a unit"))?;
            let unit = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
            let (unit, behind) = behind.split_at(unit);
            let known = UNITS.iter().find(|(name, _)| *name == unit);
            let Some((_, scale)) = known else {
                return Err(format!("`{}` is not a unit of time", unit.escape_debug()).into());
            };
            total += number * scale;
            rest = behind;
        }
        // Two centuries, as far as nanoseconds in 63 bits reach.
        if total >= 9.2e18 {
            return Err(format!("`{text}` is too large").into());
        }
        Ok(Self { ns: total.round() as u64 })
    }
}

/// A point in time: RFC 3339, seconds since 1970, or a length of time before now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// In nanoseconds since 1970.
    At(u64),
    /// So long ago.
    Ago(Span),
}

impl Moment {
    /// In nanoseconds since 1970.
    pub fn ns(self, now_ns: u64) -> u64 {
        match self {
            Self::At(ns) => ns,
            Self::Ago(span) => now_ns.saturating_sub(span.ns),
        }
    }
}

impl Value for Moment {
    const FORM: &'static str =
        "a time such as 2026-11-28T12:00:00Z, seconds since 1970, or how long ago: 10m";
    const EXAMPLE: &'static str = "10m";

    fn parse(text: &str) -> Result<Self, Problem> {
        if let Some(ns) = monitor::time::parse_rfc3339(text) {
            return Ok(Self::At(ns));
        }
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !seconds.is_empty() && digits(seconds) && digits(fraction) && fraction.len() <= 9 {
            let fraction_ns: u64 = format!("{fraction:0<9}").parse().unwrap_or(0);
            let ns = seconds.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1_000_000_000));
            return match ns.and_then(|ns| ns.checked_add(fraction_ns)) {
                Some(ns) => Ok(Self::At(ns)),
                None => Err(format!("`{text}` is too large").into()),
            };
        }
        Span::parse(text).map(Self::Ago)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_span_is_go_s() {
        expect![[r#"
            1m30s => Span { ns: 90000000000 }
            500ms => Span { ns: 500000000 }
            1.5h => Span { ns: 5400000000000 }
            10 => Span { ns: 10000000000 }
            0s => Span { ns: 0 }
             !! a length of time is missing
            s !! a number is missing before a unit
            5x !! `x` is not a unit of time
            -5s !! a number is missing before a unit
            99999999999999999999 !! `99999999999999999999` is too large
            9999999999h !! `9999999999h` is too large
            1..5s !! a number is missing before a unit
            30s => Span { ns: 30000000000 }
        "#]]
        .assert_eq(&table::<Span>(&[
            "1m30s",
            "500ms",
            "1.5h",
            "10",
            "0s",
            "",
            "s",
            "5x",
            "-5s",
            "99999999999999999999",
            "9999999999h",
            "1..5s",
        ]));
    }

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        expect![[r#"
            1970-01-01T00:00:02Z => At(2000000000)
            5.25 => At(5250000000)
            1m => Ago(Span { ns: 60000000000 })
            yesterday !! a number is missing before a unit
            10m => Ago(Span { ns: 600000000000 })
        "#]]
        .assert_eq(&table::<Moment>(&["1970-01-01T00:00:02Z", "5.25", "1m", "yesterday"]));
        assert_eq!(Moment::Ago(Span { ns: 5 }).ns(7), 2);
    }
}
