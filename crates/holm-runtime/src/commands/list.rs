//! `list`: all containers below `--root`.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::cli::Arguments;
use report::{Explain, Kind};
use runtime::Container;
use runtime::state::StateRoot;
use sys::SyscallError;

use super::state;
use crate::context::Context;
use crate::failure::Outcome;
use crate::time::rfc3339;

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    // A directory that is not there holds no containers; one that was asked for by name is a mistake.
    let asked = arguments.is_given("root");
    let root = match context.root.exists() {
        true => Some(StateRoot::open(&context.root)?),
        false if asked => {
            let root = context.root.display().to_string();
            return Err(SyscallError::new("open", root, sys::Errno::NOENT).into());
        }
        false => None,
    };
    let ids = root.as_ref().map(StateRoot::ids).transpose()?.unwrap_or_default();
    if arguments.get_flag("quiet") {
        let text: String = ids.iter().map(|id| format!("{id}\n")).collect();
        return Ok(crate::cli::print(&text));
    }
    let in_json = arguments.get_one::<String>("format").is_some_and(|format| format == "json");
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    // One after the other: an open container has a descriptor.
    for (root, id) in root.iter().flat_map(|root| ids.iter().map(move |id| (root, id))) {
        match Container::open(root, id) {
            Ok(container) if in_json => objects.push(object(&container)),
            Ok(container) => rows.push(row(&container)),
            // It was deleted meanwhile.
            Err(error) if error.kind() == Kind::NotFound => {}
            Err(error) => context.log.warn(&report::one_line(&error)),
        }
    }
    crate::cli::print(&if in_json { array(&objects) } else { table(rows) });
    Ok(ExitCode::SUCCESS)
}

/// One array on one line; `null` for none, as runc has it.
fn array(objects: &[String]) -> String {
    if objects.is_empty() {
        return "null\n".to_owned();
    }
    format!("[{}]\n", objects.join(","))
}

fn object(container: &Container) -> String {
    let members = state::members(container).into_iter().map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

type Row = [String; 6];

fn row(container: &Container) -> Row {
    let state = container.state();
    [
        state.id,
        state.pid.to_string(),
        state.status.to_string(),
        state.bundle,
        rfc3339(container.created()),
        state::owner(container.owner_uid()),
    ]
}

/// Columns of at least twelve, three apart, as runc has them.
fn table(containers: Vec<Row>) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from)];
    rows.extend(containers);
    let mut widths = [12; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (cell.chars().count() + 3).max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let last = row.len() - 1;
        for (cell, width) in row.iter().zip(widths).take(last) {
            let _ = write!(text, "{cell:width$}");
        }
        let _ = writeln!(text, "{}", row[last]);
    }
    text
}
