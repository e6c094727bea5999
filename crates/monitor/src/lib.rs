//! The small process beside a container that runs in the background.
//!
//! [`run`] is that process: it copies the container's streams to its log and to whoever is attached, and writes down how the
//! container ended before it does anything else. It decides nothing about the container: what has to be done after the end is done by
//! the program it executes itself as then. [`Setup`] is all that it is told. Whoever attaches speaks [`protocol`].

#![forbid(unsafe_code)]

pub mod exit;
pub mod log;
pub mod protocol;
pub mod restart;
pub mod setup;
pub mod time;

mod clients;
pub mod health;
mod pump;
mod streams;

pub use exit::{ExitRecord, Health, HealthRecord, HealthState};
pub use log::{Driver, LogSetup};
pub use pump::{Ended, run};
pub use restart::Policy;
pub use setup::{HealthSetup, OnFailure, Setup};
