//! Which registries are asked for a name: registries.conf, version 2 (containers-registries.conf(5)).
//!
//! [`Conf::load`] reads the files that podman, buildah and skopeo read, so one machine has one configuration; [`Conf::endpoints`] decides, for
//! one reference, who is asked in which order. Nothing here touches the network.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use report::{Explain, Hint, Kind};
use serde::Deserialize;

use crate::reference::{DEFAULT_REGISTRY, Host, Name, Reference, Repository};

/// The largest configuration file that is read.
pub const MAX_FILE: u64 = 4 << 20;

/// The configuration, all files together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conf {
    /// Registries that a short name is looked for in, in this order.
    pub search: Vec<Host>,
    /// What happens where several could be meant.
    pub short_names: ShortNames,
    /// Registries with rules of their own.
    pub registries: Vec<Registry>,
    /// Short names that stand for one repository.
    pub aliases: BTreeMap<String, Reference>,
    /// Programs and files to ask for credentials, in this order; empty for the usual files.
    pub credential_helpers: Vec<String>,
}

/// `short-name-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShortNames {
    /// Asks on a terminal; refuses elsewhere.
    #[default]
    Enforcing,
    /// Asks on a terminal; takes the first that has the image elsewhere.
    Permissive,
    /// Takes the first that has the image.
    Disabled,
}

/// A `[[registry]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// What names have to begin with.
    pub prefix: Prefix,
    /// What is put in place of the prefix; `None` leaves the name as it is.
    pub location: Option<Location>,
    /// Whether plain HTTP and unverified certificates are accepted.
    pub insecure: bool,
    /// Whether nothing may be pulled from there.
    pub blocked: bool,
    /// Asked first, in this order.
    pub mirrors: Vec<Mirror>,
}

/// The names that a [`Registry`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefix {
    /// A host, optionally with the beginning of a path.
    Path(Location),
    /// `*.example.org`: every host below a domain.
    Below(String),
}

/// A host, optionally with the beginning of a path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The host.
    pub host: Host,
    /// The path; empty for the whole registry.
    pub path: String,
}

/// A place that holds copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Where.
    pub location: Location,
    /// Whether plain HTTP and unverified certificates are accepted.
    pub insecure: bool,
    /// What it is asked for.
    pub pulls: MirrorPulls,
}

/// `pull-from-mirror`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum MirrorPulls {
    /// Everything.
    #[default]
    #[serde(rename = "all")]
    All,
    /// References with a digest.
    #[serde(rename = "digest-only")]
    DigestOnly,
    /// References without one.
    #[serde(rename = "tag-only")]
    TagOnly,
}

/// Where a repository can be had.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The registry.
    pub host: Host,
    /// The repository there.
    pub repository: Repository,
    /// Whether plain HTTP and unverified certificates are accepted.
    pub insecure: bool,
    /// Whether it is a mirror.
    pub mirror: bool,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("read {}", path.display())]
pub struct BadConf {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub cause: Problem,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It says something that has no meaning.
    #[error("{0}")]
    Meaning(String),
}

impl Explain for BadConf {
    fn kind(&self) -> Kind {
        match &self.cause {
            Problem::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => Kind::PermissionDenied,
            Problem::Io(error) if error.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Problem::Io(_) => Kind::Io,
            Problem::Meaning(_) => Kind::InvalidInput,
        }
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("containers-registries.conf(5) describes this file"))
    }
}

/// A registry that the configuration forbids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is blocked")]
pub struct Blocked {
    /// The name that was asked for.
    pub name: String,
}

impl Explain for Blocked {
    fn kind(&self) -> Kind {
        Kind::PermissionDenied
    }
    fn hint(&self) -> Option<Hint> {
        Some(Hint::new("registries.conf has `blocked = true` for it"))
    }
}

