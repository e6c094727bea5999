//! Keeping house: what crashes left is found and mended, what is not needed is taken away, what is to run after a boot is started.

use report::BoxedExplain;
use runtime::state::StateRoot;
use serde::Serialize;

use super::home::{Home, Places};
use super::state::{self, State, Status};
use super::{all, names, remove, root, start, supervise};
use crate::host::boxed;

/// Something that was not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The container, by its name if it has one.
    pub container: String,
    /// What is wrong.
    pub problem: String,
    /// What was done about it, if anything.
    pub done: Option<String>,
}

/// Looks at everything, and mends what can be mended unless `only_look`.
///
/// # Errors
/// When the directories cannot be used.
pub fn check(places: &Places, only_look: bool) -> Result<Vec<Finding>, BoxedExplain> {
    let mut findings = Vec::new();
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    for home in all(places) {
        check_one(places, &records, &home, only_look, &mut findings);
    }
    if !only_look {
        let remove::Swept { containers, scraps } = remove::sweep(places, usize::MAX);
        for id in containers.into_iter().chain(scraps) {
            findings.push(Finding {
                container: super::home::short(&id).to_owned(),
                problem: "a killed process left it behind".to_owned(),
                done: Some("taken away".to_owned()),
            });
        }
        for id in records.sweep(usize::MAX) {
            findings.push(Finding {
                container: super::home::short(&id).to_owned(),
                problem: "it was to end with a process that was killed".to_owned(),
                done: Some("taken away".to_owned()),
            });
        }
        let left = crate::volumes::Store::of(places).mend()?;
        if left > 0 {
            findings.push(Finding {
                container: String::new(),
                problem: format!("killed processes left {left} volumes half made or half removed"),
                done: Some("taken away".to_owned()),
            });
        }
        for id in root::release_strays(places)? {
            findings.push(Finding {
                container: super::home::short(&id).to_owned(),
                problem: "it held its image and is not there".to_owned(),
                done: Some("the image is free".to_owned()),
            });
        }
        let named = |id: &str, durable: bool| {
            Home::new(places, id, durable).definition().ok().map(|definition| definition.name)
        };
        for name in names::mend(places, named)? {
            findings.push(Finding {
                container: name,
                problem: "the name leads to no container that has it".to_owned(),
                done: Some("the name is free again".to_owned()),
            });
        }
    }
    Ok(findings)
}

fn check_one(
    places: &Places,
    records: &StateRoot,
    home: &Home,
    only_look: bool,
    findings: &mut Vec<Finding>,
) {
    let definition = match home.definition() {
        Ok(definition) => definition,
        // Being made or taken away right now, or left so: the sweep tells.
        Err(super::ContainerFailure::NotFound(_)) => return,
        Err(error) => {
            findings.push(Finding {
                container: home.short().to_owned(),
                problem: error.to_string(),
                done: None,
            });
            return;
        }
    };
    // Somebody works on it: what looks wrong may be half of what they do.
    let Some(lock) = home.try_lock() else { return };
    let state = state::of(home, records);
    let mut found = |problem: &str, done: Option<&str>| {
        findings.push(Finding {
            container: definition.name.clone(),
            problem: problem.to_owned(),
            done: done.map(str::to_owned),
        });
    };
    match problem_of(home, &state) {
        None => {}
        Some(Problem::Unwatched) if only_look => found("it runs and has no monitor", None),
        Some(Problem::Unwatched) => {
            drop(lock);
            let revived = supervise::revive(home).is_ok();
            found("it runs and has no monitor", revived.then_some("it has a monitor again"));
        }
        Some(Problem::Unsettled) if only_look => found("it has ended and nobody has seen to it", None),
        Some(Problem::Unsettled) => {
            drop(lock);
            let settled =
                supervise::see_to(places, home, state.run.as_ref().map_or(0, |run| run.run)).is_ok();
            found("it has ended and nobody has seen to it", settled.then_some("it was seen to"));
        }
    }
}

enum Problem {
    Unwatched,
    Unsettled,
}

