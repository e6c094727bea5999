//! The flags of `run` and `create` about a container that stays: whether it is started again, its log, its health.

use clap::{Arg, ArgMatches};
use engine::containers::create::Extras;
use engine::containers::definition::HealthCheck;
use engine::flags::duration::Span;
use engine::flags::keeping::{LogOption, log_choice};
use monitor::{Driver, HealthSetup, OnFailure, Policy};
use report::BoxedExplain;

use super::flags::{many, one, signed, switch};
use super::run::{on, optional, refuse, several};

/// The flags.
pub(super) fn flags() -> Vec<Arg> {
    vec![
        switch(
            "rm",
            "Remove it when it ends; this is so with --rootfs in the foreground, unless --rm=false is given",
        ),
        one("cidfile", "FILE", "Write the container's id to this file, which must not exist"),
        one(
            "restart",
            "POLICY",
            "Start it again when it ends: no (default), on-failure[:MOST], always, unless-stopped",
        ),
        signed("stop-timeout", "SECONDS", "How long it may take to stop; -1 is without end [default: 10]"),
        one(
            "log-driver",
            "DRIVER",
            "Where its output goes: json-file (default), k8s-file, journald, none, passthrough",
        ),
        many("log-opt", "KEY=VALUE", "max-size (default 10m), max-file (default 3), tag"),
        one("health-cmd", "COMMAND", "Ask for its health by running this in its shell"),
        one("health-interval", "TIME", "Between two questions [default: 30s]"),
        one("health-timeout", "TIME", "How long an answer may take [default: 30s]"),
        one("health-retries", "NUMBER", "How many failures in a row are bad health [default: 3]"),
        one("health-start-period", "TIME", "How long after the start failures do not count [default: 0s]"),
        one("health-start-interval", "TIME", "Between two questions as long as that lasts"),
        one(
            "health-on-failure",
            "ACTION",
            "What is done about bad health: none (default), kill, restart or stop",
        ),
        switch("no-healthcheck", "Do not ask for its health"),
    ]
}

/// Reads them. `keeps` tells what becomes of the container where `--rm` does not say.
pub(super) fn extras(matches: &ArgMatches, keeps: bool) -> Result<Extras, BoxedExplain> {
    let restart: Policy = optional(matches, "restart", "--restart")?.unwrap_or_default();
    let auto_remove = match matches.get_one::<String>("rm") {
        Some(_) => on(matches, "rm", "--rm")?,
        None => !keeps && restart == Policy::No,
    };
    if auto_remove && restart != Policy::No {
        return refuse("`--rm` and `--restart` contradict each other", "leave out one of them");
    }
    let open_stdin = on(matches, "interactive", "--interactive")?;
    let in_background = matches.try_contains_id("detach").is_ok() && super::run::detach(matches)?;
    let driver: Option<Driver> = optional(matches, "log-driver", "--log-driver")?;
    let options: Vec<LogOption> = several(matches, "log-opt", "--log-opt")?;
    Ok(Extras {
        auto_remove,
        open_stdin,
        // Nobody is attached to one in the background: it waits for whoever comes, and for the next.
        stdin_once: open_stdin && !in_background,
        restart,
        log: log_choice(driver, options),
        stop_timeout: seconds(matches, "stop-timeout", "--stop-timeout")?,
        health: health(matches)?,
        image: None,
        manifest: None,
        volumes_from: several(matches, "volumes-from", "--volumes-from")?,
    })
}

/// A number of seconds; below 0 is no bound.
///
/// # Errors
/// For what is no number.
pub(crate) fn seconds(
    matches: &ArgMatches,
    id: &str,
    flag: &'static str,
) -> Result<Option<i64>, BoxedExplain> {
    let Some(text) = matches.get_one::<String>(id) else { return Ok(None) };
    match text.parse::<i64>() {
        Ok(seconds) => Ok(Some(seconds)),
        Err(_) => refuse(
            format!("{flag} `{text}`: that is no number of seconds"),
            "for example 30, or -1 for no bound",
        ),
    }
}

fn health(matches: &ArgMatches) -> Result<Option<HealthCheck>, BoxedExplain> {
    let command = matches.get_one::<String>("health-cmd");
    let off = on(matches, "no-healthcheck", "--no-healthcheck")?;
    let span = |id, flag, usual: u64| -> Result<u64, BoxedExplain> {
        Ok(optional::<Span>(matches, id, flag)?.map_or(usual, Span::ms))
    };
    let on_failure: OnFailure =
        optional(matches, "health-on-failure", "--health-on-failure")?.unwrap_or_default();
    let retries = match matches.get_one::<String>("health-retries") {
        None => 3,
        Some(text) => match text.parse::<u32>() {
            Ok(retries @ 1..) => retries,
            _ => {
                return refuse(
                    format!("--health-retries `{text}`: that is no number above 0"),
                    "for example 3",
                );
            }
        },
    };
    let setup = HealthSetup {
        interval_ms: span("health-interval", "--health-interval", 30_000)?.max(1),
        timeout_ms: span("health-timeout", "--health-timeout", 30_000)?.max(1),
        start_period_ms: span("health-start-period", "--health-start-period", 0)?,
        start_interval_ms: optional::<Span>(matches, "health-start-interval", "--health-start-interval")?
            .map(Span::ms),
        retries,
        on_failure,
    };
    match (command, off) {
        (Some(_), true) => {
            refuse("`--health-cmd` and `--no-healthcheck` contradict each other", "leave out one of them")
        }
        (Some(command), false) if command == "none" => Ok(None),
        (Some(command), false) => {
            let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), command.clone()];
            Ok(Some(HealthCheck { command, setup }))
        }
        (None, _) => Ok(None),
    }
}
