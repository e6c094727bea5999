//! The few forms that texts of cgroupfs have. Nothing here fails: what is not understood is left out, so that a
//! file of a newer kernel still reads.

/// The lines of a flat keyed file such as `memory.stat`: key and number.
pub(crate) fn flat(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

/// One number of a flat keyed file.
pub(crate) fn flat_value(text: &str, wanted: &str) -> Option<u64> {
    flat(text).find_map(|(key, value)| (key == wanted).then_some(value))
}

/// The lines of a nested keyed file such as `io.stat`: key and `name=number` pairs, `max` left out.
pub(crate) fn nested(text: &str) -> impl Iterator<Item = (&str, impl Iterator<Item = (&str, u64)>)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let key = words.next()?;
        let pairs = words.filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            Some((name, value.parse().ok()?))
        });
        Some((key, pairs))
    })
}

/// A number, or `None` for `max` and what is no number.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A limit of either version: `max`, `-1` and the v1 way of saying "no limit" (the largest multiple of the page
/// size) are `None`.
pub(crate) fn limit(text: &str) -> Option<u64> {
    number(text).filter(|&value| value < (i64::MAX as u64) & !0xffff)
}
