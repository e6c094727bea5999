//! Landlock rules, which the specification has no property for: an annotation of the configuration holds them.
//!
//! `org.holm.landlock.rules` is a JSON text, a list of [`Rule`]s. With the annotation, what no rule grants is forbidden to the
//! container's programs, whatever their user and capabilities are (landlock(7), Linux 5.13). Paths are those of the container.
//!
//! ```
//! let rules = r#"[{"paths": ["/usr", "/lib"], "access": ["execute", "read"]}, {"paths": ["/tmp"], "access": ["all"]}]"#;
//! let mut spec = spec::default_spec(false);
//! spec.annotations.insert(spec::landlock::ANNOTATION.into(), rules.into());
//! let rules = spec::landlock::rules(&spec.annotations)?.unwrap();
//! assert_eq!(rules[0].bits(), 0b1101);
//! # Ok::<(), spec::LoadError>(())
//! ```

use crate::load::{LoadError, load_as};
use crate::names::names;
use crate::optional::Map;
use serde::{Deserialize, Serialize};

/// The annotation's key.
pub const ANNOTATION: &str = "org.holm.landlock.rules";

/// What is allowed with what is at some places and below them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Rule {
    /// The places, absolute, in the container. They have to exist.
    pub paths: Vec<String>,
    /// What is allowed there.
    pub access: Vec<Access>,
}

impl Rule {
    /// The kernel's bits of all rights, `LANDLOCK_ACCESS_FS_*`.
    pub fn bits(&self) -> u64 {
        self.access.iter().fold(0, |bits, access| bits | access.bits())
    }
}

names! {
    /// A right, or a few of them that belong together.
    pub enum Access {
        /// Execute a file.
        Execute = "execute",
        /// Open a file for writing.
        WriteFile = "write_file",
        /// Open a file for reading.
        ReadFile = "read_file",
        /// List a directory.
        ReadDir = "read_dir",
        /// Remove a directory.
        RemoveDir = "remove_dir",
        /// Remove anything else.
        RemoveFile = "remove_file",
        /// Make a character device.
        MakeChar = "make_char",
        /// Make a directory.
        MakeDir = "make_dir",
        /// Make a file.
        MakeReg = "make_reg",
        /// Make a socket.
        MakeSock = "make_sock",
        /// Make a FIFO.
        MakeFifo = "make_fifo",
        /// Make a block device.
        MakeBlock = "make_block",
        /// Make a symlink.
        MakeSym = "make_sym",
        /// Link or rename from one directory to another (Linux 5.19; before, that is always forbidden).
        Refer = "refer",
        /// Truncate a file (Linux 6.2; before, that is always allowed).
        Truncate = "truncate",
        /// ioctl(2) on a device (Linux 6.10; before, that is always allowed).
        IoctlDev = "ioctl_dev",
        /// `read_file` and `read_dir`.
        Read = "read",
        /// What changes files and directories, devices aside.
        Write = "write",
        /// Everything.
        All = "all",
    }
}

impl Access {
    /// The kernel's bits, `LANDLOCK_ACCESS_FS_*`.
    pub const fn bits(self) -> u64 {
        match self {
            Self::Read => Self::ReadFile.bits() | Self::ReadDir.bits(),
            Self::Write => {
                Self::WriteFile.bits()
                    | Self::RemoveDir.bits()
                    | Self::RemoveFile.bits()
                    | Self::MakeDir.bits()
                    | Self::MakeReg.bits()
                    | Self::MakeSock.bits()
                    | Self::MakeFifo.bits()
                    | Self::MakeSym.bits()
                    | Self::Refer.bits()
                    | Self::Truncate.bits()
            }
            Self::All => u64::MAX,
            single => 1 << single as u32,
        }
    }

    /// The rights that a kernel with this version of Landlock governs.
    pub const fn governed_by(abi: u32) -> u64 {
        match abi {
            0 => 0,
            1 => Self::Refer.bits() - 1,
            2 => Self::Truncate.bits() - 1,
            3 | 4 => Self::IoctlDev.bits() - 1,
            _ => (Self::IoctlDev.bits() << 1) - 1,
        }
    }
}

/// The rules among `annotations`; none without the annotation.
///
/// # Errors
/// [`LoadError`] for a text that is no list of rules.
pub fn rules(annotations: &Map<String>) -> Result<Option<Vec<Rule>>, LoadError> {
    annotations.get(ANNOTATION).map(|text| load_as(text.as_bytes())).transpose()
}

crate::optional::objects!(Rule);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_have_the_kernels_bits() {
        assert_eq!((Access::Execute.bits(), Access::IoctlDev.bits()), (1, 1 << 15));
        assert_eq!(Access::Read.bits(), 0b1100);
        assert_eq!(Access::Write.bits(), 0b0111_0111_1011_0010 & !(1 << 11));
    }

    #[test]
    fn every_version_governs_what_it_knows() {
        let governed = [0, 1, 2, 3, 4, 5, 6, 7].map(Access::governed_by);
        assert_eq!(governed, [0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff, 0xffff, 0xffff]);
    }
}
