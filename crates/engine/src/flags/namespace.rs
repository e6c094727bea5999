//! Whose namespaces a container uses: `--pid`, `--ipc`, `--uts`, `--cgroupns`.

use std::path::{Path, PathBuf};

use super::{Problem, Value};

/// Where a container gets one of its namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Source {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// The one this file stands for: `/proc/PID/ns/…` or a bind mount of it.
    Join(PathBuf),
}

impl Value for Source {
    const FORM: &'static str = "private, host or ns:PATH";
    const EXAMPLE: &'static str = "host";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "private" | "" => Ok(Self::Private),
            "host" => Ok(Self::Host),
            _ => parse_join(text),
        }
    }
}

/// `--ipc`: a namespace, and whether a /dev/shm comes with it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ipc {
    /// The namespace.
    pub source: Source,
    /// Whether there is a /dev/shm; `none` leaves it out.
    pub shared_memory: bool,
}

impl Default for Ipc {
    fn default() -> Self {
        Self { source: Source::Private, shared_memory: true }
    }
}

impl Value for Ipc {
    const FORM: &'static str = "private, host, none (no /dev/shm) or ns:PATH";
    const EXAMPLE: &'static str = "private";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "none" => Ok(Self { source: Source::Private, shared_memory: false }),
            // Every IPC namespace can be joined by who may open its file; the word makes no difference here.
            "shareable" => Ok(Self::default()),
            _ => Source::parse(text).map(|source| Self { source, shared_memory: true }),
        }
    }
}

/// Reads `ns:PATH`; the refusals tell what the words of docker and podman that are missing would need.
pub(crate) fn parse_join(text: &str) -> Result<Source, Problem> {
    if let Some(path) = text.strip_prefix("ns:") {
        return match Path::new(path).is_absolute() {
            true => Ok(Source::Join(path.into())),
            false => Err(format!("`{path}` is not an absolute path").into()),
        };
    }
    if let Some(name) = text.strip_prefix("container:") {
        return Err(format!("containers are not found by name; give ns:/proc/PID/ns/… of `{name}`").into());
    }
    Err("there is no such mode".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_namespace_is_private_the_hosts_or_joined() {
        expect![[r#"
            private => Private
             => Private
            ns:/proc/1/ns/pid => Join("/proc/1/ns/pid")
            ns:x !! `x` is not an absolute path
            ns: !! `` is not an absolute path
            container:web !! containers are not found by name; give ns:/proc/PID/ns/… of `web`
            hos !! there is no such mode
            host => Host
        "#]]
        .assert_eq(&table::<Source>(&[
            "private",
            "",
            "ns:/proc/1/ns/pid",
            "ns:x",
            "ns:",
            "container:web",
            "hos",
        ]));
        expect![[r#"
            none => Ipc { source: Private, shared_memory: false }
            shareable => Ipc { source: Private, shared_memory: true }
            host => Ipc { source: Host, shared_memory: true }
            ns:/x => Ipc { source: Join("/x"), shared_memory: true }
            pod !! there is no such mode
            private => Ipc { source: Private, shared_memory: true }
        "#]]
        .assert_eq(&table::<Ipc>(&["none", "shareable", "host", "ns:/x", "pod"]));
    }
}
