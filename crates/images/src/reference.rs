//! Names of images: `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.
//!
//! [`Name::parse`] reads what people type; start there. A name that says its registry is a [`Reference`]; one that does not
//! is a [`ShortName`], which only the configuration of short names can turn into a reference
//! (`registry::short`). The grammar is that of the distribution project's reference package.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::digest::Digest;

/// The most bytes of a repository with its registry, as in the distribution specification.
pub const MAX_NAME: usize = 255;
/// The most bytes of a tag.
pub const MAX_TAG: usize = 128;
/// The tag of a reference that has neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";
/// The registry that names without one mean where no configuration says otherwise: Docker Hub.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// The host of a registry and its port, if one is given: `registry.example.org:5000`, `[::1]:5000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

/// The path of a repository in its registry: `library/debian`. Lower case, at most 255 bytes with its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository(String);

/// A tag: letters, digits, `_`, `.` and `-`, at most 128.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

/// An image of one registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    host: Host,
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

/// A name without a registry: `debian:bookworm`, `team/app`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortName {
    /// The path.
    pub repository: Repository,
    /// The tag, if one is given.
    pub tag: Option<Tag>,
    /// The digest, if one is given.
    pub digest: Option<Digest>,
}

/// What people type for an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The registry is said.
    Full(Reference),
    /// It is not.
    Short(ShortName),
}

fn bad(text: &str, problem: String) -> Error {
    let short: String = text.chars().take(MAX_NAME).collect();
    Error::malformed(format!("the image name `{}`", short.escape_debug()), problem)
}

impl Host {
    /// Reads `HOST[:PORT]`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, port) = split_port(text)?;
        if let Some(port) = port
            && (port.is_empty()
                || !port.bytes().all(|byte| byte.is_ascii_digit())
                || port.parse::<u16>().is_err())
        {
            return Err(format!("`{port}` is not a port"));
        }
        match name.strip_prefix('[') {
            Some(address) => {
                let address = address.strip_suffix(']').unwrap_or(address);
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(format!("`{address}` is not an IPv6 address"));
                }
            }
            None => {
                if name.is_empty() {
                    return Err("the registry is empty".to_owned());
                }
                let label = |label: &str| {
                    !label.is_empty()
                        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                };
                if let Some(bad) = name.split('.').find(|part| !label(part)) {
                    return Err(format!("`{bad}` cannot be part of a host name"));
                }
            }
        }
        let lower = text.to_ascii_lowercase();
        // One registry, three names: what is stored and where credentials lie must not depend on which was typed.
        Ok(Self(match lower.as_str() {
            "index.docker.io" | "registry-1.docker.io" => DEFAULT_REGISTRY.to_owned(),
            _ => lower,
        }))
    }

    /// Host and port as they are written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without the port, and an IPv6 address without brackets.
    pub fn name(&self) -> &str {
        let name = split_port(&self.0).map_or(self.as_str(), |(name, _)| name);
        name.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, if one is given.
    pub fn port(&self) -> Option<u16> {
        split_port(&self.0).ok()?.1?.parse().ok()
    }
}

/// The host and what stands behind its last colon; the colons of an IPv6 address are inside of brackets.
fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if text.starts_with('[') {
        let Some(end) = text.find(']') else { return Err("`[` is not closed".to_owned()) };
        let (name, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if rest.is_empty() => Ok((name, None)),
            None => Err(format!("`{rest}` follows the address")),
        };
    }
    Ok(match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    })
}

impl Repository {
    /// Reads a path such as `library/debian`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the repository is empty".to_owned());
        }
        if text.len() > MAX_NAME {
            return Err(format!("{} bytes are too many, {MAX_NAME} is the most", text.len()));
        }
        for part in text.split('/') {
            component(part)?;
        }
        Ok(Self(text.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One part of a path: runs of lower-case letters and digits with `.`, `_`, `__` or any number of `-` between them.
fn component(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("a part between two slashes is empty".to_owned());
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("`{text}` has capital letters, which a repository cannot have"));
    }
    if let Some(bad) =
        text.chars().find(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit() && !"._-".contains(*c))
    {
        return Err(format!("`{}` cannot be part of a repository", bad.escape_default()));
    }
    let separators = text.split(|c: char| c.is_ascii_alphanumeric()).filter(|run| !run.is_empty());
    for run in separators {
        if !(matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-')) {
            return Err(format!("`{run}` cannot stand in `{text}`"));
        }
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !text.ends_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err(format!("`{text}` does not begin and end with a letter or digit"));
    }
    Ok(())
}

