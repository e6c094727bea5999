//! `holm push`.

use clap::ArgMatches;
use images::Digest;
use images::reference::Name;
use images::registry::outward::{Push, neighbours};
use images::store::{Image, Options, Store};
use report::BoxedExplain;
use serde_json::json;

use super::progress::{Form, Shown};
use super::pull::{find, jobs_of};
use super::{Connection, boxed, refuse};
use crate::cli::registry::boolean;

/// Brings an image to a registry and prints the digest it has there.
///
/// # Errors
/// What the store, the registry or the image says.
pub fn run(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let connection = Connection::read(matches)?;
    let quiet = boolean(matches, "quiet")?.unwrap_or(false);
    let form = Form::of(matches.get_one::<String>("progress").map(String::as_str), quiet);
    let all = boolean(matches, "all")?.unwrap_or(false);
    let jobs = jobs_of(matches)?;
    let source = matches.get_one::<String>("name").map(String::as_str).unwrap_or_default();
    let store = Store::open(Options::of_caller()).map_err(boxed)?;
    let (image, named) = find(&store, &connection.conf, source)?;
    let destination = match (matches.get_one::<String>("destination"), named) {
        (Some(text), _) => match Name::parse(text).map_err(boxed)? {
            Name::Full(reference) => reference.tagged(),
            Name::Short(_) => {
                return refuse(
                    format!("`{text}` names no registry"),
                    format!("registry.example.org/{text}, for example"),
                );
            }
        },
        (None, Some(reference)) => reference,
        (None, None) => {
            return refuse(format!("`{source}` is no name"), "put the name that it is to get behind it");
        }
    };
    let top = match (all, store.name(&destination).map_err(boxed)?) {
        (true, Some(name)) if name.manifest == image.manifest => name.target,
        (true, _) => target_of(&store, &image)?,
        (false, _) => image.manifest,
    };
    let client = connection.client(Some(destination.host())).map_err(boxed)?;
    let elsewhere = neighbours(&store, &image.manifest, &destination).map_err(boxed)?;
    let shown = Shown::sending(form);
    let push = Push {
        client: &client,
        conf: &connection.conf,
        store: &store,
        verify: connection.verify,
        elsewhere: &elsewhere,
        jobs,
        watcher: &shown,
    };
    let digest = push.image(&top, &destination).map_err(boxed)?;
    match form {
        Form::Json => {
            shown.object(&json!({ "event": "pushed", "name": destination.to_string(), "digest": digest }))
        }
        _ => engine::run::print(&format!("{digest}\n"))?,
    }
    Ok(0)
}

/// The index that an image was chosen from.
fn target_of(store: &Store, image: &Image) -> Result<Digest, BoxedExplain> {
    let names = store.names().map_err(boxed)?;
    Ok(names
        .into_iter()
        .find(|name| name.manifest == image.manifest)
        .map_or(image.manifest, |name| name.target))
}
