//! `--security-opt`: the system call filter, new privileges, labels and hidden paths.

use std::path::PathBuf;

use super::{Problem, Value, key_value, parse_bool};

/// One `--security-opt`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SecurityOpt {
    /// `seccomp=default|unconfined|FILE`
    Seccomp(Seccomp),
    /// `no-new-privileges[=BOOL]`
    NoNewPrivileges(bool),
    /// `label=…`
    Label(Label),
    /// `apparmor=PROFILE`; `unconfined` for none.
    AppArmor(String),
    /// `systempaths=unconfined`: nothing of /proc and /sys is hidden or read-only.
    SystemPathsUnconfined,
    /// `mask=PATH[:PATH]…`: these are hidden as well.
    Mask(Vec<String>),
    /// `unmask=ALL|PATH[:PATH]…`: these are not hidden and not read-only.
    Unmask(Vec<String>),
}

/// Where the system call filter comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Seccomp {
    /// The built-in profile.
    #[default]
    Default,
    /// No filter.
    Unconfined,
    /// A profile in docker's or the OCI specification's form.
    File(PathBuf),
}

/// SELinux labels.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Label {
    /// `disable`
    Disable,
    /// `user:…`, `role:…`, `type:…`, `level:…`: one part of the process label.
    Part(LabelPart, String),
}

/// Which part of an SELinux label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum LabelPart {
    /// The first.
    User,
    /// The second.
    Role,
    /// The third.
    Type,
    /// All that follows.
    Level,
}

impl Value for SecurityOpt {
    const FORM: &'static str = "seccomp=default|unconfined|FILE, no-new-privileges[=BOOL], label=disable|type:…, \
                                apparmor=PROFILE, systempaths=unconfined, mask=PATHS or unmask=ALL|PATHS";
    const EXAMPLE: &'static str = "seccomp=unconfined";

    fn parse(text: &str) -> Result<Self, Problem> {
        // Docker also takes a colon for the first separator.
        let (key, value) = match text.find(['=', ':']) {
            Some(at) if text.as_bytes()[at] == b':' => (&text[..at], Some(&text[at + 1..])),
            _ => key_value(text),
        };
        match (key, value) {
            ("no-new-privileges", None) => Ok(Self::NoNewPrivileges(true)),
            ("no-new-privileges", Some(value)) => parse_bool(value).map(Self::NoNewPrivileges),
            ("seccomp", Some("unconfined")) => Ok(Self::Seccomp(Seccomp::Unconfined)),
            ("seccomp", Some("default" | "builtin")) => Ok(Self::Seccomp(Seccomp::Default)),
            ("systempaths", Some("unconfined")) => Ok(Self::SystemPathsUnconfined),
            ("unmask", Some("ALL" | "all")) => Ok(Self::SystemPathsUnconfined),
            (key, None | Some("")) => match key {
                "seccomp" | "label" | "apparmor" | "systempaths" | "mask" | "unmask" => {
                    Err(format!("`{key}` needs a value").into())
                }
                _ => Err(format!("there is no option `{key}`").into()),
            },
            ("seccomp", Some(path)) => Ok(Self::Seccomp(Seccomp::File(path.into()))),
            ("apparmor", Some(profile)) => Ok(Self::AppArmor(profile.to_owned())),
            ("label", Some(label)) => parse_label(label).map(Self::Label),
            ("mask", Some(paths)) => parse_paths(paths).map(Self::Mask),
            ("unmask", Some(paths)) => parse_paths(paths).map(Self::Unmask),
            ("systempaths", Some(other)) => {
                Err(format!("systempaths knows `unconfined`, not `{other}`").into())
            }
            (key, Some(_)) => Err(format!("there is no option `{key}`").into()),
        }
    }
}

fn parse_label(text: &str) -> Result<Label, Problem> {
    if text == "disable" {
        return Ok(Label::Disable);
    }
    let part = match text.split_once(':') {
        Some(("user", value)) => (LabelPart::User, value),
        Some(("role", value)) => (LabelPart::Role, value),
        Some(("type", value)) => (LabelPart::Type, value),
        Some(("level", value)) => (LabelPart::Level, value),
        _ => return Err(format!("`{text}` is neither disable nor user:, role:, type: or level:").into()),
    };
    if part.1.is_empty() || part.1.contains(char::is_whitespace) {
        return Err("the label is empty or has white space".into());
    }
    Ok(Label::Part(part.0, part.1.to_owned()))
}

fn parse_paths(text: &str) -> Result<Vec<String>, Problem> {
    text.split(':')
        .map(|path| match path.starts_with('/') && !path.contains("..") {
            true => Ok(path.to_owned()),
            false => Err(format!("`{path}` is not an absolute path").into()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn an_option_is_known_and_has_its_value() {
        expect![[r#"
            no-new-privileges => NoNewPrivileges(true)
            no-new-privileges:true => NoNewPrivileges(true)
            no-new-privileges=false => NoNewPrivileges(false)
            no-new-privileges=maybe !! `maybe` is neither true nor false
            seccomp=default => Seccomp(Default)
            seccomp=/etc/p.json => Seccomp(File("/etc/p.json"))
            seccomp= !! `seccomp` needs a value
            seccomp !! `seccomp` needs a value
            label=disable => Label(Disable)
            label:type:svirt_t => Label(Part(Type, "svirt_t"))
            label=level:s0:c1,c2 => Label(Part(Level, "s0:c1,c2"))
            label=x !! `x` is neither disable nor user:, role:, type: or level:
            apparmor=unconfined => AppArmor("unconfined")
            apparmor:docker-default => AppArmor("docker-default")
            systempaths=unconfined => SystemPathsUnconfined
            systempaths=x !! systempaths knows `unconfined`, not `x`
            unmask=ALL => SystemPathsUnconfined
            unmask=/proc/acpi:/sys/firmware => Unmask(["/proc/acpi", "/sys/firmware"])
            mask=proc !! `proc` is not an absolute path
            foo=bar !! there is no option `foo`
            foo !! there is no option `foo`
             !! there is no option ``
            proc-opts=hidepid=2 !! there is no option `proc-opts`
            seccomp=unconfined => Seccomp(Unconfined)
        "#]]
        .assert_eq(&table::<SecurityOpt>(&[
            "no-new-privileges",
            "no-new-privileges:true",
            "no-new-privileges=false",
            "no-new-privileges=maybe",
            "seccomp=default",
            "seccomp=/etc/p.json",
            "seccomp=",
            "seccomp",
            "label=disable",
            "label:type:svirt_t",
            "label=level:s0:c1,c2",
            "label=x",
            "apparmor=unconfined",
            "apparmor:docker-default",
            "systempaths=unconfined",
            "systempaths=x",
            "unmask=ALL",
            "unmask=/proc/acpi:/sys/firmware",
            "mask=proc",
            "foo=bar",
            "foo",
            "",
            "proc-opts=hidepid=2",
        ]));
    }
}
