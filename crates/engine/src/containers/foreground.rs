//! A container in the foreground that goes with its end: it is one among the others as long as it runs, with its state in memory.

use report::BoxedExplain;

use super::create::{self, Created, Extras};
use super::home::{CONFIG, Home, Lock, Places, RUN, RunRecord};
use super::{Definition, events, remove};
use crate::host::{Caller, boxed};
use crate::prepare::Prepared;
use crate::request::RunRequest;
use crate::run::Moment;

/// A container that has a definition as long as this lives.
#[derive(Debug)]
pub struct Registered {
    places: Places,
    home: Home,
    definition: Definition,
    lock: Option<Lock>,
    keeper: Option<std::os::fd::OwnedFd>,
}

/// Makes the definition.
///
/// # Errors
/// As [`create::create`].
pub fn register(places: &Places, request: &RunRequest, extras: Extras) -> Result<Registered, BoxedExplain> {
    let extras = Extras { auto_remove: true, ..extras };
    let Created { home, definition, lock } = create::create(places, request, extras)?;
    Ok(Registered { places: places.clone(), home, definition, lock: Some(lock), keeper: None })
}

impl Registered {
    /// The id.
    pub fn id(&self) -> &str {
        &self.home.id
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// As [`crate::run::run`].
    pub fn run(
        mut self,
        prepared: Prepared,
        caller: &Caller,
        say: &mut dyn FnMut(&str),
    ) -> Result<u8, BoxedExplain> {
        for id in remove::sweep(&self.places, remove::SWEPT).containers {
            say(&format!("took away what was left of container {}", super::home::short(&id)));
        }
        // Held to the end of this program, so that nobody sweeps it between the container's end and that.
        self.keeper = self.home.keeper_lock().map_err(boxed)?;
        let run = RunRecord { run: 1, started_ns: monitor::time::now_ns(), ..RunRecord::default() };
        let directory = monitor::exit::open_directory(&self.home.directory).map_err(boxed)?;
        monitor::exit::write_record(&directory, RUN, &run, false).map_err(boxed)?;
        let (lock, places, home, definition) = (&mut self.lock, &self.places, &self.home, &self.definition);
        let config = prepared.launch.spec.clone();
        let mut left = Vec::new();
        let status = crate::run::run_told(prepared, caller, say, &mut |moment, joined| match moment {
            Moment::Runs => {
                // For programs that are started in it; once it runs, so that nobody waits for this.
                let _ = monitor::exit::write_record(&directory, CONFIG, &*config, false);
                events::started(places, home, definition, &joined);
                drop(lock.take());
            }
            Moment::Ended => left = joined,
        });
        if let Ok(status) = &status {
            events::died(places, home, definition, &[("exitCode", status.to_string().into())], &left);
        }
        status
    }

    /// Its definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.lock.is_none() {
            self.lock = self.home.lock().ok();
        }
        // Somebody else may have done it: rm --force.
        if self.lock.is_some() {
            let _ = remove::remove_locked(&self.places, &self.home, Some(&self.definition));
        }
    }
}
