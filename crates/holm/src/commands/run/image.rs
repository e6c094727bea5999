//! `holm run IMAGE`: from a name to a request.
//!
//! The image is found here or fetched, as `--pull` says; its configuration completes the flags, and its layers become the root.

use clap::ArgMatches;
use engine::image;
use engine::request::RunRequest;
use images::config::ImageConfig;
use images::platform::Platform;
use images::reference::{Name, Reference};
use images::registry::progress::Nobody;
use images::registry::pull::{JOBS, Pull};
use images::store::{Image, Lease, Options, Store};
use report::{BoxedExplain, Kind};

use crate::cli::registry::boolean;
use crate::cli::run::{ImageRequest, PullPolicy};
use crate::commands::registry::progress::{Form, Shown};
use crate::commands::registry::pull::{fetch, find, platform_of};
use crate::commands::registry::{Connection, boxed, refuse};

/// The store that images are in.
///
/// # Errors
/// What the disk says.
pub fn store() -> Result<Store, BoxedExplain> {
    Store::open(Options::of_caller()).map_err(boxed)
}

/// A request of an image's.
pub struct Ready<'s> {
    /// The request.
    pub request: RunRequest,
    /// The image's manifest.
    pub manifest: String,
    /// What protects the image until its container holds it.
    pub lease: Lease<'s>,
}

/// What an image makes of a request. As long as the lease lives, nothing of the image is collected.
///
/// # Errors
/// No such image, what of it cannot be carried out, and flags that do not fit.
pub fn ready<'s>(
    matches: &ArgMatches,
    asked: ImageRequest,
    store: &'s Store,
    say: &mut dyn FnMut(&str),
) -> Result<Ready<'s>, BoxedExplain> {
    let ImageRequest { name, mut flags, entrypoint, pull } = asked;
    let lease = store.lease().map_err(boxed)?;
    let image = obtain(matches, store, &name, pull, say)?;
    let config = protect(store, &lease, &image)?;
    image::apply(&mut flags, &config, entrypoint.as_deref()).map_err(boxed)?;
    let layers = store.layers(&image).map_err(boxed)?;
    let mut directories = Vec::new();
    for layer in layers.iter().rev() {
        directories.push(store.layer_directory(layer).map_err(boxed)?);
    }
    if directories.is_empty() {
        return refuse(format!("`{name}` has no layers, and so no program"), "");
    }
    flags.rootfs.directory = directories.remove(0);
    flags.rootfs.below = directories;
    Ok(Ready { request: flags.check().map_err(boxed)?, manifest: image.manifest.to_string(), lease })
}

/// Keeps everything that the image needs, and reads its configuration.
fn protect(store: &Store, lease: &Lease<'_>, image: &Image) -> Result<ImageConfig, BoxedExplain> {
    let config = store.config(image).map_err(boxed)?;
    let manifest = store.read_manifest(&image.manifest).map_err(boxed)?;
    let content = manifest.layers.iter().map(|layer| &layer.digest);
    let all = content.chain(&config.rootfs.diff_ids).chain([&image.manifest, &image.config]);
    lease.protect_all(all).map_err(boxed)?;
    Ok(config)
}

/// Finds the image here, or fetches it.
fn obtain(
    matches: &ArgMatches,
    store: &Store,
    text: &str,
    policy: PullPolicy,
    say: &mut dyn FnMut(&str),
) -> Result<Image, BoxedExplain> {
    let connection = Connection::read(matches)?;
    let wanted = platform_of(matches)?;
    let platform = wanted.clone().unwrap_or_else(Platform::host);
    let fits =
        |image: &Image| wanted.as_ref().is_none_or(|wanted| wanted.match_with(&image.platform).is_some());
    let here = match find(store, &connection.conf, text) {
        Ok((image, named)) if fits(&image) => Ok((image, named)),
        Ok((image, _)) => Err(format!("`{text}` is here for {}", image.platform)),
        Err(error) if error.kind() == Kind::NotFound => Err(format!("there is no image `{text}` here")),
        Err(error) => return Err(error),
    };
    match (policy, here) {
        (PullPolicy::Never, Err(problem)) => {
            refuse(problem, format!("`holm pull {text}` fetches it, as does --pull missing"))
        }
        (PullPolicy::Missing | PullPolicy::Never, Ok((image, _))) => Ok(image),
        (PullPolicy::Newer, Ok((image, Some(reference)))) => match is_current(&connection, store, &reference)
        {
            Ok(true) => Ok(image),
            Ok(false) => pulled(matches, &connection, store, &Name::Full(reference), &platform),
            Err(error) => {
                say(&format!(
                    "the registry cannot be asked for a newer `{text}`: {}",
                    report::one_line(&*error)
                ));
                Ok(image)
            }
        },
        // An id is of this store: no registry has anything newer under it.
        (_, Ok((image, None))) => Ok(image),
        (_, here) => {
            let name = match here {
                Ok((_, Some(reference))) => Name::Full(reference),
                _ => Name::parse(text).map_err(boxed)?,
            };
            pulled(matches, &connection, store, &name, &platform)
        }
    }
}

/// Whether the registry still has for a name what is here.
fn is_current(connection: &Connection, store: &Store, reference: &Reference) -> Result<bool, BoxedExplain> {
    let client = connection.client(Some(reference.host())).map_err(boxed)?;
    let pull = Pull {
        client: &client,
        conf: &connection.conf,
        store,
        verify: connection.verify,
        platform: Platform::host(),
        jobs: 1,
        watcher: &Nobody,
    };
    let there = pull.current(reference).map_err(boxed)?;
    let here = store.name(reference).map_err(boxed)?.map(|name| name.target);
    Ok(there.is_some() && there == here)
}

fn pulled(
    matches: &ArgMatches,
    connection: &Connection,
    store: &Store,
    name: &Name,
    platform: &Platform,
) -> Result<Image, BoxedExplain> {
    let quiet = boolean(matches, "quiet")?.unwrap_or(false);
    // The standard output is the program's: JSON has no place there.
    let form = match Form::of(matches.get_one::<String>("progress").map(String::as_str), quiet) {
        Form::Json => Form::None,
        other => other,
    };
    let shown = Shown::fetching(form);
    let pulled = fetch(connection, store, name, platform, JOBS, &shown)?;
    store.find(&pulled.name.to_string()).map_err(boxed)
}
