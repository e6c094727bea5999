//! `holm update`.

use clap::ArgMatches;
use engine::containers::update::Change;
use engine::engine::{Engine as _, Local};
use engine::run::print;
use report::BoxedExplain;

use crate::cli::keeping::seconds;
use crate::cli::run::{limits, mounts, optional, refuse, several, texts};

pub(super) fn run(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let change = Change {
        limits: limits(matches)?,
        restart: optional(matches, "restart", "--restart")?,
        stop_timeout: seconds(matches, "stop-timeout", "--stop-timeout")?,
        env: several(matches, "env", "--env")?,
        unset_env: texts(matches, "unset-env"),
        mounts: mounts(matches)?,
        unmount: several(matches, "unmount", "--unmount")?,
        publish: several(matches, "publish", "--publish")?,
        unpublish: several(matches, "unpublish", "--unpublish")?,
        expose: several(matches, "expose", "--expose")?,
        labels: several(matches, "label", "--label")?,
        hostname: optional(matches, "hostname", "--hostname")?,
    };
    let names = texts(matches, "container");
    if names.is_empty() {
        return refuse("no container is named", "for example: holm update --memory 1g NAME");
    }
    let mut failed = false;
    for name in &names {
        let mut say = |line: &str| eprintln!("holm: {name}: {line}");
        match engine.update(name, &change, &mut say) {
            Ok(()) => print(&format!("{name}\n"))?,
            Err(error) if names.len() == 1 => return Err(error),
            Err(error) => {
                eprint!("{}", report::render(&*error));
                failed = true;
            }
        }
    }
    Ok(u8::from(failed))
}
