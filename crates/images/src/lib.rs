//! Images: what they are called, what they consist of, where they are kept and how they become the root of a container.
//!
//! [`mod@reference`] and [`digest`] are names, [`media`], [`manifest`] and [`config`] the documents of the OCI image specification as
//! plain data. [`store::Store`] keeps images; start reading there.

#![forbid(unsafe_code)]

pub mod credentials;
pub mod digest;
pub mod media;
pub mod reference;
pub mod registry;

pub mod config;
pub mod manifest;
pub mod platform;

pub mod files;
pub mod layer;
pub mod mount;
pub mod snapshot;
pub mod store;
pub mod transfer;

mod error;

pub use digest::Digest;
pub use error::Error;
pub use manifest::Descriptor;
pub use reference::Reference;
pub use snapshot::Snapshot;
pub use store::Store;
