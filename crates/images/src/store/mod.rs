//! The image store: content, what was made of it, and what it is called.
//!
//! [`Store::open`] opens one. A [`Lease`] protects what is being brought in; [`Store::write_blob`] and [`Store::write_layer`] take
//! content, [`Store::put_image`] makes an image of it, and [`Store::find`] finds one. At any moment, also after a power cut, an
//! image is there whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use rusqlite::Connection;

mod blob;
mod collect;
mod database;
mod image;
mod layer;
pub mod layout;
mod lease;
mod rebuild;
mod snapshots;
mod verify;

pub use blob::{BlobWriter, UnnamedWriter};
pub use collect::{Collected, What};
pub use image::{Event, Image, Name, PutImage};
pub use layer::{LayerWriter, ReadyLayer};
pub use layout::Layout;
pub use lease::Lease;
pub use verify::{Finding, Report};

use crate::Error;
use crate::layer::{Form, Limits};

/// How a store is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it lies.
    pub root: PathBuf,
    /// Where layers are mounted: a directory that is empty after a start of the machine.
    pub run: PathBuf,
    /// The program that unpacks, in confinement, and its arguments: one that calls [`crate::layer::child::main`].
    pub unpacker: Vec<std::ffi::OsString>,
    /// The form that layers get, if it is not to be chosen by what the host can do.
    pub form: Option<Form>,
    /// What archives may contain.
    pub limits: Limits,
}

impl Options {
    /// The store of the caller: `/var/lib/holm/images` for root, `$XDG_DATA_HOME/holm/images` for others; the running program unpacks,
    /// called with the word `unpack-layer`. `HOLM_IMAGES` names another store, `HOLM_RUNROOT` the directory below which layers are mounted.
    pub fn of_caller() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let variable =
            |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let (root, run) = match uid {
            0 => (PathBuf::from("/var/lib/holm/images"), PathBuf::from("/run/holm/layers")),
            _ => {
                let data = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
                let run = variable("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/tmp/holm-{uid}").into());
                (
                    data.unwrap_or_else(|| format!("/var/tmp/holm-{uid}").into()).join("holm/images"),
                    run.join("holm/layers"),
                )
            }
        };
        Self {
            root: variable("HOLM_IMAGES").unwrap_or(root),
            run: variable("HOLM_RUNROOT").map_or(run, |directory| directory.join("layers")),
            unpacker: vec!["/proc/self/exe".into(), "unpack-layer".into()],
            form: None,
            limits: Limits::default(),
        }
    }
}

/// A store of images. Threads may share it; any number of processes may use it at once.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    options: Options,
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the store, and makes it if it is missing. A missing database is made from the content.
    ///
    /// # Errors
    /// What the disk or the database says.
    pub fn open(options: Options) -> Result<Self, Error> {
        let layout = Layout::make(&options.root)?;
        let (connection, new) = database::open(&layout.database())?;
        let store = Self { layout, options, connection: Mutex::new(connection) };
        if new && store.has_content() {
            store.rebuild()?;
        }
        Ok(store)
    }

    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How it is used.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Begins to bring something in.
    ///
    /// # Errors
    /// What the disk says.
    pub fn lease(&self) -> Result<Lease<'_>, Error> {
        Lease::take(self)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic of another thread leaves no transaction open: it is rolled back when it is dropped.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn has_content(&self) -> bool {
        let has =
            |directory: &Path| std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
        has(&self.layout.root().join("blobs/sha256"))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() as i64)
}
