//! Containers as people and programs want to see them: lists, details, templates.
//!
//! [`summary`] makes the rows of a list, [`inspect`] everything about one, as docker names the fields; [`filter`] picks, [`template`] prints.

pub mod filter;
pub mod inspect;
pub mod summary;
pub mod template;
pub mod units;
