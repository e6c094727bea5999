//! Names of containers: the DNS server of a host's networks (RFC 1034, 1035, 6891).
//!
//! Whoever attaches a container writes its names with [`announce`] and calls [`ensure`]; [`withdraw`] takes them
//! back. That is the whole face towards the engine: files in one directory, and a lock that tells whether somebody
//! serves them. The server is two processes. The keeper ([`keep`]) reads the directory and the host's resolvers and
//! binds port 53 of each network's gateway; it never sees a packet. The answerer ([`serve`]) gets the table and
//! the sockets from it, has no files, no capability and a filter of its own, and never sees a name of the host.
//! Start reading at [`answer`], which decides what a query is answered with and does nothing else.

#![forbid(unsafe_code)]

pub mod answer;
mod error;
mod keeper;
pub mod name;
mod records;
pub mod resolvers;
mod sandbox;
mod server;
mod start;
pub mod table;
pub mod wire;

pub use error::Error;
pub use keeper::keep;
pub use name::ZONE;
pub use records::{Entry, Zone, announce, forget, published, withdraw};
pub use server::serve;
pub use start::{ensure, refresh};

/// The word by which the program that people type runs [`keep`].
pub const SUBCOMMAND: &str = "dns-server";