impl Tag {
    /// Reads a tag.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the tag is empty".to_owned());
        }
        if text.len() > MAX_TAG {
            return Err(format!("the tag has {} bytes, {MAX_TAG} is the most", text.len()));
        }
        if text.starts_with(['.', '-']) {
            return Err(format!("the tag `{text}` begins with neither a letter, nor a digit, nor `_`"));
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"_.-".contains(*c)) {
            return Err(format!("`{}` cannot be part of a tag", bad.escape_default()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Name {
    /// Reads a name. The first part is a registry if it has a dot, a colon or capital letters, or is `localhost`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| bad(text, problem))
    }

    /// The tag, if one is given.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Full(reference) => reference.tag.as_ref(),
            Self::Short(name) => name.tag.as_ref(),
        }
    }

    /// The digest, if one is given.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Full(reference) => reference.digest.as_ref(),
            Self::Short(name) => name.digest.as_ref(),
        }
    }
}

fn parse(text: &str) -> Result<Name, String> {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(Digest::parse(digest).map_err(|error| error.to_string())?)),
        None => (text, None),
    };
    let (host, path) = match name.split_once('/') {
        Some((first, rest)) if is_host(first) => {
            let host = Host::parse(first)?;
            // In lower case, which a host is kept in, it would be the beginning of a short name: another image.
            if !is_host(host.as_str()) {
                return Err(format!(
                    "`{first}` is no registry without a dot or a port, and a repository has no capitals"
                ));
            }
            (Some(host), rest)
        }
        _ => (None, name),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(Tag::parse(tag)?)),
        None => (path, None),
    };
    // An id is looked up as one; as a name it would shadow every image of that id.
    if host.is_none() && path.len() == 64 && path.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits are an id, not a name".to_owned());
    }
    let repository = Repository::parse(path)?;
    match host {
        Some(host) => {
            let reference = Reference { host, repository, tag, digest };
            reference.check_length()?;
            Ok(Name::Full(reference.normal()))
        }
        None => Ok(Name::Short(ShortName { repository, tag, digest })),
    }
}

fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

impl ShortName {
    /// The same image of the registry `host`. Docker Hub keeps names of one part in `library`.
    ///
    /// # Errors
    /// Together they are too long.
    pub fn at(&self, host: &Host) -> Result<Reference, Error> {
        let reference = Reference {
            host: host.clone(),
            repository: self.repository.clone(),
            tag: self.tag.clone(),
            digest: self.digest,
        };
        match reference.check_length() {
            Ok(()) => Ok(reference.normal()),
            Err(problem) => Err(bad(&reference.to_string(), problem)),
        }
    }
}

