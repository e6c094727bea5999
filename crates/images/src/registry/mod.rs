//! Registries: how images are fetched from them and brought to them.
//!
//! [`conf`] and [`short`] decide who is asked; [`client`] asks, over [`http`], [`tls`] and [`proxy`], and proves who one is with [`challenge`] and
//! [`token`]; [`blob`] and [`push`] move content, [`pull`] and [`outward`] whole images. Everything decided is pure and everything asked goes through [`client::Client::send`].

pub mod conf;
pub mod short;

pub mod client;

pub mod blob;
pub mod outward;
pub mod progress;
pub mod pull;
pub mod push;

pub mod approved;
pub mod challenge;
pub mod http;
pub mod proxy;
pub mod tls;
pub mod token;

mod error;

pub use client::Client;
pub use conf::{Conf, Endpoint};
pub use error::RegistryError;
