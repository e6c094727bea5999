//! `holm ns hold` and `holm ns release`.

use std::path::PathBuf;

use crate::commands::failure::Failure;
use clap::ArgMatches;
use namespaces::hold::{self, Name};
use namespaces::make::{Bind, Request};
use namespaces::{Error, find, reference};

pub(super) fn hold(matches: &ArgMatches) -> Result<u8, Failure> {
    let (kind, name) = named(matches)?;
    let target = super::text(matches, "target").map(super::pid).transpose()?;
    let file = super::text(matches, "file").map(PathBuf::from);
    let source = match (target, file) {
        (Some(_), Some(_)) => {
            return Err(Error::input("--target and --file contradict each other", "give one of them").into());
        }
        (Some(pid), None) => {
            let id = reference::open_of_process(pid, kind)?.1;
            Some((PathBuf::from(format!("/proc/{pid}/ns/{kind}")), id))
        }
        (None, Some(file)) => {
            let id = find::open_path(&file)?.1;
            Some((file, id))
        }
        (None, None) => None,
    };
    match source {
        Some((_, id)) if id.kind != kind => {
            Err(Error::input(format!("{id} is not a {kind} namespace"), "name the kind that it is").into())
        }
        Some((source, id)) => Ok(hold::hold(&source, id, &name).map(|_| 0)?),
        None => {
            let request = Request { kinds: vec![(kind, Some(Bind::Name(name)))], ..Request::default() };
            Ok(request.check()?.run()?)
        }
    }
}

pub(super) fn release(matches: &ArgMatches) -> Result<u8, Failure> {
    let (kind, name) = named(matches)?;
    hold::release(kind, &name)?;
    Ok(0)
}

fn named(matches: &ArgMatches) -> Result<(namespaces::Kind, Name), Error> {
    let text = |id| super::text(matches, id).unwrap_or_default();
    Ok((super::kind(text("kind"))?, Name::parse(text("name"))?))
}