impl Reference {
    /// Reads a name in docker's grammar: `debian` is `docker.io/library/debian:latest`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let reference = match Name::parse(text)? {
            Name::Full(reference) => reference,
            Name::Short(name) => name.at(&Host(DEFAULT_REGISTRY.to_owned()))?,
        };
        Ok(reference.tagged())
    }

    /// Reads a name that says its registry; no tag is added.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_full(text: &str) -> Result<Self, Error> {
        match Name::parse(text)? {
            Name::Full(reference) => Ok(reference),
            Name::Short(_) => Err(bad(text, "the registry is missing".to_owned())),
        }
    }

    /// The registry: `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        self.host.as_str()
    }

    /// The registry.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The repository in it: `library/debian`.
    pub fn repository(&self) -> &str {
        self.repository.as_str()
    }

    /// The repository.
    pub fn path(&self) -> &Repository {
        &self.repository
    }

    /// The tag, if it has one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_ref().map(Tag::as_str)
    }

    /// The digest, if it has one. It decides where both are.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The registry and the repository: `docker.io/library/debian`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// What stands in the path of a manifest's address: the digest, the tag, or `latest`.
    pub fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.as_str().to_owned(),
            (None, None) => DEFAULT_TAG.to_owned(),
        }
    }

    /// The name as people write it: without what is meant anyway.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        match full.strip_prefix("docker.io/") {
            Some(short) => short.strip_prefix("library/").unwrap_or(short).to_owned(),
            None => full,
        }
    }

    /// The same with `latest` where it has neither tag nor digest.
    #[must_use]
    pub fn tagged(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(Tag(DEFAULT_TAG.to_owned()));
        }
        self
    }

    /// The same without tag and digest.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// The same repository with the tag and the digest of `name`.
    #[must_use]
    pub fn versioned(&self, name: &ShortName) -> Self {
        Self { tag: name.tag.clone(), digest: name.digest, ..self.clone() }
    }

    /// The same name with another tag and without a digest.
    ///
    /// # Errors
    /// What is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Error> {
        let parsed = Tag::parse(tag)
            .map_err(|problem| Error::malformed(format!("the tag `{}`", tag.escape_debug()), problem))?;
        Ok(Self { tag: Some(parsed), digest: None, ..self.clone() })
    }

    /// The same name with a digest and without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    fn normal(mut self) -> Self {
        if self.host.as_str() == DEFAULT_REGISTRY && !self.repository.as_str().contains('/') {
            self.repository = Repository(format!("library/{}", self.repository));
        }
        self
    }

    fn check_length(&self) -> Result<(), String> {
        let length = self.host.as_str().len() + 1 + self.repository.as_str().len();
        if length > MAX_NAME {
            return Err(format!("{length} bytes are too many, {MAX_NAME} is the most"));
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn write_version(f: &mut fmt::Formatter<'_>, tag: Option<&Tag>, digest: Option<&Digest>) -> fmt::Result {
    if let Some(tag) = tag {
        write!(f, ":{tag}")?;
    }
    if let Some(digest) = digest {
        write!(f, "@{digest}")?;
    }
    Ok(())
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        write_version(f, self.tag.as_ref(), self.digest.as_ref())
    }
}

impl fmt::Display for ShortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        write_version(f, self.tag.as_ref(), self.digest.as_ref())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(reference) => reference.fmt(f),
            Self::Short(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn read(text: &str) -> String {
        match Name::parse(text) {
            Ok(Name::Full(reference)) => format!("full  {reference}"),
            Ok(Name::Short(name)) => format!("short {name}"),
            Err(Error::Malformed { problem, .. }) => format!("!! {problem}"),
            Err(other) => panic!("{other}"),
        }
    }

    fn table(list: &[&str]) -> String {
        list.iter().map(|text| format!("{:40} {}\n", text.escape_debug().to_string(), read(text))).collect()
    }

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_name_with_a_registry_is_told_from_a_short_one() {
        expect![[r#"
            debian                                   short debian
            debian:bookworm                          short debian:bookworm
            team/app                                 short team/app
            localhost/app                            full  localhost/app
            localhost:5000/app:1                     full  localhost:5000/app:1
            docker.io/debian                         full  docker.io/library/debian
            docker.io/library/debian                 full  docker.io/library/debian
            index.docker.io/team/app                 full  docker.io/team/app
            Example.ORG/app                          full  example.org/app
            TEAM/app                                 !! `TEAM` is no registry without a dot or a port, and a repository has no capitals
            [::1]:5000/app                           full  [::1]:5000/app
            10.0.0.1:5000/a/b/c:v1.2_x-y             full  10.0.0.1:5000/a/b/c:v1.2_x-y
            a--b/c__d/e.f_g                          short a--b/c__d/e.f_g
        "#]]
        .assert_eq(&table(&[
            "debian",
            "debian:bookworm",
            "team/app",
            "localhost/app",
            "localhost:5000/app:1",
            "docker.io/debian",
            "docker.io/library/debian",
            "index.docker.io/team/app",
            "Example.ORG/app",
            "TEAM/app",
            "[::1]:5000/app",
            "10.0.0.1:5000/a/b/c:v1.2_x-y",
            "a--b/c__d/e.f_g",
        ]));
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        expect![[r#"
                                                     !! the repository is empty
            /                                        !! a part between two slashes is empty
            a/                                       !! a part between two slashes is empty
            a//b                                     !! a part between two slashes is empty
            Debian                                   !! `Debian` has capital letters, which a repository cannot have
            a..b                                     !! `..` cannot stand in `a..b`
            a___b                                    !! `___` cannot stand in `a___b`
            -a                                       !! `-a` does not begin and end with a letter or digit
            a.                                       !! `a.` does not begin and end with a letter or digit
            ../../etc/passwd                         !! `` cannot be part of a host name
            a b                                      !! ` ` cannot be part of a repository
            a:                                       !! the tag is empty
            a:-x                                     !! the tag `-x` begins with neither a letter, nor a digit, nor `_`
            a:x/y                                    !! `x` is not a port
            a.b:99999/x                              !! `99999` is not a port
            a.b:+80/x                                !! `+80` is not a port
            a.b:/x                                   !! `` is not a port
            [::1/x                                   !! `[` is not closed
            [zz]/x                                   !! `[` cannot be part of a repository
            ä                                        !! `\u{e4}` cannot be part of a repository
            a\0                                      !! `\u{0}` cannot be part of a repository
        "#]]
        .assert_eq(
            &table(&[
                "",
                "/",
                "a/",
                "a//b",
                "Debian",
                "a..b",
                "a___b",
                "-a",
                "a.",
                "../../etc/passwd",
                "a b",
                "a:",
                "a:-x",
                "a:x/y",
                "a.b:99999/x",
                "a.b:+80/x",
                "a.b:/x",
                "[::1/x",
                "[zz]/x",
                "ä",
                "a\0",
            ])
            .lines()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
        );
        assert_eq!(read(HEX), "!! 64 hexadecimal digits are an id, not a name");
        assert!(read(&format!("a:{}", "t".repeat(129))).starts_with("!!"));
        assert!(read(&"a".repeat(256)).starts_with("!!"));
        assert!(read(&format!("a.b/{}", "a".repeat(252))).starts_with("!!"));
    }

    #[test]
    fn a_digest_decides_the_version() {
        let reference = Reference::parse(&format!("a.b/c:d@sha256:{HEX}")).unwrap();
        assert_eq!(reference.version(), format!("sha256:{HEX}"));
        assert_eq!(Reference::parse_full("a.b/c").unwrap().version(), "latest");
        assert_eq!(Reference::parse("a.b/c").unwrap().to_string(), "a.b/c:latest");
        assert_eq!(Reference::parse("c").unwrap().to_string(), "docker.io/library/c:latest");
        assert!(Reference::parse("a.b/c@sha256:12").is_err());
        assert!(Reference::parse("a.b/c@sha256:").is_err());
        assert!(Reference::parse_full("c").is_err());
    }

    #[test]
    fn familiar_names_leave_docker_hub_out() {
        let familiar = |text| Reference::parse(text).unwrap().familiar();
        assert_eq!(familiar("docker.io/library/debian:12"), "debian:12");
        assert_eq!(familiar("docker.io/team/app"), "team/app:latest");
        assert_eq!(familiar("a.b/library/debian:1"), "a.b/library/debian:1");
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["a.b/c:1", "a.b:5/c:d", "[::1]:5000/a/b:c", "docker.io/library/x:y"] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn host_name_and_port_are_taken_apart() {
        let parts = |text| {
            let host = Host::parse(text).unwrap();
            (host.name().to_owned(), host.port())
        };
        assert_eq!(parts("a.b"), ("a.b".to_owned(), None));
        assert_eq!(parts("a.b:5000"), ("a.b".to_owned(), Some(5000)));
        assert_eq!(parts("[::1]:5000"), ("::1".to_owned(), Some(5000)));
        assert_eq!(parts("[::1]"), ("::1".to_owned(), None));
    }
}
