//! A file for each subcommand.

pub mod accounts;
pub mod cgroup;
pub mod completions;
pub mod container;
pub mod dns;
pub mod doctor;
pub mod duty;
pub mod failure;
pub mod files;
pub mod image;
pub mod network;
pub mod ns;
pub mod registry;
pub mod run;
pub mod system;
pub mod table;
pub mod version;
pub mod volume;
