//! The caller's side of a running container: streams, the terminal, signals.
//!
//! [`Wiring`] decides and prepares what descriptors 0 to 2 of the container are; [`attend`] then copies, forwards signals
//! and returns when the container's first process has ended. One thread, no buffer that grows.

mod attend;
mod channel;
mod keys;
mod proxy;
mod raw;
mod wiring;

pub use attend::{AttendError, Attended, Session, attend};
pub use channel::Channel;
pub use keys::DetachScanner;
pub(crate) use keys::read_typed;
pub use proxy::{FORWARDED, Reaction, SignalState, reaction};
pub use raw::{RawMode, size_of};
pub use wiring::{Wiring, WiringError};
