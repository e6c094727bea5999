//! Whole numbers within the bounds that the kernel has for them.

use super::{Problem, Value, parse_count};

/// `--pids-limit`: a number of processes, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PidsLimit {
    /// At most so many processes and threads.
    Max(u64),
    /// `-1` or `0`: no limit.
    Unlimited,
}

impl Value for PidsLimit {
    const FORM: &'static str = "a number of processes, or -1 for no limit";
    const EXAMPLE: &'static str = "200";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "-1" | "0" => Ok(Self::Unlimited),
            // PID_MAX_LIMIT is 2^22 on 64-bit kernels; the controller refuses more (pids.c).
            _ => match parse_count(text)? {
                max if max <= 1 << 22 => Ok(Self::Max(max)),
                _ => Err("the kernel has at most 4194304 processes".into()),
            },
        }
    }
}

/// `--oom-score-adj`: -1000 (never killed) to 1000 (killed first), proc_pid_oom_score_adj(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct OomScoreAdj(i32);

impl OomScoreAdj {
    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl Value for OomScoreAdj {
    const FORM: &'static str = "a number from -1000 to 1000";
    const EXAMPLE: &'static str = "500";

    fn parse(text: &str) -> Result<Self, Problem> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let magnitude = parse_count(digits)?;
        if magnitude > 1000 {
            return Err("the number is outside -1000 to 1000".into());
        }
        let magnitude = magnitude as i32;
        Ok(Self(if digits.len() == text.len() { magnitude } else { -magnitude }))
    }
}

/// A number from `LOW` to `HIGH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Within<const LOW: u64, const HIGH: u64>(u64);

impl<const LOW: u64, const HIGH: u64> Within<LOW, HIGH> {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads the number; the bounds are part of the message.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub fn read(text: &str) -> Result<Self, Problem> {
        match parse_count(text)? {
            number if (LOW..=HIGH).contains(&number) => Ok(Self(number)),
            _ => Err(format!("the number is outside {LOW} to {HIGH}").into()),
        }
    }
}

/// `--cpu-shares`, relative to 1024.
pub type CpuShares = Within<2, 262_144>;

impl Value for CpuShares {
    const FORM: &'static str = "a number from 2 to 262144; 1024 is the usual share";
    const EXAMPLE: &'static str = "512";

    fn parse(text: &str) -> Result<Self, Problem> {
        Self::read(text)
    }
}

/// `--cpu-weight`, relative to 100 (cgroup v2's `cpu.weight`).
pub type CpuWeight = Within<1, 10_000>;

impl Value for CpuWeight {
    const FORM: &'static str = "a number from 1 to 10000; 100 is the usual weight";
    const EXAMPLE: &'static str = "50";

    fn parse(text: &str) -> Result<Self, Problem> {
        Self::read(text)
    }
}

/// `--blkio-weight`.
pub type BlkioWeight = Within<10, 1000>;

impl Value for BlkioWeight {
    const FORM: &'static str = "a number from 10 to 1000; 500 is the usual weight";
    const EXAMPLE: &'static str = "300";

    fn parse(text: &str) -> Result<Self, Problem> {
        Self::read(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_process_limit_is_a_count_or_none() {
        expect![[r#"
            1 => Max(1)
            -1 => Unlimited
            0 => Unlimited
            4194305 !! the kernel has at most 4194304 processes
            -5 !! `-5` is not a number
            x !! `x` is not a number
             !! a number is missing
            +1 !! `+1` is not a number
            200 => Max(200)
        "#]]
        .assert_eq(&table::<PidsLimit>(&["1", "-1", "0", "4194305", "-5", "x", "", "+1"]));
    }

    #[test]
    fn an_oom_score_has_a_sign() {
        expect![[r#"
            0 => OomScoreAdj(0)
            -1000 => OomScoreAdj(-1000)
            1000 => OomScoreAdj(1000)
            -1001 !! the number is outside -1000 to 1000
            1001 !! the number is outside -1000 to 1000
            --1 !! `-1` is not a number
            - !! a number is missing
            x !! `x` is not a number
            500 => OomScoreAdj(500)
        "#]]
        .assert_eq(&table::<OomScoreAdj>(&["0", "-1000", "1000", "-1001", "1001", "--1", "-", "x"]));
    }

    #[test]
    fn weights_stay_within_the_kernels_bounds() {
        expect![[r#"
            2 => Within(2)
            1 !! the number is outside 2 to 262144
            262144 => Within(262144)
            262145 !! the number is outside 2 to 262144
            512 => Within(512)
        "#]]
        .assert_eq(&table::<CpuShares>(&["2", "1", "262144", "262145"]));
        expect![[r#"
            1 => Within(1)
            0 !! the number is outside 1 to 10000
            10000 => Within(10000)
            10001 !! the number is outside 1 to 10000
            50 => Within(50)
        "#]]
        .assert_eq(&table::<CpuWeight>(&["1", "0", "10000", "10001"]));
        expect![[r#"
            10 => Within(10)
            9 !! the number is outside 10 to 1000
            1000 => Within(1000)
            1001 !! the number is outside 10 to 1000
            half !! `half` is not a number
            300 => Within(300)
        "#]]
        .assert_eq(&table::<BlkioWeight>(&["10", "9", "1000", "1001", "half"]));
    }
}
