//! What a volume is made of: `--opt`, in the words of docker's driver `local`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::VolumeFailure;
use crate::flags::size::parse_bytes;
use crate::flags::tmpfs::TmpfsOptions;

/// What a volume is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory of the store, of at most so many bytes if that is said.
    Plain {
        /// The most bytes.
        size_bytes: Option<u64>,
    },
    /// A file system in memory, empty after each start of the machine.
    Tmpfs(TmpfsOptions),
    /// A directory of the host, which stays when the volume is removed.
    Bind {
        /// The directory.
        device: PathBuf,
        /// Nothing can be written through it.
        read_only: bool,
    },
}

impl Kind {
    /// What the options mean together.
    ///
    /// # Errors
    /// [`VolumeFailure::BadOption`], for what is no option and for those that do not fit together.
    pub fn of(options: &BTreeMap<String, String>) -> Result<Self, VolumeFailure> {
        let bad = |key: &str, problem: &str| {
            let value = options.get(key).map(String::as_str).unwrap_or_default();
            Err(VolumeFailure::BadOption { given: format!("{key}={value}"), problem: problem.to_owned() })
        };
        if let Some(unknown) =
            options.keys().find(|key| !["type", "device", "o", "size"].contains(&key.as_str()))
        {
            return bad(unknown, "there is no such option");
        }
        let text = |key: &str| options.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let words: Vec<&str> =
            text("o").unwrap_or_default().split(',').filter(|word| !word.is_empty()).collect();
        match text("type") {
            Some("tmpfs") => {
                let mut tmpfs = TmpfsOptions { suid: true, dev: true, exec: true, ..TmpfsOptions::default() };
                for word in &words {
                    if let Err(problem) = tmpfs.take(word) {
                        return bad("o", &problem);
                    }
                }
                if let Some(size) = text("size")
                    && let Err(problem) = tmpfs.take(&format!("size={size}"))
                {
                    return bad("size", &problem);
                }
                Ok(Self::Tmpfs(tmpfs))
            }
            None | Some("none" | "bind") => match text("device") {
                Some(device) => {
                    if text("size").is_some() {
                        return bad("size", "the host's directory has the size that it has");
                    }
                    if !device.starts_with('/') || device.contains('\0') {
                        return bad("device", "it is not an absolute path");
                    }
                    if !words.iter().any(|word| matches!(*word, "bind" | "rbind")) {
                        return bad(
                            "device",
                            "without `o=bind` it would be a file system's device, and those are not mounted here",
                        );
                    }
                    let known = |word: &&&str| matches!(**word, "bind" | "rbind" | "ro" | "rw");
                    if let Some(other) = words.iter().find(|word| !known(word)) {
                        return bad("o", &format!("`{other}` is no option of a directory"));
                    }
                    Ok(Self::Bind { device: device.into(), read_only: words.contains(&"ro") })
                }
                None if text("type").is_some() => bad("type", "`device=DIRECTORY` is missing"),
                None => {
                    let mut size = text("size");
                    for word in &words {
                        match word.strip_prefix("size=") {
                            Some(bytes) if size.is_none() => size = Some(bytes),
                            _ => return bad("o", "without `type` only size=BYTES can be said"),
                        }
                    }
                    let bytes = match size.map(parse_bytes) {
                        None => None,
                        Some(Ok(0)) => return bad("size", "a volume of no size holds nothing"),
                        Some(Ok(bytes)) => Some(bytes),
                        Some(Err(problem)) => return bad("size", &problem),
                    };
                    Ok(Self::Plain { size_bytes: bytes })
                }
            },
            Some(_) => bad(
                "type",
                "there are tmpfs and none; mount another file system yourself, and give its directory",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use std::fmt::Write as _;

    #[test]
    fn options_are_docker_s() {
        let mut out = String::new();
        for text in [
            "",
            "size=1g",
            "o=size=64m",
            "type=tmpfs",
            "type=tmpfs device=tmpfs o=size=1m,mode=1770,uid=5,nosuid",
            "type=none o=bind device=/srv",
            "o=bind,ro device=/srv",
            "device=/srv",
            "type=none device=srv o=bind",
            "type=none o=bind,sync device=/srv",
            "type=none o=bind device=/srv size=1g",
            "type=nfs device=:/x o=addr=1.2.3.4",
            "type=none",
            "size=0",
            "size=x",
            "o=uid=5",
            "colour=red",
            "type=tmpfs o=colour",
            "size=1g o=size=2g",
        ] {
            let options: BTreeMap<String, String> = text
                .split(' ')
                .filter_map(|word| word.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            let _ = match Kind::of(&options) {
                Ok(kind) => writeln!(out, "{text} => {kind:?}"),
                Err(error) => writeln!(out, "{text} !! {error}"),
            };
        }
        expect![[r#"
             => Plain { size_bytes: None }
            size=1g => Plain { size_bytes: Some(1073741824) }
            o=size=64m => Plain { size_bytes: Some(67108864) }
            type=tmpfs => Tmpfs(TmpfsOptions { read_only: false, suid: true, dev: true, exec: true, size: None, inodes: None, mode: None, uid: None, gid: None })
            type=tmpfs device=tmpfs o=size=1m,mode=1770,uid=5,nosuid => Tmpfs(TmpfsOptions { read_only: false, suid: false, dev: true, exec: true, size: Some(Bytes(1048576)), inodes: None, mode: Some(1016), uid: Some(5), gid: None })
            type=none o=bind device=/srv => Bind { device: "/srv", read_only: false }
            o=bind,ro device=/srv => Bind { device: "/srv", read_only: true }
            device=/srv !! --opt `device=/srv`: without `o=bind` it would be a file system's device, and those are not mounted here
            type=none device=srv o=bind !! --opt `device=srv`: it is not an absolute path
            type=none o=bind,sync device=/srv !! --opt `o=bind,sync`: `sync` is no option of a directory
            type=none o=bind device=/srv size=1g !! --opt `size=1g`: the host's directory has the size that it has
            type=nfs device=:/x o=addr=1.2.3.4 !! --opt `type=nfs`: there are tmpfs and none; mount another file system yourself, and give its directory
            type=none !! --opt `type=none`: `device=DIRECTORY` is missing
            size=0 !! --opt `size=0`: a volume of no size holds nothing
            size=x !! --opt `size=x`: a size begins with a number
            o=uid=5 !! --opt `o=uid=5`: without `type` only size=BYTES can be said
            colour=red !! --opt `colour=red`: there is no such option
            type=tmpfs o=colour !! --opt `o=colour`: `colour` is not an option of a tmpfs
            size=1g o=size=2g !! --opt `o=size=2g`: without `type` only size=BYTES can be said
        "#]].assert_eq(&out);
    }
}
