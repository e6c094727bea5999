//! The engine, as those see it who drive containers: the command line now, wire protocols later.
//!
//! [`Engine`] was shaped by what streams: attaching, logs, programs in a container, waiting, events, usage. [`Local`] acts in this process, on this
//! machine; there is no other implementation.

use std::fs::File;
use std::os::fd::OwnedFd;

use images::files::changes::Change as FileChange;
use images::store::Image;
use report::BoxedExplain;
use serde_json::Value;
use spec::Signal;
use sys::signal::Signals;

use crate::containers::attach::{self, AttachOptions, Detached};
use crate::containers::commit::{self, CommitRequest};
use crate::containers::create::{self, Extras};
use crate::containers::events::{self, Events};
use crate::containers::exec::{self, ExecRequest};
use crate::containers::files::{self, CopyOptions, End};
use crate::containers::logs::{self, LogOptions, LogReader};
use crate::containers::stats::{self, Sample};
use crate::containers::update::{self, Change};
use crate::containers::wait::{self, Until};
use crate::containers::{Home, Places, find, one, remove, start, stop};
use crate::flags::name::ContainerName;
use crate::flags::named::VolumeName;
use crate::host::{Caller, boxed};
use crate::request::RunRequest;
use crate::view::filter::Filters;
use crate::view::inspect;
use crate::view::summary::{self, Summary};
use crate::volumes::{self, NewVolume, Pruned, Store, Users, Volume, VolumeFailure};

/// Everything that can be done with containers. `who` is a name, an id, or the beginning of an id; every failure says what, on what, and why.
pub trait Engine {
    /// Connects to the streams of a container that runs; [`Engine::attend`] copies them.
    ///
    /// # Errors
    /// When it does not run, or nobody copies its streams.
    fn attach(&self, who: &str, options: &AttachOptions) -> Result<OwnedFd, BoxedExplain>;

    /// Copies between a connection and this process's own streams until the container ends or somebody leaves.
    ///
    /// # Errors
    /// Those of this process's streams.
    fn attend(
        &self,
        who: &str,
        connection: OwnedFd,
        signals: &Signals,
        options: &AttachOptions,
    ) -> Result<Detached, BoxedExplain>;

    /// Its log, line after line.
    ///
    /// # Errors
    /// When it is not in files, or they cannot be read.
    fn logs(&self, who: &str, options: LogOptions) -> Result<LogReader, BoxedExplain>;

    /// Runs a program in it and attends to that; returns its status.
    ///
    /// # Errors
    /// Why it cannot be started.
    fn exec(
        &self,
        who: &str,
        request: &ExecRequest,
        size: Option<(u16, u16)>,
        say: &mut dyn FnMut(&str),
    ) -> Result<u8, BoxedExplain>;

    /// Waits for its end, and returns the status.
    ///
    /// # Errors
    /// When it is not there.
    fn wait(&self, who: &str, until: Until) -> Result<i32, BoxedExplain>;

    /// What happens to containers, one after the other.
    fn events(&self, from_the_beginning: bool) -> Events;

    /// What it uses; none when it does not run.
    ///
    /// # Errors
    /// When that cannot be read.
    fn stats(&self, who: &str) -> Result<Option<Sample>, BoxedExplain>;

    /// Makes a container; returns its id.
    ///
    /// # Errors
    /// What the request names and is not there.
    fn create(&self, request: &RunRequest, extras: Extras) -> Result<String, BoxedExplain>;

    /// Starts it; with options, attached from the first byte on: the connection is returned.
    ///
    /// # Errors
    /// Why it cannot be started.
    fn start(&self, who: &str, attached: Option<&AttachOptions>) -> Result<Option<OwnedFd>, BoxedExplain>;

    /// Asks it to end, and kills it after so many seconds; returns whether it ran.
    ///
    /// # Errors
    /// When it cannot be signalled or does not die.
    fn stop(&self, who: &str, seconds: Option<i64>, signal: Option<Signal>) -> Result<bool, BoxedExplain>;

    /// Sends its first process a signal.
    ///
    /// # Errors
    /// When it does not run.
    fn kill(&self, who: &str, signal: Signal) -> Result<(), BoxedExplain>;

    /// Freezes it, or lets it go on.
    ///
    /// # Errors
    /// When it does not run, or is that already.
    fn freeze(&self, who: &str, freeze: bool) -> Result<(), BoxedExplain>;

    /// Takes it away, with `volumes` its anonymous volumes as well.
    ///
    /// # Errors
    /// When it runs and `force` is not set.
    fn remove(&self, who: &str, force: bool, volumes: bool) -> Result<(), BoxedExplain>;

