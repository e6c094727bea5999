//! What a request becomes.
//!
//! [`flags`] are the values of a command line, each a type; [`request`] puts them together and refuses what
//! cannot be combined.

#![forbid(unsafe_code)]

pub mod flags;
pub mod request;

pub mod ids;
pub mod users;
