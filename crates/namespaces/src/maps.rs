//! Id maps of user namespaces: parsed, combined, and written as the kernel takes them. Pure.

use std::fmt::Write as _;

use crate::error::Error;

/// Ids that follow each other inside and outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdRange {
    /// The first id inside.
    pub inside: u32,
    /// The first id outside, as the namespace above numbers ids.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The most lines that the kernel takes (user_namespaces(7), Linux 4.15).
pub const MAX_LINES: usize = 340;

impl IdRange {
    /// Reads `INSIDE:OUTSIDE:COUNT`, or `OUTSIDE,INSIDE,COUNT`, as unshare(1) has both.
    ///
    /// # Errors
    /// When it is neither, is empty, or leaves the range of ids.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::input(
                format!("`{}` maps no ids: {why}", text.escape_debug()),
                "write INSIDE:OUTSIDE:COUNT, for example 0:100000:65536",
            )
        };
        let (separator, swapped) = if text.contains(',') { (',', true) } else { (':', false) };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<u32> = text
            .split(separator)
            .map(|part| if digits(part) { part.parse().ok() } else { None })
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("these are not numbers of ids"))?;
        let [first, second, count] = parts[..] else { return Err(wrong("three numbers are needed")) };
        let (inside, outside) = if swapped { (second, first) } else { (first, second) };
        if count == 0 {
            return Err(wrong("the count is 0"));
        }
        // 4294967295 means "no id" to the kernel.
        let fits = |start: u32| u64::from(start) + u64::from(count) <= u64::from(u32::MAX);
        if !fits(inside) || !fits(outside) {
            return Err(wrong("it goes beyond the last id"));
        }
        Ok(Self { inside, outside, count })
    }
}

/// Adds `single` to `ranges`: whatever else has one of its two ids is left out of them, pair by pair.
pub fn punch(ranges: &[IdRange], single: IdRange) -> Vec<IdRange> {
    let mut all = vec![single];
    for range in ranges {
        let cuts = [single.inside.checked_sub(range.inside), single.outside.checked_sub(range.outside)];
        let mut cuts: Vec<u32> = cuts.into_iter().flatten().filter(|&offset| offset < range.count).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let mut from = 0;
        for cut in cuts.into_iter().chain([range.count]) {
            if cut > from {
                all.push(IdRange {
                    inside: range.inside + from,
                    outside: range.outside + from,
                    count: cut - from,
                });
            }
            from = cut + 1;
        }
    }
    all.sort_unstable();
    all
}

/// Makes sure that the kernel takes the map: no id twice on either side, not too many lines.
///
/// # Errors
/// What the kernel would refuse.
pub fn check(ranges: &[IdRange]) -> Result<(), Error> {
    let overlap = |first: fn(&IdRange) -> u32| {
        let mut sorted: Vec<_> = ranges.iter().map(|range| (u64::from(first(range)), range.count)).collect();
        sorted.sort_unstable();
        sorted.windows(2).any(|pair| pair[0].0 + u64::from(pair[0].1) > pair[1].0)
    };
    if overlap(|range| range.inside) || overlap(|range| range.outside) {
        return Err(Error::input("ids are mapped twice", "each id may stand once inside and once outside"));
    }
    if ranges.len() > MAX_LINES {
        return Err(Error::input(
            format!("{} ranges of ids are too many", ranges.len()),
            "the kernel takes at most 340",
        ));
    }
    Ok(())
}

/// The text for `/proc/PID/uid_map`.
pub fn text(ranges: &[IdRange]) -> String {
    let mut text = String::new();
    for IdRange { inside, outside, count } in ranges {
        let _ = writeln!(text, "{inside} {outside} {count}");
    }
    text
}

/// Reads what `/proc/PID/uid_map` shows.
pub fn parse_file(text: &str) -> Vec<IdRange> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().ok());
            Some(IdRange { inside: numbers.next()??, outside: numbers.next()??, count: numbers.next()?? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inside: u32, outside: u32, count: u32) -> IdRange {
        IdRange { inside, outside, count }
    }

    #[test]
    fn both_ways_of_writing_a_range_are_read() {
        assert_eq!(IdRange::parse("0:100000:65536"), Ok(range(0, 100_000, 65_536)));
        assert_eq!(IdRange::parse("100000,0,65536"), Ok(range(0, 100_000, 65_536)));
        for text in [
            "",
            "1",
            "1:2",
            "1:2:0",
            "1:2:3:4",
            "a:b:c",
            "-1:2:3",
            "0:0:4294967296",
            "1:0:4294967295",
            "+1:0:1",
        ] {
            assert!(IdRange::parse(text).is_err(), "{text}");
        }
        assert!(IdRange::parse("0:0:4294967295").is_ok());
    }

    #[test]
    fn a_single_id_takes_its_place_out_of_a_range() {
        assert_eq!(
            punch(&[range(0, 100_000, 65_536)], range(0, 1000, 1)),
            [range(0, 1000, 1), range(1, 100_001, 65_535)]
        );
        assert_eq!(
            punch(&[range(0, 100_000, 65_536)], range(1000, 1000, 1)),
            [range(0, 100_000, 1000), range(1000, 1000, 1), range(1001, 101_001, 64_535)]
        );
        // The one inside and the one outside lie in different places of the range.
        assert_eq!(
            punch(&[range(0, 0, 10)], range(2, 5, 1)),
            [range(0, 0, 2), range(2, 5, 1), range(3, 3, 2), range(6, 6, 4)]
        );
    }

    #[test]
    fn an_id_twice_on_either_side_is_refused() {
        assert!(check(&[range(0, 10, 5), range(5, 20, 5)]).is_ok());
        assert!(check(&[range(0, 10, 6), range(5, 20, 5)]).is_err());
        assert!(check(&[range(0, 10, 5), range(5, 14, 5)]).is_err());
        assert!(check(&vec![range(0, 0, 1); 400]).is_err());
    }

    #[test]
    fn the_text_is_what_the_kernel_shows_again() {
        let ranges = [range(0, 1000, 1), range(1, 100_000, 65_536)];
        assert_eq!(text(&ranges), "0 1000 1\n1 100000 65536\n");
        assert_eq!(parse_file("         0       1000          1\n 1 100000 65536\nx\n"), ranges);
    }
}
