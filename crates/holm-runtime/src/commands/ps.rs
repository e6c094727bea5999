//! `ps`: the processes of a container, as ps(1) shows them.

use std::process::{Command, Stdio};

use crate::cli::Arguments;
use report::{Explain, Hint, Kind};
use sys::SyscallError;

use super::container;
use crate::cli;
use crate::context::Context;
use crate::failure::Outcome;

/// What ps(1) was asked for could not be shown.
#[derive(Debug, thiserror::Error)]
enum PsFailed {
    #[error("run ps")]
    Run(#[source] SyscallError),
    #[error("ps: {0}")]
    Refused(String),
    #[error("what `ps {0}` shows has no column PID")]
    NoColumn(String),
}

impl Explain for PsFailed {
    fn below(&self) -> Option<&dyn Explain> {
        match self {
            Self::Run(cause) => Some(cause),
            _ => None,
        }
    }
    fn kind(&self) -> Kind {
        match self {
            Self::Run(cause) => cause.kind(),
            _ => Kind::InvalidInput,
        }
    }
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Run(cause) if cause.errno == sys::Errno::NOENT => {
                Some(Hint::new("install the package procps, or use --format json"))
            }
            Self::NoColumn(_) => Some(Hint::new("ask for it: ps -o pid,args")),
            _ => None,
        }
    }
}

pub(super) fn run(context: &Context, arguments: &Arguments) -> Outcome {
    let container = container(context, arguments)?;
    let pids = container.cgroup()?.processes()?;
    if arguments.get_one::<String>("format").is_some_and(|format| format == "json") {
        return Ok(cli::print(&format!("{}\n", serde_json::Value::from(pids))));
    }
    let mut args: Vec<&str> =
        arguments.get_many::<String>("args").into_iter().flatten().map(String::as_str).collect();
    if args.is_empty() {
        args.push("-ef");
    }
    let output = Command::new("ps").args(&args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| PsFailed::Run(SyscallError::new("execve", "ps", error)))?;
    if !output.status.success() {
        return Err(PsFailed::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = of(&text, &pids).ok_or_else(|| PsFailed::NoColumn(args.join(" ")))?;
    Ok(cli::print(&lines))
}

/// The heading and the lines of these processes; none without a column of their ids. A line of a thread, which has no id there,
/// belongs to the process above it.
fn of(text: &str, pids: &[u32]) -> Option<String> {
    let mut lines = text.lines();
    let heading = lines.next()?;
    let column = heading.split_whitespace().position(|name| name == "PID")?;
    let mut shown = format!("{heading}\n");
    let mut before = false;
    for line in lines {
        let word = line.split_whitespace().nth(column).unwrap_or_default();
        let ours = match word.parse() {
            Ok(pid) => pids.contains(&pid),
            Err(_) => word == "-" && before,
        };
        if ours {
            shown.push_str(line);
            shown.push('\n');
        }
        before = ours;
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_the_column_of_process_ids() {
        let text = "UID        PID  PPID CMD\nroot         7     1 sleep 8\nroot         -     - -\nroot         8     7 x\n";
        assert_eq!(
            of(text, &[7]).unwrap(),
            "UID        PID  PPID CMD\nroot         7     1 sleep 8\nroot         -     - -\n"
        );
        assert_eq!(of(text, &[]).unwrap(), "UID        PID  PPID CMD\n");
        assert_eq!(of("COMMAND\nx\n", &[7]), None);
    }
}
