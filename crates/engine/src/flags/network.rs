//! Which network a container sees: `--network`.

use std::path::PathBuf;

use super::namespace::{Source, parse_join};
use super::{Problem, Value};

/// `--network`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Network {
    /// A network namespace of its own, with the loopback interface only.
    #[default]
    None,
    /// The host's network.
    Host,
    /// The network namespace this file stands for.
    Join(PathBuf),
}

impl Value for Network {
    const FORM: &'static str = "none, host or ns:PATH";
    const EXAMPLE: &'static str = "ns:/run/netns/blue";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "none" | "private" => Ok(Self::None),
            "host" => Ok(Self::Host),
            _ => match parse_join(text) {
                Ok(Source::Join(path)) => Ok(Self::Join(path)),
                Ok(_) => Err("there is no such network".into()),
                Err(problem) if text.starts_with("ns:") || text.starts_with("container:") => Err(problem),
                Err(_) => Err("there is no such network".into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_network_is_none_the_hosts_or_joined() {
        expect![[r#"
            none => None
            host => Host
            ns:/a => Join("/a")
            ns:a !! `a` is not an absolute path
            bridge !! there is no such network
            container:a !! containers are not found by name; give ns:/proc/PID/ns/… of `a`
             !! there is no such network
            ns:/run/netns/blue => Join("/run/netns/blue")
        "#]]
        .assert_eq(&table::<Network>(&["none", "host", "ns:/a", "ns:a", "bridge", "container:a", ""]));
    }
}
