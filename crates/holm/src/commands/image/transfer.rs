//! `holm image load`, `save`, `import` and `export`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use images::config::Execution;
use images::transfer::import::{self, About};
use images::transfer::save::{self, Format, Saved};
use images::transfer::{export as whole, load as archives};
use report::BoxedExplain;
use sys::SyscallError;

use super::{
    boxed, familiar, flag, path, platform, print, references, refuse, store, store_with, text, texts,
};

pub(super) fn load(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let input =
        path(matches, "input").or_else(|| path(matches, "file")).unwrap_or_else(|| PathBuf::from("-"));
    if input.as_os_str() == "-" && io::stdin().is_terminal() {
        return Err(refuse(
            "there is no archive to load",
            "name one with --input, or send it to the standard input",
        ));
    }
    let store = store_with(matches)?;
    let names = references(&texts(matches, "tag"))?;
    let quiet = flag(matches, "quiet");
    let mut watch = |line: &str| {
        if !quiet && io::stderr().is_terminal() {
            eprintln!("{line}");
        }
    };
    let loaded = archives::load(&store, &input, &names, &platform(matches)?, &mut watch).map_err(boxed)?;
    let lines: Vec<String> = loaded
        .iter()
        .map(|loaded| match (quiet, loaded.names.is_empty()) {
            (false, false) => {
                loaded.names.iter().map(|name| format!("loaded {}\n", familiar(&name.to_string()))).collect()
            }
            _ => format!("{}\n", loaded.image.config),
        })
        .collect();
    print(&lines.concat())?;
    Ok(0)
}

pub(super) fn save(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let mut saved = Vec::new();
    for asked in texts(matches, "image") {
        let image = store.find(asked).map_err(boxed)?;
        let name = images::Reference::parse(asked).ok().map(|name| name.to_string());
        // By an id all names go along, by a name that one.
        let names = match name.filter(|name| image.names.contains(name)) {
            Some(name) => vec![name],
            None => image.names.clone(),
        };
        saved.push(Saved::read(&store, image, names).map_err(boxed)?);
    }
    let output = path(matches, "output");
    let format = match text(matches, "format") {
        Some("docker-archive") => Format::Docker,
        Some("oci-dir") => Format::Directory,
        _ => Format::Oci,
    };
    if format == Format::Directory {
        let Some(directory) = output else {
            return Err(refuse("a layout as a directory takes --output", "name a new directory"));
        };
        save::directory(&store, &saved, &directory).map_err(boxed)?;
        return Ok(0);
    }
    write_to(output.as_deref(), |out| save::archive(&store, &saved, format, out).map_err(boxed))
}

pub(super) fn export(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let store = store()?;
    let image = store.find(text(matches, "image").unwrap_or_default()).map_err(boxed)?;
    write_to(path(matches, "output").as_deref(), |out| whole::export(&store, &image, out).map_err(boxed))
}

/// Writes to a file, which is there only if all went well, or to the standard output.
fn write_to(
    output: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BoxedExplain>,
) -> Result<u8, BoxedExplain> {
    let Some(path) = output.filter(|path| path.as_os_str() != "-") else {
        if io::stdout().is_terminal() {
            return Err(refuse("an archive is nothing for a terminal", "name a file with --output"));
        }
        write(&mut io::BufWriter::with_capacity(256 << 10, io::stdout().lock()))?;
        return Ok(0);
    };
    let failed =
        |call| move |error: io::Error| boxed(SyscallError::new(call, path.display().to_string(), error));
    let new = path.with_file_name(format!(
        ".{}.{}",
        path.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    let outcome = File::create(&new).map_err(failed("open")).and_then(|file| {
        let mut out = io::BufWriter::with_capacity(256 << 10, file);
        write(&mut out)?;
        out.flush().map_err(failed("write"))?;
        std::fs::rename(&new, path).map_err(failed("rename"))
    });
    if outcome.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    outcome.map(|()| 0)
}

pub(super) fn import(matches: &ArgMatches) -> Result<u8, BoxedExplain> {
    let source = path(matches, "source").unwrap_or_default();
    let mut execution = Execution::default();
    for instruction in texts(matches, "change") {
        import::change(&mut execution, instruction).map_err(boxed)?;
    }
    let about = About {
        names: references(&texts(matches, "name"))?,
        platform: platform(matches)?,
        execution,
        created: timestamp(matches)?,
        created_by: format!("holm image import {}", source.file_name().unwrap_or_default().to_string_lossy()),
        comment: text(matches, "message").unwrap_or_default().to_owned(),
        action: "import",
    };
    let store = store_with(matches)?;
    let image = if source.as_os_str() == "-" {
        import::archive(&store, &mut io::stdin(), &about)
    } else if source.is_dir() {
        import::directory(&store, &source, &about)
    } else {
        let mut file = File::open(&source)
            .map_err(|error| boxed(SyscallError::new("open", source.display().to_string(), error)))?;
        import::archive(&store, &mut file, &about)
    };
    print(&format!("{}\n", image.map_err(boxed)?.config))?;
    Ok(0)
}

/// `--timestamp`, `SOURCE_DATE_EPOCH`, or now.
pub(super) fn timestamp(matches: &ArgMatches) -> Result<i64, BoxedExplain> {
    let given =
        text(matches, "timestamp").map(str::to_owned).or_else(|| std::env::var("SOURCE_DATE_EPOCH").ok());
    match given.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map_err(|_| {
            refuse(
                format!("`{}` is no time in seconds since 1970", text.escape_debug()),
                "write it as `date +%s` does",
            )
        }),
        None => Ok(std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64)),
    }
}
