//! An OCI container: what is done to start one, planned first and done then.
//!
//! [`plan()`] decides, from a [`Launch`] and [`HostFacts`], and returns a [`Plan`]: plain data that prints. [`launch()`] performs it and
//! returns a [`Running`] container, or undoes what it did. Start reading at [`plan()`]; between the two nothing is
//! decided again. The stage that works inside the container is the crate `init`; this one writes its program.

#![forbid(unsafe_code)]

pub mod ahead;
pub mod enter;
pub mod environment;
pub mod facts;
pub mod inputs;
pub mod mount_change;
pub mod passwd;
pub mod plan;

mod act;
pub mod state;
pub mod unit;

mod container;
mod end;
pub mod glance;
mod record;
mod start;

pub use act::{
    Cause, Connect, Entered, Exit, HookEnd, HookFailed, LaunchError, Running, Stamp, change_mounts, enter,
    enter_with, launch, launch_connected, launch_with,
};
pub use container::{Container, ContainerError};
pub use enter::{Enter, Target};
pub use facts::HostFacts;
pub use inputs::{ContainerId, Entry, File, Launch, Life, Part, Root, Stdio, Upper};
pub use mount_change::MountChange;
pub use plan::{Plan, PlanError, plan, plan_connected};
