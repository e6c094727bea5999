//! Amounts as people type them: `64m`, `1.5g`, `0.5` processors.

use crate::error::Refused;
use crate::limits::Limit;

/// Bytes, as docker reads them: a number, perhaps with a fraction, and one of `b`, `k`, `m`, `g`, `t`, `p`
/// in powers of 1024, followed by `b` or `ib` or nothing; letters in either case.
///
/// # Errors
/// When the text is not such an amount or does not fit into 63 bits, the most the kernel takes.
pub fn parse_bytes(text: &str) -> Result<u64, Refused> {
    let refuse = |why: &str| Refused::value(format!("`{}`", text.escape_debug()), why);
    let wrong = || refuse("an amount is a number and a unit, such as 512k, 64m or 1.5g");
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start().to_ascii_lowercase();
    let letter = match unit.as_bytes() {
        [] | b"b" => b'b',
        [letter] | [letter, b'b'] | [letter, b'i', b'b'] => *letter,
        _ => return Err(wrong()),
    };
    let shift = match letter {
        b'b' => 0,
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        b'p' => 50,
        _ => return Err(wrong()),
    };
    scaled(number, 1 << shift)
        .ok_or_else(wrong)?
        .ok_or_else(|| refuse("this is more than a kernel can count"))
}

/// Bytes, or `-1` for no limit, as the swap flags have it.
///
/// # Errors
/// As [`parse_bytes`].
pub fn parse_bytes_or_unlimited(text: &str) -> Result<Limit, Refused> {
    match text.trim() {
        "-1" => Ok(Limit::Unlimited),
        amount => parse_bytes(amount).map(Limit::At),
    }
}

/// A quota in microseconds for a number of processors such as `1.5`, with the period of 100 ms.
///
/// # Errors
/// When the text is not a number, is 0 or negative, or is below the 0.01 processors that the kernel's smallest
/// quota of 1 ms amounts to.
pub fn parse_cpus(text: &str) -> Result<CpuTime, Refused> {
    let refuse = |why: &str| Refused::value(format!("`{}`", text.escape_debug()), why);
    let quota_us = scaled(text.trim(), CpuTime::PERIOD_US)
        .ok_or_else(|| refuse("a number of processors is something like 2 or 1.5"))?
        .ok_or_else(|| refuse("these are too many processors"))?;
    if quota_us < 1000 {
        return Err(refuse("the least the kernel can do is 0.01 processors"));
    }
    Ok(CpuTime { quota_us, period_us: CpuTime::PERIOD_US })
}