    /// The same for several, and tells what became of each.
    fn remove_each(
        &self,
        homes: &[Home],
        force: bool,
        volumes: bool,
        told: &mut dyn FnMut(&Home, Result<(), BoxedExplain>),
    );

    /// Gives it another name.
    ///
    /// # Errors
    /// When another container has that.
    fn rename(&self, who: &str, name: &ContainerName) -> Result<(), BoxedExplain>;

    /// Changes it.
    ///
    /// # Errors
    /// When that takes a start, or cannot be had.
    fn update(&self, who: &str, change: &Change, say: &mut dyn FnMut(&str)) -> Result<(), BoxedExplain>;

    /// Those that fulfil the conditions, the youngest first.
    fn list(&self, filters: &Filters) -> Vec<Summary>;

    /// Everything about it, as `docker inspect` names it.
    ///
    /// # Errors
    /// When it is not there.
    fn inspect(&self, who: &str) -> Result<Value, BoxedExplain>;

    /// Makes a volume, and tells whether it was not there before.
    ///
    /// # Errors
    /// Options that cannot be had, and another volume of that name.
    fn create_volume(&self, wanted: &NewVolume) -> Result<(Volume, bool), BoxedExplain>;

    /// Every volume by name; one whose record cannot be read is told of.
    fn volumes(&self) -> Vec<Result<Volume, VolumeFailure>>;

    /// The volume of this name.
    ///
    /// # Errors
    /// When it is not there, or its record cannot be read.
    fn volume(&self, name: &VolumeName) -> Result<Volume, BoxedExplain>;

    /// Which containers have which volumes.
    fn volume_users(&self) -> Users;

    /// Removes a volume with what is in it.
    ///
    /// # Errors
    /// When it is not there, or a container has it.
    fn remove_volume(&self, name: &VolumeName) -> Result<(), BoxedExplain>;

    /// Removes the volumes that no container has and nobody named, with `all` the others as well, but for those that `keep` tells; and says
    /// what could not be removed.
    ///
    /// # Errors
    /// When nothing can be.
    fn prune_volumes(
        &self,
        all: bool,
        keep: &dyn Fn(&Volume) -> bool,
    ) -> Result<(Pruned, Vec<BoxedExplain>), BoxedExplain>;
}

/// What can be done with containers' files.
pub trait Files {
    /// Copies files between containers, the caller and archives. Yields how many there were, and remarks, a line each.
    ///
    /// # Errors
    /// What is not there, does not fit, or cannot be read or written.
    fn copy(&self, from: &End, to: &End, options: CopyOptions) -> Result<(u64, Vec<String>), BoxedExplain>;

    /// What a container changed of its root, in order of paths.
    ///
    /// # Errors
    /// When that cannot be told.
    fn diff(&self, who: &str) -> Result<Vec<FileChange>, BoxedExplain>;

    /// Writes its whole root to an archive. Yields remarks, a line each.
    ///
    /// # Errors
    /// When it cannot be read or written.
    fn export(&self, who: &str, out: &File) -> Result<Vec<String>, BoxedExplain>;

    /// Makes an image of it. Yields the image, and remarks, a line each.
    ///
    /// # Errors
    /// When its changes cannot be read, or the image not be made.
    fn commit(&self, who: &str, request: &CommitRequest) -> Result<(Image, Vec<String>), BoxedExplain>;
}

/// This machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Where containers are kept.
    pub places: Places,
}

impl Local {
    /// The engine of a caller.
    pub fn of(caller: &Caller) -> Self {
        Self { places: Places::of(caller) }
    }

    fn home(&self, who: &str) -> Result<Home, BoxedExplain> {
        one(&self.places, who)
    }
}

impl Engine for Local {
    fn attach(&self, who: &str, options: &AttachOptions) -> Result<OwnedFd, BoxedExplain> {
        attach::connect(&self.places, &self.home(who)?, options)
    }

    fn attend(
        &self,
        who: &str,
        connection: OwnedFd,
        signals: &Signals,
        options: &AttachOptions,
    ) -> Result<Detached, BoxedExplain> {
        // One that goes with its end may be gone already; what it wrote is in the connection.
        let home = find(&self.places, who).unwrap_or_else(|_| Home::new(&self.places, who, false));
        attach::attend(connection, &self.places, &home, signals, options)
    }

    fn logs(&self, who: &str, options: LogOptions) -> Result<LogReader, BoxedExplain> {
        logs::open(&self.places, &self.home(who)?, options)
    }

