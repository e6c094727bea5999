//! `mounts`: mounts that are added to a running container, or taken away from it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Arguments;
use runtime::mount_change::What;
use runtime::{HostFacts, MountChange};
use spec::Mount;

use super::container::Live;
use super::document;
use crate::context::Context;
use crate::failure::Outcome;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let what = match arguments.get_one::<String>("action").map(String::as_str) {
        Some("remove") => What::Remove,
        _ => What::Add,
    };
    let file = arguments.get_one::<PathBuf>("file").cloned().unwrap_or_default();
    let mounts = spec::load_as(&document::read("read mounts from", &file)?)?;
    let container = Live::find(context, arguments)?;
    let mut spec = container.spec()?;
    spec.mounts = match what {
        What::Add => mounts,
        // Nothing but their places matters: what was made with options that are none any more goes as well.
        What::Remove => mounts.into_iter().map(place_only).collect(),
    };
    let spec = spec::validate(spec)?;
    let bundle = container.container.bundle().to_owned();
    let change = MountChange::new(container.id().clone(), spec, bundle, container.pid(), what);
    let facts = HostFacts::of_this_process()?;
    let plan = runtime::plan::change_mounts(&change, &facts)?;
    if context.log.is_debug() {
        plan.to_string().lines().for_each(|step| context.log.debug(step));
    }
    for note in plan.notes() {
        context.log.warn(note);
    }
    runtime::change_mounts(&change, &plan, &facts, container.pidfd())?;
    Ok(ExitCode::SUCCESS)
}

fn place_only(mount: Mount) -> Mount {
    Mount { destination: mount.destination, fstype: "none".to_owned(), ..Mount::default() }
}
