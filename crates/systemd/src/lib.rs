//! Scopes of systemd, asked for over D-Bus.
//!
//! [`names::UnitPath`] is what `cgroupsPath` means below systemd, a [`Property`] what a unit is given, and [`Manager`] a
//! connection to systemd that starts, changes and stops units; start reading there. [`wire`] is as much of D-Bus as that takes:
//! method calls, replies and one signal, over a unix socket, one at a time.
//!
//! The crate knows neither containers nor which limit becomes which property: whoever has limits maps them.

#![forbid(unsafe_code)]

pub mod names;
pub mod property;
mod text;

mod address;
mod connection;
pub mod wire;

mod error;
mod manager;

pub use error::Error;
pub use manager::{Bus, Manager};
pub use property::{Property, Value};
