//! `holm ns inspect`.

use std::fmt::Write as _;

use crate::commands::failure::Failure;
use clap::ArgMatches;
use namespaces::find::{self, Found, Namespace};
use namespaces::reference::Reference;
use namespaces::{Error, inspect};
use serde_json::{Map, Value};

use super::containers::{self, Containers};
use crate::commands::table;

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    let words: Vec<_> = matches.get_many::<String>("namespace").into_iter().flatten().collect();
    let references = words.iter().map(|word| Reference::parse(word)).collect::<Result<Vec<_>, _>>()?;
    let mut found = find::find()?;
    let containers = containers::note(&mut found);
    let mut ids = Vec::new();
    for reference in &references {
        for id in reference.ids(&found)? {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
    }
    let namespaces = ids
        .into_iter()
        .map(|id| {
            let gone = || Error::not_found(format!("{id} has just ended"), "list them again: `holm ns list`");
            found.get(id).ok_or_else(gone)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let text = if matches.get_flag("json") {
        let all = namespaces.iter().map(|namespace| to_json(namespace, &containers));
        table::json(&Value::Array(all.collect()))
    } else {
        namespaces
            .iter()
            .map(|namespace| shown(&found, namespace, &containers))
            .collect::<Vec<_>>()
            .join("\n")
    };
    engine::run::print(&text)?;
    Ok(0)
}

fn facts(namespace: &Namespace) -> inspect::Facts {
    find::open(namespace).map(|fd| inspect::inside(namespace, &fd)).unwrap_or_default()
}

fn to_json(namespace: &Namespace, containers: &Containers) -> Value {
    let mut value = super::list::to_json(namespace, containers);
    let inside: Map<String, Value> = facts(namespace)
        .into_iter()
        .map(|(name, fact)| (name.replace(' ', "_"), Value::String(fact)))
        .collect();
    if let Value::Object(fields) = &mut value {
        fields.insert("inside".to_owned(), Value::Object(inside));
    }
    value
}

fn shown(found: &Found, namespace: &Namespace, containers: &Containers) -> String {
    let kind = namespace.id.kind;
    let mut text = format!("{}\n", namespace.id);
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {name:<29} {value}");
        }
    };
    line("isolates", kind.isolates());
    line("shared", kind.shares());
    let above = "lies above this process's own";
    line("owner", &namespace.owner.map_or(above.to_owned(), |inode| format!("user:[{inode}]")));
    line("made by", &namespace.owner_uid.map(crate::commands::accounts::user_name).unwrap_or_default());
    if kind.has_parents() {
        line(
            "parent",
            &namespace.parent.map_or("none that can be seen".to_owned(), |it| format!("{kind}:[{it}]")),
        );
        let below: Vec<_> = found
            .namespaces
            .iter()
            .filter(|it| it.id.kind == kind && it.parent == Some(namespace.id.inode))
            .map(|it| it.id.to_string())
            .collect();
        line("below it", &below.join(" "));
    }
    let first = namespace.first_pid.map(|pid| format!(", the first is {pid}")).unwrap_or_default();
    line("processes", &format!("{}{first}", namespace.processes));
    line("command", &namespace.command);
    line("held by", &super::list::held_by(namespace, containers).join(" "));
    for (name, value) in facts(namespace) {
        line(name, &value);
    }
    text
}
