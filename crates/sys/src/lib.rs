//! The kernel in Rust types.
//!
//! Without the `std` feature only [`Errno`] and [`raw`] remain: system calls as safe functions on plain
//! descriptor numbers, which the in-container stage is built from. With it come functions on owned
//! descriptors whose errors name their subject ([`SyscallError`]).

#![cfg_attr(not(feature = "std"), no_std)]

#[cfg(feature = "std")]
pub mod arena;
#[cfg(feature = "std")]
pub mod bpf;
#[cfg(feature = "std")]
pub mod channel;
#[cfg(feature = "std")]
pub mod clone;
#[cfg(feature = "std")]
pub mod datagrams;
mod errno;
#[cfg(feature = "std")]
mod error;
#[cfg(feature = "std")]
pub mod filter;
#[cfg(feature = "std")]
pub mod fsids;
#[cfg(feature = "std")]
pub mod kernel;
#[cfg(feature = "std")]
pub mod memfd;
#[cfg(all(feature = "std", target_arch = "x86_64", any(test, target_env = "musl")))]
mod memory;
#[cfg(feature = "std")]
pub mod mount;
#[cfg(feature = "std")]
pub mod netlink;
#[cfg(feature = "std")]
pub mod ns;
#[cfg(feature = "std")]
pub mod overlay;
#[cfg(feature = "std")]
mod owned;
#[cfg(feature = "std")]
pub mod perf;
#[cfg(feature = "std")]
pub mod resolve;

#[cfg(feature = "std")]
pub mod inherited;

pub mod below;
#[cfg(feature = "std")]
pub mod lock;
#[cfg(feature = "std")]
pub mod loop_device;
#[cfg(feature = "std")]
pub mod pidfd;
#[cfg(feature = "std")]
pub mod probe;
#[cfg(feature = "std")]
pub mod processors;
#[cfg(feature = "std")]
pub mod quota;
pub mod raw;
#[cfg(feature = "std")]
pub mod sha256;
#[cfg(feature = "std")]
pub mod short;
#[cfg(feature = "std")]
pub mod signal;
#[cfg(feature = "std")]
pub mod tun;
#[cfg(feature = "std")]
pub mod whole;

pub use errno::Errno;
#[cfg(feature = "std")]
pub use error::{SyscallError, kind_of};
#[cfg(feature = "std")]
pub(crate) use owned::owned;
