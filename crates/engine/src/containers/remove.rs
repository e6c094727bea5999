//! Taking containers away.

use std::collections::VecDeque;

use report::BoxedExplain;
use runtime::state::{StateRoot, some_of};
use sys::SyscallError;

use super::definition::Definition;
use super::error::ContainerFailure;
use super::home::{Home, Lock, Places};
use super::state::{self, Status};
use super::{events, find, names, root, stop, supervise, tree};
use crate::host::boxed;
use crate::volumes;

/// Takes a container away with everything that is its own, with `volumes` its anonymous volumes as well. One that has a process is killed with
/// `force` only.
///
/// # Errors
/// When it runs and `force` is not set, or something cannot be taken away: doing it again goes on where this one ended.
pub fn remove(places: &Places, home: &Home, force: bool, volumes: bool) -> Result<(), BoxedExplain> {
    let lock = home.lock().map_err(boxed)?;
    Doomed::begin(places, home, lock, force)?.end(places, volumes)
}

/// How many containers die at once: what the kernel waits for when it takes their mounts away is the same for all.
const AT_ONCE: usize = 32;

/// Does that to each of `homes`, and tells what became of it.
pub fn remove_each(
    places: &Places,
    homes: &[Home],
    force: bool,
    volumes: bool,
    told: &mut dyn FnMut(&Home, Result<(), BoxedExplain>),
) {
    let mut dying = VecDeque::with_capacity(AT_ONCE);
    let mut end_first = |dying: &mut VecDeque<(&Home, Result<Doomed<'_>, BoxedExplain>)>| {
        if let Some((home, doomed)) = dying.pop_front() {
            told(home, doomed.and_then(|doomed| doomed.end(places, volumes)));
        }
    };
    for home in homes {
        // Who has some of them waits for none: another one may have it and wait for these.
        let mut lock = home.try_lock();
        while dying.len() >= AT_ONCE || (lock.is_none() && !dying.is_empty()) {
            end_first(&mut dying);
        }
        let lock = lock.take().map_or_else(|| home.lock(), Ok).map_err(boxed);
        dying.push_back((home, lock.and_then(|lock| Doomed::begin(places, home, lock, force))));
    }
    while !dying.is_empty() {
        end_first(&mut dying);
    }
}

/// A container that nobody else works on and that is killed, but may not have died yet.
#[derive(Debug)]
struct Doomed<'a> {
    home: &'a Home,
    lock: Lock,
    death: Option<stop::Death>,
    definition: Result<Definition, ContainerFailure>,
}

impl<'a> Doomed<'a> {
    fn begin(places: &Places, home: &'a Home, lock: Lock, force: bool) -> Result<Self, BoxedExplain> {
        let records = StateRoot::open(&places.records()).map_err(boxed)?;
        let state = state::of(home, &records);
        let definition = home.definition();
        if matches!(state.status, Status::Created | Status::Exited) {
            return Ok(Self { home, lock, death: None, definition });
        }
        if !force {
            let name = definition.as_ref().map_or(home.short().to_owned(), |it| it.name.clone());
            return Err(boxed(ContainerFailure::Conflict {
                verb: "remove",
                name,
                state: state.status.name().to_owned(),
                advice: "stop it first, or remove it with --force, which kills it",
            }));
        }
        home.note_stopped(true).map_err(boxed)?;
        supervise::cancel_restart(home);
        home.note_removal();
        let death = stop::kill_locked(home, &state)?;
        Ok(Self { home, lock, death, definition })
    }

    fn end(self, places: &Places, volumes: bool) -> Result<(), BoxedExplain> {
        let Self { home, lock, death, definition } = self;
        if let Some(death) = death {
            death.wait(home)?;
        }
        if let (true, Ok(definition)) = (volumes, &definition) {
            supervise::settle(places, home)?;
            volumes::release(places, home, definition)?;
        }
        remove_locked(places, home, definition.ok().as_ref())?;
        drop(lock);
        Ok(())
    }
}

