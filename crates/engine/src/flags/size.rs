//! Amounts of memory, as docker reads them (go-units `RAMInBytes`): every unit is a power of 1024.

use super::{Problem, Value, parse_count};

/// A number of bytes above zero: `64m`, `1.5g`, `4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Bytes(u64);

impl Bytes {
    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Value for Bytes {
    const FORM: &'static str = "a number of bytes with an optional unit b, k, m, g, t or p";
    const EXAMPLE: &'static str = "512m";

    fn parse(text: &str) -> Result<Self, Problem> {
        match parse_bytes(text)? {
            0 => Err("the size is zero".into()),
            bytes => Ok(Self(bytes)),
        }
    }
}

/// Bytes, or no limit at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Limit {
    /// At most so many bytes.
    Bytes(u64),
    /// `-1`: no limit.
    Unlimited,
}

impl Value for Limit {
    const FORM: &'static str =
        "a number of bytes with an optional unit b, k, m, g, t or p, or -1 for no limit";
    const EXAMPLE: &'static str = "1g";

    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "-1" { Ok(Self::Unlimited) } else { Bytes::parse(text).map(|bytes| Self::Bytes(bytes.0)) }
    }
}

/// Digits with an optional fraction, then a unit: the whole number of bytes.
///
/// # Errors
/// What is wrong with `text`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, Problem> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    if number.is_empty() {
        return Err(match text.strip_prefix('-') {
            Some(_) => "a size cannot be negative".into(),
            None => "a size begins with a number".into(),
        });
    }
    let shift = match unit.trim_start_matches(' ').to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        "p" | "pb" | "pib" => 50,
        _ => return Err(format!("`{unit}` is not a unit").into()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(format!("`{number}` is not a number").into());
    }
    let whole = if whole.is_empty() { 0 } else { parse_count(whole)? };
    let bytes = whole.checked_mul(1 << shift).filter(|bytes| *bytes <= i64::MAX as u64);
    let Some(bytes) = bytes else { return Err("the size is too large".into()) };
    Ok(bytes + fraction_of(fraction, shift))
}

/// What the digits after the point are worth, rounded down: 15 digits are more than anyone means.
fn fraction_of(digits: &str, shift: u32) -> u64 {
    let digits = &digits[..digits.len().min(15)];
    let Ok(numerator) = digits.parse::<u128>() else { return 0 };
    ((numerator << shift) / 10u128.pow(digits.len() as u32)) as u64
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn units_are_powers_of_1024() {
        expect![[r#"
            1 => Bytes(1)
            4096b => Bytes(4096)
            64k => Bytes(65536)
            64K => Bytes(65536)
            64kb => Bytes(65536)
            64KiB => Bytes(65536)
            1.5g => Bytes(1610612736)
            0.5m => Bytes(524288)
            .5k => Bytes(512)
            2t => Bytes(2199023255552)
            1p => Bytes(1125899906842624)
            1 m => Bytes(1048576)
            0 !! the size is zero
            -1 !! a size cannot be negative
             !! a size begins with a number
            m !! a size begins with a number
            64q !! `q` is not a unit
            1.2.3m !! `1.2.3` is not a number
            . !! `.` is not a number
            1e9 !! `e9` is not a unit
            +5 !! a size begins with a number
            8192p !! the size is too large
            99999999999999999999 !! `99999999999999999999` is too large
            512m => Bytes(536870912)
        "#]]
        .assert_eq(&table::<Bytes>(&[
            "1",
            "4096b",
            "64k",
            "64K",
            "64kb",
            "64KiB",
            "1.5g",
            "0.5m",
            ".5k",
            "2t",
            "1p",
            "1 m",
            "0",
            "-1",
            "",
            "m",
            "64q",
            "1.2.3m",
            ".",
            "1e9",
            "+5",
            "8192p",
            "99999999999999999999",
        ]));
    }

    #[test]
    fn minus_one_is_no_limit() {
        expect![[r#"
            -1 => Unlimited
            1g => Bytes(1073741824)
            -2 !! a size cannot be negative
            0 !! the size is zero
            1g => Bytes(1073741824)
        "#]]
        .assert_eq(&table::<Limit>(&["-1", "1g", "-2", "0"]));
    }
}
