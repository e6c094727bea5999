//! What a transfer tells while it goes on.

use crate::digest::Digest;
use crate::reference::Reference;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// A registry is asked for an image, or told of one.
    Asking {
        /// The image.
        name: &'a Reference,
    },
    /// It is known what the image consists of.
    Found {
        /// The digest of what the name stands for.
        digest: Digest,
        /// The layers, the lowest first: digest and size.
        layers: Vec<(Digest, u64)>,
    },
    /// A layer need not be moved: it is there.
    There {
        /// Which one.
        digest: Digest,
    },
    /// A layer begins to move.
    Started {
        /// Which one.
        digest: Digest,
    },
    /// A layer got on.
    Moved {
        /// Which one.
        digest: Digest,
        /// How many bytes have moved in all.
        bytes: u64,
    },
    /// A layer was taken up again after its connection broke.
    Resumed {
        /// Which one.
        digest: Digest,
        /// From which byte on.
        at: u64,
    },
    /// All bytes of a layer are here; it is being made ready.
    Arrived {
        /// Which one.
        digest: Digest,
    },
    /// A layer is where it should be, verified.
    Done {
        /// Which one.
        digest: Digest,
    },
}

/// Somebody who wants to know. Called from several threads.
pub trait Watcher: Sync {
    /// Takes notice.
    fn event(&self, event: Event<'_>);
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Watcher for Nobody {
    fn event(&self, _: Event<'_>) {}
}
