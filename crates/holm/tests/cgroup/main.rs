//! `holm cgroup` against the kernel: the four duties with real loads, each classic subsystem, delegation, and what is
//! refused. Every group is the test's own and gone at its end.

mod control;
#[path = "../copied/mod.rs"]
mod copied;
mod duties;
mod input;
mod room;
mod screen;
mod subsystems;
mod views;
mod words;
