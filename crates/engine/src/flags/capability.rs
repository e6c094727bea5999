//! Powers of root that a container keeps or gets: `--cap-add` and `--cap-drop`.

use spec::Capability;

use super::{Problem, Value};

/// One capability, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Capabilities {
    /// Every capability.
    All,
    /// This one.
    One(Capability),
}

impl Value for Capabilities {
    const FORM: &'static str = "ALL or a capability's name, with or without CAP_";
    const EXAMPLE: &'static str = "NET_ADMIN";

    fn parse(text: &str) -> Result<Self, Problem> {
        let upper = text.to_ascii_uppercase();
        if upper == "ALL" {
            return Ok(Self::All);
        }
        let full = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        match Capability::from_name(&full) {
            Some(capability) => Ok(Self::One(capability)),
            None => Err("there is no such capability".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_capability_has_two_spellings() {
        expect![[r#"
            ALL => All
            all => All
            CAP_SYS_ADMIN => One(SysAdmin)
            sys_admin => One(SysAdmin)
            Chown => One(Chown)
            SYSADMIN !! there is no such capability
             !! there is no such capability
            CAP_ !! there is no such capability
            CAP_ALL !! there is no such capability
            NET_ADMIN => One(NetAdmin)
        "#]]
        .assert_eq(&table::<Capabilities>(&[
            "ALL",
            "all",
            "CAP_SYS_ADMIN",
            "sys_admin",
            "Chown",
            "SYSADMIN",
            "",
            "CAP_",
            "CAP_ALL",
        ]));
    }
}
