//! What a monitor writes down: how a run ended, and the container's health.
//!
//! A record is written whole under another name and renamed, so a reader finds the old one or the new one.

use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, renameat, unlinkat};
use serde::{Deserialize, Serialize};
use sys::SyscallError;

/// The record's name in the container's directory.
pub const EXIT_FILE: &str = "exit.json";
/// The record of health in the run directory.
pub const HEALTH_FILE: &str = "health.json";

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExitRecord {
    /// Which run.
    pub run: u64,
    /// Its status: 128 and the signal's number where one ended it.
    pub status: i32,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Whether memory ran out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oom: bool,
    /// When it was started, in nanoseconds since 1970.
    pub started_ns: u64,
    /// When it ended.
    pub finished_ns: u64,
    /// How many restarts in a row there were before it.
    #[serde(skip_serializing_if = "is_zero")]
    pub restarts: u32,
    /// When it will be started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_ns: Option<u64>,
    /// Why it could not be started, or why its status is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What is known of a container's health.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthRecord {
    /// Which run.
    pub run: u64,
    /// The verdict.
    pub state: HealthState,
    /// How many failures there were in a row.
    pub failing: u32,
    /// The last answers, oldest first; at most [`HEALTH_KEPT`].
    pub log: Vec<Health>,
}

/// How many answers are kept.
pub const HEALTH_KEPT: usize = 5;
/// How many bytes of an answer's output are kept.
pub const HEALTH_OUTPUT: usize = 4096;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// When it was asked for, in nanoseconds since 1970.
    pub start_ns: u64,
    /// When it was there.
    pub end_ns: u64,
    /// The program's status; -1 when it took too long.
    pub status: i32,
    /// What it wrote.
    pub output: String,
}

/// A container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthState {
    /// Nothing is known yet.
    #[default]
    Starting,
    /// The last answer was good.
    Healthy,
    /// So many answers in a row were bad.
    Unhealthy,
}

impl HealthState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// A directory by its path.
///
/// # Errors
/// Those of openat(2).
pub fn open_directory(path: &Path) -> Result<OwnedFd, SyscallError> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SyscallError::new("openat", path.display().to_string(), errno))
}

/// Writes `value` as `name` in `directory`, whole or not at all; `durable` also against a loss of power.
///
/// # Errors
/// Those of the calls; nothing is left then.
pub fn write_record(
    directory: impl AsFd,
    name: &str,
    value: &impl Serialize,
    durable: bool,
) -> Result<(), SyscallError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| SyscallError::new("write", name, std::io::Error::other(error)))?;
    write_file(directory, name, &bytes, durable)
}

/// Writes `bytes` as `name` in `directory`, whole or not at all; `durable` also against a loss of power.
///
/// # Errors
/// Those of the calls; nothing is left then.
pub fn write_file(directory: impl AsFd, name: &str, bytes: &[u8], durable: bool) -> Result<(), SyscallError> {
    let directory = directory.as_fd();
    let hidden = format!(".{name}.{}", std::process::id());
    let failed = |call| {
        let subject = name.to_owned();
        move |errno: rustix::io::Errno| SyscallError::new(call, subject, errno)
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, &hidden, flags, Mode::RUSR | Mode::WUSR).map_err(failed("openat"))?;
    let mut file = std::fs::File::from(file);
    let outcome = file
        .write_all(bytes)
        .and_then(|()| if durable { file.sync_data() } else { Ok(()) })
        .map_err(|error| SyscallError::new("write", name, error))
        .and_then(|()| renameat(directory, &hidden, directory, name).map_err(failed("renameat")));
    if outcome.is_err() {
        let _ = unlinkat(directory, &hidden, AtFlags::empty());
        return outcome;
    }
    if durable {
        // The name as well; where a directory cannot be synchronised the file system needs no telling.
        let _ = rustix::fs::fsync(directory);
    }
    Ok(())
}

/// Puts on the disk what [`write_record`] wrote as `name` without that. What cannot be synchronised stays as the kernel has it.
pub fn sync_record(directory: impl AsFd, name: &str) {
    let directory = directory.as_fd();
    if let Ok(file) =
        openat(directory, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    {
        let _ = rustix::fs::fdatasync(file);
        let _ = rustix::fs::fsync(directory);
    }
}

/// Reads a record; none when it is not there or is none.
pub fn read_record<T: for<'a> Deserialize<'a>>(directory: impl AsFd, name: &str) -> Option<T> {
    use std::io::Read as _;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory.as_fd(), name, flags, Mode::empty()).ok()?;
    let mut bytes = Vec::with_capacity(512);
    std::fs::File::from(file).take(1 << 20).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_replaced_whole() {
        let path = std::env::temp_dir().join(format!("holm-exit-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let directory = open_directory(&path).unwrap();
        let record = ExitRecord { run: 1, status: 137, signal: Some(9), ..ExitRecord::default() };
        write_record(&directory, EXIT_FILE, &record, true).unwrap();
        let second = ExitRecord { run: 2, error: Some("why".to_owned()), ..record.clone() };
        write_record(&directory, EXIT_FILE, &second, false).unwrap();
        let read: Option<ExitRecord> = read_record(&directory, EXIT_FILE);
        let names: Vec<_> =
            std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        std::fs::write(path.join("exit.json"), "{cut").unwrap();
        let damaged: Option<ExitRecord> = read_record(&directory, EXIT_FILE);
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(read, Some(second));
        assert_eq!(names, ["exit.json"]);
        assert_eq!(damaged, None);
    }
}
