//! `holm run` and `holm create`.

use std::io::{IsTerminal as _, Write as _};

use clap::ArgMatches;
use engine::containers::attach::{self, AttachOptions, Detached};
use engine::containers::create::{self, Extras};
use engine::containers::{Places, foreground, start};
use engine::host::Caller;
use engine::prepare::Prepared;
use engine::request::RunRequest;
use engine::{prepare, run as launch, terminal};
use report::{BoxedExplain, Explain, Hint, Kind};
use sys::SyscallError;

use crate::Global;
use crate::cli::run::{Request, detach, request, show_plan};

pub mod image;

/// Runs a container, or prints the plan for it.
///
/// # Errors
/// What is wrong with the request, or failed before the program ran.
pub fn run(matches: &ArgMatches, global: Global) -> Result<u8, BoxedExplain> {
    let caller = Caller::read();
    let size = terminal::size_of(std::io::stdin()).or_else(|| terminal::size_of(std::io::stdout()));
    let mut say = |line: &str| eprintln!("holm: {line}");
    match request(matches)? {
        Request::Bundle(request) => {
            let prepared = prepare::from_bundle(&request, size)?;
            tell(&prepared, global, &mut say);
            if show_plan(matches)? {
                launch::print(&launch::plan(&prepared)?.to_string())?;
                return Ok(0);
            }
            launch::run(prepared, &caller, &mut say)
        }
        Request::Rootfs(request, extras) => go(matches, &request, *extras, &caller, global),
        Request::Image(asked, mut extras) => {
            let store = image::store()?;
            // The lease protects what the container uses until this command ends.
            let ready = image::ready(matches, *asked, &store, &mut say)?;
            extras.manifest = Some(ready.manifest);
            let status = go(matches, &ready.request, *extras, &caller, global);
            drop(ready.lease);
            status
        }
    }
}

fn go(
    matches: &ArgMatches,
    request: &RunRequest,
    extras: Extras,
    caller: &Caller,
    global: Global,
) -> Result<u8, BoxedExplain> {
    let size = terminal::size_of(std::io::stdin()).or_else(|| terminal::size_of(std::io::stdout()));
    let mut say = |line: &str| eprintln!("holm: {line}");
    if show_plan(matches)? {
        let prepared = prepare::from_request(request, caller, size)?;
        tell(&prepared, global, &mut say);
        let mut text = launch::plan(&prepared)?.to_string();
        if let Some(wanted) = &prepared.network {
            text.push_str(&engine::connection::Connection::preview(wanted)?);
        }
        launch::print(&text)?;
        return Ok(0);
    }
    let places = Places::of(caller);
    let cidfile = CidFile::open(matches)?;
    if detach(matches)? {
        return background(&places, request, extras, cidfile);
    }
    if !extras.auto_remove {
        return attached(&places, request, extras, cidfile);
    }
    let registered = foreground::register(&places, request, extras)?;
    let request = registered.definition().request.clone().check().map_err(boxed)?;
    let prepared = prepare::for_container(&request, caller, size, registered.id())?;
    tell(&prepared, global, &mut say);
    if prepared.streams.tty && prepared.streams.interactive && !std::io::stdin().is_terminal() {
        say("the standard input is not a terminal: what it holds is typed to the program");
    }
    cidfile.write(registered.id())?;
    registered.run(prepared, caller, &mut say)
}

/// Makes a container.
///
/// # Errors
/// What is wrong with the request.
pub fn create(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let places = Places::of(&Caller::read());
    let cidfile = CidFile::open(matches)?;
    let mut say = |line: &str| eprintln!("holm: {line}");
    let created = match request(matches)? {
        Request::Bundle(_) => return Err(boxed(NoBundle)),
        Request::Rootfs(request, extras) => create::create(&places, &request, *extras)?,
        Request::Image(asked, mut extras) => {
            let store = image::store()?;
            let ready = image::ready(matches, *asked, &store, &mut say)?;
            extras.manifest = Some(ready.manifest);
            let created = create::create(&places, &ready.request, *extras)?;
            drop(ready.lease);
            created
        }
    };
    cidfile.write(&created.home.id)?;
    launch::print(&format!("{}\n", created.home.id))?;
    Ok(0)
}

