//! What an archive may contain. Beyond these it is taken for an attack, or for a mistake.

use serde::{Deserialize, Serialize};

/// The most bytes of a plain archive (`--max-layer-size`).
pub const MAX_LAYER_BYTES: u64 = 64 << 30;
/// The most entries of an archive (`--max-layer-entries`).
pub const MAX_ENTRIES: u64 = 1_000_000;
/// How many times longer than the compressed archive the plain one may be (`--max-expansion`), beyond [`FREE_EXPANSION_BYTES`].
pub const MAX_EXPANSION: u64 = 200;
/// Up to this many bytes an archive may be expanded by any factor: a small one that is mostly zeros is no bomb.
pub const FREE_EXPANSION_BYTES: u64 = 1 << 30;
/// The most bytes of a path (PATH_MAX).
pub const MAX_PATH: usize = 4096;
/// The most bytes of a name in a directory (NAME_MAX).
pub const MAX_NAME: usize = 255;
/// The most bytes of a header of attributes.
pub const MAX_PAX_BYTES: u64 = 1 << 20;
/// The most bytes of all extended attributes of an entry: what ext4 and EROFS hold for sure.
pub const MAX_XATTR_BYTES: usize = 64 << 10;
/// The most pieces of a sparse file.
pub const MAX_SPARSE: usize = 100_000;
/// The most bytes of memory that the names and attributes of an archive's entries may take.
pub const MAX_INDEX_BYTES: usize = 512 << 20;

/// What an archive may contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// [`MAX_LAYER_BYTES`].
    pub layer_bytes: u64,
    /// [`MAX_ENTRIES`].
    pub entries: u64,
    /// [`MAX_EXPANSION`].
    pub expansion: u64,
    /// Names that begin with `/` are taken as beginning at the layer's root (`--absolute-names`).
    pub absolute_names: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            layer_bytes: MAX_LAYER_BYTES,
            entries: MAX_ENTRIES,
            expansion: MAX_EXPANSION,
            absolute_names: false,
        }
    }
}
