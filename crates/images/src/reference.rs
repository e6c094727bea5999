//! References: the names of images, `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::digest::Digest;

/// The registry that names without one mean.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag that names without one mean.
pub const DEFAULT_TAG: &str = "latest";

/// The most bytes of registry and repository together.
const MAX_NAME: usize = 255;
/// The most bytes of a tag.
const MAX_TAG: usize = 128;

/// The full name of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses a name in docker's grammar: `debian` is `docker.io/library/debian:latest`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad =
            |problem: &str| Error::malformed(format!("the image name `{}`", text.escape_debug()), problem);
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(bad("a tag has 1 to 128 letters, digits and `_.-`, and begins with none of `.-`"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
            _ if name.contains('/') => (DEFAULT_REGISTRY, name.to_owned()),
            _ => (DEFAULT_REGISTRY, format!("library/{name}")),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        if registry.len() + repository.len() > MAX_NAME {
            return Err(bad("it is longer than 255 bytes"));
        }
        if !is_host(registry) {
            return Err(bad("its registry is no host name or address"));
        }
        if !repository.split('/').all(is_component) {
            return Err(bad(
                "a repository has lower-case letters and digits, parted by `/`, `.`, `_`, `__` or dashes",
            ));
        }
        let tag = match (tag, digest) {
            (None, None) => Some(DEFAULT_TAG.to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }

    /// The registry: `HOST[:PORT]`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in it: `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; none where there is only a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the name has one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The registry and the repository: `docker.io/library/debian`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name as people write it: without what is meant anyway.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        match full.strip_prefix("docker.io/") {
            Some(short) => short.strip_prefix("library/").unwrap_or(short).to_owned(),
            None => full,
        }
    }

    /// The same name with another tag and without a digest.
    ///
    /// # Errors
    /// What is no tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Error> {
        if !is_tag(tag) {
            return Err(Error::malformed(format!("the tag `{}`", tag.escape_debug()), "it is no tag"));
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same name with a digest and without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
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

/// What stands before the first slash is a registry if it could not be part of a repository's name on docker.io.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", port.strip_prefix(':').or(port.is_empty().then_some("1")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("1")),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label)
        && port
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    bytes.len() <= MAX_TAG
        && bytes.first().is_some_and(word)
        && bytes.iter().all(|byte| word(byte) || b".-".contains(byte))
}

/// Letters and digits, parted by one `.`, one or two `_`, or any number of `-`.
fn is_component(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(first)
        && alphanumeric(last)
        && text.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit()).all(
            |between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-'),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_docker_completes_them() {
        for (text, full) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:bookworm", "docker.io/library/debian:bookworm"),
            ("library/debian", "docker.io/library/debian:latest"),
            ("me/tool:1", "docker.io/me/tool:1"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/a/b__c:v1.2", "localhost:5000/a/b__c:v1.2"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
            ("index.docker.io/a/b", "docker.io/a/b:latest"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), full, "{text}");
        }
        let digest = format!("debian@{}", Digest::of(b""));
        assert_eq!(Reference::parse(&digest).unwrap().tag(), None);
        assert_eq!(Reference::parse("docker.io/library/debian:1").unwrap().familiar(), "debian:1");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            ":",
            "/",
            "a//b",
            "A",
            "a:",
            "a:.x",
            "a/../b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "x.y:port/a",
            "a@sha256:1",
            "a b",
            "[::g]:1/a",
            "ex.org:99999/a",
            "a/b/",
            "a\nb",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
