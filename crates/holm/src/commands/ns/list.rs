//! `holm ns list`.

use crate::commands::failure::Failure;
use clap::ArgMatches;
use namespaces::find::{self, Holder, Namespace};
use namespaces::tree::{self, By};
use namespaces::{Id, Kind, hold};
use serde_json::{Value, json};

use super::containers::{self, Containers};
use crate::commands::accounts;
use crate::commands::table::{self, Align};

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    let kinds: Vec<Kind> = matches
        .get_many::<String>("kind")
        .into_iter()
        .flatten()
        .flat_map(|list| list.split(','))
        .map(super::kind)
        .collect::<Result<_, _>>()?;
    let pid = super::text(matches, "pid").map(super::pid).transpose()?;
    let mut found = find::find()?;
    let containers = containers::note(&mut found);
    let mut wanted: Option<Vec<Id>> = None;
    if let Some(pid) = pid {
        wanted = Some(namespaces::reference::Reference::Process(pid).ids(&found)?);
    }
    found.namespaces.retain(|namespace| {
        (kinds.is_empty() || kinds.contains(&namespace.id.kind))
            && wanted.as_ref().is_none_or(|ids| ids.contains(&namespace.id))
    });
    let by = match (matches.get_flag("owners"), matches.get_flag("tree")) {
        (true, _) => Some(By::Owner),
        (false, true) => Some(By::Parent),
        (false, false) => None,
    };
    let ordered: Vec<(usize, &Namespace)> = match by {
        Some(by) => tree::order(&found.namespaces, by),
        None => found.namespaces.iter().map(|namespace| (0, namespace)).collect(),
    };
    if matches.get_flag("json") {
        let list: Vec<Value> = ordered.iter().map(|(_, namespace)| to_json(namespace, &containers)).collect();
        engine::run::print(&table::json(&Value::Array(list)))?;
        return Ok(0);
    }
    let rows: Vec<_> = ordered.iter().map(|(depth, namespace)| row(*depth, namespace, &containers)).collect();
    let columns = [
        ("NAMESPACE", Align::Left),
        ("KIND", Align::Left),
        ("PROCS", Align::Right),
        ("PID", Align::Right),
        ("USER", Align::Left),
        ("OWNER", Align::Left),
        ("HELD BY", Align::Left),
        ("COMMAND", Align::Left),
    ];
    engine::run::print(&table::table(&columns, &rows))?;
    match found.unreadable {
        0 => {}
        1 => eprintln!("holm: a process may not be looked at; there may be more namespaces"),
        many => eprintln!("holm: {many} processes may not be looked at; there may be more namespaces"),
    }
    Ok(0)
}

fn row(depth: usize, namespace: &Namespace, containers: &Containers) -> Vec<String> {
    let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
    let held = held_by(namespace, containers);
    vec![
        format!("{}{}", "  ".repeat(depth), namespace.id.inode),
        namespace.id.kind.name().to_owned(),
        namespace.processes.to_string(),
        number(namespace.first_pid),
        namespace.uid.map_or("-".to_owned(), accounts::user_name),
        namespace.owner.map_or("-".to_owned(), |inode| inode.to_string()),
        if held.is_empty() { "-".to_owned() } else { held.join(" ") },
        namespace.command.clone(),
    ]
}

/// The container, the names and, without either, the descriptor or thread that holds it.
pub(super) fn held_by(namespace: &Namespace, containers: &Containers) -> Vec<String> {
    let mut held: Vec<String> = containers.shown(namespace).into_iter().collect();
    let mut add = |word: String| {
        if !held.contains(&word) {
            held.push(word);
        }
    };
    for holder in &namespace.holders {
        if let Holder::Mount { path, .. } = holder {
            add(name_of(namespace.id.kind, path));
        }
    }
    if namespace.processes == 0 {
        for holder in &namespace.holders {
            match holder {
                Holder::Mount { .. } => {}
                Holder::Descriptor { pid, fd } => add(format!("pid:{pid}/fd:{fd}")),
                Holder::Thread { pid, tid } => add(format!("pid:{pid}/tid:{tid}")),
                Holder::Children { pid } => add(format!("pid:{pid}/children")),
                Holder::Below { id } => add(id.to_string()),
            }
        }
    }
    held
}

/// A held name by itself, any other place by its path.
fn name_of(kind: Kind, path: &std::path::Path) -> String {
    let name = path.file_name().and_then(|name| hold::Name::parse(name.to_str()?).ok());
    match name {
        Some(name) if hold::path(kind, &name) == path => name.as_str().to_owned(),
        _ => namespaces::text::printable(&path.to_string_lossy()),
    }
}

pub(super) fn to_json(namespace: &Namespace, containers: &Containers) -> Value {
    let holders: Vec<Value> = namespace
        .holders
        .iter()
        .map(|holder| match holder {
            Holder::Mount { path, pid } => json!({ "mount": path.to_string_lossy(), "pid": pid }),
            Holder::Descriptor { pid, fd } => json!({ "pid": pid, "fd": fd }),
            Holder::Thread { pid, tid } => json!({ "pid": pid, "tid": tid }),
            Holder::Children { pid } => json!({ "children_of": pid }),
            Holder::Below { id } => json!({ "namespace": id.to_string() }),
        })
        .collect();
    json!({
        "ns": namespace.id.inode,
        "kind": namespace.id.kind.name(),
        "owner": namespace.owner,
        "owner_uid": namespace.owner_uid,
        "parent": namespace.parent,
        "processes": namespace.processes,
        "pid": namespace.first_pid,
        "uid": namespace.uid,
        "command": namespace.command,
        "container": namespace.container.as_ref().map(|(engine, id)| {
            json!({ "engine": engine, "id": id, "name": containers.name(engine, id) })
        }),
        "holders": holders,
    })
}
