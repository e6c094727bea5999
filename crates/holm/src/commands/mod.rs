//! A file for each subcommand.

pub mod accounts;
pub mod cgroup;
pub mod completions;
pub mod dns;
pub mod doctor;
pub mod failure;
pub mod image;
pub mod network;
pub mod ns;
pub mod registry;
pub mod run;
pub mod table;
pub mod version;
