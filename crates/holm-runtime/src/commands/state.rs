//! `state`: prints where in its life a container is.

use std::fmt::Write as _;

use crate::cli::Arguments;
use runtime::Container;
use serde_json::Value;

use crate::context::Context;
use crate::failure::Outcome;
use crate::time::rfc3339;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let container = super::container(context, arguments)?;
    let mut text = String::from("{\n");
    let members = members(&container);
    for (index, (name, value)) in members.iter().enumerate() {
        let comma = if index + 1 == members.len() { "" } else { "," };
        let _ = match value {
            Value::Object(map) => {
                let lines =
                    map.iter().map(|(key, value)| format!("    {}: {value}", Value::from(key.as_str())));
                writeln!(text, "  \"{name}\": {{\n{}\n  }}{comma}", lines.collect::<Vec<_>>().join(",\n"))
            }
            value => writeln!(text, "  \"{name}\": {value}{comma}"),
        };
    }
    text.push('}');
    Ok(crate::cli::print(&text))
}

/// What runc prints of a container, in its order.
pub(super) fn members(container: &Container) -> Vec<(&'static str, Value)> {
    let state = container.state();
    let path = |path: &std::path::Path| Value::from(path.to_string_lossy());
    let mut members = vec![
        ("ociVersion", Value::from(state.oci_version)),
        ("id", Value::from(state.id)),
        ("pid", Value::from(state.pid)),
        ("status", Value::from(state.status.to_string())),
        ("bundle", path(container.bundle())),
        ("rootfs", path(container.rootfs())),
        ("created", Value::from(rfc3339(container.created()))),
    ];
    if !state.annotations.is_empty() {
        members.push(("annotations", state.annotations.into_iter().collect()));
    }
    members.push(("owner", Value::from(owner(container.owner_uid()))));
    members
}

/// The user's name, or the number where it has none.
pub(super) fn owner(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("#{uid}"))
}
