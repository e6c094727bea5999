//! Who the program runs as: `--user` and `--group-add`.
//!
//! A number is a number: it is never looked up as a name in the container's files, where an image could
//! define a user called `1000` with uid 0 (CVE-2016-3697). Ids end below 2^32-1, which the kernel uses for
//! "unchanged" (CVE-2024-40635 was a wrapped id).

use super::{Problem, Value};

/// A user or a group as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Who {
    /// By number, in the container's user namespace.
    Id(u32),
    /// By name, to be found in the container's own passwd or group file.
    Name(String),
}

/// `--user USER[:GROUP]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct User {
    /// The user.
    pub user: Who,
    /// The group; without one the user's own group, or 0.
    pub group: Option<Who>,
}

impl Value for User {
    const FORM: &'static str = "USER[:GROUP], each a name or a number";
    const EXAMPLE: &'static str = "1000:1000";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(parse_who(group, "group")?)),
            None => (text, None),
        };
        Ok(Self { user: parse_who(user, "user")?, group })
    }
}

/// `--group-add GROUP`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Group(pub Who);

impl Value for Group {
    const FORM: &'static str = "a group's name or number";
    const EXAMPLE: &'static str = "video";

    fn parse(text: &str) -> Result<Self, Problem> {
        parse_who(text, "group").map(Self)
    }
}

fn parse_who(text: &str, what: &str) -> Result<Who, Problem> {
    if text.is_empty() {
        return Err(format!("the {what} is empty").into());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<u32>() {
            Ok(id) if id != u32::MAX => Ok(Who::Id(id)),
            _ => Err(format!("{text} is too large, ids end at 4294967294").into()),
        };
    }
    if text.starts_with(['-', '+']) {
        return Err(format!("`{text}` is neither a name nor an id").into());
    }
    if text.chars().any(|c| c == ':' || c == ',' || c.is_control() || c.is_whitespace()) {
        return Err(format!("`{}` is not a {what} name", text.escape_debug()).into());
    }
    Ok(Who::Name(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_number_is_never_a_name() {
        expect![[r#"
            0 => User { user: Id(0), group: None }
            root => User { user: Name("root"), group: None }
            root:adm => User { user: Name("root"), group: Some(Name("adm")) }
            1000:staff => User { user: Id(1000), group: Some(Name("staff")) }
            007 => User { user: Id(7), group: None }
            www-data => User { user: Name("www-data"), group: None }
            1000x => User { user: Name("1000x"), group: None }
            4294967294 => User { user: Id(4294967294), group: None }
            4294967295 !! 4294967295 is too large, ids end at 4294967294
            99999999999999 !! 99999999999999 is too large, ids end at 4294967294
            -1 !! `-1` is neither a name nor an id
             !! the user is empty
            : !! the group is empty
            root: !! the group is empty
            :0 !! the user is empty
            a:b:c !! `b:c` is not a group name
            a b !! `a b` is not a user name
            a
            b !! `a\nb` is not a user name
            1000:1000 => User { user: Id(1000), group: Some(Id(1000)) }
        "#]]
        .assert_eq(&table::<User>(&[
            "0",
            "root",
            "root:adm",
            "1000:staff",
            "007",
            "www-data",
            "1000x",
            "4294967294",
            "4294967295",
            "99999999999999",
            "-1",
            "",
            ":",
            "root:",
            ":0",
            "a:b:c",
            "a b",
            "a\nb",
        ]));
    }

    #[test]
    fn a_group_is_one_name_or_number() {
        expect![[r#"
            44 => Group(Id(44))
            video => Group(Name("video"))
             !! the group is empty
            a:b !! `a:b` is not a group name
            video => Group(Name("video"))
        "#]]
        .assert_eq(&table::<Group>(&["44", "video", "", "a:b"]));
    }
}
