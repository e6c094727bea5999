//! `holm cgroup`: a file for each subject.

mod change;
mod control;
mod events;
mod limits;
mod list;
mod screen;
mod show;
mod stat;
mod top;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use cgroups::error::{Refused, Why};
use cgroups::{Cgroup, CgroupPath, ControllerSet, Layout, private};
use clap::ArgMatches;
use report::BoxedExplain;

use crate::commands::failure::Failure;

/// Runs the subcommand that was named.
///
/// # Errors
/// What is wrong with the request, or what the kernel refuses.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let outcome = match matches.subcommand() {
        Some(("create", flags)) => change::create(flags),
        Some(("delete", flags)) => change::delete(flags),
        Some(("delegate", flags)) => change::delegate(flags),
        Some(("list", flags)) => list::run(flags),
        Some(("set", flags)) => limits::set(flags),
        Some(("get", flags)) => limits::get(flags),
        Some(("stat", flags)) => stat::run(flags),
        Some(("top", flags)) => top::run(flags),
        Some(("exec", flags)) => control::exec(flags),
        Some(("move", flags)) => control::admit(flags),
        Some(("freeze", flags)) => control::freeze(flags),
        Some(("thaw", flags)) => control::thaw(flags),
        Some(("kill", flags)) => control::kill(flags),
        Some(("events", flags)) => events::run(flags),
        other => unreachable!("clap knows no {other:?}"),
    };
    outcome.map_err(|failure| failure.0)
}

/// The host's hierarchies, and those that only this command has mounted.
struct Host {
    layout: Layout,
    mounts: Vec<(ControllerSet, OwnedFd)>,
}

/// A hierarchy mounted here that has no groups any more goes with this command.
impl Drop for Host {
    fn drop(&mut self) {
        for (controllers, _mount) in &self.mounts {
            private::wait_for_release(&self.layout, *controllers);
        }
    }
}

impl Host {
    fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let mut layout = Layout::read()?;
        let mut mounts = Vec::new();
        for list in matches.get_many::<String>("mount").into_iter().flatten() {
            let controllers = private::parse_list(list).ok_or_else(|| {
                let why = "name controllers, such as net_cls,perf_event; /proc/cgroups lists them";
                Refused::value(format!("--mount `{}`", list.escape_debug()), why)
            })?;
            mounts.push((controllers, private::mount(&mut layout, controllers)?));
        }
        Ok(Self { layout, mounts })
    }

    /// The same with only the hierarchies in which this caller may change the group.
    fn usable(mut self, path: &CgroupPath) -> Result<Self, Failure> {
        self.layout = self.layout.usable(Path::new(path.as_str()))?;
        if self.layout.hierarchies().next().is_none() {
            let why = "no group above it may be written to by this user".to_owned();
            return Err(Refused::new(format!("cgroup `{}`", path.as_str()), Why::NoCgroup(why)).into());
        }
        Ok(self)
    }
}

fn path(matches: &ArgMatches) -> Result<CgroupPath, Refused> {
    CgroupPath::parse(text(matches, "name").unwrap_or_default())
}

/// The group that is named, where it exists; `/` is the topmost one.
fn named(matches: &ArgMatches) -> Result<(Host, String, Cgroup), Failure> {
    if text(matches, "name") == Some("/") {
        let host = Host::read(matches)?;
        let cgroup = Cgroup::top(&host.layout)?;
        return Ok((host, "/".to_owned(), cgroup));
    }
    let path = path(matches)?;
    let host = Host::read(matches)?;
    let cgroup = Cgroup::find(&host.layout, &path)?;
    Ok((host, path.as_str().to_owned(), cgroup))
}

fn text<'a>(matches: &'a ArgMatches, id: &str) -> Option<&'a str> {
    matches.get_one::<String>(id).map(String::as_str)
}

/// A time that a flag gives.
fn seconds(matches: &ArgMatches, id: &str) -> Result<Option<Duration>, Refused> {
    let Some(text) = text(matches, id) else { return Ok(None) };
    let wrong = || {
        let why = "give a number of seconds from 0.05 to 1000000, such as 2 or 0.5";
        Refused::value(format!("--{id} `{}`", text.escape_debug()), why)
    };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = plain.then(|| text.parse().ok()).flatten().ok_or_else(wrong)?;
    if !(0.05..=1e6).contains(&number) {
        return Err(wrong());
    }
    Ok(Some(Duration::from_secs_f64(number)))
}

/// A count that a flag gives.
fn count(matches: &ArgMatches, id: &str) -> Result<Option<u64>, Refused> {
    let Some(text) = text(matches, id) else { return Ok(None) };
    let number = text.parse().ok().filter(|&number| number > 0);
    number.map(Some).ok_or_else(|| {
        Refused::value(format!("--{id} `{}`", text.escape_debug()), "give a number from 1 on")
    })
}

/// How long to wait for what the kernel does in the background.
fn patience(matches: &ArgMatches) -> Result<Duration, Refused> {
    Ok(seconds(matches, "timeout")?.unwrap_or(Duration::from_secs(10)))
}

/// How long removing a group may take: it is busy for a moment after its last process was reaped.
fn patience_for_removal() -> Duration {
    Duration::from_secs(10)
}
