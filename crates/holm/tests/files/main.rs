//! Files of containers, as people copy, compare and commit them. They need root and busybox, and say so where that is missing.

#[path = "../said/mod.rs"]
mod said;

mod attacks;
mod commit;
mod copies;
mod copy;
mod room;
mod sizes;
