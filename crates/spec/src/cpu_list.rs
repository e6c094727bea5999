//! Lists of CPUs and memory nodes: `0-3,7`.

use std::ops::RangeInclusive;

/// The ranges of a list, in its order; spaces and stray commas do not matter, as in taskset(1). `None` when the text
/// is no such list, or a range ends before it starts.
pub fn parse(list: &str) -> Option<Vec<RangeInclusive<u32>>> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(range).collect()
}

/// How many numbers there are in ranges.
pub fn count(ranges: &[RangeInclusive<u32>]) -> u64 {
    ranges.iter().map(|range| u64::from(range.end() - range.start()) + 1).sum()
}

fn range(part: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

/// Digits only: `str::parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_ranges() {
        assert_eq!(parse("0-3,7"), Some(vec![0..=3, 7..=7]));
        assert_eq!(parse(" 1 ,, 2"), Some(vec![1..=1, 2..=2]));
        assert_eq!(parse(""), Some(vec![]));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["3-1", "a", "1-", "-1", "+1", "1-2-3", "4294967296", "0x1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
