//! An image of what a container has become.

use std::collections::BTreeMap;
use std::io::Write as _;

use images::config::{Execution, History, ImageConfig};
use images::digest::Digest;
use images::files::walk::Reopener;
use images::manifest::{Descriptor, Manifest};
use images::media::{self, Media};
use images::reference::Reference;
use images::store::{Image, Options, PutImage, Store};
use images::transfer::import;
use report::{BoxedExplain, Explain, Hint, Kind};
use sys::SyscallError;

use super::files::{Layers, write_layer};
use super::home::{Home, Places};
use super::{Definition, events, state, stop};
use crate::flags::env::EnvEntry;
use crate::flags::user::Who;
use crate::host::boxed;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// What it is called.
    pub names: Vec<Reference>,
    /// By whom.
    pub author: String,
    /// A note for the history.
    pub message: String,
    /// Instructions of a Dockerfile that change how it is started.
    pub changes: Vec<String>,
    /// The container does not run meanwhile.
    pub pause: bool,
}

/// A container that was not made of an image.
#[derive(Debug, thiserror::Error)]
#[error("container `{0}` was not made of an image: there is none to add a layer to")]
struct NoImage(String);

impl Explain for NoImage {
    fn kind(&self) -> Kind {
        Kind::Unsupported
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("`holm export NAME | holm import - NEW` makes an image of its whole root"))
    }
}

/// Makes an image of a container: its image's layers and one of its changes. Yields the image, and remarks, a line each.
///
/// # Errors
/// When its changes cannot be read, or the image not be made.
pub fn commit(
    places: &Places,
    home: &Home,
    request: &CommitRequest,
) -> Result<(Image, Vec<String>), BoxedExplain> {
    let definition = home.definition().map_err(boxed)?;
    let store = Store::open(Options::of_caller()).map_err(boxed)?;
    let base = base(&store, &definition)?;
    let records = runtime::state::StateRoot::open(&places.records()).map_err(boxed)?;
    let runs = state::of(home, &records).status == state::Status::Running;
    let paused = request.pause && runs && stop::pause(places, home).is_ok();
    let outcome = make(places, home, &definition, &store, &base, request);
    if paused {
        stop::unpause(places, home)?;
    }
    let (image, remarks) = outcome?;
    let comment = [("imageID", image.config.to_string().into())];
    events::emit(places, home, Some(&definition), "commit", &comment);
    Ok((image, remarks))
}

fn base(store: &Store, definition: &Definition) -> Result<Image, BoxedExplain> {
    let none = || boxed(NoImage(definition.name.clone()));
    match (&definition.manifest, &definition.image) {
        (Some(manifest), _) => {
            let digest = Digest::parse(manifest).map_err(boxed)?;
            let missing = || boxed(images::Error::not_found(format!("image {} any more", digest.short())));
            store.image(&digest).map_err(boxed)?.ok_or_else(missing)
        }
        // One that goes with its end holds no image: its name has to do.
        (None, Some(name)) => {
            let image = store.find(name).map_err(boxed)?;
            let layers = store.lower_directories(&image).map_err(boxed)?;
            let rootfs = &definition.request.rootfs;
            let is_same = layers.first() == Some(&rootfs.directory) && layers[1..] == rootfs.below[..];
            if is_same { Ok(image) } else { Err(none()) }
        }
        (None, None) => Err(none()),
    }
}

