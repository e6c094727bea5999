//! From what a person types to a container.

use std::collections::BTreeSet;

use report::BoxedExplain;

use super::error::ContainerFailure;
use super::home::{Home, Places};
use super::names;
use crate::host::boxed;

/// The container of this name, of this id, or whose id begins so; a name comes before the beginning of another's id.
///
/// # Errors
/// [`ContainerFailure::NotFound`] and [`ContainerFailure::Ambiguous`].
pub fn find(places: &Places, text: &str) -> Result<Home, ContainerFailure> {
    let not_found = || ContainerFailure::NotFound(text.to_owned());
    // What could be no name and no id is not looked for in a directory.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let text = text.strip_prefix('/').unwrap_or(text);
    if text.is_empty() || text.len() > 128 || text.starts_with('.') || !text.bytes().all(plain) {
        return Err(not_found());
    }
    let there =
        |id: &str| [false, true].into_iter().map(|durable| Home::new(places, id, durable)).find(is_home);
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.len() == 64 && is_hex {
        return there(text).ok_or_else(not_found);
    }
    if let Some((id, durable)) = names::resolve(places, text) {
        let home = Home::new(places, &id, durable);
        if is_home(&home) {
            return Ok(home);
        }
    }
    if !is_hex {
        return Err(not_found());
    }
    let mut found: Vec<Home> = all(places).into_iter().filter(|home| home.id.starts_with(text)).collect();
    match (found.pop(), found.len()) {
        (Some(home), 0) => Ok(home),
        (Some(_), others) => Err(ContainerFailure::Ambiguous { text: text.to_owned(), count: others + 1 }),
        (None, _) => Err(not_found()),
    }
}

/// The same for commands.
///
/// # Errors
/// As [`find`].
pub fn one(places: &Places, text: &str) -> Result<Home, BoxedExplain> {
    find(places, text).map_err(boxed)
}

fn is_home(home: &Home) -> bool {
    home.directory.join(super::home::DEFINITION).exists()
}

/// Every container, in no order. One that is being made or taken away may be among them.
pub fn all(places: &Places) -> Vec<Home> {
    let ids = |durable| {
        let is_id = |id: &String| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let entries = std::fs::read_dir(places.homes(durable)).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(is_id)
            .collect::<BTreeSet<_>>()
    };
    let staying = ids(true);
    let mut homes: Vec<Home> = staying.iter().map(|id| Home::new(places, id, true)).collect();
    // The run directory of one that stays is there as well.
    let going = ids(false).into_iter().filter(|id| !staying.contains(id));
    homes.extend(going.map(|id| Home::new(places, &id, false)).filter(is_home));
    homes
}
