//! `update`

use clap::{Arg, Command};

use super::flags;

/// `update`: the flags, and what each of them says in a document of limits, are in [`FLAGS`].
pub(super) fn update() -> Command {
    let file = flags::path("resources")
        .short('r')
        .value_name("FILE")
        .help("Read the `resources` section of a configuration from a file, `-` for standard input; no other flag counts then");
    Command::new("update").about("Change the limits of a container").arg(flags::id()).arg(file).args(
        FLAGS.iter().map(|flag| {
            let arg = Arg::new(flag.name).long(flag.name).value_name(flag.amount.value_name());
            // A limit of -1 is none.
            arg.help(flag.help).allow_hyphen_values(true).hide(matches!(flag.amount, Amount::Refused(_)))
        }),
    )
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A number.
    Number,
    /// A number of bytes, perhaps with a unit, or -1.
    Bytes,
    /// Text as it is.
    Text,
    /// Nothing that this runtime can do, for this reason.
    Refused(&'static str),
}

impl Amount {
    fn value_name(self) -> &'static str {
        match self {
            Self::Number => "N",
            Self::Bytes => "BYTES",
            Self::Text => "LIST",
            Self::Refused(_) => "SCHEMA",
        }
    }
}

/// A flag of `update`.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub amount: Amount,
    /// Where that stands in a document of limits: section and property.
    pub place: (&'static str, &'static str),
    help: &'static str,
}

const fn flag(
    name: &'static str,
    amount: Amount,
    place: (&'static str, &'static str),
    help: &'static str,
) -> Flag {
    Flag { name, amount, place, help }
}

const NO_RESCTRL: Amount =
    Amount::Refused("this version of holm-runtime changes no cache or bandwidth allocation");

/// All of them.
pub const FLAGS: &[Flag] = &[
    flag("blkio-weight", Amount::Number, ("blockIO", "weight"), "Weight of block I/O, 10 to 1000"),
    flag("cpu-period", Amount::Number, ("cpu", "period"), "Period of the CPU quota, microseconds"),
    flag(
        "cpu-quota",
        Amount::Number,
        ("cpu", "quota"),
        "CPU time in each period, microseconds; -1 is no limit",
    ),
    flag("cpu-burst", Amount::Number, ("cpu", "burst"), "CPU time that may be saved up, microseconds"),
    flag("cpu-share", Amount::Number, ("cpu", "shares"), "Share of CPU time, 2 to 262144"),
    flag(
        "cpu-rt-period",
        Amount::Number,
        ("cpu", "realtimePeriod"),
        "Period of real-time CPU time, microseconds (cgroup v1)",
    ),
    flag(
        "cpu-rt-runtime",
        Amount::Number,
        ("cpu", "realtimeRuntime"),
        "Real-time CPU time in each period, microseconds (cgroup v1)",
    ),
    flag("cpuset-cpus", Amount::Text, ("cpu", "cpus"), "CPUs to run on, such as 0-3,7"),
    flag("cpuset-mems", Amount::Text, ("cpu", "mems"), "Memory nodes to use, such as 0-1"),
    flag("cpu-idle", Amount::Number, ("cpu", "idle"), "1 runs only when nobody else wants to, 0 as usual"),
    flag(
        "kernel-memory",
        Amount::Bytes,
        ("memory", "kernel"),
        "Accepted and not used: the kernel has no such limit any more",
    ),
    flag(
        "kernel-memory-tcp",
        Amount::Bytes,
        ("memory", "kernelTCP"),
        "Kernel memory for TCP buffers (cgroup v1)",
    ),
    flag("memory", Amount::Bytes, ("memory", "limit"), "Memory"),
    flag(
        "memory-reservation",
        Amount::Bytes,
        ("memory", "reservation"),
        "Memory that is protected while others use more",
    ),
    flag("memory-swap", Amount::Bytes, ("memory", "swap"), "Memory and swap together; -1 is no limit"),
    flag("pids-limit", Amount::Number, ("pids", "limit"), "Number of processes and threads; -1 is no limit"),
    flag("l3-cache-schema", NO_RESCTRL, ("", ""), ""),
    flag("mem-bw-schema", NO_RESCTRL, ("", ""), ""),
];
