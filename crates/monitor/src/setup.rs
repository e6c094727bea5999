//! What a monitor is told: paths, and the numbers of descriptors that it finds open.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::log::LogSetup;

/// The byte of [`Setup::lock`] that says that the log of a container which has ended is not complete yet. It is the kernel's to give back,
/// so a monitor that is killed leaves nobody waiting.
pub const DRAINING: u32 = 0;

/// The file in the run directory that says that somebody takes the container away: what comes after its end is theirs to do.
pub const REMOVAL: &str = "removal";

/// Everything that a monitor knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// The container's id.
    pub id: String,
    /// Which run of the container this is, counted from 1.
    pub run: u64,
    /// When the program was started, in nanoseconds since 1970.
    pub started_ns: u64,
    /// How many restarts in a row there were before.
    pub restarts: u32,
    /// Where the record of the end goes: the container's own directory.
    pub directory: PathBuf,
    /// Where the socket and the record of health go: a directory that lives as long as the machine runs.
    pub run_directory: PathBuf,
    /// Whether the record of the end is to survive a loss of power.
    pub durable: bool,
    /// The container's first process.
    pub pid: i32,
    /// A handle of it.
    pub pidfd: i32,
    /// The other ends of its streams.
    pub streams: StreamFds,
    /// A client that is attached from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<i32>,
    /// The file that is locked as long as somebody watches. Its byte [`DRAINING`] is locked besides from the record of the end until what
    /// the container wrote is in its log.
    pub lock: i32,
    /// Descriptors that are only held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<i32>,
    /// Where output goes.
    pub log: LogSetup,
    /// Input ends when the first client that gives input leaves.
    #[serde(default)]
    pub stdin_once: bool,
    /// Whether and how its health is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSetup>,
    /// A file of the container's cgroup that counts processes killed for lack of memory, as `oom_kill N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_events: Option<PathBuf>,
}

/// Numbers of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StreamFds {
    /// Writes to its standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<i32>,
    /// Reads from its standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<i32>,
    /// Reads from its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<i32>,
    /// Its terminal, which is all three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<i32>,
}

/// When a container's health is asked for, and what is done when it is bad. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSetup {
    /// Between two questions.
    pub interval_ms: u64,
    /// How long one may take.
    pub timeout_ms: u64,
    /// How long after the start failures do not count.
    pub start_period_ms: u64,
    /// Between two questions as long as that lasts; none is the usual interval.
    #[serde(default)]
    pub start_interval_ms: Option<u64>,
    /// How many failures in a row are bad health.
    pub retries: u32,
    /// What is done then.
    pub on_failure: OnFailure,
}

/// `--health-on-failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is told, nothing else.
    #[default]
    None,
    /// The container is killed; its restart policy then decides.
    Kill,
    /// It is stopped and started again.
    Restart,
    /// It is stopped.
    Stop,
}
