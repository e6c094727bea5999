//! The words of a command, and how iproute2 reads them: keywords may be cut short, values follow them.

use std::cell::Cell;

use crate::fail::Fail;

/// Whether `word` is `keyword` or its beginning, as iproute2 takes abbreviations.
pub(crate) fn short(word: &str, keyword: &str) -> bool {
    !word.is_empty() && keyword.starts_with(word)
}

/// The words that are left. Reading is shared, so that a part of a command can be handed to another parser.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    list: &'a [String],
    at: Cell<usize>,
}

impl<'a> Words<'a> {
    pub(crate) fn new(list: &'a [String]) -> Self {
        Self { list, at: Cell::new(0) }
    }

    /// The next word, which stays.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.list.get(self.at.get()).map(String::as_str)
    }

    /// The next word.
    pub(crate) fn next(&self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at.set(self.at.get() + 1);
        Some(word)
    }

    /// The word that belongs to the keyword before it.
    pub(crate) fn value(&self) -> Result<&'a str, Fail> {
        let keyword = self.at.get().checked_sub(1).and_then(|at| self.list.get(at));
        self.next().ok_or_else(|| match keyword {
            Some(keyword) => Fail::wrong(format!("the command ends after `{keyword}`, which takes a value")),
            None => Fail::wrong("the command is not complete"),
        })
    }

    /// The words that are left.
    pub(crate) fn rest(&self) -> &'a [String] {
        self.list.get(self.at.get()..).unwrap_or_default()
    }

    /// How many words there are.
    pub(crate) fn left(&self) -> usize {
        self.rest().len()
    }
}

/// The value of `keyword` is not what it should be.
pub(crate) fn invalid(keyword: &str, word: &str, expected: &str) -> Fail {
    Fail::wrong(format!("`{keyword}` takes {expected}, not `{word}`"))
}

/// A keyword that stands twice.
pub(crate) fn twice(keyword: &str, word: &str) -> Fail {
    Fail::wrong(format!("`{keyword}` stands twice, the second time with `{word}`"))
}

/// A number as strtoul(3) reads it with base 0: decimal, 0x… or 0….
pub(crate) fn number(word: &str) -> Option<u64> {
    let digits = |text: &str, base| {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .then(|| u64::from_str_radix(text, base).ok())
            .flatten()
    };
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return digits(hex, 16);
    }
    match word.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => digits(octal, 8),
        _ => digits(word, 10),
    }
}

macro_rules! bounded {
    ($($name:ident $kind:ty, $words:literal;)*) => {
        $(
            /// The value of `keyword`, within the bounds of its type.
            pub(crate) fn $name(keyword: &str, word: &str) -> Result<$kind, Fail> {
                number(word)
                    .and_then(|number| <$kind>::try_from(number).ok())
                    .ok_or_else(|| invalid(keyword, word, concat!("a number of ", $words)))
            }
        )*
    };
}
bounded! {
    u8 u8, "0 to 255";
    u16 u16, "0 to 65535";
    u32 u32, "0 to 4294967295";
    u64 u64, "64 bits";
    positive i32, "0 to 2147483647";
}

/// `on` or `off`.
pub(crate) fn on_off(keyword: &str, word: &str) -> Result<bool, Fail> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(invalid(keyword, word, "`on` or `off`").status(crate::fail::IMPOSSIBLE)),
    }
}

/// A name that an interface can have (dev_valid_name() in the kernel).
pub(crate) fn interface_name<'a>(keyword: &str, word: &'a str) -> Result<&'a str, Fail> {
    let valid = !word.is_empty()
        && word.len() < 16
        && word != "."
        && word != ".."
        && !word.contains(|character: char| character == '/' || character.is_ascii_whitespace());
    if valid {
        Ok(word)
    } else {
        Err(invalid(keyword, word, "an interface's name (1 to 15 bytes, without `/` and blanks)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_may_be_cut_short_but_not_to_nothing() {
        assert!(short("a", "address") && short("address", "address"));
        assert!(!short("", "address") && !short("addresses", "address") && !short("b", "address"));
    }

    #[test]
    fn numbers_are_decimal_hexadecimal_or_octal() {
        let read = ["0", "10", "0x1F", "010", "", "0x", "08", "-1", "+1", " 1", "1k", "18446744073709551616"];
        assert_eq!(
            read.map(number),
            [Some(0), Some(10), Some(31), Some(8), None, None, None, None, None, None, None, None]
        );
    }

    #[test]
    fn a_keyword_without_its_value_is_named() {
        let list = ["mtu".to_owned()];
        let words = Words::new(&list);
        assert_eq!(words.next(), Some("mtu"));
        assert_eq!(
            words.value().unwrap_err().to_string(),
            "the command ends after `mtu`, which takes a value"
        );
    }

    #[test]
    fn a_name_that_no_interface_can_have_is_refused() {
        for name in ["", ".", "..", "a/b", "a b", "sixteencharacter"] {
            assert!(interface_name("dev", name).is_err(), "{name}");
        }
        assert!(interface_name("dev", "fifteencharacte").is_ok());
    }
}
