//! What units are called, and where their cgroups are.

use crate::Error;

/// What `cgroupsPath` means below systemd: `SLICE:PREFIX:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPath {
    /// The slice that the unit goes into; it ends with `.slice`.
    pub slice: String,
    /// The unit: `PREFIX-NAME.scope`, or `NAME` where that is a slice.
    pub unit: String,
}

/// The longest name of a unit (systemd.unit(5)).
const LONGEST: usize = 255;

impl UnitPath {
    /// Parses `SLICE:PREFIX:NAME`. An empty path is the container's id below `prefix`; an empty slice is `system.slice`, or
    /// `user.slice` for the manager of a user. An empty prefix gives `NAME.scope`.
    ///
    /// # Errors
    /// When it has other than three parts, or one of them is not what systemd takes in a unit's name.
    pub fn parse(path: &str, prefix: &str, id: &str, is_user: bool) -> Result<Self, Error> {
        let subject = || format!("cgroupsPath `{}`", path.escape_debug());
        let parts: Vec<&str> = path.split(':').collect();
        let (slice, prefix, name) = match parts[..] {
            [""] => ("", prefix, id),
            [slice, prefix, name] => (slice, prefix, name),
            _ => {
                return Err(Error::invalid(subject(), "below systemd it has to be SLICE:PREFIX:NAME"));
            }
        };
        let slice = match (slice, is_user) {
            ("", false) => "system.slice",
            ("", true) => "user.slice",
            (slice, _) => slice,
        };
        slices(slice)
            .ok_or_else(|| Error::invalid(subject(), format!("`{}` is no slice", slice.escape_debug())))?;
        let unit = match (name, prefix) {
            ("", _) => return Err(Error::invalid(subject(), "a name is needed after the last colon")),
            (name, _) if name.ends_with(".slice") => {
                slices(name).ok_or_else(|| Error::invalid(subject(), "the name is no slice"))?;
                name.to_owned()
            }
            (name, "") => format!("{name}.scope"),
            (name, prefix) => format!("{prefix}-{name}.scope"),
        };
        if !unit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@+".contains(&byte)) {
            return Err(Error::invalid(subject(), "a unit's name has letters, digits and `:-_.\\@` only"));
        }
        if unit.contains('+') {
            // systemd takes no `+`; ids of containers may have it.
            return Self::parse(&path_with(slice, &unit.replace('+', "\\x2b")), "", "", is_user);
        }
        if unit.len() > LONGEST {
            return Err(Error::invalid(subject(), format!("a unit's name is at most {LONGEST} bytes long")));
        }
        Ok(Self { slice: slice.to_owned(), unit })
    }

    /// Whether the unit is a slice, whose processes are in units below it.
    pub fn is_slice(&self) -> bool {
        self.unit.ends_with(".slice")
    }

    /// The unit's cgroup below the manager's `root` (`/` for the system's), without a slash at either end: systemd puts a unit
    /// into its slice, and a slice `a-b.slice` into `a.slice`.
    pub fn cgroup(&self, root: &str) -> String {
        let unit = match self.is_slice() {
            true => slices(&self.unit).unwrap_or_default(),
            false => {
                let mut path = slices(&self.slice).unwrap_or_default();
                path.push(self.unit.clone());
                path
            }
        };
        let root = root.trim_matches('/');
        let unit = unit.join("/");
        if root.is_empty() { unit } else { format!("{root}/{unit}") }
    }
}

fn path_with(slice: &str, unit: &str) -> String {
    let name = unit.strip_suffix(".scope").unwrap_or(unit);
    format!("{slice}::{name}")
}

/// The slices on the way to one, itself last; none for the root slice `-.slice`. `None` if it is no slice's name.
fn slices(name: &str) -> Option<Vec<String>> {
    let stem = name.strip_suffix(".slice")?;
    if stem == "-" {
        return Some(Vec::new());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.\\@".contains(&byte);
    let mut path = Vec::new();
    let mut end = 0;
    for part in stem.split('-') {
        if part.is_empty() || !part.bytes().all(plain) || path.len() >= 64 {
            return None;
        }
        end += part.len() + usize::from(!path.is_empty());
        path.push(format!("{}.slice", &stem[..end]));
    }
    (name.len() <= LONGEST).then_some(path)
}

/// The object of a unit on the bus: everything but letters and digits is escaped (sd_bus_path_encode(3)).
pub(crate) fn object_path(unit: &str) -> String {
    let mut path = String::from("/org/freedesktop/systemd1/unit/");
    for (index, byte) in unit.bytes().enumerate() {
        match byte {
            b'0'..=b'9' if index == 0 => path.push_str(&format!("_{byte:02x}")),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => path.push(char::from(byte)),
            _ => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, is_user: bool, expected: Result<(&str, &str), &str>) {
        let found = UnitPath::parse(path, "holm", "web", is_user);
        match (found, expected) {
            (Ok(found), Ok((unit, cgroup))) => {
                assert_eq!((found.unit.as_str(), found.cgroup("/").as_str()), (unit, cgroup), "{path}");
            }
            (Err(error), Err(expected)) => assert_eq!(error.to_string(), expected, "{path}"),
            (found, _) => panic!("{path}: {found:?}"),
        }
    }

    #[test]
    fn a_path_is_slice_prefix_and_name() {
        check("system.slice:runc:a1", false, Ok(("runc-a1.scope", "system.slice/runc-a1.scope")));
        check("a-b-c.slice:p:n", false, Ok(("p-n.scope", "a.slice/a-b.slice/a-b-c.slice/p-n.scope")));
        check(":p:n", false, Ok(("p-n.scope", "system.slice/p-n.scope")));
        check(":p:n", true, Ok(("p-n.scope", "user.slice/p-n.scope")));
        check("-.slice::n", false, Ok(("n.scope", "n.scope")));
        check("", false, Ok(("holm-web.scope", "system.slice/holm-web.scope")));
        check("machine.slice:p:pod-x.slice", false, Ok(("pod-x.slice", "pod.slice/pod-x.slice")));
        check(":p:a+b", false, Ok(("p-a\\x2bb.scope", "system.slice/p-a\\x2bb.scope")));
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        let three =
            |path: &str| format!("cgroupsPath `{path}`: below systemd it has to be SLICE:PREFIX:NAME");
        for path in ["/a/b", "a:b", "a:b:c:d"] {
            check(path, false, Err(&three(path)));
        }
        check("a:b:c", false, Err("cgroupsPath `a:b:c`: `a` is no slice"));
        check("a--b.slice:b:c", false, Err("cgroupsPath `a--b.slice:b:c`: `a--b.slice` is no slice"));
        check("../x.slice:b:c", false, Err("cgroupsPath `../x.slice:b:c`: `../x.slice` is no slice"));
        check(":b:", false, Err("cgroupsPath `:b:`: a name is needed after the last colon"));
        check(
            ":b:c/d",
            false,
            Err("cgroupsPath `:b:c/d`: a unit's name has letters, digits and `:-_.\\@` only"),
        );
    }

    #[test]
    fn below_a_user_the_managers_own_group_comes_first() {
        let path = UnitPath::parse("", "holm", "web", true).unwrap();
        let root = "/user.slice/user-7.slice/user@7.service";
        assert_eq!(path.cgroup(root), "user.slice/user-7.slice/user@7.service/user.slice/holm-web.scope");
    }

    #[test]
    fn an_objects_path_is_escaped() {
        assert_eq!(object_path("a-1.scope"), "/org/freedesktop/systemd1/unit/a_2d1_2escope");
        assert_eq!(object_path("1.scope"), "/org/freedesktop/systemd1/unit/_31_2escope");
    }
}
