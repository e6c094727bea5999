//! What the name of an entry means: a place below the layer's root, or something that the layer takes away.

use super::Bad;
use super::limits::{MAX_NAME, MAX_PATH};

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The root itself.
    Root,
    /// An entry at this path.
    Entry(Vec<u8>),
    /// `.wh.NAME`: what lower layers have at this path is gone.
    Whiteout(Vec<u8>),
    /// `.wh..wh..opq`: what lower layers have in this directory is gone; an empty path is the root.
    Opaque(Vec<u8>),
    /// Notes of AUFS, without a meaning.
    Ignored,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";

/// Reads a name. `.` and empty components are left out; the resulting path has neither, and no `/` at its ends.
///
/// # Errors
/// `..`, a leading `/` unless `absolute` allows it, what is too long, and whiteouts of nothing.
pub fn parse(name: &[u8], absolute: bool) -> Result<Name, Bad> {
    let bad = |problem: &str| Err(Bad::entry(name, problem));
    if name.len() > MAX_PATH {
        return bad("has a path of more than 4096 bytes");
    }
    if name.contains(&0) {
        return bad("has a NUL in its name");
    }
    if name.first() == Some(&b'/') && !absolute {
        return bad("has an absolute name (--absolute-names takes such names as relative to the root)");
    }
    let mut path = Vec::with_capacity(name.len());
    let mut last: &[u8] = b"";
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return bad("leads out of the layer"),
            _ => {}
        }
        if component.len() > MAX_NAME {
            return bad("has a component of more than 255 bytes");
        }
        // A directory that is called like a whiteout hides nothing and would be shown as something else.
        if last.starts_with(WHITEOUT) {
            return bad("lies below a whiteout");
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(component);
        last = component;
    }
    if path.is_empty() {
        return Ok(Name::Root);
    }
    if !last.starts_with(WHITEOUT) {
        return Ok(Name::Entry(path));
    }
    let parent = path[..path.len() - last.len()].strip_suffix(b"/").unwrap_or_default().to_vec();
    if last == OPAQUE {
        return Ok(Name::Opaque(parent));
    }
    if last.starts_with(AUFS) {
        return Ok(Name::Ignored);
    }
    match &last[WHITEOUT.len()..] {
        b"" | b"." | b".." => bad("is a whiteout of nothing"),
        hidden => {
            let mut path = parent;
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(hidden);
            Ok(Name::Whiteout(path))
        }
    }
}

/// Whether an extended attribute of an archive is taken over: capabilities of files, access lists, and what users may set. What
/// controls overlayfs or a security module of the host is not (trusted.overlay.*, user.overlay.*, security.selinux).
pub fn keeps_attribute(name: &[u8]) -> bool {
    match name {
        b"security.capability" | b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        _ => {
            name.len() <= MAX_NAME
                && name
                    .strip_prefix(b"user.")
                    .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(b"overlay."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    #[test]
    fn names_become_paths_below_the_root() {
        for (name, meaning) in [
            ("./", Name::Root),
            (".", Name::Root),
            ("usr/bin/", Name::Entry(path("usr/bin"))),
            ("./usr//./bin", Name::Entry(path("usr/bin"))),
            ("a/.wh.b", Name::Whiteout(path("a/b"))),
            (".wh.b", Name::Whiteout(path("b"))),
            ("a/.wh..wh..opq", Name::Opaque(path("a"))),
            (".wh..wh..opq", Name::Opaque(path(""))),
            (".wh..wh.plnk", Name::Ignored),
            ("...", Name::Entry(path("..."))),
        ] {
            assert_eq!(parse(name.as_bytes(), false).unwrap(), meaning, "{name}");
        }
        assert_eq!(parse(b"\xff\xfe", false).unwrap(), Name::Entry(b"\xff\xfe".to_vec()));
        assert_eq!(parse(b"/cnb/x", true).unwrap(), Name::Entry(path("cnb/x")));
    }

    #[test]
    fn what_leads_out_or_hides_nothing_is_refused() {
        for name in ["..", "a/../b", "/etc/passwd", "a/.wh.", ".wh..", ".wh...", ".wh.a/b", "./../x"] {
            assert!(parse(name.as_bytes(), false).is_err(), "{name}");
        }
        assert!(parse(&[b'a'; 256], false).is_err());
        assert!(parse(&b"a/".repeat(2049), false).is_err());
    }

    #[test]
    fn attributes_that_control_the_host_are_left_out() {
        for name in ["security.capability", "user.mime_type", "system.posix_acl_access"] {
            assert!(keeps_attribute(name.as_bytes()), "{name}");
        }
        for name in
            ["trusted.overlay.opaque", "user.overlay.redirect", "security.selinux", "user.", "system.x"]
        {
            assert!(!keeps_attribute(name.as_bytes()), "{name}");
        }
    }
}
