//! `holm pull`, `push`, `login` and `run IMAGE` as people use them, with a registry of Debian's for each test.

#[path = "../said/mod.rs"]
mod said;

mod room;

mod bootstrap;
mod names;
mod others;
mod registry;
mod run;
mod volumes;
