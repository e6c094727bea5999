//! `--mount`, the long form of `--volume` and `--tmpfs`: fields separated by commas.
//!
//! [`Mount`] is anything that is mounted in a container because somebody asked for it.

use spec::Propagation;

use super::destination::Destination;
use super::label::Label;
use super::named::{Subpath, VolumeMount};
use super::tmpfs::{Tmpfs, TmpfsOptions, parse_mode, parse_size};
use super::volume::{Bind, BindOptions, Idmap, Relabel, parse_source, volume_name};
use super::{Problem, Value, key_value, parse_bool};

/// One `--mount`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Mount {
    /// `type=bind`
    Bind(Bind),
    /// `type=tmpfs`
    Tmpfs(Tmpfs),
    /// `type=volume`
    Volume(VolumeMount),
}

impl Mount {
    /// Where it appears.
    pub fn destination(&self) -> &Destination {
        match self {
            Self::Bind(bind) => &bind.destination,
            Self::Tmpfs(tmpfs) => &tmpfs.destination,
            Self::Volume(volume) => &volume.destination,
        }
    }

    /// The volume, if it is one.
    pub fn volume(&self) -> Option<&VolumeMount> {
        match self {
            Self::Volume(volume) => Some(volume),
            _ => None,
        }
    }
}

impl Value for Mount {
    const FORM: &'static str = "type=bind,source=PATH,target=PATH[,…], type=volume,source=NAME,target=PATH[,…] or type=tmpfs,target=PATH[,…]";
    const EXAMPLE: &'static str = "type=bind,source=/srv/data,target=/data,readonly";

    fn parse(text: &str) -> Result<Self, Problem> {
        let fields = split_fields(text)?;
        let mut kind = None;
        let mut source = None;
        let mut target = None;
        let mut rest = Vec::new();
        for field in &fields {
            let (key, value) = key_value(field);
            let slot = match key {
                "type" => &mut kind,
                "source" | "src" => &mut source,
                "target" | "destination" | "dst" => &mut target,
                _ => {
                    rest.push((key, value));
                    continue;
                }
            };
            let Some(value) = value else { return Err(format!("`{key}` needs a value").into()) };
            if slot.replace(value).is_some() {
                return Err(format!("`{key}` is given twice").into());
            }
        }
        let Some(target) = target else { return Err("`target=` is missing".into()) };
        let destination = Destination::read_below_root(target)?;
        match (kind, source) {
            (Some("bind"), Some(source)) => {
                let source = if source.starts_with('/') { source.into() } else { parse_source(source)? };
                Ok(Self::Bind(Bind { source, destination, options: bind_options(&rest)? }))
            }
            (Some("bind"), None) => Err("`source=` is missing".into()),
            (Some("tmpfs"), None) => Ok(Self::Tmpfs(Tmpfs { destination, options: tmpfs_options(&rest)? })),
            (Some("tmpfs"), Some(_)) => Err("a tmpfs has no source".into()),
            // As docker has it: without a type it is a volume.
            (Some("volume") | None, source) => {
                let mut volume = match source {
                    Some(name) if !name.is_empty() => VolumeMount::named(volume_name(name)?, destination),
                    _ => VolumeMount::anonymous(destination),
                };
                volume_fields(&rest, &mut volume)?;
                Ok(Self::Volume(volume))
            }
            (Some(other), _) => Err(format!("there is no mount of type `{other}`").into()),
        }
    }
}

fn bind_options(fields: &[(&str, Option<&str>)]) -> Result<BindOptions, Problem> {
    let mut options = BindOptions::default();
    for (key, value) in fields {
        match (*key, *value) {
            ("readonly" | "ro", value) => options.read_only = flag(value)?,
            ("rw", value) => options.read_only = !flag(value)?,
            ("bind-propagation", Some(name)) => {
                options.propagation = Propagation::from_name(name)
                    .ok_or_else(|| Problem::from(format!("`{name}` is not a propagation")))?;
            }
            ("bind-nonrecursive", value) => options.recursive = !flag(value)?,
            ("bind-recursive", Some("disabled")) => options.recursive = false,
            ("bind-recursive", Some("enabled")) => options.recursive = true,
            ("bind-create-src", value) => options.create_source = flag(value)?,
            ("relabel", Some("shared")) => options.relabel = Some(Relabel::Shared),
            ("relabel", Some("private")) => options.relabel = Some(Relabel::Private),
            ("chown" | "U", value) => options.chown = flag(value)?,
            ("idmap", value) => options.idmap = if flag(value)? { Idmap::Required } else { Idmap::Off },
            ("nosuid", value) => options.no_suid = flag(value)?,
            ("nodev", value) => options.no_dev = flag(value)?,
            ("noexec", value) => options.no_exec = flag(value)?,
            ("consistency", Some(_)) => {}
            (key, value) => return Err(not_a_field(key, value, "bind mount")),
        }
    }
    Ok(options)
}

fn volume_fields(fields: &[(&str, Option<&str>)], volume: &mut VolumeMount) -> Result<(), Problem> {
    let mut rest = Vec::new();
    for (key, value) in fields {
        match (*key, *value) {
            ("volume-nocopy", value) => volume.no_copy = flag(value)?,
            ("volume-subpath" | "subpath", Some(path)) => volume.subpath = Some(Subpath::parse(path)?),
            ("volume-driver", Some("local" | "")) => {}
            ("volume-driver", Some(other)) => return Err(format!("there is no driver `{other}`").into()),
            ("volume-label", Some(label)) => volume.labels.push(Label::parse(label)?),
            ("volume-opt", Some(option)) => volume.made_with.push(Label::parse(option)?),
            (key, value) if key.starts_with("bind-") => return Err(not_a_field(key, value, "volume")),
            other => rest.push(other),
        }
    }
    volume.options = bind_options(&rest).map_err(|problem| match problem.strip_suffix("bind mount") {
        Some(begin) => format!("{begin}volume").into(),
        None => problem,
    })?;
    Ok(())
}

