//! Groups of resctrl (`Documentation/filesystems/resctrl.rst`): directories that share cache and memory bandwidth.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sys::{Errno, SyscallError};

use crate::plan::ResctrlGroup;

/// Makes what is missing of the group, sets its shares and puts a process into it. Directories that were made, which go with the
/// container, are added to `made`, also when something fails after that.
pub(crate) fn enter(group: &ResctrlGroup, pid: i32, made: &mut Vec<PathBuf>) -> Result<(), SyscallError> {
    let schemata = group.class.join("schemata");
    let has_lines = !group.lines.is_empty() || !group.last_lines.is_empty();
    let is_new = if group.shared && !has_lines {
        // A class without shares of its own has to be there.
        let found = fs::metadata(&group.class).map_err(|error| failed("stat", &group.class, error))?;
        if !found.is_dir() {
            return Err(SyscallError::new("stat", group.class.display().to_string(), Errno::NOTDIR));
        }
        false
    } else {
        make(&group.class, group.shared)?
    };
    if is_new && !group.shared {
        made.push(group.class.clone());
    }
    if is_new {
        write_lines(&schemata, &group.lines)?;
    } else {
        let current = fs::read_to_string(&schemata).map_err(|error| failed("read", &schemata, error))?;
        if let Some(line) = group.lines.iter().find(|line| !agrees(&current, line)) {
            let subject = format!("{}, which differs from `{line}`", schemata.display());
            return Err(SyscallError::new("compare", subject, Errno::EXIST));
        }
    }
    write_lines(&schemata, &group.last_lines)?;
    write(&group.class.join("tasks"), &pid.to_string())?;
    if let Some(monitor) = &group.monitor {
        make(monitor, false)?;
        made.push(monitor.clone());
        write(&monitor.join("tasks"), &pid.to_string())?;
    }
    Ok(())
}

/// Takes away what was made, the last first.
pub(crate) fn remove(made: &[PathBuf]) -> Result<(), SyscallError> {
    let mut outcome = Ok(());
    for directory in made.iter().rev() {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                outcome = Err(failed("rmdir", directory, error))
            }
            _ => {}
        }
    }
    outcome
}

/// Whether the directory is new.
fn make(directory: &Path, may_exist: bool) -> Result<bool, SyscallError> {
    match fs::create_dir(directory) {
        Ok(()) => Ok(true),
        Err(error) if may_exist && error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("mkdir", directory, error)),
    }
}

fn write_lines(schemata: &Path, lines: &[String]) -> Result<(), SyscallError> {
    // Each on its own: the kernel tells which one it does not take.
    lines.iter().try_for_each(|line| write(schemata, &format!("{line}\n")))
}

fn write(file: &Path, text: &str) -> Result<(), SyscallError> {
    let open = fs::OpenOptions::new().write(true).open(file).map_err(|error| failed("open", file, error))?;
    io::Write::write_all(&mut &open, text.as_bytes()).map_err(|error| failed("write", file, error))
}

fn failed(call: &'static str, path: &Path, error: io::Error) -> SyscallError {
    SyscallError::new(call, path.display().to_string(), error)
}

/// Whether the shares that `line` (`L3:0=7f0;1=1f`) asks for are those of `schemata`.
fn agrees(schemata: &str, line: &str) -> bool {
    let Some((resource, wanted)) = line.trim().split_once(':') else { return false };
    let lines = schemata.lines().filter_map(|line| line.trim().split_once(':'));
    let Some((_, current)) = lines.into_iter().find(|(name, _)| *name == resource) else { return false };
    let shares = |list: &str| -> Vec<(String, String)> {
        let pairs = list.split(';').filter_map(|pair| pair.split_once('='));
        let plain = |text: &str| text.trim().trim_start_matches('0').to_ascii_lowercase();
        pairs.map(|(id, share)| (plain(id), plain(share))).collect()
    };
    let current = shares(current);
    shares(wanted).iter().all(|share| current.contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_compared_and_not_their_spelling() {
        let schemata = "    MB:0=100;1=70\n    L3:0=07f0;1=001f\n";
        for (line, same) in [
            ("L3:0=7f0;1=1f", true),
            ("L3:1=1F", true),
            ("L3:0=7f1", false),
            ("L3:2=1", false),
            ("MB:0=100", true),
            ("L2:0=1", false),
            ("nonsense", false),
        ] {
            assert_eq!(agrees(schemata, line), same, "{line}");
        }
    }
}