/// A time in microseconds: a number, perhaps with a fraction, and `us`, `ms` or `s`; without a unit microseconds, as
/// the kernel's files have them.
///
/// # Errors
/// When the text is not such a time.
pub fn parse_time_us(text: &str) -> Result<u64, Refused> {
    let (number, factor) = match text {
        _ if text.ends_with("us") => (&text[..text.len() - 2], 1),
        _ if text.ends_with("ms") => (&text[..text.len() - 2], 1000),
        _ if text.ends_with('s') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    scaled(number, factor).flatten().ok_or_else(|| {
        Refused::value(format!("`{}`", text.escape_debug()), "a time is something like 20ms, 500us or 1.5s")
    })
}

/// Bytes as [`parse_bytes`] reads them, with the largest unit that they are a whole number of: `256M`.
pub fn show_bytes(bytes: u64) -> String {
    let units = [(50, "P"), (40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let unit = units.iter().find(|(shift, _)| bytes != 0 && bytes.is_multiple_of(1 << shift));
    unit.map_or(bytes.to_string(), |(shift, letter)| format!("{}{letter}", bytes >> shift))
}

/// Processor time per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// Microseconds that may be used in each period.
    pub quota_us: u64,
    /// The period in microseconds.
    pub period_us: u64,
}

impl CpuTime {
    /// The kernel's default period.
    pub const PERIOD_US: u64 = 100_000;
}

/// A block device's rate: `/dev/sda:1mb` is a path and bytes a second.
///
/// # Errors
/// When there is no colon or the amount is none.
pub fn parse_device_rate(text: &str) -> Result<(&str, u64), Refused> {
    let (device, amount) =
        text.rsplit_once(':').filter(|(device, _)| !device.is_empty()).ok_or_else(|| {
            let why = "a device's limit is a path and an amount, such as /dev/sda:1m";
            Refused::value(format!("`{}`", text.escape_debug()), why)
        })?;
    Ok((device, parse_bytes(amount)?))
}

/// `number * factor`, rounded down, exactly: `None` if it is no decimal number, `Some(None)` if it is too
/// large.
fn scaled(number: &str, factor: u64) -> Option<Option<u64>> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u64>().ok() };
    // 18 digits are more than any factor here can make visible.
    let fraction = &fraction[..fraction.len().min(18)];
    let part = if fraction.is_empty() {
        0
    } else {
        fraction.parse::<u128>().ok()? * u128::from(factor) / 10u128.pow(fraction.len() as u32)
    };
    let total = whole.and_then(|whole| u128::from(whole).checked_mul(u128::from(factor))?.checked_add(part));
    Some(total.and_then(|total| u64::try_from(total).ok()).filter(|&total| i64::try_from(total).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_docker_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("42", 42),
            ("42b", 42),
            ("100k", 102_400),
            ("64m", 67_108_864),
            ("64M", 67_108_864),
            ("64mb", 67_108_864),
            ("64MiB", 67_108_864),
            ("1.5g", 1_610_612_736),
            (".5k", 512),
            ("1.k", 1024),
            ("0.0001k", 0),
            ("2t", 2_199_023_255_552),
            (" 8 m ", 8_388_608),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "m", "-1", "1x", "1mm", "1e3", "1.2.3", "0x10", "1 2", "9223372036854775808", "8192p", "."]
        {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
        assert_eq!(parse_bytes_or_unlimited("-1"), Ok(Limit::Unlimited));
    }

    #[test]
    fn processors_become_a_quota() {
        for (text, quota_us) in [("1.5", 150_000), ("2", 200_000), ("0.01", 1000), (".5", 50_000)] {
            assert_eq!(parse_cpus(text).map(|time| time.quota_us), Ok(quota_us), "{text}");
        }
        for text in ["0", "0.001", "-1", "many", "1e2", "99999999999999999999"] {
            assert!(parse_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_as_they_are_typed() {
        for (bytes, text) in [(0, "0"), (1000, "1000"), (1 << 28, "256M"), (3 << 29, "1536M"), (1 << 40, "1T")] {
            assert_eq!(show_bytes(bytes), text);
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        for (text, us) in [("20ms", 20_000), ("500us", 500), ("1.5s", 1_500_000), ("7", 7), ("0.5ms", 500)] {
            assert_eq!(parse_time_us(text), Ok(us), "{text}");
        }
        for text in ["", "s", "ms", "1m", "-1s", "1 s", "99999999999999999999s"] {
            assert!(parse_time_us(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_device_rate_is_a_path_and_an_amount() {
        assert_eq!(parse_device_rate("/dev/disk/by:id:1m"), Ok(("/dev/disk/by:id", 1 << 20)));
        assert!(parse_device_rate(":1m").is_err());
        assert!(parse_device_rate("/dev/sda").is_err());
    }

    #[test]
    fn no_text_makes_the_parsers_panic() {
        for text in ["1.5g", "64MiB", "18446744073709551615t", "/dev/sda:1.25mb"] {
            for spoilt in crate::testing::mutations(text.as_bytes(), 500) {
                let spoilt = String::from_utf8_lossy(&spoilt);
                let _ = (parse_bytes(&spoilt), parse_cpus(&spoilt), parse_device_rate(&spoilt));
            }
        }
    }
}
