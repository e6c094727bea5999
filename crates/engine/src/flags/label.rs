//! `--label` and `--annotation`.

use super::{Problem, Value, key_value};

/// A label or an annotation: a key and a value that may be empty.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
}

impl Value for Label {
    const FORM: &'static str = "KEY=VALUE";
    const EXAMPLE: &'static str = "org.example.team=storage";

    fn parse(text: &str) -> Result<Self, Problem> {
        let (key, value) = key_value(text);
        if key.is_empty() {
            return Err("the key is missing".into());
        }
        if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("a key has no white space".into());
        }
        Ok(Self { key: key.to_owned(), value: value.unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_label_has_a_key() {
        expect![[r#"
            a=b => Label { key: "a", value: "b" }
            a => Label { key: "a", value: "" }
            a= => Label { key: "a", value: "" }
            a=b=c => Label { key: "a", value: "b=c" }
            =b !! the key is missing
             !! the key is missing
            a b=c !! a key has no white space
            org.example.team=storage => Label { key: "org.example.team", value: "storage" }
        "#]]
        .assert_eq(&table::<Label>(&["a=b", "a", "a=", "a=b=c", "=b", "", "a b=c"]));
    }
}
