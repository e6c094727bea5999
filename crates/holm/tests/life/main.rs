//! A container's life in the background, as people lead it: the machine's own programs, each test with directories of its own. They need
//! root, and say so where it is missing.

#[path = "../copied/mod.rs"]
mod copied;
#[path = "../said/mod.rs"]
mod said;

mod changes;
mod chaos;
mod checks;
mod crash;
mod drivers;
mod house;
mod logs;
mod monitor;
mod streams;
mod verbs;
mod views;
mod volumes;