/// The file as it is written. Other programs have keys of their own there, so unknown ones are left alone.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    short_name_mode: Option<ShortNames>,
    registry: Vec<RawRegistry>,
    aliases: BTreeMap<String, String>,
    credential_helpers: Option<Vec<String>>,
    /// Only version 1 has it.
    registries: Option<toml::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct RawRegistry {
    prefix: Option<String>,
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<RawMirror>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct RawMirror {
    location: String,
    insecure: bool,
    pull_from_mirror: Option<MirrorPulls>,
}

impl Conf {
    /// Reads the files of this machine and user: `CONTAINERS_REGISTRIES_CONF`, or the user's, or the machine's; then every file in
    /// `registries.conf.d`. Where none of them says otherwise, short names are Docker Hub's.
    ///
    /// # Errors
    /// [`BadConf`] for a file that is there and cannot be used.
    pub fn load() -> Result<Self, BadConf> {
        let home = config_home();
        let given = std::env::var_os("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from);
        let mut files = Vec::new();
        match &given {
            // A file that somebody names has to be there.
            Some(path) => files.push(path.clone()),
            None => {
                let users = home.as_ref().map(|home| home.join("registries.conf"));
                let candidates = users.into_iter().chain([
                    "/etc/containers/registries.conf".into(),
                    "/usr/share/containers/registries.conf".into(),
                ]);
                files.extend(candidates.into_iter().find(|path| path.exists()));
            }
        }
        match std::env::var_os("CONTAINERS_REGISTRIES_CONF_DIR") {
            Some(directory) => files.extend(drop_ins(Path::new(&directory))),
            None if given.is_some() => {}
            None => {
                files.extend(drop_ins(Path::new("/etc/containers/registries.conf.d")));
                files.extend(home.iter().flat_map(|home| drop_ins(&home.join("registries.conf.d"))));
            }
        }
        let mut texts = Vec::new();
        for path in files {
            let text = read(&path).map_err(|cause| BadConf { path: path.clone(), cause: cause.into() })?;
            texts.push((path, text));
        }
        Self::from_texts(&texts)
    }

    /// The meaning of several files; a later one adds to an earlier one, and wins.
    ///
    /// # Errors
    /// [`BadConf`] names the file.
    pub fn from_texts(texts: &[(PathBuf, String)]) -> Result<Self, BadConf> {
        let hub = Host::parse(DEFAULT_REGISTRY).expect("a constant that is a host");
        let mut conf = Self { search: vec![hub], ..Self::default() };
        for (path, text) in texts {
            conf.add(text).map_err(|cause| BadConf { path: path.clone(), cause: Problem::Meaning(cause) })?;
        }
        Ok(conf)
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
            match line {
                Some(line) => format!("line {line}: {}", error.message()),
                None => error.message().to_owned(),
            }
        })?;
        if file.registries.is_some() {
            return Err(
                "this is version 1 of the format ([registries.…]), which podman no longer reads either"
                    .to_owned(),
            );
        }
        if let Some(list) = file.unqualified_search_registries {
            self.search = list.iter().map(|text| Host::parse(text)).collect::<Result<_, _>>()?;
        }
        if let Some(mode) = file.short_name_mode {
            self.short_names = mode;
        }
        if let Some(list) = file.credential_helpers {
            self.credential_helpers = list;
        }
        for raw in file.registry {
            let registry = Registry::new(raw)?;
            self.registries.retain(|known| known.prefix != registry.prefix);
            self.registries.push(registry);
        }
        for (name, target) in file.aliases {
            if !matches!(Name::parse(&name), Ok(Name::Short(short)) if short.tag.is_none() && short.digest.is_none())
            {
                return Err(format!("alias `{name}`: not a short name without tag"));
            }
            // An empty value takes an alias of an earlier file away.
            if target.is_empty() {
                self.aliases.remove(&name);
                continue;
            }
            let target =
                Reference::parse_full(&target).map_err(|error| format!("alias `{name}`: {error}"))?;
            if target.tag().is_some() || target.digest().is_some() {
                return Err(format!("alias `{name}`: `{target}` has a tag or a digest"));
            }
            self.aliases.insert(name, target);
        }
        Ok(())
    }

    /// The registry's rules with the longest prefix that `name` (`HOST/PATH`) begins with.
    pub fn registry(&self, reference: &Reference) -> Option<&Registry> {
        let fitting = self.registries.iter().filter(|registry| registry.prefix.fits(reference));
        fitting.max_by_key(|registry| registry.prefix.length())
    }

    /// Who is asked for `reference`: mirrors first, then the registry itself. `verify` is `--tls-verify`, which goes before the files.
    ///
    /// # Errors
    /// [`Blocked`].
    pub fn endpoints(&self, reference: &Reference, verify: Option<bool>) -> Result<Vec<Endpoint>, Blocked> {
        let Some(registry) = self.registry(reference) else {
            return Ok(vec![Endpoint::of(reference, verify == Some(false))]);
        };
        if registry.blocked {
            return Err(Blocked { name: reference.name() });
        }
        let mut list = Vec::new();
        for mirror in &registry.mirrors {
            let wanted = match mirror.pulls {
                MirrorPulls::All => true,
                MirrorPulls::DigestOnly => reference.digest().is_some(),
                MirrorPulls::TagOnly => reference.digest().is_none(),
            };
            if wanted && let Some(repository) = registry.prefix.replaced(reference, &mirror.location) {
                list.push(Endpoint {
                    host: mirror.location.host.clone(),
                    repository,
                    insecure: mirror.insecure,
                    mirror: true,
                });
            }
        }
        list.push(self.own(registry, reference, verify));
        Ok(list)
    }

    /// Where `reference` is pushed to: the registry itself, never a mirror.
    ///
    /// # Errors
    /// [`Blocked`].
    pub fn push_endpoint(&self, reference: &Reference, verify: Option<bool>) -> Result<Endpoint, Blocked> {
        match self.registry(reference) {
            Some(registry) if registry.blocked => Err(Blocked { name: reference.name() }),
            Some(registry) => Ok(self.own(registry, reference, verify)),
            None => Ok(Endpoint::of(reference, verify == Some(false))),
        }
    }

    /// Whether plain HTTP and unverified certificates are accepted from `host`.
    pub fn insecure(&self, host: &Host, verify: Option<bool>) -> bool {
        match verify {
            Some(verify) => !verify,
            None => self.registries.iter().any(|registry| {
                registry.insecure && matches!(&registry.prefix, Prefix::Path(place) if place.host == *host && place.path.is_empty())
            }),
        }
    }

    fn own(&self, registry: &Registry, reference: &Reference, verify: Option<bool>) -> Endpoint {
        let insecure = verify.map_or(registry.insecure, |verify| !verify);
        let moved = registry.location.as_ref().and_then(|location| {
            Some((location.host.clone(), registry.prefix.replaced(reference, location)?))
        });
        let (host, repository) =
            moved.unwrap_or_else(|| (reference.host().clone(), reference.path().clone()));
        Endpoint { host, repository, insecure, mirror: false }
    }
}

