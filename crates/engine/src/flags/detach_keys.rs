//! The keys that leave a container's terminal: `--detach-keys`.

use super::{Problem, Value};

/// A sequence of control characters and letters; empty means that no keys detach.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DetachKeys(Vec<u8>);

impl DetachKeys {
    /// The bytes a terminal sends for the keys.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// ctrl-p ctrl-q, as in docker and podman.
impl Default for DetachKeys {
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

impl Value for DetachKeys {
    const FORM: &'static str = "keys separated by commas, each a letter or ctrl- and one of a-z @ [ \\ ] ^ _";
    const EXAMPLE: &'static str = "ctrl-p,ctrl-q";

    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        text.split(',').map(parse_key).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_key(key: &str) -> Result<u8, Problem> {
    match (key.strip_prefix("ctrl-"), key.as_bytes()) {
        (Some(name), _) => match name.as_bytes() {
            [letter @ (b'a'..=b'z' | b'A'..=b'Z')] => Ok(letter.to_ascii_lowercase() - b'a' + 1),
            [b'@'] => Ok(0),
            [sign @ b'['..=b'_'] => Ok(sign - b'@'),
            _ => Err(format!("there is no key `{key}`").into()),
        },
        (None, [byte]) if byte.is_ascii_graphic() => Ok(*byte),
        _ => Err(format!("there is no key `{key}`").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn keys_become_the_bytes_of_a_terminal() {
        expect![[r#"
             => DetachKeys([])
            ctrl-a => DetachKeys([1])
            ctrl-A => DetachKeys([1])
            ctrl-[ => DetachKeys([27])
            ctrl-@,q => DetachKeys([0, 113])
            ctrl-_ => DetachKeys([31])
            x => DetachKeys([120])
            ctrl- !! there is no key `ctrl-`
            ctrl-1 !! there is no key `ctrl-1`
            abc !! there is no key `abc`
            a, !! there is no key ``
            é !! there is no key `é`
            ctrl-p,ctrl-q => DetachKeys([16, 17])
        "#]]
        .assert_eq(&table::<DetachKeys>(&[
            "", "ctrl-a", "ctrl-A", "ctrl-[", "ctrl-@,q", "ctrl-_", "x", "ctrl-", "ctrl-1", "abc", "a,", "é",
        ]));
    }
}
