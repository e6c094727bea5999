//! A file for each subcommand.

pub mod completions;
pub mod doctor;
pub mod run;
pub mod version;
