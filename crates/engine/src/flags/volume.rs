//! Directories of the host and volumes in a container: `--volume`.
//!
//! [`Bind`] is what both `--volume` and `--mount type=bind` mean for a path of the host; a name is a volume
//! ([`super::named`]), and a destination alone one without a name.

use std::path::{Path, PathBuf};

use spec::Propagation;

use super::destination::Destination;
use super::mount::Mount;
use super::named::{VolumeMount, VolumeName};
use super::{Problem, Value};

/// A file or directory of the host that appears in the container.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bind {
    /// On the host; one that does not begin with `/` is relative to the caller's directory.
    pub source: PathBuf,
    /// Where it appears.
    pub destination: Destination,
    /// How.
    pub options: BindOptions,
}

/// How a bind mount behaves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BindOptions {
    /// Nothing can be written through it.
    pub read_only: bool,
    /// Mounts below the source come with it.
    pub recursive: bool,
    /// Whether later mounts are seen on the other side.
    pub propagation: Propagation,
    /// Whose SELinux label the files get.
    pub relabel: Option<Relabel>,
    /// `U`: the files are given to the container's user on the host, for good.
    pub chown: bool,
    /// Whether owners are translated by the mount.
    pub idmap: Idmap,
    /// Set-uid bits do not count.
    pub no_suid: bool,
    /// Device nodes do not work.
    pub no_dev: bool,
    /// Programs cannot be executed.
    pub no_exec: bool,
    /// A missing source becomes an empty directory.
    pub create_source: bool,
}

/// Whose SELinux label a volume gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Relabel {
    /// `z`: one that containers share.
    Shared,
    /// `Z`: the container's own.
    Private,
}

/// Whether the owners of files are translated between host and container by an id-mapped mount (Linux 5.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Idmap {
    /// Where the container has a user namespace and the file system can do it.
    #[default]
    IfPossible,
    /// `idmap`: it is an error if that cannot be done.
    Required,
    /// `noidmap`: files keep the owners they have on the host.
    Off,
}

impl Default for BindOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            recursive: true,
            propagation: Propagation::Rprivate,
            relabel: None,
            chown: false,
            idmap: Idmap::IfPossible,
            no_suid: false,
            no_dev: false,
            no_exec: false,
            create_source: false,
        }
    }
}

/// `--volume [SOURCE:]DESTINATION[:OPTIONS]`, where the source is a path of the host or a volume's name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Volume(pub Mount);

impl Value for Volume {
    const FORM: &'static str = "[SOURCE:]DESTINATION[:OPTIONS]";
    const EXAMPLE: &'static str = "/srv/data:/data:ro";

    fn parse(text: &str) -> Result<Self, Problem> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, destination, list) = match parts[..] {
            [""] => return Err("the path inside the container is missing".into()),
            [destination] => (None, destination, ""),
            [source, destination] => (Some(source), destination, ""),
            [source, destination, list] => (Some(source), destination, list),
            _ => return Err("there are more than three parts; a path with a colon needs --mount".into()),
        };
        let destination = Destination::read_below_root(destination)?;
        // Docker makes a missing directory for --volume and not for --mount; a typing error then becomes an
        // empty directory that root owns. Neither does here.
        Ok(Self(match source {
            None => Mount::Volume(VolumeMount::anonymous(destination)),
            Some("") => return Err("the path on the host is missing".into()),
            Some(source) if is_path(source) => {
                let (options, copy) = parse_options(list)?;
                if let Some(word) = copy {
                    return Err(
                        format!("`{word}` is for volumes, and `{source}` is a path of the host").into()
                    );
                }
                Mount::Bind(Bind { source: parse_source(source)?, destination, options })
            }
            Some(name) => {
                let name = volume_name(name)?;
                let (options, copy) = parse_options(list)?;
                if options.propagation != Propagation::Rprivate {
                    return Err(
                        format!("`{}` is for directories of the host", options.propagation.name()).into()
                    );
                }
                Mount::Volume(VolumeMount {
                    options,
                    no_copy: copy == Some("nocopy"),
                    ..VolumeMount::named(name, destination)
                })
            }
        }))
    }
}

/// What is absolute or begins with a dot is a path of the host, anything else a volume's name, as docker has it.
fn is_path(source: &str) -> bool {
    source.starts_with('/') || Path::new(source).starts_with(".") || source.starts_with("..")
}

/// A volume's name, where a path would have been possible.
pub(crate) fn volume_name(text: &str) -> Result<VolumeName, Problem> {
    VolumeName::parse(text).map_err(|problem| match text.contains('/') {
        true => {
            format!("`{text}` is neither an absolute path nor a volume's name; a directory is `./{text}`")
                .into()
        }
        false => problem,
    })
}

/// A path on the host.
pub(crate) fn parse_source(source: &str) -> Result<PathBuf, Problem> {
    if source.is_empty() {
        return Err("the path on the host is missing".into());
    }
    if source.contains('\0') {
        return Err("a path cannot contain NUL".into());
    }
    match is_path(source) {
        true => Ok(source.into()),
        false => Err(format!("`{source}` is a volume's name; a directory is `./{source}`").into()),
    }
}

