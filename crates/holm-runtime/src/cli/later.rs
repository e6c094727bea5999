//! Commands of runc that are not there yet. They are none of ours, so that `checkpoint --help` fails: engines ask a runtime in this way
//! whether it can.

use std::ffi::OsString;
use std::path::Path;

/// Why a command that is to come is refused: first for what is wrong with its arguments, as runc would.
pub(crate) fn refusal(name: &str, args: &[OsString]) -> Option<String> {
    if !matches!(name, "checkpoint" | "restore") {
        return None;
    }
    let value = |flag: &str| {
        let mut words = args.iter().map(|word| word.to_string_lossy());
        while let Some(word) = words.next() {
            match word.strip_prefix(flag) {
                Some("") => return words.next().map(|value| value.into_owned()),
                Some(rest) if rest.starts_with('=') => return rest.get(1..).map(str::to_owned),
                _ => {}
            }
        }
        None
    };
    let images = value("--image-path").unwrap_or_else(|| "checkpoint".to_owned());
    if let Some(parent) = value("--parent-path") {
        if Path::new(&parent).is_absolute() {
            return Some(format!("--parent-path {parent}: it has to be relative to --image-path"));
        }
        let found = Path::new(&images).join(&parent);
        if !found.is_dir() {
            return Some(format!("--parent-path {parent}: there is no directory {}", found.display()));
        }
    }
    Some(format!("{name}: checkpoint and restore are not there yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_come_is_refused_and_wrong_arguments_before() {
        for (line, says) in [
            (
                "checkpoint --parent-path /old web",
                Some("--parent-path /old: it has to be relative to --image-path"),
            ),
            (
                "checkpoint --parent-path=../no/such web",
                Some("--parent-path ../no/such: there is no directory"),
            ),
            (
                "checkpoint --image-path / --parent-path . web",
                Some("checkpoint: checkpoint and restore are not there yet"),
            ),
            ("checkpoint --help", Some("checkpoint: checkpoint and restore are not there yet")),
            ("restore web", Some("restore: checkpoint and restore are not there yet")),
            ("run web", None),
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let name = super::super::command_name(&args).unwrap();
            let said = refusal(&name, &args);
            assert!(
                said.as_deref().is_some_and(|said| says.is_some_and(|says| said.starts_with(says)))
                    || said.is_none() && says.is_none(),
                "{line}: {said:?}"
            );
        }
    }
}
