//! The commands for the files of containers.

mod commit;
mod copy;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::Path;

use clap::ArgMatches;
use engine::engine::{Files as _, Local};
use engine::host::Caller;
use engine::run::print;
use images::files::changes::Change;
use report::{BoxedExplain, Explain};
use serde_json::json;
use sys::SyscallError;

use crate::cli::run::{refuse, texts};
use crate::commands::container::output;

/// Runs the command `name`.
///
/// # Errors
/// Those of the command.
pub fn run(name: &str, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let engine = Local::of(&Caller::read());
    match name {
        "cp" => copy::run(&engine, matches),
        "diff" => diff(&engine, matches),
        "export" => export(&engine, matches),
        "commit" => commit::run(&engine, matches),
        _ => super::image::import(matches),
    }
}

fn diff(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let changes = engine.diff(&texts(matches, "container").concat())?;
    let path = |change: &Change| format!("/{}", String::from_utf8_lossy(&change.path));
    let text = match matches.get_one::<String>("format").map(String::as_str) {
        None => changes
            .iter()
            .map(|change| format!("{} {}\n", change.what.letter(), shown(&path(change))))
            .collect(),
        // As the Docker API has them.
        Some("json") => {
            let list: Vec<_> = changes
                .iter()
                .map(|change| json!({"Path": path(change), "Kind": change.what.number()}))
                .collect();
            format!("{}\n", serde_json::Value::from(list))
        }
        format => {
            let rows: Vec<_> = changes
                .iter()
                .map(|change| json!({"Path": path(change), "Kind": change.what.letter().to_string()}))
                .collect();
            output::rows(format, &rows, "{{.Kind}}\t{{.Path}}", &[("Kind", "CHANGE"), ("Path", "PATH")])?
        }
    };
    print(&text)?;
    Ok(0)
}

/// A path for people: a container chooses its file names, and a terminal obeys what it is told.
fn shown(path: &str) -> String {
    path.chars().flat_map(|it| if it.is_control() { it.escape_debug().collect() } else { vec![it] }).collect()
}

fn tell(remarks: &[String]) {
    for line in remarks {
        eprintln!("holm: {line}");
    }
}

fn export(engine: &Local, matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let who = texts(matches, "container").concat();
    let output = matches.get_one::<String>("output").filter(|path| *path != "-");
    let Some(path) = output.map(Path::new) else {
        if io::stdout().is_terminal() {
            return refuse("an archive is nothing for a terminal", "name a file with --output");
        }
        let out = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)
            .map_err(|errno| boxed(SyscallError::new("fcntl", "standard output", errno)))?;
        tell(&engine.export(&who, &File::from(out))?);
        return Ok(0);
    };
    let failed =
        |call| move |error: io::Error| boxed(SyscallError::new(call, path.display().to_string(), error));
    // It is there only if all went well.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let outcome = File::create(&new).map_err(failed("open")).and_then(|file| {
        let remarks = engine.export(&who, &file)?;
        std::fs::rename(&new, path).map_err(failed("rename"))?;
        Ok(remarks)
    });
    match outcome {
        Ok(remarks) => tell(&remarks),
        Err(error) => {
            let _ = std::fs::remove_file(&new);
            return Err(error);
        }
    }
    Ok(0)
}

fn boxed(error: impl Explain + Send + Sync + 'static) -> BoxedExplain {
    Box::new(error)
}