impl Endpoint {
    /// The registry that a reference names.
    pub fn of(reference: &Reference, insecure: bool) -> Self {
        Self { host: reference.host().clone(), repository: reference.path().clone(), insecure, mirror: false }
    }
}

impl Registry {
    fn new(raw: RawRegistry) -> Result<Self, String> {
        let location =
            raw.location.as_deref().filter(|text| !text.is_empty()).map(Location::parse).transpose()?;
        let prefix = match raw.prefix.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => match text.strip_prefix("*.") {
                Some(domain) => {
                    Host::parse(domain).map_err(|problem| format!("prefix `{text}`: {problem}"))?;
                    Prefix::Below(format!(".{}", domain.to_ascii_lowercase()))
                }
                None => Prefix::Path(Location::parse(text)?),
            },
            None => Prefix::Path(location.clone().ok_or("a [[registry]] has neither prefix nor location")?),
        };
        let mut mirrors = Vec::new();
        for mirror in raw.mirror {
            let pulls = match (mirror.pull_from_mirror, raw.mirror_by_digest_only) {
                (Some(_), true) => {
                    return Err("mirror-by-digest-only and pull-from-mirror contradict each other".to_owned());
                }
                (Some(pulls), false) => pulls,
                (None, true) => MirrorPulls::DigestOnly,
                (None, false) => MirrorPulls::All,
            };
            mirrors.push(Mirror {
                location: Location::parse(&mirror.location)?,
                insecure: mirror.insecure,
                pulls,
            });
        }
        Ok(Self { prefix, location, insecure: raw.insecure, blocked: raw.blocked, mirrors })
    }
}

impl Location {
    fn parse(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err(format!("`{text}`: a location has no https:// or http:// in front"));
        }
        let text = text.trim_end_matches('/');
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        let host = Host::parse(host).map_err(|problem| format!("`{text}`: {problem}"))?;
        // The last part may go on into a tag or digest in a prefix; in a path of ours it is whole.
        if !path.is_empty() {
            Repository::parse(path).map_err(|problem| format!("`{text}`: {problem}"))?;
        }
        Ok(Self { host, path: path.to_owned() })
    }
}

