//! Points in time as text: RFC 3339 in UTC, to the nanosecond.

/// Nanoseconds since 1970, now.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// `2026-11-28T02:13:37.123456789Z`.
///
/// ```
/// assert_eq!(monitor::time::rfc3339(951_827_696_000_000_005), "2000-02-29T12:34:56.000000005Z");
/// ```
pub fn rfc3339(ns: u64) -> String {
    let mut text = [0; TIME_LEN];
    write_rfc3339(ns, &mut text);
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// The length of a time as text.
pub const TIME_LEN: usize = 30;

/// Writes a time without allocating.
pub fn write_rfc3339(ns: u64, out: &mut [u8; TIME_LEN]) {
    let (seconds, mut nanos) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (year, month, day) = date(seconds / 86_400);
    let second = seconds % 86_400;
    out.copy_from_slice(b"0000-00-00T00:00:00.000000000Z");
    let mut put = |at: usize, width: usize, mut value: u64| {
        for place in (at..at + width).rev() {
            out[place] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    put(0, 4, year);
    put(5, 2, month);
    put(8, 2, day);
    put(11, 2, second / 3600);
    put(14, 2, second / 60 % 60);
    put(17, 2, second % 60);
    for place in (20..29).rev() {
        out[place] = b'0' + (nanos % 10) as u8;
        nanos /= 10;
    }
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar; years begin in March, so that the day that
/// comes and goes is their last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Nanoseconds since 1970 of a time in RFC 3339, with or without a zone; a day alone is its beginning.
///
/// ```
/// use monitor::time::parse_rfc3339;
/// assert_eq!(parse_rfc3339("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
/// assert_eq!(parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(0));
/// assert_eq!(parse_rfc3339("1970-01-02"), Some(86_400_000_000_000));
/// assert_eq!(parse_rfc3339("yesterday"), None);
/// ```
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    if !text.is_ascii() || text.len() < 10 {
        return None;
    }
    let number = |text: &str| -> Option<u64> {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let (day, rest) = text.split_at(10);
    let mut parts = day.split('-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some()
        || !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    let mut seconds = days_before(year, month, day) * 86_400;
    let mut nanos = 0;
    let mut zone = 0i64;
    if let Some(rest) = rest.strip_prefix(['T', 't', ' ']) {
        let at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, offset) = rest.split_at(at);
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut places = clock.split(':');
        let (hour, minute) = (number(places.next()?)?, number(places.next()?)?);
        let second = places.next().map_or(Some(0), number)?;
        if places.next().is_some() || hour > 23 || minute > 59 || second > 60 || fraction.len() > 9 {
            return None;
        }
        seconds += hour * 3600 + minute * 60 + second;
        if !fraction.is_empty() {
            nanos = number(fraction)? * 10u64.pow(9 - fraction.len() as u32);
        }
        zone = match offset.as_bytes() {
            [] | [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), ..] => {
                let (hours, minutes) = offset[1..].split_once(':')?;
                let (hours, minutes) = (number(hours)?, number(minutes)?);
                let away = i64::try_from(hours * 3600 + minutes * 60).ok()?;
                if *sign == b'-' { -away } else { away }
            }
            _ => return None,
        };
    } else if !rest.is_empty() {
        return None;
    }
    let seconds = u64::try_from(i64::try_from(seconds).ok()?.checked_sub(zone)?).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

fn days_before(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in (0..146_097u64).step_by(13) {
            let ns = day * 86_400_000_000_000 + 3_723_000_000_001;
            let text = rfc3339(ns);
            assert_eq!(parse_rfc3339(&text), Some(ns), "{text}");
        }
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_795_832_017_000_000_000), "2026-11-28T02:13:37.000000000Z");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-01-01T",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:00+1",
            "é026-01-01",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
