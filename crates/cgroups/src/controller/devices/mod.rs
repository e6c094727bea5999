//! Access to devices: `devices.allow` and `devices.deny` on v1, a BPF program on v2.
//!
//! Both hold the same ordered rules; for each way of access the last rule that matches decides, and what none
//! matches is denied. [`DeviceProgram::compile`] compiles them for v2, [`writes`] for v1, whose kernel knows less.

mod list;
mod program;

pub use list::{transition, writes};
pub use program::DeviceProgram;

#[cfg(test)]
mod tests;
