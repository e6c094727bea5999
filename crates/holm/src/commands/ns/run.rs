//! `holm ns run`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::commands::failure::Failure;
use clap::ArgMatches;
use engine::ids::parse_subids;
use namespaces::hold::Name;
use namespaces::make::{Bind, Propagation, Request};
use namespaces::maps::{IdRange, punch};
use namespaces::program::Identity;
use namespaces::{Error, Kind};

use crate::cli::ns::KINDS;
use crate::commands::accounts;

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    Ok(request(matches)?.check()?.run()?)
}

fn request(matches: &ArgMatches) -> Result<Request, Failure> {
    let mut kinds = KINDS
        .iter()
        .filter_map(|(kind, flag, _)| Some(bind(super::text(matches, flag)?).map(|bind| (*kind, bind))))
        .collect::<Result<Vec<_>, Error>>()?;
    let maps = Maps::read(matches)?;
    if maps.asked && !kinds.iter().any(|(kind, _)| *kind == Kind::User) {
        kinds.push((Kind::User, None));
    }
    let id =
        |name: &str, flag: &str| super::text(matches, name).map(|text| super::id(text, flag)).transpose();
    let (uid, gid) = (id("setuid", "--setuid")?, id("setgid", "--setgid")?);
    Ok(Request {
        kinds,
        fork: matches.get_flag("fork"),
        users: maps.users,
        groups: maps.groups,
        setgroups: setgroups(super::text(matches, "setgroups"))?,
        propagation: super::text(matches, "propagation").map(propagation).transpose()?,
        mount_proc: super::text(matches, "mount-proc")
            .map(|place| PathBuf::from(if place.is_empty() { "/proc" } else { place })),
        hostname: super::text(matches, "hostname").map(str::to_owned),
        monotonic_s: super::text(matches, "monotonic").map(seconds).transpose()?,
        boottime_s: super::text(matches, "boottime").map(seconds).transpose()?,
        root: super::text(matches, "root").map(PathBuf::from),
        directory: super::text(matches, "wd").map(PathBuf::from),
        identity: Identity {
            uid,
            gid,
            // Groups of the caller are none of another user's.
            clear_groups: gid.is_some(),
            keep_capabilities: matches.get_flag("keep-caps"),
        },
        death_signal: super::text(matches, "kill-child").map(signal).transpose()?,
        program: Some(matches.get_many::<OsString>("program").into_iter().flatten().cloned().collect()),
    })
}

fn bind(text: &str) -> Result<Option<Bind>, Error> {
    match text {
        "" => Ok(None),
        path if path.contains('/') => Ok(Some(Bind::File(PathBuf::from(path)))),
        name => Name::parse(name).map(|name| Some(Bind::Name(name))),
    }
}

/// The ids that are mapped.
#[derive(Debug, Default)]
struct Maps {
    users: Vec<IdRange>,
    groups: Vec<IdRange>,
    asked: bool,
}

impl Maps {
    fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let ranges = |id: &str| {
            let texts = matches.get_many::<String>(id).into_iter().flatten();
            texts.map(|text| IdRange::parse(text)).collect::<Result<Vec<_>, _>>()
        };
        let (mut users, mut groups) = (ranges("map-users")?, ranges("map-groups")?);
        let (uid, gid) = caller();
        let auto = matches.get_flag("map-auto");
        if auto {
            users.extend(subordinate("/etc/subuid", uid)?);
            groups.extend(subordinate("/etc/subgid", uid)?);
        }
        let (root, current) = (matches.get_flag("map-root-user"), matches.get_flag("map-current-user"));
        if root && current {
            return Err(Error::input("-r and -c contradict each other", "give one of them").into());
        }
        let inside = |id: &str, own: u32, look_up: &dyn Fn(&str) -> Result<u32, accounts::UnknownName>| {
            Ok::<_, Failure>(match super::text(matches, id) {
                Some(name) => Some(look_up(name)?),
                None if root => Some(0),
                None if current => Some(own),
                None => None,
            })
        };
        let user = inside("map-user", uid, &accounts::user)?;
        let group = inside("map-group", gid, &accounts::group)?;
        let single = |ranges: Vec<IdRange>, inside: Option<u32>, outside| match inside {
            Some(inside) => punch(&ranges, IdRange { inside, outside, count: 1 }),
            None => ranges,
        };
        let (users, groups) = (single(users, user, uid), single(groups, group, gid));
        let asked = !users.is_empty() || !groups.is_empty();
        Ok(Self { users, groups, asked })
    }
}

/// The effective ids of this process.
fn caller() -> (u32, u32) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective =
        |key| namespaces::text::status_words(&status, key).and_then(|words| words.get(1)?.parse().ok());
    (effective("Uid").unwrap_or(0), effective("Gid").unwrap_or(0))
}

/// The caller's ranges, from id 0 inside on.
fn subordinate(file: &str, uid: u32) -> Result<Vec<IdRange>, Error> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let name = accounts::user_name(uid);
    let mut inside = 0u32;
    let mut ranges = Vec::new();
    for range in parse_subids(&text, &name, uid) {
        let count = range.count.min(u32::MAX - inside);
        if count > 0 {
            ranges.push(IdRange { inside, outside: range.first, count });
            inside += count;
        }
    }
    if ranges.is_empty() {
        return Err(Error::not_found(
            format!("{file} has no range for `{name}`"),
            "`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 NAME` gives one",
        ));
    }
    Ok(ranges)
}

fn setgroups(text: Option<&str>) -> Result<Option<bool>, Error> {
    match text {
        None => Ok(None),
        Some("allow") => Ok(Some(true)),
        Some("deny") => Ok(Some(false)),
        Some(other) => {
            let what = format!("--setgroups `{}` is neither allow nor deny", other.escape_debug());
            Err(Error::input(what, "give one of the two"))
        }
    }
}

fn propagation(text: &str) -> Result<Propagation, Error> {
    Propagation::from_name(text).ok_or_else(|| {
        let what = format!("--propagation `{}` is not known", text.escape_debug());
        Error::input(what, "it is private, slave, shared or unchanged")
    })
}

fn seconds(text: &str) -> Result<i64, Error> {
    text.parse().map_err(|_| {
        let what = format!("`{}` is not a number of seconds", text.escape_debug());
        Error::input(what, "give a whole number, which may be negative: --boottime -3600")
    })
}

fn signal(text: &str) -> Result<i32, Error> {
    let name = if text.is_empty() { "KILL" } else { text };
    let parsed: Result<spec::Signal, _> = engine::flags::Value::parse(name);
    parsed.map(|signal| signal.number() as i32).map_err(|_| {
        let what = format!("--kill-child `{}` is not a signal", name.escape_debug());
        Error::input(what, "give a name or a number: TERM, 15")
    })
}
