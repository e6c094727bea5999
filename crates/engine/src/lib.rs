//! What a request becomes.
//!
//! [`flags`] are the values of a command line, each a type; [`request`] puts them together and refuses what
//! cannot be combined; [`rules`] make an OCI configuration of a request and the facts of a host.

#![forbid(unsafe_code)]

pub mod flags;
pub mod image;
pub mod request;

pub mod host;
pub mod prepare;
pub mod rules;

pub mod id_pool;
pub mod idmap;
pub mod ids;
pub mod owners;
pub mod users;

pub mod containers;
pub mod volumes;

pub mod engine;

pub mod connection;
pub mod doctor;
mod pasta;
pub mod run;

pub mod terminal;
pub mod view;
