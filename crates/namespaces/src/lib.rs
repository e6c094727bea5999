//! Namespaces as things of their own: found on the host, told apart, entered, made, and held by a name.
//!
//! [`Kind`] says which kinds there are and what each isolates; [`find`] lists those of the host; [`enter`] and
//! [`make`] start a program in existing and in new ones, and [`hold`] keeps one without a process. Start
//! reading at [`Kind`]. Which namespace is joined when is decided by [`order`], which is pure.
//!
//! The crate knows neither containers nor OCI documents.

#![forbid(unsafe_code)]

pub mod kind;
pub mod text;

pub mod find;
pub mod tree;

pub mod inspect;
pub mod reference;

pub mod maps;
pub mod order;
pub mod program;

pub mod enter;
mod helper;
pub mod make;
mod newer;

pub mod hold;

pub mod error;

pub use error::Error;
pub use kind::{Id, Kind};