impl Prefix {
    fn fits(&self, reference: &Reference) -> bool {
        match self {
            Self::Path(place) => {
                place.host == *reference.host() && below(&place.path, reference.repository()).is_some()
            }
            Self::Below(domain) => reference.host().name().ends_with(domain.as_str()),
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Path(place) => place.host.as_str().len() + place.path.len(),
            Self::Below(domain) => domain.len(),
        }
    }

    /// The repository at `location` that stands for `reference`.
    fn replaced(&self, reference: &Reference, location: &Location) -> Option<Repository> {
        let rest = match self {
            Self::Path(place) => below(&place.path, reference.repository())?,
            Self::Below(_) => reference.repository(),
        };
        let path = match (location.path.is_empty(), rest.is_empty()) {
            (true, _) => rest.to_owned(),
            (false, true) => location.path.clone(),
            (false, false) => format!("{}/{rest}", location.path),
        };
        Repository::parse(&path).ok()
    }
}

/// What of `path` lies below `prefix`, which ends at a slash: `team` is no prefix of `teamwork/app`.
fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    if prefix.is_empty() {
        return Some(path);
    }
    match path.strip_prefix(prefix)? {
        "" => Some(""),
        rest => rest.strip_prefix('/'),
    }
}

/// `$XDG_CONFIG_HOME/containers`, or that below the home directory.
pub(crate) fn config_home() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .filter(|value| !value.is_empty())
            .map(|home| Path::new(&home).join(".config"))
    };
    Some(base.or_else(home)?.join("containers"))
}

/// The `.conf` files of a directory, in the order of their names.
fn drop_ins(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "conf")).collect();
    files.sort();
    files
}