fn tell(prepared: &Prepared, global: Global, say: &mut dyn FnMut(&str)) {
    prepared.remarks.iter().for_each(|line| say(line));
    if global.debug {
        prepared.details.iter().for_each(|line| say(line));
    }
}

fn background(
    places: &Places,
    request: &RunRequest,
    extras: Extras,
    cidfile: CidFile,
) -> Result<u8, BoxedExplain> {
    let created = create::create(places, request, extras)?;
    cidfile.write(&created.home.id)?;
    let id = created.home.id.clone();
    start::start_locked(&created.home, &created.definition, created.lock, None)?;
    launch::print(&format!("{id}\n"))?;
    Ok(0)
}

/// In the foreground, but with a monitor, as a container that stays has it.
fn attached(
    places: &Places,
    request: &RunRequest,
    extras: Extras,
    cidfile: CidFile,
) -> Result<u8, BoxedExplain> {
    let signals = attach::catch()?;
    // It reads the caller's input itself.
    let passes_through = extras.log.driver == monitor::Driver::Passthrough;
    let created = create::create(places, request, extras)?;
    cidfile.write(&created.home.id)?;
    let options = AttachOptions {
        size: terminal::size_of(std::io::stdin()).or_else(|| terminal::size_of(std::io::stdout())),
        input: request.streams.interactive && !passes_through,
        output: true,
        pass_signals: true,
        streams: request.streams.clone(),
    };
    let started = start::start_locked(&created.home, &created.definition, created.lock, Some(&options))?;
    let Some(socket) = started.client else { return Ok(125) };
    let outcome = attach::attend(socket, places, &created.home, &signals, &options)?;
    Ok(status_of(outcome))
}

/// The exit status after having been attached.
pub(crate) fn status_of(outcome: Detached) -> u8 {
    match outcome {
        Detached::Exited(status) => status as u8,
        Detached::Keys => 0,
        Detached::Lost => {
            eprintln!("holm: the container's monitor has gone; holm ps tells what became of the container");
            125
        }
    }
}

/// `--bundle` for something that has to be kept.
#[derive(Debug, thiserror::Error)]
#[error("a bundle can only be run in the foreground")]
struct NoBundle;

impl Explain for NoBundle {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("`holm-runtime run --detach --bundle DIR ID` runs one in the background"))
    }
}

/// `--cidfile`: reserved before there is a container, so that two commands cannot both have it.
struct CidFile(Option<(String, std::fs::File)>);

/// The file for the id cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("--cidfile {path}")]
struct BadCidFile {
    path: String,
    #[source]
    cause: SyscallError,
}

impl Explain for BadCidFile {
    fn below(&self) -> Option<&dyn Explain> {
        Some(&self.cause)
    }
    fn hint(&self) -> Option<Hint> {
        (self.kind() == Kind::AlreadyExists)
            .then(|| Hint::new("it may be another container's: remove the file first, or name another one"))
    }
}

impl CidFile {
    fn open(matches: &ArgMatches) -> Result<Self, BoxedExplain> {
        let Some(path) = matches.get_one::<String>("cidfile") else { return Ok(Self(None)) };
        let file = std::fs::File::options().write(true).create_new(true).open(path);
        let file = file.map_err(|error| {
            boxed(BadCidFile { path: path.clone(), cause: SyscallError::new("openat", path.as_str(), error) })
        })?;
        Ok(Self(Some((path.clone(), file))))
    }

    fn write(mut self, id: &str) -> Result<(), BoxedExplain> {
        if let Some((path, mut file)) = self.0.take() {
            file.write_all(id.as_bytes()).map_err(|error| {
                boxed(BadCidFile {
                    path: path.clone(),
                    cause: SyscallError::new("write", path.as_str(), error),
                })
            })?;
        }
        Ok(())
    }
}

/// One that was not written is taken back: there is no container.
impl Drop for CidFile {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}