fn tmpfs_options(fields: &[(&str, Option<&str>)]) -> Result<TmpfsOptions, Problem> {
    let mut options = TmpfsOptions::default();
    for (key, value) in fields {
        match (*key, *value) {
            ("readonly" | "ro", value) => options.read_only = flag(value)?,
            ("tmpfs-size", Some(size)) => options.size = Some(parse_size(size)?),
            ("tmpfs-mode", Some(mode)) => options.mode = Some(parse_mode(mode)?),
            ("exec" | "dev" | "suid" | "noexec" | "nodev" | "nosuid", None) => options.take(key)?,
            (key, value) => return Err(not_a_field(key, value, "tmpfs")),
        }
    }
    Ok(options)
}

fn not_a_field(key: &str, value: Option<&str>, what: &str) -> Problem {
    match value {
        Some(value) => format!("`{key}={value}` is not a field of a {what}").into(),
        None => format!("`{key}` is not a field of a {what}").into(),
    }
}

/// A field that is on when it stands alone.
fn flag(value: Option<&str>) -> Result<bool, Problem> {
    value.map_or(Ok(true), parse_bool)
}

/// Comma-separated fields; a field in double quotes may hold commas, and `""` in it is a quote (RFC 4180,
/// which docker's `--mount` follows).
fn split_fields(text: &str) -> Result<Vec<String>, Problem> {
    let mut fields = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let at_start = fields.last().is_some_and(String::is_empty);
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut fields, '"');
            }
            '"' if quoted || at_start => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => push(&mut fields, other),
        }
    }
    if quoted {
        return Err("a double quote is not closed".into());
    }
    if fields.iter().any(String::is_empty) {
        return Err("a field between two commas is empty".into());
    }
    Ok(fields)
}

fn push(fields: &mut [String], c: char) {
    if let Some(field) = fields.last_mut() {
        field.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_mount_is_made_of_fields() {
        expect![[r#"
            type=bind,src=/a,dst=/b => Bind(Bind { source: "/a", destination: Destination("/b"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false } })
            type=bind,source=/a,target=/b,ro=false,bind-propagation=rshared,bind-nonrecursive => Bind(Bind { source: "/a", destination: Destination("/b"), options: BindOptions { read_only: false, recursive: false, propagation: Rshared, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false } })
            "type=bind","src=/a,b",dst=/c => Bind(Bind { source: "/a,b", destination: Destination("/c"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false } })
            type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770,exec => Tmpfs(Tmpfs { destination: Destination("/t"), options: TmpfsOptions { read_only: false, suid: false, dev: false, exec: true, size: Some(Bytes(1048576)), inodes: None, mode: Some(1016), uid: None, gid: None } })
            type=bind,dst=/b !! `source=` is missing
            type=bind,src=/a !! `target=` is missing
            type=volume,src=v,dst=/b => Volume(VolumeMount { name: Some(VolumeName("v")), anonymous: false, destination: Destination("/b"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false }, no_copy: false, subpath: None, labels: [], made_with: [] })
            type=nfs,dst=/b !! there is no mount of type `nfs`
            dst=/b => Volume(VolumeMount { name: None, anonymous: true, destination: Destination("/b"), options: BindOptions { read_only: false, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false }, no_copy: false, subpath: None, labels: [], made_with: [] })
             !! a field between two commas is empty
            type=tmpfs,src=/a,dst=/b !! a tmpfs has no source
            type=bind,src=/a,dst=/b,foo=1 !! `foo=1` is not a field of a bind mount
            type=bind,src=/a,dst=/b,ro=maybe !! `maybe` is neither true nor false
            type=bind,src=/a,src=/b,dst=/c !! `src` is given twice
            type=bind,src=a,dst=/b !! `a` is a volume's name; a directory is `./a`
            type=bind,,dst=/b !! a field between two commas is empty
            type=bind,"src=/a !! a double quote is not closed
            type,dst=/b !! `type` needs a value
            type=tmpfs,dst=/b,size=1m !! `size=1m` is not a field of a tmpfs
            type=bind,source=/srv/data,target=/data,readonly => Bind(Bind { source: "/srv/data", destination: Destination("/data"), options: BindOptions { read_only: true, recursive: true, propagation: Rprivate, relabel: None, chown: false, idmap: IfPossible, no_suid: false, no_dev: false, no_exec: false, create_source: false } })
        "#]].assert_eq(&table::<Mount>(&[
            "type=bind,src=/a,dst=/b", "type=bind,source=/a,target=/b,ro=false,bind-propagation=rshared,bind-nonrecursive",
            "\"type=bind\",\"src=/a,b\",dst=/c", "type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770,exec",
            "type=bind,dst=/b", "type=bind,src=/a", "type=volume,src=v,dst=/b", "type=nfs,dst=/b", "dst=/b", "",
            "type=tmpfs,src=/a,dst=/b", "type=bind,src=/a,dst=/b,foo=1", "type=bind,src=/a,dst=/b,ro=maybe",
            "type=bind,src=/a,src=/b,dst=/c", "type=bind,src=a,dst=/b", "type=bind,,dst=/b", "type=bind,\"src=/a",
            "type,dst=/b", "type=tmpfs,dst=/b,size=1m",
        ]));
    }
}