fn problem_of(home: &Home, state: &State) -> Option<Problem> {
    let run = state.run.as_ref()?;
    if !run.monitored || home.has_monitor() {
        return None;
    }
    let told = home.exit().map_or(0, |exit| exit.run);
    if state.status.is_alive() {
        return Some(Problem::Unwatched);
    }
    (run.run > told || state.container.is_some()).then_some(Problem::Unsettled)
}

/// Writes down the end of a container that nobody saw, and takes away what is left of it. What a monitor does besides is left out: whether it starts
/// again is decided here, at once and in sight, and not by a process in the background.
fn end_of_lost(places: &Places, records: &StateRoot, home: &Home) -> Result<(), BoxedExplain> {
    let Ok(definition) = home.definition() else { return Ok(()) };
    // Somebody works on it: it is theirs.
    let Some(_lock) = home.try_lock() else { return Ok(()) };
    let state = state::of(home, records);
    let is_lost = matches!(problem_of(home, &state), Some(Problem::Unsettled));
    if !is_lost || definition.auto_remove {
        return Ok(());
    }
    if let Some(exit) = &state.exit {
        supervise::write_exit(home, exit);
    }
    supervise::settle(places, home)
}

/// A container that was to run, and whether it does.
pub type Restored = (String, Result<(), BoxedExplain>);

/// Starts what is to run after a boot: `always`, `unless-stopped` that nobody stopped, and `on-failure` that failed or whose end nobody saw. Returns
/// the names, each with why it could not be started if so.
///
/// # Errors
/// When the directories cannot be used.
pub fn restore(places: &Places) -> Result<Vec<Restored>, BoxedExplain> {
    let records = StateRoot::open(&places.records()).map_err(boxed)?;
    for home in all(places) {
        end_of_lost(places, &records, &home)?;
    }
    check(places, false)?;
    let mut restored = Vec::new();
    for home in all(places) {
        let Ok(definition) = home.definition() else { continue };
        let state = state::of(&home, &records);
        if state.status != Status::Exited {
            continue;
        }
        let wanted = match definition.restart {
            monitor::Policy::No => false,
            monitor::Policy::Always => true,
            monitor::Policy::UnlessStopped => !home.was_stopped(),
            monitor::Policy::OnFailure { .. } => !home.was_stopped() && state.exit_status() != 0,
        };
        if wanted {
            restored.push((definition.name, start::start(places, &home, None).map(drop)));
        }
    }
    Ok(restored)
}

/// Removes containers that do not run; `keep` tells which ones to leave. Returns their ids and how many bytes they had.
pub fn prune(places: &Places, keep: impl Fn(&super::Definition) -> bool) -> (Vec<String>, u64) {
    let Ok(records) = StateRoot::open(&places.records()) else { return (Vec::new(), 0) };
    let (mut removed, mut bytes) = (Vec::new(), 0);
    for home in all(places) {
        let Ok(definition) = home.definition() else { continue };
        let status = state::of(&home, &records).status;
        if !matches!(status, Status::Created | Status::Exited) || keep(&definition) {
            continue;
        }
        let size = super::usage(&home.directory);
        if remove::remove(places, &home, false, false).is_ok() {
            removed.push(home.id);
            bytes += size;
        }
    }
    (removed, bytes)
}

/// Kills and removes every container, and every volume with what is in it. Returns how many there were of both.
///
/// # Errors
/// The first failure; the others are removed all the same.
pub fn reset(places: &Places) -> Result<(usize, usize), BoxedExplain> {
    let (mut count, mut failure) = (0, None);
    remove::remove_each(places, &all(places), true, true, &mut |_, outcome| match outcome {
        Ok(()) => count += 1,
        Err(error) => failure = failure.take().or(Some(error)),
    });
    remove::sweep(places, usize::MAX);
    let (pruned, failures) = crate::volumes::Store::of(places).prune(places, true, |_| false)?;
    match failure.or_else(|| failures.into_iter().next()) {
        Some(error) => Err(error),
        None => Ok((count, pruned.names.len())),
    }
}
