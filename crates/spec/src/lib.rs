//! OCI documents as plain data.
//!
//! [`load`] turns the bytes of a `config.json` into a [`Spec`]; [`validate`] judges it without looking at
//! the host and returns a [`Valid`] one, which is what a plan is made from. Start reading in [`config`].
//! The types follow the OCI runtime specification 1.3 for Linux, field for field; what they
//! leave out are the sections of other platforms. What the host can do is for others to find out.

#![forbid(unsafe_code)]

pub mod config;
pub mod process;

pub mod linux;
pub mod resources;
pub mod seccomp;

pub mod features;
pub mod state;

pub mod capability;
pub mod cpu_list;
pub mod id_map;
pub mod landlock;
pub mod mount_options;
pub mod rlimit;
pub mod signal;

mod default_spec;
mod load;
mod validate;

mod json_path;
mod names;
mod optional;

pub use capability::{Capability, CapabilitySet, CapabilitySets};
pub use config::{Hook, Hooks, Mount, Root, Spec};
pub use default_spec::{default_spec, to_pretty_json};
pub use features::Features;
pub use id_map::IdMapping;
pub use linux::{Device, DeviceType, Linux, Namespace, NamespaceType, Propagation};
pub use load::{LoadError, load, load_as};
pub use optional::Map;
pub use process::{Process, User};
pub use resources::Resources;
pub use rlimit::Rlimit;
pub use seccomp::Seccomp;
pub use signal::Signal;
pub use state::{ContainerProcessState, State, Status};
pub use validate::{Invalid, Problem, Valid, sysctl_path, validate, validate_resources};

/// The version of the runtime specification these types follow.
pub const OCI_VERSION: &str = "1.3.0";
