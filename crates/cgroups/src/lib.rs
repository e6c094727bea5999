//! Control groups on v1, v2 and hybrid hosts.
//!
//! [`Layout`] says which hierarchy of this host serves which controller; [`plan()`] turns a place and
//! [`Limits`] into a [`Plan`], which is pure and prints one step a line; [`Cgroup::create`] performs it.
//! Start reading at [`plan()`]. What a file of the kernel is called and which value it takes is known to one
//! module per controller, below [`controller`]. After [`Layout::read`] nothing here names `/sys/fs/cgroup`.
//!
//! The crate knows neither the OCI documents nor containers: whoever has a specification maps it to
//! [`Limits`].

#![forbid(unsafe_code)]

pub mod layout;
pub mod limits;
pub mod units;
pub mod words;

pub mod controller;
mod parse;
pub mod pressure;
pub mod write;

pub mod plan;

pub mod cgroup;
pub mod delegation;
mod dir;
pub mod events;
pub mod private;
pub mod tree;

pub mod error;

#[cfg(test)]
mod testing;

pub use cgroup::{Cgroup, Recorded};
pub use error::{Error, Refused, Why};
pub use layout::{Controller, ControllerSet, Layout, Version};
pub use limits::{Limit, Limits};
pub use plan::{CgroupPath, Existing, Place, Plan, Wanted, Which, plan};
pub use write::Write;
