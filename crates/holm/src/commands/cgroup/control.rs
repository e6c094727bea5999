//! `holm cgroup exec`, `move`, `freeze`, `thaw` and `kill`.

use std::ffi::OsString;

use cgroups::Refused;
use clap::ArgMatches;

use crate::commands::failure::Failure;

pub(super) fn exec(matches: &ArgMatches) -> Result<u8, Failure> {
    let program: Vec<OsString> = matches.get_many("program").into_iter().flatten().cloned().collect();
    let path = super::path(matches)?;
    let host = super::Host::read(matches)?;
    let cgroup = cgroups::Cgroup::find(&host.layout, &path)?;
    cgroup.enter()?;
    Err(namespaces::program::execute(&program).into())
}

pub(super) fn admit(matches: &ArgMatches) -> Result<u8, Failure> {
    let pids = matches.get_many::<String>("pid").into_iter().flatten();
    let pids = pids
        .map(|text| {
            let pid = text.parse().ok().filter(|&pid: &u32| pid > 0 && i32::try_from(pid).is_ok());
            let wrong = || Refused::value(format!("`{}`", text.escape_debug()), "this is not a process id");
            pid.ok_or_else(wrong)
        })
        .collect::<Result<Vec<u32>, _>>()?;
    let (host, _, cgroup) = super::named(matches)?;
    for &pid in &pids {
        if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
            return Err(namespaces::Error::not_found(format!("there is no process {pid}"), "see `ps -e`").into());
        }
    }
    pids.iter().try_for_each(|&pid| cgroup.admit(&host.layout, pid))?;
    Ok(0)
}

pub(super) fn freeze(matches: &ArgMatches) -> Result<u8, Failure> {
    let patience = super::patience(matches)?;
    super::named(matches)?.2.freeze(patience)?;
    Ok(0)
}

pub(super) fn thaw(matches: &ArgMatches) -> Result<u8, Failure> {
    let patience = super::patience(matches)?;
    super::named(matches)?.2.thaw(patience)?;
    Ok(0)
}

pub(super) fn kill(matches: &ArgMatches) -> Result<u8, Failure> {
    let patience = super::patience(matches)?;
    let signal = super::text(matches, "signal").map(signal).transpose()?;
    // The topmost group is everybody.
    let path = super::path(matches)?;
    let host = super::Host::read(matches)?;
    let cgroup = cgroups::Cgroup::find(&host.layout, &path)?;
    match signal {
        Some(signal) => drop(cgroup.signal(signal)?),
        None => cgroup.kill_anywhere(patience)?,
    }
    Ok(0)
}

fn signal(text: &str) -> Result<rustix::process::Signal, Refused> {
    let parsed: Option<spec::Signal> = engine::flags::Value::parse(text).ok();
    let number = parsed.and_then(|signal| i32::try_from(signal.number()).ok());
    number.and_then(rustix::process::Signal::from_named_raw).ok_or_else(|| {
        Refused::value(format!("--signal `{}`", text.escape_debug()), "give a name or a number: TERM, 15")
    })
}
