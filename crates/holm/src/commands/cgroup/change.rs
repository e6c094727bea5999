//! `holm cgroup create`, `delete` and `delegate`.

use cgroups::{Cgroup, CgroupPath, Error, Place, Wanted, Which, plan, words};
use clap::ArgMatches;

use super::{Host, limits, patience_for_removal};
use crate::commands::accounts;
use crate::commands::failure::Failure;

pub(super) fn create(matches: &ArgMatches) -> Result<u8, Failure> {
    let path = super::path(matches)?;
    let wish = limits::wish(matches)?;
    let owner = super::text(matches, "delegate").map(owner).transpose()?;
    let host = Host::read(matches)?.usable(&path)?;
    let limits = wish.limits(&host.layout, None).map_err(words::named)?;
    let place = Place::Mount(path);
    let wanted = Wanted { place: &place, limits: &limits, which: Which::All };
    let planned = plan(&host.layout, &wanted).map_err(words::named)?;
    for note in planned.notes.iter().filter(|note| note.limit != "cgroup") {
        eprintln!("holm: {}: {}", note.limit, note.why);
    }
    let cgroup = Cgroup::create(&planned.exclusive())?;
    if let Some((uid, gid)) = owner
        && let Err(error) = cgroup.delegate(uid, gid)
    {
        let _ = cgroup.remove(patience_for_removal());
        cgroup.remove_made_parents();
        return Err(error.into());
    }
    Ok(0)
}

pub(super) fn delete(matches: &ArgMatches) -> Result<u8, Failure> {
    let (kill, recursive) = (matches.get_flag("kill"), matches.get_flag("recursive"));
    let names = matches.get_many::<String>("name").into_iter().flatten();
    let paths = names.map(|name| CgroupPath::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let host = Host::read(matches)?;
    // All of them are looked at before the first is touched.
    let groups = paths.iter().map(|path| Cgroup::find(&host.layout, path)).collect::<Result<Vec<_>, _>>()?;
    for (group, path) in groups.iter().zip(&paths) {
        let in_use = |what| Error::InUse { group: path.as_str().into(), what };
        if !recursive && group.has_children()? {
            return Err(in_use("has groups below it; -r removes those as well").into());
        }
        if !kill && !group.processes_anywhere()?.is_empty() {
            return Err(in_use("has processes; --kill kills them").into());
        }
    }
    for group in &groups {
        if kill {
            group.kill_anywhere(patience_for_removal())?;
        }
        group.remove(patience_for_removal()).map_err(first)?;
    }
    Ok(0)
}

pub(super) fn delegate(matches: &ArgMatches) -> Result<u8, Failure> {
    let (uid, gid) = owner(super::text(matches, "user").unwrap_or_default())?;
    let (_host, _, cgroup) = super::named(matches)?;
    cgroup.delegate(uid, gid)?;
    Ok(0)
}

/// `USER[:GROUP]`; without a group that of the user.
fn owner(text: &str) -> Result<(u32, u32), Failure> {
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let uid = accounts::user(user)?;
    let gid = match group {
        Some(group) => accounts::group(group)?,
        None => accounts::group_of(uid).unwrap_or(uid),
    };
    Ok((uid, gid))
}

/// Removing goes on after a failure; the first one is told.
fn first(errors: Vec<Error>) -> Failure {
    match errors.into_iter().next() {
        Some(error) => error.into(),
        None => unreachable!("a failed removal has an error"),
    }
}
