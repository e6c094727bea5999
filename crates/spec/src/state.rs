//! A container's state: what `state` prints, hooks read and a seccomp listener is sent.
//!
//! Source: runtime.md of the OCI runtime specification 1.3, "State"; config-linux.md, "The Container Process
//! State".

use crate::names::names;
use crate::optional::{Map, empty, map, null};
use serde::{Deserialize, Serialize};

/// The state of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct State {
    /// The version of the specification the state complies with.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Where in its life the container is.
    pub status: Status,
    /// The container's first process, as the runtime sees it; absent while there is none.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub pid: i32,
    /// The bundle's directory, absolute.
    pub bundle: String,
    /// The annotations of the configuration.
    #[serde(default, deserialize_with = "map", skip_serializing_if = "empty")]
    pub annotations: Map<String>,
}

names! {
    /// Where in its life a container is.
    pub enum Status {
        /// It is being created.
        Creating = "creating",
        /// It is set up, and its program has not been executed.
        Created = "created",
        /// Its program runs.
        Running = "running",
        /// Its processes are frozen; not in the specification, but what every runtime says.
        Paused = "paused",
        /// Its program has exited.
        Stopped = "stopped",
    }
}

/// The name in [`ContainerProcessState::fds`] of the seccomp listener.
pub const SECCOMP_FD_NAME: &str = "seccompFd";

/// What is sent to the one behind `listenerPath`, together with descriptors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct ContainerProcessState {
    /// The version of the specification the state complies with.
    pub oci_version: String,
    /// The names of the descriptors sent along, in their order.
    #[serde(default, deserialize_with = "null")]
    pub fds: Vec<String>,
    /// The process the filter belongs to, as the runtime sees it.
    pub pid: i32,
    /// `listenerMetadata` of the configuration.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub metadata: String,
    /// The state of the container.
    pub state: State,
}

crate::optional::objects!(State, ContainerProcessState);
