//! Numbers as people read them.

/// Bytes with three digits and a unit: `1.2M`.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["", "K", "M", "G", "T", "P"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => bytes.to_string(),
        _ if value < 9.95 => format!("{value:.1}{}", UNITS[unit]),
        _ => format!("{value:.0}{}", UNITS[unit]),
    }
}

/// Time in seconds.
pub(super) fn time(ns: u64) -> String {
    format!("{:.3} s", ns as f64 / 1e9)
}

/// A part of one processor, in percent.
pub(super) fn percent(used_ns: u64, wall_ns: u64) -> String {
    if wall_ns == 0 { "0.0".to_owned() } else { format!("{:.1}", used_ns as f64 * 100.0 / wall_ns as f64) }
}

/// A number that may be missing.
pub(super) fn or_dash<T>(value: Option<T>, show: impl Fn(T) -> String) -> String {
    value.map_or("-".to_owned(), show)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_at_most_three_digits() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (10_240, "10K"),
            (1_023_000, "999K"),
            (1 << 20, "1.0M"),
            (256 << 20, "256M"),
            (u64::MAX, "16384P"),
        ] {
            assert_eq!(bytes(number), text, "{number}");
        }
        assert_eq!(percent(500_000_000, 1_000_000_000), "50.0");
        assert_eq!(time(1_234_567_890), "1.235 s");
    }
}