fn make(
    places: &Places,
    home: &Home,
    definition: &Definition,
    store: &Store,
    base: &Image,
    request: &CommitRequest,
) -> Result<(Image, Vec<String>), BoxedExplain> {
    let failed =
        |error| boxed(home.failed("read the changes of", SyscallError::new("read", "its root", error)));
    let layers = Layers::open(places, home, definition)?;
    let reopener = Reopener::new().map_err(failed)?;
    let lease = store.lease().map_err(boxed)?;
    let mut blob = store.write_unnamed(&lease, u64::MAX).map_err(boxed)?;
    let mut out = std::io::BufWriter::with_capacity(256 << 10, &mut blob);
    let remarks = write_layer(&layers, &reopener, &mut out)
        .and_then(|remarks| out.flush().map(|()| remarks))
        .map_err(failed)?;
    drop(out);
    let blob = blob.finish_as(&lease, None).map_err(boxed)?;
    let ready = store.prepare_layer(&lease, &blob.digest, None).map_err(boxed)?;
    let old = store.config(base).map_err(boxed)?;
    let config = config(&old, definition, request, ready.diff_id).map_err(boxed)?;
    let text = |value: Result<Vec<u8>, serde_json::Error>| {
        value.map_err(|error| boxed(images::Error::malformed("the image", error.to_string())))
    };
    let config =
        store.put_blob(&lease, media::OCI_CONFIG, &text(serde_json::to_vec(&config))?).map_err(boxed)?;
    let before = store.read_manifest(&base.manifest).map_err(boxed)?;
    lease.protect_all(before.layers.iter().map(|layer| &layer.digest)).map_err(boxed)?;
    lease.protect_all(&old.rootfs.diff_ids).map_err(boxed)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::OCI_MANIFEST.to_owned(),
        artifact_type: String::new(),
        config,
        layers: before
            .layers
            .into_iter()
            .map(in_oci_words)
            .chain([Descriptor::new(media::OCI_LAYER, blob.digest, blob.size)])
            .collect(),
        subject: None,
        annotations: BTreeMap::new(),
    };
    let manifest =
        store.put_blob(&lease, media::OCI_MANIFEST, &text(serde_json::to_vec(&manifest))?).map_err(boxed)?;
    let put = PutImage {
        manifest: manifest.digest,
        target: manifest.digest,
        names: &request.names,
        action: "commit",
    };
    let image = store.put_image(&lease, &put).map_err(boxed)?;
    Ok((image, remarks))
}

/// Layers of Docker's are the same as OCI's, by another name: a manifest is all in one language.
fn in_oci_words(layer: Descriptor) -> Descriptor {
    let media_type = match layer.media() {
        Media::Layer(compression) => images::manifest::layer_media_type(compression),
        _ => return layer,
    };
    Descriptor { media_type: media_type.to_owned(), ..layer }
}

/// The configuration of the new image.
fn config(
    old: &ImageConfig,
    definition: &Definition,
    request: &CommitRequest,
    diff_id: Digest,
) -> Result<ImageConfig, images::Error> {
    let now = (monitor::time::now_ns() / 1_000_000_000) as i64;
    let mut new = old.clone();
    new.created = import::rfc3339(now);
    if !request.author.is_empty() {
        new.author.clone_from(&request.author);
    }
    execution(&mut new.config, definition);
    for instruction in &request.changes {
        import::change(&mut new.config, instruction)?;
    }
    new.rootfs.kind = "layers".to_owned();
    new.rootfs.diff_ids.push(diff_id);
    new.history.push(History {
        created: new.created.clone(),
        created_by: definition.command(),
        author: request.author.clone(),
        comment: request.message.clone(),
        empty_layer: false,
    });
    Ok(new)
}

/// How the container is started is how the image is.
fn execution(execution: &mut Execution, definition: &Definition) {
    let request = &definition.request;
    let args = &request.args;
    let usual: Vec<&String> = execution.entrypoint.iter().chain(&execution.cmd).collect();
    if args.iter().ne(usual) {
        match args.strip_prefix(execution.entrypoint.as_slice()) {
            Some(command) if !execution.entrypoint.is_empty() => execution.cmd = command.to_vec(),
            _ => {
                execution.entrypoint.clear();
                execution.cmd.clone_from(args);
            }
        }
    }
    for entry in &request.env {
        if let EnvEntry::Set { name, value } = entry {
            execution.env.retain(|old| old.split_once('=').is_none_or(|(other, _)| other != name));
            execution.env.push(format!("{name}={value}"));
        }
    }
    if let Some(directory) = &request.workdir {
        execution.working_dir = directory.as_path().to_string_lossy().into_owned();
    }
    if let Some(user) = &request.user {
        let words = |who: &Who| match who {
            Who::Id(id) => id.to_string(),
            Who::Name(name) => name.clone(),
        };
        let group = user.group.as_ref().map(|group| format!(":{}", words(group))).unwrap_or_default();
        execution.user = words(&user.user) + &group;
    }
    if let Some(signal) = &request.stop_signal {
        execution.stop_signal = signal.to_string();
    }
    for label in &request.labels {
        execution.labels.insert(label.key.clone(), label.value.clone());
    }
}