/// The same for a container that this process has the lock of and that has no process. The anonymous volumes of one that goes with its end go
/// with it, first: a crash in between leaves a container to be removed again, and no volume that belongs to nobody.
///
/// # Errors
/// When something cannot be taken away.
pub fn remove_locked(
    places: &Places,
    home: &Home,
    definition: Option<&Definition>,
) -> Result<(), BoxedExplain> {
    supervise::settle(places, home)?;
    if let Some(definition) = definition.filter(|definition| definition.auto_remove) {
        volumes::release(places, home, definition)?;
    }
    if let Some(definition) = definition {
        names::release(places, &definition.name, home)?;
    }
    // Without a definition it may have been killed after it held its image.
    if definition.map_or_else(|| root::has_place(home), |it| it.manifest.is_some()) {
        root::release(home)?;
    }
    events::emit(places, home, definition, "destroy", &[]);
    // A monitor that has not ended yet finds nothing to do.
    remove_tree(home, &home.run_directory)?;
    if home.directory == home.run_directory {
        return Ok(());
    }
    // Out of sight first: what a crash leaves now is no container any more.
    let hidden = home.directory.with_file_name(format!(".{}", home.id));
    let gone = match std::fs::rename(&home.directory, &hidden) {
        Ok(()) => hidden,
        Err(_) => home.directory.clone(),
    };
    remove_tree(home, &gone)
}

fn remove_tree(home: &Home, path: &std::path::Path) -> Result<(), BoxedExplain> {
    let mut tries = 0;
    loop {
        match tree::remove(path) {
            // A monitor has written into it meanwhile, for the last time.
            Err(rustix::io::Errno::NOTEMPTY) if tries < 100 => {
                tries += 1;
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            outcome => {
                let failed = |errno| SyscallError::new("unlinkat", path.display().to_string(), errno);
                return outcome.map_err(|errno| boxed(home.failed("remove", failed(errno))));
            }
        }
    }
}

/// What [`sweep`] took away, by ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Containers that were to go with their end, and had none who saw to it.
    pub containers: Vec<String>,
    /// What was not a container yet, or no longer.
    pub scraps: Vec<String>,
}

/// How many containers are looked at in passing, whether anybody looks after them: so few that nobody waits for long.
pub(crate) const SWEPT: usize = 16;

/// Takes away what killed processes left, as far as it is met in looking at `most` homes; which these are is different each time.
pub fn sweep(places: &Places, most: usize) -> Swept {
    let mut swept = Swept::default();
    for durable in [true, false] {
        let entries = std::fs::read_dir(places.homes(durable)).into_iter().flatten().flatten();
        for entry in some_of(entries.collect(), most) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(id) = name.strip_prefix('.') {
                // Whoever hid it may be about to remove it.
                let hidden =
                    Home { id: id.to_owned(), directory: entry.path(), ..Home::new(places, id, durable) };
                if hidden.try_lock().is_some_and(|_lock| tree::remove(&hidden.directory).is_ok()) {
                    swept.scraps.push(hidden.id);
                }
                continue;
            }
            let home = Home::new(places, &name, durable);
            match sweep_one(places, &home) {
                Some(true) => swept.containers.push(name),
                Some(false) => swept.scraps.push(name),
                None => {}
            }
        }
    }
    swept
}

/// Whether it was a container; none where it stays.
fn sweep_one(places: &Places, home: &Home) -> Option<bool> {
    if home.id.len() != 64 {
        return None;
    }
    let other = Home::new(places, &home.id, true);
    if !home.durable && other.directory.exists() {
        // The run directory of a container that stays.
        return None;
    }
    // Who makes it, launches it or watches it has a lock.
    let _lock = home.try_lock()?;
    let definition = home.definition();
    match &definition {
        Ok(definition) if !definition.auto_remove => return None,
        Ok(_) => {}
        Err(ContainerFailure::NotFound(_)) => {}
        Err(_) => return None,
    }
    if home.has_monitor() || home.has_keeper() {
        return None;
    }
    let records = StateRoot::open(&places.records()).ok()?;
    let state = state::of(home, &records);
    if state.status.is_alive() {
        return None;
    }
    if let Ok(definition) = &definition
        && state.status == Status::Created
        && state.run.is_none()
        && monitor::time::now_ns().saturating_sub(definition.created_ns) < 60_000_000_000
    {
        // `create --rm`: it waits to be started.
        return None;
    }
    remove_locked(places, home, definition.as_ref().ok()).ok()?;
    Some(definition.is_ok())
}

/// The containers that `texts` name, each once, in order.
///
/// # Errors
/// For the first that is none.
pub fn resolve_all(places: &Places, texts: &[String]) -> Result<Vec<Home>, BoxedExplain> {
    let mut homes: Vec<Home> = Vec::new();
    for text in texts {
        let home = find::one(places, text)?;
        if !homes.contains(&home) {
            homes.push(home);
        }
    }
    Ok(homes)
}
