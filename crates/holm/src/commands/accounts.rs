//! Users and groups of this host by name: `/etc/passwd` and `/etc/group`, without a name service.

use report::{Explain, Hint, Kind};

/// A user or group that is not there.
#[derive(Debug, thiserror::Error)]
#[error("there is no {what} `{name}` in {file}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    file: &'static str,
}

impl Explain for UnknownName {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("give the id as a number"))
    }
}

/// The id of a user, by name or number.
///
/// # Errors
/// A name that is not in the file.
pub fn user(name: &str) -> Result<u32, UnknownName> {
    look_up("user", "/etc/passwd", name)
}

/// The id of a group, by name or number.
///
/// # Errors
/// A name that is not in the file.
pub fn group(name: &str) -> Result<u32, UnknownName> {
    look_up("group", "/etc/group", name)
}

/// The name of a user, or the number where there is none.
pub fn user_name(uid: u32) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&text, uid).unwrap_or_else(|| uid.to_string())
}

/// The group that a user has in `/etc/passwd`.
pub fn group_of(uid: u32) -> Option<u32> {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|fields| fields.get(2) == Some(&uid.to_string().as_str()))?.get(3)?.parse().ok()
}

fn look_up(what: &'static str, file: &'static str, name: &str) -> Result<u32, UnknownName> {
    if let Ok(id) = name.parse::<u32>()
        && id != u32::MAX
        && !name.starts_with('+')
    {
        return Ok(id);
    }
    let text = std::fs::read_to_string(file).unwrap_or_default();
    id_in(&text, name).ok_or_else(|| UnknownName { what, name: name.escape_debug().to_string(), file })
}

/// The third field of the line whose first is `name`; both files have it there.
fn id_in(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name && !name.is_empty()).then(|| fields.nth(1)?.parse().ok())?
    })
}

fn name_in(text: &str, id: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| namespaces::text::printable(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_found_in_both_directions() {
        let text = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/:\n:x:5:5::/:\n";
        assert_eq!(id_in(text, "web"), Some(33));
        assert_eq!(id_in(text, ""), None);
        assert_eq!(id_in(text, "broken"), None);
        assert_eq!(name_in(text, 0).as_deref(), Some("root"));
        assert_eq!(name_in(text, 5), None);
        assert_eq!(user("12345").unwrap(), 12_345);
        assert!(user("4294967295").is_err() && user("+5").is_err());
    }
}