/// The options of `--volume`, each group at most once, and whether a volume is filled if somebody said so.
fn parse_options(list: &str) -> Result<(BindOptions, Option<&str>), Problem> {
    let mut options = BindOptions::default();
    let mut copy = None;
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for option in list.split(',').filter(|option| !option.is_empty()) {
        let group = match option {
            "ro" | "rw" => "access",
            "z" | "Z" => "label",
            "rbind" | "bind" => "recursion",
            "suid" | "nosuid" => "suid",
            "dev" | "nodev" => "dev",
            "exec" | "noexec" => "exec",
            "idmap" | "noidmap" => "idmap",
            "copy" | "nocopy" => "copy",
            _ if Propagation::from_name(option).is_some() => "propagation",
            _ => option,
        };
        if let Some((_, other)) = seen.iter().find(|(known, _)| *known == group) {
            return Err(match *other == option {
                true => format!("`{option}` is given twice").into(),
                false => format!("`{other}` and `{option}` contradict each other").into(),
            });
        }
        seen.push((group, option));
        match option {
            "ro" => options.read_only = true,
            "z" => options.relabel = Some(Relabel::Shared),
            "Z" => options.relabel = Some(Relabel::Private),
            "bind" => options.recursive = false,
            "U" => options.chown = true,
            "idmap" => options.idmap = Idmap::Required,
            "noidmap" => options.idmap = Idmap::Off,
            "nosuid" => options.no_suid = true,
            "nodev" => options.no_dev = true,
            "noexec" => options.no_exec = true,
            "copy" | "nocopy" => copy = Some(option),
            // The defaults, and words that concern other systems' file sharing.
            "rw" | "rbind" | "suid" | "dev" | "exec" | "cached" | "delegated" | "consistent" => {}
            "O" => return Err(format!("`{option}` is not offered").into()),
            _ => match Propagation::from_name(option) {
                Some(propagation) => options.propagation = propagation,
                None => return Err(format!("`{option}` is not an option of a volume").into()),
            },
        }
    }
    Ok((options, copy))
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_volume_has_a_source_a_destination_and_options() {
        expect![[r#"
            /a:/b => Volume(Bind(Bind { source: "/a", destination: Destination("/b"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false } }))
            ./a:/b:ro,Z,rslave,nosuid => Volume(Bind(Bind { source: "./a", destination: Destination("/b"), options: BindOptions { read_only: true, recursive: true, propagation: Rslave, relabel: Some(Private), chown: false, idmap: IfPossible, no_suid: true, no_dev: false, no_exec: false, create_source: false } }))
            ..:/b:U,bind,idmap => Volume(Bind(Bind { source: "..", destination: Destination("/b"), options: BindOptions { read_only: false, recursive: false, propagation: Rprivate, relabel: None, chown: true, idmap: Required, no_suid: false, no_dev: false, no_exec: false, create_source: false } }))
            /a:/b: => Volume(Bind(Bind { source: "/a", destination: Destination("/b"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false } }))
            /a => Volume(Volume(VolumeMount { name: None, anonymous: true, destination: Destination("/a"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false }, no_copy: false, subpath: None, labels: [], made_with: [] }))
            data:/b => Volume(Volume(VolumeMount { name: Some(VolumeName("data")), anonymous: false, destination: Destination("/b"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false }, no_copy: false, subpath: None, labels: [], made_with: [] }))
            :/b !! the path on the host is missing
            /a:b !! `b` is not an absolute path inside the container
            /a:/ !! `/` is the container's root itself
            /a:/b:ro:rw !! there are more than three parts; a path with a colon needs --mount
            /a:/b:ro,rw !! `ro` and `rw` contradict each other
            /a:/b:ro,ro !! `ro` is given twice
            /a:/b:shared,slave !! `shared` and `slave` contradict each other
            /a:/b:z,Z !! `z` and `Z` contradict each other
            /a:/b:x !! `x` is not an option of a volume
            /a:/b:O !! `O` is not offered
             !! the path inside the container is missing
            /a:/../b !! `/../b` contains `..`
            /data => Volume(Volume(VolumeMount { name: None, anonymous: true, destination: Destination("/data"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false }, no_copy: false, subpath: None, labels: [], made_with: [] }))
            data !! `data` is not an absolute path inside the container
            / !! `/` is the container's root itself
            data:/b:ro,nocopy => Volume(Volume(VolumeMount { name: Some(VolumeName("data")), anonymous: false, destination: Destination("/b"), options: BindOptions { read_only: true, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false }, no_copy: true, subpath: None, labels: [], made_with: [] }))
            data:/b:copy,U => Volume(Volume(VolumeMount { name: Some(VolumeName("data")), anonymous: false, destination: Destination("/b"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: true, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false }, no_copy: false, subpath: None, labels: [], made_with: [] }))
            a/b:/c !! `a/b` is neither an absolute path nor a volume's name; a directory is `./a/b`
            ..:/b:nocopy !! `nocopy` is for volumes, and `..` is a path of the host
            data:/b:rshared !! `rshared` is for directories of the host
            -o:/b !! a volume's name cannot begin with `-`
            data:/b:copy,nocopy !! `copy` and `nocopy` contradict each other
            /srv/data:/data:ro => Volume(Bind(Bind { source: "/srv/data", destination: Destination("/data"), options: BindOptions { read_only: true, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false } }))
        "#]].assert_eq(&table::<Volume>(&[
            "/a:/b", "./a:/b:ro,Z,rslave,nosuid", "..:/b:U,bind,idmap", "/a:/b:", "/a", "data:/b", ":/b", "/a:b", "/a:/",
            "/a:/b:ro:rw", "/a:/b:ro,rw", "/a:/b:ro,ro", "/a:/b:shared,slave", "/a:/b:z,Z", "/a:/b:x", "/a:/b:O", "",
            "/a:/../b", "/data", "data", "/", "data:/b:ro,nocopy", "data:/b:copy,U", "a/b:/c", "..:/b:nocopy", "data:/b:rshared",
            "-o:/b", "data:/b:copy,nocopy",
        ]));
    }
}
