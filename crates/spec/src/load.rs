//! From bytes to a document, or to the place in the bytes that is wrong.
//!
//! [`load`] reads a configuration, [`load_as`] any other document. A document is parsed once and without
//! bookkeeping; only when that fails is the property at fault looked up, from the position of the error.

use crate::config::Spec;
use crate::json_path;
use crate::validate::find_nul;
use report::{Explain, Kind};
use serde::de::DeserializeOwned;

/// The document cannot be read as what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{}{message}{}", prefix(.path), position(*.line, *.column))]
pub struct LoadError {
    /// The property at fault, such as `linux.namespaces[2].type`; empty when it is the document itself.
    pub path: String,
    /// What is wrong, on one line.
    pub message: String,
    /// The line in which the parser stopped, from 1; 0 when it did not stop and the path says it all.
    pub line: usize,
    /// The byte of that line, from 1.
    pub column: usize,
}

fn prefix(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}

fn position(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(" (line {line}, column {column})") }
}

impl Explain for LoadError {
    fn kind(&self) -> Kind {
        Kind::InvalidInput
    }
}

/// Reads a configuration.
///
/// ```
/// let error = spec::load(br#"{"ociVersion": "1.3.0", "linux": {"namespaces": [{"type": "foo"}]}}"#).unwrap_err();
/// assert_eq!(error.path, "linux.namespaces[0].type");
/// assert!(error.message.starts_with("unknown variant `foo`, expected one of `pid`, `network`"));
/// ```
///
/// # Errors
/// [`LoadError`] for what is not JSON, has the wrong type, an unknown value or a property twice, lacks a
/// required property or has a NUL byte where the kernel would end the string.
pub fn load(bytes: &[u8]) -> Result<Spec, LoadError> {
    let spec = load_as(bytes)?;
    let mut at = None;
    find_nul(&spec, &mut |path, _| {
        at.get_or_insert_with(|| path.to_string());
    });
    match at {
        None => Ok(spec),
        Some(path) => Err(LoadError {
            path: json_path::one_line(path),
            message: "holds a NUL byte, which would end it for the kernel".to_owned(),
            line: 0,
            column: 0,
        }),
    }
}

/// Reads any of the documents of this crate.
pub fn load_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, LoadError> {
    // All of it at once, which is quicker than string by string.
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text).map_err(|error| at_its_place(bytes, &error)),
        Err(error) => Err(not_text(bytes, &error)),
    }
}

/// The error of a document that is not UTF-8, with the string at fault.
fn not_text(bytes: &[u8], error: &std::str::Utf8Error) -> LoadError {
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Err(error) => at_its_place(bytes, &error),
        // Not to be expected: the parser takes no other text.
        Ok(_) => LoadError { path: String::new(), message: error.to_string(), line: 0, column: 0 },
    }
}

/// `error` with the property it is about.
fn at_its_place(bytes: &[u8], error: &serde_json::Error) -> LoadError {
    let (line, column) = (error.line(), error.column());
    let mut message = error.to_string();
    let position = format!(" at line {line} column {column}");
    if message.ends_with(&position) {
        message.truncate(message.len() - position.len());
    }
    let path = json_path::at(bytes, line, column);
    let message = match known_words(&path).filter(|_| error.is_data()) {
        Some(words) => format!("{words}: {}", in_words_of_json(&message)),
        None => in_words_of_json(&message),
    };
    LoadError { path, message: json_path::one_line(message), line, column }
}

/// Words by which callers of other runtimes know what is wrong with a property.
fn known_words(path: &str) -> Option<&'static str> {
    let rest = path.strip_prefix("linux.memoryPolicy")?;
    Some(if rest.starts_with(".flags") { "invalid memory policy flag" } else { "invalid memory policy mode" })
}

/// The message without the names of our types: `expected struct Spec` is an object to who reads it.
fn in_words_of_json(message: &str) -> String {
    let Some((before, behind)) = message.split_once("expected struct ") else { return message.to_owned() };
    let name = behind.find(|byte: char| !byte.is_alphanumeric() && byte != '_').unwrap_or(behind.len());
    format!("{before}expected an object{}", &behind[name..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_no_object() {
        for (text, path) in [
            (r#"[]"#, ""),
            (r#"{"ociVersion":"1.3.0","linux":[]}"#, "linux"),
            (r#"{"ociVersion":"1.3.0","mounts":[["/"]]}"#, "mounts[0]"),
            (r#"{"ociVersion":"1.3.0","linux":{"resources":{"memory":[]}}}"#, "linux.resources.memory"),
        ] {
            let error = load(text.as_bytes()).unwrap_err();
            assert_eq!(error.path, path, "{error}");
            assert!(error.message.starts_with("invalid type: sequence, expected an object"), "{error}");
        }
    }
}
