//! The container's configuration: `config.json`.
//!
//! [`Spec`] is the whole document. A section that may be absent and means the same as an empty one is not
//! an `Option`: its default is what the specification gives for its absence.
//! Source: config.md of the OCI runtime specification 1.3.

use crate::id_map::IdMapping;
use crate::linux::Linux;
use crate::optional::{Map, empty, map, null};
use crate::process::Process;
use serde::{Deserialize, Serialize};

/// An OCI runtime configuration for Linux.
///
/// Unknown properties are ignored when it is read (config.md, "Extensibility"); `solaris`, `windows`, `vm`,
/// `zos` and `freebsd` are among them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Spec {
    /// The version of the specification the document complies with, such as `1.3.0`.
    pub oci_version: String,
    /// The program to run; absent is the same as empty, and [`validate`](crate::validate) refuses it.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub process: Process,
    /// The root filesystem.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub root: Root,
    /// The hostname in the container's UTS namespace; empty leaves it alone.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub hostname: String,
    /// The NIS domain name in the container's UTS namespace; empty leaves it alone.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub domainname: String,
    /// What to mount besides the root, in this order.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub mounts: Vec<Mount>,
    /// Programs to run at points of the container's life.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub hooks: Hooks,
    /// Arbitrary metadata.
    #[serde(default, deserialize_with = "map", skip_serializing_if = "empty")]
    pub annotations: Map<String>,
    /// What only Linux has.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub linux: Linux,
}

/// The container's root filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Root {
    /// The directory: absolute, or relative to the bundle.
    pub path: String,
    /// Whether the root filesystem is read-only in the container.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub readonly: bool,
}

/// One mount besides the root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self", rename_all = "camelCase")]
pub struct Mount {
    /// Where, in the container. A relative one is relative to `/`, which is deprecated.
    pub destination: String,
    /// The filesystem type; of no meaning for a bind mount.
    #[serde(rename = "type", default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub fstype: String,
    /// A device, a path on the host (absolute, or relative to the bundle), or a dummy.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub source: String,
    /// Options as in fstab(5); [`mount_options`](crate::mount_options) reads them.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub options: Vec<String>,
    /// The user ids of an id-mapped mount (`MOUNT_ATTR_IDMAP`, Linux 5.12).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// The group ids of an id-mapped mount.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub gid_mappings: Vec<IdMapping>,
}

crate::optional::optional_properties! {
    /// Programs to run at points of the container's life.
    pub struct Hooks {
        /// Deprecated: after the namespaces exist, in the runtime's namespaces, before `createRuntime`.
        pub prestart: Vec<Hook>,
        /// While the container is created, in the runtime's namespaces, before its root is entered.
        pub create_runtime: Vec<Hook>,
        /// While the container is created, in the container's namespaces, before its root is entered.
        pub create_container: Vec<Hook>,
        /// At start, in the container, right before the program is executed.
        pub start_container: Vec<Hook>,
        /// After the program was started, in the runtime's namespaces.
        pub poststart: Vec<Hook>,
        /// After the container was deleted, in the runtime's namespaces.
        pub poststop: Vec<Hook>,
    }
}

impl Hooks {
    /// All of them, in the order in which they run, with the names of their properties.
    pub fn by_kind(&self) -> [(&'static str, &[Hook]); 6] {
        [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ]
    }
}

/// A program to run at some point of the container's life; the state goes to its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Hook {
    /// The program, absolute.
    pub path: String,
    /// Its arguments, the zeroth included.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub args: Vec<String>,
    /// Its environment: nothing is inherited.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub env: Vec<String>,
    /// Seconds after which it is killed; absent means never.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "empty")]
    pub timeout: Option<i64>,
}

crate::optional::objects!(Spec, Root, Mount, Hook);
