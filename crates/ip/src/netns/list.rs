//! Which names there are, and which processes are where.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{DIRECTORY, failed, ids, names, path, say};
use crate::fail::Fail;
use crate::options::Options;
use crate::session::Session;
use crate::words::Words;

/// `netns list`
pub(super) fn list(options: Options) -> Result<u8, Fail> {
    if !Path::new(DIRECTORY).is_dir() {
        return Ok(0);
    }
    let mut session = Session::open(options)?;
    session.out.begin();
    for name in names() {
        let id = ids::of_name(&mut session, &name);
        let out = &mut session.out;
        out.object(None);
        out.field("name", &name, format_args!("{name}"));
        if let Some(id) = id {
            out.field("id", id, format_args!(" (id: {id})"));
        }
        out.text(format_args!("\n"));
        out.object_end();
    }
    session.out.end();
    session.out.flush();
    Ok(0)
}

/// Device and inode, by which a namespace is known.
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|status| (status.dev(), status.ino()))
}

/// `netns pids NAME`
pub(super) fn pids(words: &Words<'_>) -> Result<u8, Fail> {
    let name =
        words.next().ok_or_else(|| Fail::impossible("which network namespace? Its name is missing"))?;
    if let Some(more) = words.next() {
        return Err(Fail::impossible(format!("`netns pids` takes one name; `{more}` is a second")));
    }
    let file = path(name);
    let wanted = identity(&file).map_err(|error| {
        failed(format!("cannot open network namespace `{name}`"), "stat", file.display().to_string(), error)
            .hint("`holm ip netns list` lists them")
    })?;
    let mut text = String::new();
    for pid in processes()? {
        if identity(Path::new(&format!("/proc/{pid}/ns/net"))).is_ok_and(|found| found == wanted) {
            text.push_str(&pid);
            text.push('\n');
        }
    }
    say(&text);
    Ok(0)
}

fn processes() -> Result<Vec<String>, Fail> {
    let entries =
        fs::read_dir("/proc").map_err(|error| failed("cannot list processes", "openat", "/proc", error))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).collect())
}

/// `netns identify [PID]`
pub(super) fn identify(words: &Words<'_>) -> Result<u8, Fail> {
    let pid = words.next().unwrap_or("self");
    if let Some(more) = words.next() {
        return Err(Fail::impossible(format!("`netns identify` takes one process id; `{more}` is a second")));
    }
    if pid != "self" && !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fail::impossible(format!("`{pid}` is no process id")));
    }
    let file = format!("/proc/{pid}/ns/net");
    let wanted = identity(Path::new(&file)).map_err(|error| {
        failed(format!("cannot find the network namespace of process {pid}"), "stat", &file, error)
    })?;
    let found = names().into_iter().rfind(|name| identity(&path(name)).is_ok_and(|found| found == wanted));
    say(&format!("{}\n", found.unwrap_or_default()));
    Ok(0)
}