    fn exec(
        &self,
        who: &str,
        request: &ExecRequest,
        size: Option<(u16, u16)>,
        say: &mut dyn FnMut(&str),
    ) -> Result<u8, BoxedExplain> {
        exec::exec(&self.places, &self.home(who)?, request, size, say)
    }

    fn wait(&self, who: &str, until: Until) -> Result<i32, BoxedExplain> {
        wait::wait(&self.places, &self.home(who)?, until)
    }

    fn events(&self, from_the_beginning: bool) -> Events {
        events::read(&self.places, from_the_beginning)
    }

    fn stats(&self, who: &str) -> Result<Option<Sample>, BoxedExplain> {
        stats::look(&self.places, &self.home(who)?)
    }

    fn create(&self, request: &RunRequest, extras: Extras) -> Result<String, BoxedExplain> {
        create::create(&self.places, request, extras).map(|created| created.home.id)
    }

    fn start(&self, who: &str, attached: Option<&AttachOptions>) -> Result<Option<OwnedFd>, BoxedExplain> {
        start::start(&self.places, &self.home(who)?, attached).map(|started| started.client)
    }

    fn stop(&self, who: &str, seconds: Option<i64>, signal: Option<Signal>) -> Result<bool, BoxedExplain> {
        stop::stop(&self.places, &self.home(who)?, seconds, signal)
    }

    fn kill(&self, who: &str, signal: Signal) -> Result<(), BoxedExplain> {
        stop::kill(&self.places, &self.home(who)?, signal)
    }

    fn freeze(&self, who: &str, freeze: bool) -> Result<(), BoxedExplain> {
        match freeze {
            true => stop::pause(&self.places, &self.home(who)?),
            false => stop::unpause(&self.places, &self.home(who)?),
        }
    }

    fn remove(&self, who: &str, force: bool, volumes: bool) -> Result<(), BoxedExplain> {
        remove::remove(&self.places, &self.home(who)?, force, volumes)
    }

    fn remove_each(
        &self,
        homes: &[Home],
        force: bool,
        volumes: bool,
        told: &mut dyn FnMut(&Home, Result<(), BoxedExplain>),
    ) {
        remove::remove_each(&self.places, homes, force, volumes, told);
    }

    fn rename(&self, who: &str, name: &ContainerName) -> Result<(), BoxedExplain> {
        create::rename(&self.places, &self.home(who)?, name)
    }

    fn update(&self, who: &str, change: &Change, say: &mut dyn FnMut(&str)) -> Result<(), BoxedExplain> {
        update::update(&self.places, &self.home(who)?, change, say)
    }

    fn list(&self, filters: &Filters) -> Vec<Summary> {
        filters.pick(summary::list(&self.places))
    }

    fn inspect(&self, who: &str) -> Result<Value, BoxedExplain> {
        inspect::inspect(&self.places, &self.home(who)?)
    }

    fn create_volume(&self, wanted: &NewVolume) -> Result<(Volume, bool), BoxedExplain> {
        Store::of(&self.places).create(wanted)
    }

    fn volumes(&self) -> Vec<Result<Volume, VolumeFailure>> {
        Store::of(&self.places).list()
    }

    fn volume(&self, name: &VolumeName) -> Result<Volume, BoxedExplain> {
        Store::of(&self.places).find(name).map_err(boxed)
    }

    fn volume_users(&self) -> Users {
        volumes::users(&self.places, None)
    }

    fn remove_volume(&self, name: &VolumeName) -> Result<(), BoxedExplain> {
        Store::of(&self.places).remove(&self.places, name)
    }

    fn prune_volumes(
        &self,
        all: bool,
        keep: &dyn Fn(&Volume) -> bool,
    ) -> Result<(Pruned, Vec<BoxedExplain>), BoxedExplain> {
        Store::of(&self.places).prune(&self.places, all, keep)
    }
}

impl Files for Local {
    fn copy(&self, from: &End, to: &End, options: CopyOptions) -> Result<(u64, Vec<String>), BoxedExplain> {
        files::copy(&self.places, from, to, options)
    }

    fn diff(&self, who: &str) -> Result<Vec<FileChange>, BoxedExplain> {
        files::diff(&self.places, &self.home(who)?)
    }

    fn export(&self, who: &str, out: &File) -> Result<Vec<String>, BoxedExplain> {
        files::export(&self.places, &self.home(who)?, out)
    }

    fn commit(&self, who: &str, request: &CommitRequest) -> Result<(Image, Vec<String>), BoxedExplain> {
        commit::commit(&self.places, &self.home(who)?, request)
    }
}
