//! Whole documents: read, written, compared, damaged.

use serde_json::Value;
use spec::{Features, Spec, State, load, load_as, validate};

const EVERYTHING: &str = include_str!("everything.json");

#[test]
fn a_document_with_every_property_comes_back_as_it_was() {
    let spec = load(EVERYTHING.as_bytes()).unwrap();
    let before: Value = serde_json::from_str(EVERYTHING).unwrap();
    assert_eq!(serde_json::to_value(&spec).unwrap(), before);
    assert_eq!(load(serde_json::to_string(&spec).unwrap().as_bytes()).unwrap(), spec);
}

#[test]
fn a_document_with_every_property_is_valid() {
    let valid = validate(load(EVERYTHING.as_bytes()).unwrap()).unwrap();
    assert_eq!(valid.warnings(), []);
}

#[test]
fn null_is_the_same_as_absent() {
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap();
    let mut nulls = everything.clone();
    for section in [&["linux", "resources"][..], &["linux"], &["process"], &["hooks"], &[]] {
        let mut object = &mut nulls;
        for name in section {
            object = &mut object[*name];
        }
        for (name, value) in object.as_object_mut().unwrap() {
            if !["ociVersion", "cwd"].contains(&name.as_str()) {
                *value = Value::Null;
            }
        }
        let spec = load(nulls.to_string().as_bytes()).unwrap_or_else(|error| panic!("{section:?}: {error}"));
        assert!(!serde_json::to_string(&spec).unwrap().contains("null"));
    }
}

#[test]
fn unknown_properties_are_ignored() {
    let text = r#"{"ociVersion":"1.0.0","windows":{"x":[1,{"y":null}]},"linux":{"new":1}}"#;
    assert_eq!(load(text.as_bytes()).unwrap(), load(br#"{"ociVersion":"1.0.0"}"#).unwrap());
}

#[test]
fn a_state_comes_back_as_it_was() {
    let text =
        r#"{"ociVersion":"1.3.0","id":"a","status":"running","pid":7,"bundle":"/b","annotations":{"k":"v"}}"#;
    let state: State = load_as(text.as_bytes()).unwrap();
    assert_eq!(serde_json::to_string(&state).unwrap(), text);
}

#[test]
fn features_know_absent_from_empty() {
    let text = r#"{"ociVersionMin":"1.0.0","ociVersionMax":"1.3.0","hooks":[],"linux":{"seccomp":{"enabled":false}}}"#;
    let features: Features = load_as(text.as_bytes()).unwrap();
    assert_eq!(features.hooks, Some(vec![]));
    assert_eq!(features.mount_options, None);
    assert_eq!(serde_json::to_string(&features).unwrap(), text);
}

#[test]
fn the_path_is_that_of_a_parser_that_keeps_books() {
    let everything: Value = serde_json::from_str(EVERYTHING).unwrap();
    let mut compared = 0;
    replace_each(&everything, &mut |wrong, at| {
        for text in [serde_json::to_string(wrong).unwrap(), serde_json::to_string_pretty(wrong).unwrap()] {
            let Err(error) = load(text.as_bytes()) else { continue };
            let mut parser = serde_json::Deserializer::from_str(&text);
            let theirs =
                serde_path_to_error::deserialize::<_, Spec>(&mut parser).unwrap_err().path().to_string();
            let ours = error.path.replace("[\"", ".").replace("\"]", "");
            let theirs = if theirs == "." { String::new() } else { theirs };
            assert_eq!(ours, theirs, "{at}: {error}");
            compared += 1;
        }
    });
    assert!(compared > 500, "{compared}");
}

/// Calls `each` with `document` once for every place in it, with something there that cannot be right.
fn replace_each(document: &Value, each: &mut dyn FnMut(&Value, &str)) {
    fn places(value: &Value, at: String, to: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(name, inner)| places(inner, format!("{at}/{}", name.replace('/', "~1")), to));
            }
            Value::Array(elements) => {
                elements
                    .iter()
                    .enumerate()
                    .for_each(|(index, inner)| places(inner, format!("{at}/{index}"), to));
            }
            _ => {}
        }
        to.push(at);
    }
    let mut all = Vec::new();
    places(document, String::new(), &mut all);
    for at in all {
        for replacement in
            [Value::from(-7.5), Value::from("\u{1F600} wrong"), Value::Array(vec![Value::from(1)])]
        {
            let mut wrong = document.clone();
            *wrong.pointer_mut(&at).unwrap() = replacement;
            each(&wrong, &at);
        }
    }
}

#[test]
fn damaged_documents_are_refused_and_never_panic() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let (mut refused, rounds) = (0, 6000);
    for _ in 0..rounds {
        let mut bytes = EVERYTHING.as_bytes().to_vec();
        for _ in 0..=random.below(3) {
            damage(&mut bytes, &mut random);
        }
        match load(&bytes) {
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "{error}");
                refused += 1;
            }
            Ok(spec) => {
                let again = load(serde_json::to_string(&spec).unwrap().as_bytes()).unwrap();
                assert_eq!(again, spec);
                if let Err(invalid) = validate(spec) {
                    assert!(invalid.problems.iter().all(|problem| !problem.to_string().contains('\n')));
                }
            }
        }
    }
    assert!(refused > rounds / 4 && refused < rounds, "{refused}");
}

#[test]
fn every_beginning_of_a_document_is_refused() {
    for end in 0..EVERYTHING.trim_end().len() {
        let error = load(&EVERYTHING.as_bytes()[..end]).unwrap_err();
        assert!(error.message.starts_with("EOF"), "{end}: {error}");
    }
}

struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Xorshift) {
    const PIECES: [&[u8]; 20] = [
        b"null",
        b"{}",
        b"[]",
        b"\"\"",
        b"-1",
        b"4294967295",
        b"18446744073709551616",
        b"1e9",
        b"\\u0000",
        b"\\ud800",
        b"\\n",
        b"..",
        b"/",
        b"\"",
        b"{",
        b"]",
        b",",
        b":",
        b"\xff",
        b"\"linux\":",
    ];
    let at = random.below(bytes.len());
    match random.below(5) {
        0 => bytes[at] = random.next() as u8,
        1 => {
            let end = (at + 1 + random.below(40)).min(bytes.len());
            bytes.drain(at..end);
        }
        2 => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
        3 => {
            // A number or a word becomes something else.
            let piece = PIECES[random.below(PIECES.len())];
            let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'"' | b'/' | b'.' | b'_');
            let end = at + bytes[at..].iter().take_while(|byte| word(byte)).count();
            let start = at - bytes[..at].iter().rev().take_while(|byte| word(byte)).count();
            bytes.splice(start..end, piece.iter().copied());
        }
        _ => {
            let from = random.below(bytes.len());
            let piece = bytes[from..(from + random.below(60)).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}
