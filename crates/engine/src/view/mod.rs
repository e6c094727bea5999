//! Containers as people and programs want to see them: lists, details, templates.
//!
//! [`summary`] makes the rows of a list, [`inspect`] everything about one, as docker names the fields; [`filter`] picks,
//! [`template`] prints, [`ports`] says what is published.

pub mod filter;
pub mod inspect;
pub mod ports;
pub mod summary;
pub mod template;
pub mod units;
