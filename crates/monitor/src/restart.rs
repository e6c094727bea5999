//! Whether a container that has ended is started again, and when: pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `--restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Never.
    #[default]
    No,
    /// When it failed, so many times at most.
    OnFailure {
        /// The most restarts in a row; no bound without it.
        max: Option<u32>,
    },
    /// Whatever its status, unless somebody has stopped it; after a boot in any case.
    Always,
    /// The same, but after a boot only if nobody had stopped it before.
    UnlessStopped,
}

impl Policy {
    /// The name, as docker has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure { .. } => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

/// How long the first restart waits; each further one twice as long, up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(60);
/// A run of this length was a success: the count begins anew.
const STEADY_NS: u64 = 10_000_000_000;

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// How long it was, in nanoseconds.
    pub length_ns: u64,
    /// Its status.
    pub status: i32,
    /// How many restarts in a row there were before.
    pub restarts: u32,
    /// Whether somebody stopped it.
    pub stopped: bool,
}

/// After which time to start it again and which restart in a row that is; none when it stays down.
pub fn again(policy: Policy, run: Run) -> Option<(Duration, u32)> {
    let restarts = if run.length_ns >= STEADY_NS { 0 } else { run.restarts };
    let wanted = match policy {
        Policy::No => false,
        Policy::OnFailure { max } => run.status != 0 && max.is_none_or(|max| restarts < max),
        Policy::Always | Policy::UnlessStopped => true,
    };
    let wait = FIRST.saturating_mul(1u32 << restarts.min(10)).min(LONGEST);
    (wanted && !run.stopped).then_some((wait, restarts + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(policy: Policy, status: i32, restarts: u32, seconds: u64) -> Option<(u128, u32)> {
        let run = Run { length_ns: seconds * 1_000_000_000, status, restarts, stopped: false };
        again(policy, run).map(|(wait, count)| (wait.as_millis(), count))
    }

    #[test]
    fn each_policy_restarts_what_it_says() {
        let twice = Policy::OnFailure { max: Some(2) };
        assert_eq!(after(Policy::No, 1, 0, 0), None);
        assert_eq!(after(Policy::Always, 0, 0, 0), Some((100, 1)));
        assert_eq!(after(twice, 0, 0, 0), None);
        assert_eq!(after(twice, 1, 1, 0), Some((200, 2)));
        assert_eq!(after(twice, 1, 2, 0), None);
        assert_eq!(after(twice, 1, 2, 10), Some((100, 1)), "it ran well for a while");
        let stopped = Run { length_ns: 0, status: 1, restarts: 0, stopped: true };
        assert_eq!(again(Policy::Always, stopped), None);
    }

    #[test]
    fn the_wait_doubles_to_a_minute() {
        let waits: Vec<_> = (0..12).map(|count| after(Policy::Always, 1, count, 0).unwrap().0).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
        assert!(after(Policy::Always, 1, u32::MAX - 1, 0).is_some());
    }
}
