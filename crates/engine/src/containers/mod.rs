//! Containers that have a definition: made, started, stopped, looked at, taken away, by any number of processes at once.
//!
//! [`Home`] is where a container's files are, [`Definition`] what it is; [`find()`] turns what a person types into one. What a container
//! does right now is asked of the kernel each time ([`state`]). A container in the background is launched by a process of its own
//! ([`supervise`]), which becomes its monitor.

pub mod attach;
pub mod commit;
pub mod create;
pub mod definition;
pub mod error;
pub mod events;
pub mod exec;
pub mod files;
pub mod find;
pub mod foreground;
pub mod health;
pub mod home;
pub mod logs;
pub mod names;
pub mod processes;
pub mod remove;
mod root;
pub mod start;
pub mod state;
pub mod stats;
pub mod stop;
pub mod supervise;
pub mod told;
mod tree;
pub mod update;
pub mod upkeep;
pub mod wait;

pub use definition::{Definition, HealthCheck, LogChoice};
pub use error::ContainerFailure;
pub use find::{all, find, one};
pub use home::{Home, Places};
pub use state::{State, Status};

/// The bytes on the disk of everything below a directory; links are not followed, and no other file system is entered.
pub fn usage(directory: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(top) = std::fs::symlink_metadata(directory) else { return 0 };
    let mut total = 0;
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path).into_iter().flatten().flatten() {
            let Ok(data) = entry.metadata() else { continue };
            total += data.blocks() * 512;
            if data.is_dir() && data.dev() == top.dev() {
                waiting.push(entry.path());
            }
        }
    }
    total
}
