//! The rules, one table for each section of the document.

mod linux;
mod process;

use expect_test::Expect;
use spec::{Spec, default_spec, validate};

/// The default configuration with all namespaces, and `change` made to it: what is wrong with it, or what it warns of.
fn check(change: impl FnOnce(&mut Spec), expected: Expect) {
    let mut spec = default_spec(false);
    change(&mut spec);
    let text: String = match validate(spec) {
        Ok(valid) => valid.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(invalid) => invalid.problems.iter().map(|problem| format!("{problem}\n")).collect(),
    };
    expected.assert_eq(&text);
}

/// The default configuration with a property of `section` replaced by a piece of JSON.
fn set(pointer: &str, json: &str, expected: Expect) {
    check(|spec| *spec = with(spec, &[(pointer, json)]), expected);
}

fn set_all(changes: &[(&str, &str)], expected: Expect) {
    check(|spec| *spec = with(spec, changes), expected);
}

fn with(spec: &Spec, changes: &[(&str, &str)]) -> Spec {
    let mut document = serde_json::to_value(spec).unwrap();
    for (pointer, json) in changes {
        let mut place = &mut document;
        for name in pointer.split('/') {
            place = match name.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[name],
            };
        }
        *place = serde_json::from_str(json).unwrap();
    }
    spec::load(document.to_string().as_bytes()).unwrap()
}

const USER: (&str, &str) = ("linux/namespaces/0/type", r#""user""#);
const TIME: (&str, &str) = ("linux/namespaces/0/type", r#""time""#);
const ONE: &str = r#"[{"containerID":0,"hostID":1000,"size":1}]"#;
