//! Processor time and processor sets.

use super::{Problem, Value, parse_count};

/// `--cpus`: a number of processors with at most three digits after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cpus {
    thousandths: u64,
}

impl Cpus {
    /// The period that quotas are counted in: 100 ms, the kernel's own default.
    pub const PERIOD_US: u64 = 100_000;

    /// Processor time in each [`Cpus::PERIOD_US`], in microseconds.
    pub const fn quota_us(self) -> u64 {
        self.thousandths * (Self::PERIOD_US / 1000)
    }
}

impl Value for Cpus {
    const FORM: &'static str = "a number of processors, from 0.01";
    const EXAMPLE: &'static str = "1.5";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err("a number is missing".into());
        }
        let whole = if whole.is_empty() { 0 } else { parse_count(whole)? };
        if fraction.len() > 3 {
            return Err("more than three digits after the point".into());
        }
        let fraction = if fraction.is_empty() { 0 } else { parse_count(&format!("{fraction:0<3}"))? };
        if whole > 1_000_000 {
            return Err("there are not that many processors".into());
        }
        let thousandths = whole * 1000 + fraction;
        // The kernel refuses a quota below 1 ms (min_cfs_quota_period).
        if thousandths < 10 {
            return Err("less than 0.01, the least the kernel accepts".into());
        }
        Ok(Self { thousandths })
    }
}

/// `--cpuset-cpus` and `--cpuset-mems`: numbers and ranges, as cpuset(7) lists them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CpuSet {
    ranges: Vec<(u32, u32)>,
}

impl CpuSet {
    /// The list in the kernel's form: `0-3,8`.
    pub fn to_list(&self) -> String {
        let range = |(first, last): &(u32, u32)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        self.ranges.iter().map(range).collect::<Vec<_>>().join(",")
    }
}

impl Value for CpuSet {
    const FORM: &'static str = "numbers and ranges, separated by commas";
    const EXAMPLE: &'static str = "0-3,8";

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (parse_index(first)?, parse_index(last)?);
            if first > last {
                return Err(format!("the range {part} runs backwards").into());
            }
            ranges.push((first, last));
        }
        Ok(Self { ranges })
    }
}

/// A processor or memory node; kernels are built for at most 8192 of either.
fn parse_index(text: &str) -> Result<u32, Problem> {
    match parse_count(text)? {
        index @ 0..8192 => Ok(index as u32),
        index => Err(format!("there is no number {index}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn cpus_are_counted_in_thousandths() {
        expect![[r#"
            1 => Cpus { thousandths: 1000 }
            0.5 => Cpus { thousandths: 500 }
            .25 => Cpus { thousandths: 250 }
            2. => Cpus { thousandths: 2000 }
            0.01 => Cpus { thousandths: 10 }
            0.009 !! less than 0.01, the least the kernel accepts
            0 !! less than 0.01, the least the kernel accepts
            -1 !! `-1` is not a number
             !! a number is missing
            . !! a number is missing
            1.2345 !! more than three digits after the point
            1,5 !! `1,5` is not a number
            1e3 !! `1e3` is not a number
            9999999 !! there are not that many processors
            1.5 => Cpus { thousandths: 1500 }
        "#]]
        .assert_eq(&table::<Cpus>(&[
            "1", "0.5", ".25", "2.", "0.01", "0.009", "0", "-1", "", ".", "1.2345", "1,5", "1e3", "9999999",
        ]));
        assert_eq!(Cpus::parse("1.5").map(Cpus::quota_us), Ok(150_000));
    }

    #[test]
    fn a_set_is_a_list_of_ranges() {
        expect![[r#"
            0 => CpuSet { ranges: [(0, 0)] }
            0,1 => CpuSet { ranges: [(0, 0), (1, 1)] }
            0-1 => CpuSet { ranges: [(0, 1)] }
            3-1 !! the range 3-1 runs backwards
             !! a number is missing
            , !! a number is missing
            1- !! a number is missing
            a !! `a` is not a number
            9999 !! there is no number 9999
            0-2-4 !! `2-4` is not a number
            0-3,8 => CpuSet { ranges: [(0, 3), (8, 8)] }
        "#]]
        .assert_eq(&table::<CpuSet>(&["0", "0,1", "0-1", "3-1", "", ",", "1-", "a", "9999", "0-2-4"]));
        assert_eq!(CpuSet::parse("0-3,8").map(|set| set.to_list()), Ok("0-3,8".to_owned()));
    }
}
