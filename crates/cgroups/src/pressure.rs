//! How long tasks wait for a resource (PSI, Linux 4.20; psi.rst of the kernel's documentation).

use std::path::Path;

use sys::SyscallError;

use crate::dir;

/// What a `.pressure` file says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// All tasks waited at once. Absent for the processors of the whole host before Linux 5.13.
    pub full: Option<Stall>,
}

/// How much of the time was lost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stall {
    /// Percent of the last 10 seconds.
    pub avg10_percent: f64,
    /// Percent of the last minute.
    pub avg60_percent: f64,
    /// Percent of the last 5 minutes.
    pub avg300_percent: f64,
    /// Microseconds since the group exists.
    pub total_us: u64,
}

/// What tasks may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// A processor.
    Cpu,
    /// Memory.
    Memory,
    /// A block device.
    Io,
}

impl Resource {
    /// The file in a v2 group.
    pub fn file(self) -> &'static str {
        match self {
            Self::Cpu => "cpu.pressure",
            Self::Memory => "memory.pressure",
            Self::Io => "io.pressure",
        }
    }
}

impl Pressure {
    /// Parses `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` and the `full` line; `None` without the first.
    pub fn parse(text: &str) -> Option<Self> {
        let stall = |wanted: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(' '))?;
            let mut stall = Stall::default();
            for word in line.split_ascii_whitespace() {
                let (name, value) = word.split_once('=')?;
                match name {
                    "avg10" => stall.avg10_percent = value.parse().ok()?,
                    "avg60" => stall.avg60_percent = value.parse().ok()?,
                    "avg300" => stall.avg300_percent = value.parse().ok()?,
                    "total" => stall.total_us = value.parse().ok()?,
                    _ => {}
                }
            }
            Some(stall)
        };
        Some(Self { some: stall("some")?, full: stall("full") })
    }

    /// Pressure on the whole host: `/proc/pressure`. `None` if the kernel was built or started without PSI.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read_host(resource: Resource) -> Result<Option<Self>, SyscallError> {
        let name = match resource {
            Resource::Cpu => "/proc/pressure/cpu",
            Resource::Memory => "/proc/pressure/memory",
            Resource::Io => "/proc/pressure/io",
        };
        match dir::read_path(Path::new(name)) {
            Ok(bytes) => Ok(Self::parse(&String::from_utf8_lossy(&bytes))),
            // Started with psi=0, every read says so.
            Err(error) if matches!(error.errno, sys::Errno::NOENT | sys::Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
