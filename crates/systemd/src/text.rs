//! Values in GVariant's text format, as far as properties of units have them.

use crate::Value;

/// The longest text and the most elements that are read.
const LONGEST: usize = 64 << 10;
const MOST: usize = 1024;

/// Parses a value; the error says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Value, &'static str> {
    if text.len() > LONGEST {
        return Err("the value is too long");
    }
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('@') {
        let (signature, rest) =
            rest.split_once(char::is_whitespace).ok_or("a value is missing after its type")?;
        return typed(signature, rest.trim());
    }
    for (word, signature) in TYPES {
        if let Some(rest) = text.strip_prefix(word).filter(|rest| rest.starts_with(char::is_whitespace)) {
            return typed(signature, rest.trim());
        }
    }
    match text.bytes().next() {
        Some(b'\'' | b'"') => whole_string(text).map(Value::Text),
        Some(b'[') => strings(text).map(Value::Texts),
        Some(b'0'..=b'9' | b'-' | b'+') => typed("i", text),
        _ => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(
                "only true, false, numbers, quoted texts, lists of texts and those with a type before them are understood",
            ),
        },
    }
}

/// GVariant's words for types.
const TYPES: &[(&str, &str)] =
    &[("boolean", "b"), ("int32", "i"), ("uint32", "u"), ("int64", "x"), ("uint64", "t"), ("string", "s")];

fn typed(signature: &str, text: &str) -> Result<Value, &'static str> {
    const NUMBER: &str = "not a number that fits its type";
    Ok(match signature {
        "b" => Value::Bool(match text {
            "true" => true,
            "false" => false,
            _ => return Err("a boolean is true or false"),
        }),
        "i" => Value::I32(number(text).and_then(|it| it.try_into().ok()).ok_or(NUMBER)?),
        "u" => Value::U32(number(text).and_then(|it| it.try_into().ok()).ok_or(NUMBER)?),
        "x" => Value::I64(number(text).and_then(|it| it.try_into().ok()).ok_or(NUMBER)?),
        "t" => Value::U64(number(text).and_then(|it| it.try_into().ok()).ok_or(NUMBER)?),
        "s" => Value::Text(whole_string(text)?),
        "as" => Value::Texts(strings(text)?),
        _ => return Err("values of this type are not understood"),
    })
}

fn number(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    Some(sign * i128::from(magnitude))
}

fn strings(text: &str) -> Result<Vec<String>, &'static str> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or("a list is written as ['a', 'b']")?;
    let mut rest = inner.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        if found.len() == MOST {
            return Err("the list is too long");
        }
        let (string, after) = string(rest)?;
        found.push(string);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) if !next.trim().is_empty() => next.trim_start(),
            None if after.is_empty() => after,
            _ => return Err("elements of a list are separated by one comma each"),
        };
    }
    Ok(found)
}

fn whole_string(text: &str) -> Result<String, &'static str> {
    match string(text)? {
        (string, "") => Ok(string),
        _ => Err("there is something after the closing quote"),
    }
}

/// A quoted text at the beginning, and what follows.
fn string(text: &str) -> Result<(String, &str), &'static str> {
    let mut characters = text.char_indices();
    let quote = match characters.next() {
        Some((_, quote @ ('\'' | '"'))) => quote,
        _ => return Err("a text is written in quotes"),
    };
    let mut string = String::new();
    while let Some((at, character)) = characters.next() {
        match character {
            '\0' => return Err("a text has no NUL"),
            '\\' => match characters.next() {
                Some((_, 'n')) => string.push('\n'),
                Some((_, 't')) => string.push('\t'),
                Some((_, other @ ('\\' | '\'' | '"'))) => string.push(other),
                _ => return Err("this escape is not understood"),
            },
            _ if character == quote => return Ok((string, &text[at + quote.len_utf8()..])),
            other => string.push(other),
        }
    }
    Err("the closing quote is missing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_their_type() {
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("-5", Value::I32(-5)),
            ("uint32 0x10", Value::U32(16)),
            ("@t 18446744073709551615", Value::U64(u64::MAX)),
            ("int64 -9223372036854775808", Value::I64(i64::MIN)),
            (r"'it\'s'", Value::Text("it's".into())),
            ("\"a\"", Value::Text("a".into())),
            ("@as []", Value::Texts(vec![])),
            ("['a','b' ]", Value::Texts(vec!["a".into(), "b".into()])),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "yes",
            "'a",
            "'a'b",
            "['a' 'b']",
            "['a',]",
            "[",
            "uint32 -1",
            "int32 2147483648",
            "@a{sv} {}",
            "@t",
            "1e3",
            "'\0'",
            "(1,2)",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
