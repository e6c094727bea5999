//! Devices of the host in a container: `--device`.

use std::path::{Path, PathBuf};

use super::destination::Destination;
use super::{Problem, Value};

/// `--device HOST[:CONTAINER][:ACCESS]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Device {
    /// The node on the host, or a directory of nodes.
    pub host: PathBuf,
    /// Where it appears.
    pub container: Destination,
    /// What may be done with it.
    pub access: Access,
}

/// What a container may do with a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Access {
    /// `r`
    pub read: bool,
    /// `w`
    pub write: bool,
    /// `m`: make a node of its own with the same number.
    pub mknod: bool,
}

impl Access {
    /// `rwm`.
    pub const ALL: Self = Self { read: true, write: true, mknod: true };

    /// The letters of the OCI specification.
    pub fn letters(self) -> String {
        let letters = [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')];
        letters.iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut access = Self { read: false, write: false, mknod: false };
        for letter in text.chars() {
            let right = match letter {
                'r' => &mut access.read,
                'w' => &mut access.write,
                'm' => &mut access.mknod,
                _ => return None,
            };
            if std::mem::replace(right, true) {
                return None;
            }
        }
        (!text.is_empty()).then_some(access)
    }
}

impl Value for Device {
    const FORM: &'static str = "HOST[:CONTAINER][:ACCESS] with letters of rwm for the access";
    const EXAMPLE: &'static str = "/dev/fuse:/dev/fuse:rw";

    fn parse(text: &str) -> Result<Self, Problem> {
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, access) = match parts[..] {
            [host] => (host, host, None),
            [host, second] if !second.starts_with('/') => (host, host, Some(second)),
            [host, container] => (host, container, None),
            [host, container, access] => (host, container, Some(access)),
            _ => return Err("there are more than three parts".into()),
        };
        if !Path::new(host).is_absolute() {
            return Err(format!("`{host}` is not an absolute path on the host").into());
        }
        let access = match access {
            None => Access::ALL,
            Some(letters) => Access::parse(letters)
                .ok_or_else(|| format!("the access `{letters}` is not made of r, w and m"))?,
        };
        Ok(Self { host: host.into(), container: Destination::read_below_root(container)?, access })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_device_has_a_place_and_an_access() {
        expect![[r#"
            /dev/null => Device { host: "/dev/null", container: Destination("/dev/null"), access: Access { read: true, write: true, mknod: true } }
            /dev/sda:r => Device { host: "/dev/sda", container: Destination("/dev/sda"), access: Access { read: true, write: false, mknod: false } }
            /dev/sda:/dev/xvda => Device { host: "/dev/sda", container: Destination("/dev/xvda"), access: Access { read: true, write: true, mknod: true } }
            /dev/sda:/dev/xvda:rm => Device { host: "/dev/sda", container: Destination("/dev/xvda"), access: Access { read: true, write: false, mknod: true } }
            /dev/snd => Device { host: "/dev/snd", container: Destination("/dev/snd"), access: Access { read: true, write: true, mknod: true } }
             !! `` is not an absolute path on the host
            null !! `null` is not an absolute path on the host
            /dev/null: !! the access `` is not made of r, w and m
            /dev/null:x !! the access `x` is not made of r, w and m
            /dev/null:rr !! the access `rr` is not made of r, w and m
            /dev/null:/dev/null:rwx !! the access `rwx` is not made of r, w and m
            /dev/null:/:r !! `/` is the container's root itself
            a:b:c:d !! there are more than three parts
            /dev/null:/dev/../x !! `/dev/../x` contains `..`
            /dev/fuse:/dev/fuse:rw => Device { host: "/dev/fuse", container: Destination("/dev/fuse"), access: Access { read: true, write: true, mknod: false } }
        "#]].assert_eq(&table::<Device>(&[
            "/dev/null", "/dev/sda:r", "/dev/sda:/dev/xvda", "/dev/sda:/dev/xvda:rm", "/dev/snd", "", "null",
            "/dev/null:", "/dev/null:x", "/dev/null:rr", "/dev/null:/dev/null:rwx", "/dev/null:/:r", "a:b:c:d",
            "/dev/null:/dev/../x",
        ]));
    }
}
