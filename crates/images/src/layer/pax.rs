//! Records of PAX headers, and the numbers in them.

use super::Bad;

/// A key and its value.
pub type Record<'a> = (&'a [u8], &'a [u8]);

/// Splits the records `LENGTH KEY=VALUE\n` of a PAX header.
///
/// # Errors
/// What is no such record.
pub fn records(bytes: &[u8], at: u64) -> Result<Vec<Record<'_>>, Bad> {
    let bad = |problem: &str| Bad::Archive { at, problem: format!("a PAX header {problem}") };
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        // Some writers fill the last block with NULs inside of the header's length.
        if rest.iter().all(|byte| *byte == 0) {
            break;
        }
        let space =
            rest.iter().take(20).position(|byte| *byte == b' ').ok_or_else(|| bad("has no length"))?;
        let len = number(&rest[..space]).ok_or_else(|| bad("has a length that is no number"))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len <= space + 1 || len > rest.len() {
            return Err(bad("has a record that is longer than itself"));
        }
        let record = &rest[space + 1..len];
        let record = record.strip_suffix(b"\n").ok_or_else(|| bad("has a record without an end"))?;
        let equals =
            record.iter().position(|byte| *byte == b'=').ok_or_else(|| bad("has a record without `=`"))?;
        found.push((&record[..equals], &record[equals + 1..]));
        rest = &rest[len..];
    }
    Ok(found)
}

/// A number in decimal digits.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A time: seconds with an optional sign and fraction, as seconds and nanoseconds; digits beyond nanoseconds are cut off.
pub fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &b""[..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) || fraction.len() > 64 {
        return None;
    }
    let seconds =
        i64::try_from(if whole.is_empty() && !fraction.is_empty() { 0 } else { number(whole)? }).ok()?;
    let mut nanoseconds = 0u32;
    for place in 0..9 {
        nanoseconds = nanoseconds * 10 + fraction.get(place).map_or(0, |byte| u32::from(byte - b'0'));
    }
    match (negative, nanoseconds) {
        (false, _) => Some((seconds, nanoseconds)),
        (true, 0) => Some((-seconds, 0)),
        // -1.25 is -2 and 0.75.
        (true, part) => Some((-seconds - 1, 1_000_000_000 - part)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_may_hold_anything_but_must_end_where_they_say() {
        let bytes = b"12 path=a=b\n10 x=\xff\n\n\n\0\0";
        let found = records(bytes, 0);
        assert!(found.is_err());
        let found = records(b"12 path=a=b\n6 x=\xff\n\0\0", 0).unwrap();
        assert_eq!(found, [(&b"path"[..], &b"a=b"[..]), (&b"x"[..], &b"\xff"[..])]);
        for text in ["5 a=", "999 a=b\n", "a=b\n", "3 \n", "6 ab=c", "18446744073709551616 a=b\n"] {
            assert!(records(text.as_bytes(), 0).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_exact_to_the_nanosecond_on_both_sides_of_1970() {
        assert_eq!(time(b"1700000000.123456789"), Some((1_700_000_000, 123_456_789)));
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"0.0000000019"), Some((0, 1)));
        for text in ["", "1.x", "x", "--1", "99999999999999999999"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }
}
