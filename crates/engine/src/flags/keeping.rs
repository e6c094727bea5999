//! What becomes of a container when it ends, and of its output: `--restart`, `--log-driver`, `--log-opt`, `--health-on-failure`.

use monitor::{Driver, OnFailure, Policy};

use super::size::Bytes;
use super::{Problem, Value, key_value, parse_count};
use crate::containers::LogChoice;

impl Value for Policy {
    const FORM: &'static str = "no, on-failure[:MOST], always or unless-stopped";
    const EXAMPLE: &'static str = "on-failure:5";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (name, most) = match text.split_once(':') {
            Some((name, most)) => (name, Some(most)),
            None => (text, None),
        };
        match (name, most) {
            ("no", None) => Ok(Self::No),
            ("always", None) => Ok(Self::Always),
            ("unless-stopped", None) => Ok(Self::UnlessStopped),
            ("on-failure", None) => Ok(Self::OnFailure { max: None }),
            ("on-failure", Some(most)) => {
                let most = u32::try_from(parse_count(most)?)
                    .map_err(|_| Problem::from("the number is too large"))?;
                // Nought is no bound, as docker has it.
                Ok(Self::OnFailure { max: (most > 0).then_some(most) })
            }
            ("no" | "always" | "unless-stopped", Some(_)) => {
                Err(format!("`{name}` has no bound; on-failure has one").into())
            }
            _ => Err(format!("there is no policy `{}`", name.escape_debug()).into()),
        }
    }
}

impl Value for Driver {
    const FORM: &'static str = "json-file, k8s-file, journald, none or passthrough";
    const EXAMPLE: &'static str = "json-file";

    fn parse(text: &str) -> Result<Self, Problem> {
        Self::from_name(text)
            .ok_or_else(|| format!("there is no log driver `{}`", text.escape_debug()).into())
    }
}

impl Value for OnFailure {
    const FORM: &'static str = "none, kill, restart or stop";
    const EXAMPLE: &'static str = "restart";

    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "none" => Ok(Self::None),
            "kill" => Ok(Self::Kill),
            "restart" => Ok(Self::Restart),
            "stop" => Ok(Self::Stop),
            _ => Err(format!("there is no action `{}`", text.escape_debug()).into()),
        }
    }
}

/// One `--log-opt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOption {
    /// `max-size=SIZE`; -1 is no bound.
    MaxSize(u64),
    /// `max-file=NUMBER`
    MaxFile(u32),
    /// `tag=TEXT`, for the journal.
    Tag(String),
}

impl Value for LogOption {
    const FORM: &'static str = "max-size=SIZE, max-file=NUMBER or tag=TEXT";
    const EXAMPLE: &'static str = "max-size=10m";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (key, value) = key_value(text);
        let Some(value) = value else { return Err("there is no `=`".into()) };
        match key {
            "max-size" if value == "-1" || value == "0" => Ok(Self::MaxSize(0)),
            "max-size" => Bytes::parse(value).map(|bytes| Self::MaxSize(bytes.get())),
            "max-file" => match u32::try_from(parse_count(value)?) {
                Ok(files @ 1..=1000) => Ok(Self::MaxFile(files)),
                _ => Err("there can be 1 to 1000 files".into()),
            },
            "tag" if value.contains(['\n', '\0']) => Err("a tag is one line".into()),
            "tag" => Ok(Self::Tag(value.to_owned())),
            _ => Err(format!("there is no option `{}`", key.escape_debug()).into()),
        }
    }
}

/// The choice that driver and options mean together.
pub fn log_choice(driver: Option<Driver>, options: Vec<LogOption>) -> LogChoice {
    let mut choice = LogChoice { driver: driver.unwrap_or_default(), ..LogChoice::default() };
    for option in options {
        match option {
            LogOption::MaxSize(bytes) => choice.max_bytes = bytes,
            LogOption::MaxFile(files) => choice.max_files = files,
            LogOption::Tag(tag) => choice.tag = Some(tag),
        }
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn policies_are_docker_s() {
        expect![[r#"
            no => No
            always => Always
            unless-stopped => UnlessStopped
            on-failure => OnFailure { max: None }
            on-failure:0 => OnFailure { max: None }
            on-failure:x !! `x` is not a number
            always:3 !! `always` has no bound; on-failure has one
            sometimes !! there is no policy `sometimes`
            on-failure:5 => OnFailure { max: Some(5) }
        "#]]
        .assert_eq(&table::<Policy>(&[
            "no",
            "always",
            "unless-stopped",
            "on-failure",
            "on-failure:0",
            "on-failure:x",
            "always:3",
            "sometimes",
        ]));
    }

    #[test]
    fn a_driver_that_cannot_be_had_is_refused() {
        expect![[r#"
            k8s-file => K8sFile
            none => None
            passthrough => Passthrough
            syslog !! there is no log driver `syslog`
            json-file => JsonFile
        "#]]
        .assert_eq(&table::<Driver>(&["k8s-file", "none", "passthrough", "syslog"]));
    }

    #[test]
    fn options_of_logs_are_bounds_and_a_tag() {
        expect![[r#"
            max-size=-1 => MaxSize(0)
            max-file=5 => MaxFile(5)
            max-file=0 !! there can be 1 to 1000 files
            tag=web => Tag("web")
            labels=x !! there is no option `labels`
            max-size !! there is no `=`
            max-size=10m => MaxSize(10485760)
        "#]]
        .assert_eq(&table::<LogOption>(&[
            "max-size=-1",
            "max-file=5",
            "max-file=0",
            "tag=web",
            "labels=x",
            "max-size",
        ]));
    }
}
