//! `holm cgroup list`, and reading the groups with what they use.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cgroups::cgroup::Usage;
use cgroups::{Layout, tree};
use clap::ArgMatches;
use serde_json::{Value, json};

use super::{Host, show};
use crate::commands::failure::Failure;
use crate::commands::table::{self, Align};

/// How long processor use is measured for a list.
const SAMPLE: Duration = Duration::from_millis(100);

/// A group with what it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// Its path; empty for the topmost.
    pub(super) path: PathBuf,
    /// Processes in the group itself and below it.
    pub(super) processes: usize,
    /// What it uses.
    pub(super) usage: Usage,
    /// Processor time since the look before.
    pub(super) cpu_ns: u64,
    /// Bytes read since the look before.
    pub(super) read_bytes: u64,
    /// Bytes written since the look before.
    pub(super) written_bytes: u64,
}

/// All groups at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) rows: Vec<Row>,
    pub(super) whole: bool,
}

/// Looks at the groups at and below `top`; rates count from `before`.
pub(super) fn look(layout: &Layout, top: &Path, before: Option<&Look>) -> Result<Look, Failure> {
    let (nodes, whole) = tree::read(layout, top)?;
    let at = Instant::now();
    let old = |path: &Path| before.and_then(|look| look.rows.iter().find(|row| row.path == path));
    let mut rows: Vec<Row> = Vec::with_capacity(nodes.len());
    for node in nodes {
        // A group that is removed meanwhile reads as one that uses nothing.
        let usage = node.cgroup.usage().unwrap_or_default();
        let last = old(&node.path).map(|row| row.usage).unwrap_or(usage);
        let since = |now: Option<u64>, then: Option<u64>| now.unwrap_or(0).saturating_sub(then.unwrap_or(0));
        rows.push(Row {
            processes: node.cgroup.own_processes().len(),
            cpu_ns: since(usage.cpu_ns, last.cpu_ns),
            read_bytes: since(usage.read_bytes, last.read_bytes),
            written_bytes: since(usage.written_bytes, last.written_bytes),
            path: node.path,
            usage,
        });
    }
    // Children stand behind their parents, so from the end each is complete before it is added.
    for index in (1..rows.len()).rev() {
        let (path, processes) = (rows[index].path.clone(), rows[index].processes);
        if let Some(parent) = path.parent()
            && let Some(parent) = rows.iter_mut().find(|row| row.path == parent)
        {
            parent.processes += processes;
        }
    }
    Ok(Look { at, rows, whole })
}

pub(super) fn run(matches: &ArgMatches) -> Result<u8, Failure> {
    let (host, top) = start(matches)?;
    let before = look(&host.layout, &top, None)?;
    std::thread::sleep(SAMPLE);
    let mut now = look(&host.layout, &top, Some(&before))?;
    let wall_ns = now.at.duration_since(before.at).as_nanos() as u64;
    let all = matches.get_flag("all") || matches.get_flag("json");
    now.rows.retain(|row| all || row.processes > 0 || row.path == top);
    let text = if matches.get_flag("json") {
        table::json(&Value::Array(now.rows.iter().map(|row| to_json(row, wall_ns)).collect()))
    } else {
        let rows: Vec<_> = now.rows.iter().map(|row| cells(row, &top, wall_ns)).collect();
        table::table(&COLUMNS, &rows)
    };
    engine::run::print(&text)?;
    if !now.whole {
        eprintln!("holm: there are more groups than the {} shown", tree::MAX_GROUPS);
    }
    Ok(0)
}

/// The host, and the group to begin at.
pub(super) fn start(matches: &ArgMatches) -> Result<(Host, PathBuf), Failure> {
    match super::text(matches, "name").filter(|name| *name != "/") {
        Some(_) => super::named(matches).map(|(host, path, _)| (host, PathBuf::from(path))),
        None => Ok((Host::read(matches)?, PathBuf::new())),
    }
}

const COLUMNS: [(&str, Align); 5] = [
    ("GROUP", Align::Left),
    ("PROCS", Align::Right),
    ("CPU %", Align::Right),
    ("CPU TIME", Align::Right),
    ("MEMORY", Align::Right),
];

fn cells(row: &Row, top: &Path, wall_ns: u64) -> Vec<String> {
    let memory = match (row.usage.memory_bytes, row.usage.memory_max_bytes) {
        (Some(used), Some(max)) => format!("{} / {}", show::bytes(used), show::bytes(max)),
        (used, _) => show::or_dash(used, show::bytes),
    };
    vec![
        name(&row.path, top),
        row.processes.to_string(),
        show::percent(row.cpu_ns, wall_ns),
        show::or_dash(row.usage.cpu_ns, show::time),
        memory,
    ]
}

/// The last part of a path, indented by its depth below `top`.
pub(super) fn name(path: &Path, top: &Path) -> String {
    let depth = path.components().count() - top.components().count().min(path.components().count());
    let own = match path.file_name() {
        Some(name) if path != top => name.to_string_lossy().into_owned(),
        _ if path.as_os_str().is_empty() => "/".to_owned(),
        _ => path.to_string_lossy().into_owned(),
    };
    format!("{}{}", "  ".repeat(depth), namespaces::text::printable(&own))
}

fn to_json(row: &Row, wall_ns: u64) -> Value {
    let percent = if wall_ns == 0 { 0.0 } else { row.cpu_ns as f64 * 100.0 / wall_ns as f64 };
    json!({
        "path": format!("/{}", row.path.to_string_lossy()),
        "processes": row.processes,
        "cpu_percent": (percent * 10.0).round() / 10.0,
        "cpu_ns": row.usage.cpu_ns,
        "memory_bytes": row.usage.memory_bytes,
        "memory_max_bytes": row.usage.memory_max_bytes,
        "tasks": row.usage.tasks,
        "read_bytes": row.usage.read_bytes,
        "written_bytes": row.usage.written_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_indented_by_its_depth() {
        let top = Path::new("");
        assert_eq!(name(Path::new(""), top), "/");
        assert_eq!(name(Path::new("a/b"), top), "    b");
        assert_eq!(name(Path::new("a/b"), Path::new("a")), "  b");
        assert_eq!(name(Path::new("a/b"), Path::new("a/b")), "a/b");
    }
}
