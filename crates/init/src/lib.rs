//! The in-container stage: what happens between clone3(2) and execve(2).
//!
//! The engine lays out a [`program`] beforehand: a flat list of operations with their texts. [`player::play`] plays it like a
//! player piano: it cannot allocate, cannot decide and does not panic. Start reading at [`ops::Op`], the list of
//! everything that a stage can do. The few [`message`]s are all it says to the engine.
//!
//! This crate is built twice: as a library for the engine, which writes programs, and (by the build script of the
//! runtime crate, from `stage.rs`) as a static executable of a few pages without the standard library.

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

mod copy;
pub mod message;
pub mod ops;
pub mod player;
pub mod program;
mod supervise;
