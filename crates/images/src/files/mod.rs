//! Trees of files that somebody else may be changing: a container's, while it runs.
//!
//! [`walk`] goes through one and hands out what it found as descriptors, [`send`] writes it to an archive, [`take`] makes files of an
//! archive below a directory, [`copy`] makes one tree of several layers, and [`changes`] tells what differs from a lower tree and writes that
//! as a layer. Nothing here follows a link: a name always means what lies at it, below the directory that was opened first.

pub mod changes;
pub mod copy;
pub mod send;
pub mod take;
pub mod walk;
