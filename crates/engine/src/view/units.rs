//! Amounts as people read them, in docker's words.

/// `3 minutes`, `About an hour`, `2 weeks`.
///
/// ```
/// use engine::view::units::duration;
/// assert_eq!(duration(0), "Less than a second");
/// assert_eq!(duration(90), "About a minute");
/// assert_eq!(duration(3 * 86_400), "3 days");
/// ```
pub fn duration(seconds: u64) -> String {
    let minutes = seconds / 60;
    // Rounded, as docker does.
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, _, _) => "Less than a second".to_owned(),
        (1, _, _) => "1 second".to_owned(),
        (2..60, _, _) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, 2..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, 2..48) => format!("{hours} hours"),
        (_, _, 48..336) => format!("{} days", hours / 24),
        (_, _, 336..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, 1440..17_520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// `1.5kB`, in powers of 1000, with four digits at most.
///
/// ```
/// use engine::view::units::decimal;
/// assert_eq!([decimal(0), decimal(1500), decimal(116_000_000)], ["0B", "1.5kB", "116MB"]);
/// ```
pub fn decimal(bytes: u64) -> String {
    scaled(bytes, 1000.0, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `1.5KiB`, in powers of 1024.
pub fn binary(bytes: u64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn scaled(bytes: u64, base: f64, units: &[&str]) -> String {
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= base && unit + 1 < units.len() {
        size /= base;
        unit += 1;
    }
    // Four significant digits without zeros at their end, as Go's %.4g.
    let places = if size >= 1000.0 {
        0
    } else if size >= 100.0 {
        1
    } else if size >= 10.0 {
        2
    } else {
        3
    };
    let text = format!("{size:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_docker_s() {
        let words = [1, 59, 60, 119, 120, 3599, 3600, 5400, 7200, 172_800, 1_209_600, 5_184_000, 63_072_000];
        let words: Vec<String> = words.into_iter().map(duration).collect();
        assert_eq!(
            words,
            [
                "1 second",
                "59 seconds",
                "About a minute",
                "About a minute",
                "2 minutes",
                "59 minutes",
                "About an hour",
                "2 hours",
                "2 hours",
                "2 days",
                "2 weeks",
                "2 months",
                "2 years"
            ]
        );
    }

    #[test]
    fn sizes_have_four_digits() {
        let sizes = [999, 1000, 1234, 12_345, 123_456, 1_234_567, u64::MAX];
        assert_eq!(
            sizes.map(decimal),
            ["999B", "1kB", "1.234kB", "12.35kB", "123.5kB", "1.235MB", "18.45EB"]
        );
        assert_eq!(binary(3 << 19), "1.5MiB");
    }
}