fn read(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = fs::File::open(path)?;
    text.reserve(usize::try_from(file.metadata()?.len().min(MAX_FILE)).unwrap_or(0) + 1);
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {MAX_FILE} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn conf(texts: &[&str]) -> Conf {
        let texts: Vec<_> = texts.iter().map(|text| (PathBuf::from("t.conf"), (*text).to_owned())).collect();
        Conf::from_texts(&texts).unwrap()
    }

    fn problem(text: &str) -> String {
        report::one_line(&Conf::from_texts(&[("t.conf".into(), text.to_owned())]).unwrap_err())
    }

    fn asked(conf: &Conf, name: &str) -> String {
        match conf.endpoints(&Reference::parse(name).unwrap(), None) {
            Ok(list) => list
                .iter()
                .map(|endpoint| {
                    let insecure = if endpoint.insecure { " (insecure)" } else { "" };
                    format!("{}/{}{insecure}", endpoint.host, endpoint.repository)
                })
                .collect::<Vec<_>>()
                .join(", "),
            Err(blocked) => blocked.to_string(),
        }
    }

    const RULES: &str = r#"
        unqualified-search-registries = ["docker.io", "registry.example.org:5000"]
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror.example.org/hub"
        [[registry.mirror]]
        location = "10.0.0.1:5000"
        insecure = true
        pull-from-mirror = "digest-only"
        [[registry]]
        prefix = "a.b/team"
        location = "c.d/moved/here"
        [[registry]]
        prefix = "a.b/team/secret"
        blocked = true
        [[registry]]
        prefix = "*.bad.example"
        blocked = true
        [[registry]]
        location = "plain.example:5000"
        insecure = true
    "#;

    #[test]
    fn mirrors_are_asked_first_and_the_longest_prefix_decides() {
        let conf = conf(&[RULES]);
        let hex = "0".repeat(64);
        let list = [
            "docker.io/library/debian:12",
            &format!("docker.io/library/debian@sha256:{hex}"),
            "a.b/other/app",
            "a.b/team/app:1",
            "a.b/teamwork/app",
            "a.b/team/secret/app",
            "x.y.bad.example/app",
            "bad.example/app",
            "plain.example:5000/app",
        ];
        let text: String =
            list.iter().map(|name| format!("{:.40} -> {}\n", name, asked(&conf, name))).collect();
        expect![[r#"
            docker.io/library/debian:12 -> mirror.example.org/hub/library/debian, docker.io/library/debian
            docker.io/library/debian@sha256:00000000 -> mirror.example.org/hub/library/debian, 10.0.0.1:5000/library/debian (insecure), docker.io/library/debian
            a.b/other/app -> a.b/other/app
            a.b/team/app:1 -> c.d/moved/here/app
            a.b/teamwork/app -> a.b/teamwork/app
            a.b/team/secret/app -> `a.b/team/secret/app` is blocked
            x.y.bad.example/app -> `x.y.bad.example/app` is blocked
            bad.example/app -> bad.example/app
            plain.example:5000/app -> plain.example:5000/app (insecure)
        "#]]
        .assert_eq(&text);
        let push = conf.push_endpoint(&Reference::parse("docker.io/library/debian").unwrap(), None).unwrap();
        assert!(!push.mirror && push.host.as_str() == "docker.io");
    }

    #[test]
    fn the_command_line_goes_before_the_files_for_the_registry_but_not_for_its_mirrors() {
        let conf = conf(&[RULES]);
        let reference = Reference::parse("docker.io/library/debian").unwrap();
        let list = conf.endpoints(&reference, Some(false)).unwrap();
        assert_eq!(list.iter().map(|endpoint| endpoint.insecure).collect::<Vec<_>>(), [false, true]);
        let plain = Reference::parse("plain.example:5000/app").unwrap();
        assert!(!conf.endpoints(&plain, Some(true)).unwrap()[0].insecure);
        assert!(conf.insecure(plain.host(), None) && !conf.insecure(plain.host(), Some(true)));
    }

    #[test]
    fn a_later_file_wins() {
        let conf = conf(&[
            RULES,
            "short-name-mode = \"permissive\"\n[aliases]\n\"x\" = \"a.b/x\"\n\"y\" = \"a.b/y\"",
            "unqualified-search-registries = []\n[aliases]\n\"x\" = \"\"\n[[registry]]\nlocation = \"docker.io\"\nblocked = true",
        ]);
        assert_eq!(conf.search, []);
        assert_eq!(conf.short_names, ShortNames::Permissive);
        assert_eq!(conf.aliases.keys().collect::<Vec<_>>(), ["y"]);
        assert_eq!(asked(&conf, "docker.io/library/debian"), "`docker.io/library/debian` is blocked");
    }

    #[test]
    fn where_no_file_says_otherwise_short_names_are_those_of_docker_hub() {
        let hub = [Host::parse("docker.io").unwrap()];
        assert_eq!(Conf::from_texts(&[]).unwrap().search, hub);
        assert_eq!(conf(&["# nothing"]).search, hub);
        assert_eq!(conf(&["unqualified-search-registries = []"]).search, []);
    }

    #[test]
    fn what_has_no_meaning_is_refused_with_its_line() {
        let list = [
            "unqualified-search-registries = 3",
            "\n\n[[registry]\nx = 1",
            "[registries.search]\nregistries = ['docker.io']",
            "[[registry]]\nblocked = true",
            "[[registry]]\nlocation = \"https://a.b\"",
            "[[registry]]\nprefix = \"*.\"",
            "[[registry]]\nlocation = \"a.b/../c\"",
            "[[registry]]\nlocation = \"a.b\"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = \"c.d\"\npull-from-mirror = \"all\"",
            "short-name-mode = \"sometimes\"",
            "[aliases]\n\"a.b/c\" = \"d.e/f\"",
            "[aliases]\n\"c\" = \"f\"",
            "[aliases]\n\"c\" = \"a.b/f:1\"",
        ];
        let text: String = list.iter().map(|text| problem(text) + "\n").collect();
        expect![[r#"
            read t.conf: line 1: invalid type: integer `3`, expected a sequence
            read t.conf: line 3: unclosed array table, expected `]`
            read t.conf: this is version 1 of the format ([registries.…]), which podman no longer reads either
            read t.conf: a [[registry]] has neither prefix nor location
            read t.conf: `https://a.b`: a location has no https:// or http:// in front
            read t.conf: prefix `*.`: the registry is empty
            read t.conf: `a.b/../c`: `..` cannot stand in `..`
            read t.conf: mirror-by-digest-only and pull-from-mirror contradict each other
            read t.conf: line 1: unknown variant `sometimes`, expected one of `enforcing`, `permissive`, `disabled`
            read t.conf: alias `a.b/c`: not a short name without tag
            read t.conf: alias `c`: the image name `f` is not usable: the registry is missing
            read t.conf: alias `c`: `a.b/f:1` has a tag or a digest
        "#]].assert_eq(&text);
    }
}
