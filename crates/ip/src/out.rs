//! What is printed: text or JSON from the same calls, in iproute2's layout.
//!
//! [`Out::field`] is the one to read: a value with its JSON key and its text. Everything is collected and written at
//! once, so that a long list costs one write.

use std::fmt::{Arguments, Write as _};
use std::io::Write as _;

use crate::options::{Color, Options};

/// A JSON value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Signed(i64),
    Unsigned(u64),
    Text(&'a str),
    Bool(bool),
    Null,
    /// A number that is written already.
    Number(&'a str),
}

macro_rules! value_from {
    ($($kind:ty => $variant:ident),*) => {
        $(impl From<$kind> for Value<'_> {
            fn from(value: $kind) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
value_from!(i32 => Signed, u8 => Unsigned, u16 => Unsigned, u32 => Unsigned, u64 => Unsigned, bool => Bool);

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

/// What a color stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Name,
    Mac,
    Inet,
    Inet6,
    Up,
    Down,
    None,
}

/// The output of one command.
#[derive(Debug)]
pub(crate) struct Out {
    buffer: String,
    /// JSON is asked for.
    json: bool,
    pretty: bool,
    /// Between [`Out::begin`] and [`Out::end`] of a command that has JSON.
    in_json: bool,
    one_line: bool,
    ink: Option<Background>,
    depth: usize,
    comma: bool,
}

#[derive(Debug, Clone, Copy)]
enum Background {
    Light,
    Dark,
}

impl Out {
    pub(crate) fn new(options: &Options) -> Self {
        let wanted = match options.color {
            Color::Never => false,
            Color::Auto => rustix::termios::isatty(std::io::stdout()),
            Color::Always => true,
        };
        Self {
            buffer: String::new(),
            json: options.json,
            pretty: options.pretty,
            in_json: false,
            one_line: options.one_line,
            ink: (wanted && !options.json).then(background),
            depth: 0,
            comma: false,
        }
    }

    /// Whether JSON is written now.
    pub(crate) fn is_json(&self) -> bool {
        self.in_json
    }

    /// The list of a command's answers begins.
    pub(crate) fn begin(&mut self) {
        if self.json {
            self.in_json = true;
            self.array_start();
        }
    }

    /// The list of a command's answers ends.
    pub(crate) fn end(&mut self) {
        if self.in_json {
            self.array_end();
            self.buffer.push('\n');
            self.in_json = false;
            self.comma = false;
        }
    }

    /// Text, when JSON is not written.
    pub(crate) fn text(&mut self, text: Arguments<'_>) {
        if !self.in_json {
            let _ = self.buffer.write_fmt(text);
        }
    }

    /// The end of a line within one answer: a backslash with `-o`.
    pub(crate) fn line(&mut self) {
        if !self.in_json {
            self.buffer.push(if self.one_line { '\\' } else { '\n' });
        }
    }

    /// A value under `key` in JSON, or `text`.
    pub(crate) fn field<'v>(&mut self, key: &str, value: impl Into<Value<'v>>, text: Arguments<'_>) {
        if self.in_json {
            self.name(key);
            self.value(value.into());
        } else {
            let _ = self.buffer.write_fmt(text);
        }
    }

    /// A value in JSON only.
    pub(crate) fn json<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) {
        if self.in_json {
            self.name(key);
            self.value(value.into());
        }
    }

    /// A value without a key, in an array, or `text`.
    pub(crate) fn item<'v>(&mut self, value: impl Into<Value<'v>>, text: Arguments<'_>) {
        if self.in_json {
            self.value(value.into());
        } else {
            let _ = self.buffer.write_fmt(text);
        }
    }

    /// As [`Out::field`], with the text in color.
    pub(crate) fn inked<'v>(
        &mut self,
        ink: Ink,
        key: &str,
        value: impl Into<Value<'v>>,
        text: Arguments<'_>,
    ) {
        if self.in_json {
            self.name(key);
            self.value(value.into());
        } else {
            self.ink(ink, text);
        }
    }

    /// Text in color, when JSON is not written.
    pub(crate) fn ink(&mut self, ink: Ink, text: Arguments<'_>) {
        if self.in_json {
            return;
        }
        let Some(code) = self.ink.and_then(|background| code(ink, background)) else {
            let _ = self.buffer.write_fmt(text);
            return;
        };
        let _ = write!(self.buffer, "\x1b[{code}m{text}\x1b[0m");
    }

    /// Begins an object, under `key` inside of another.
    pub(crate) fn object(&mut self, key: Option<&str>) {
        if self.in_json {
            if let Some(key) = key {
                self.name(key);
            }
            self.separate();
            self.buffer.push('{');
            self.depth += 1;
            self.comma = false;
        }
    }

    /// Ends an object.
    pub(crate) fn object_end(&mut self) {
        if self.in_json {
            self.close('}');
        }
    }

    /// Begins an array under `key`, or writes `text`.
    pub(crate) fn array(&mut self, key: &str, text: &str) {
        if self.in_json {
            self.name(key);
            self.array_start();
        } else {
            self.buffer.push_str(text);
        }
    }

    /// Ends an array, or writes `text`.
    pub(crate) fn close_array(&mut self, text: &str) {
        if self.in_json {
            self.array_end();
        } else {
            self.buffer.push_str(text);
        }
    }

    /// Writes what there is to standard output. A reader that has gone is no failure.
    pub(crate) fn flush(&mut self) {
        let _ = std::io::stdout().lock().write_all(self.buffer.as_bytes());
        let _ = std::io::stdout().lock().flush();
        self.buffer.clear();
    }

    fn name(&mut self, key: &str) {
        self.separate();
        self.new_line();
        self.comma = false;
        self.quoted(key);
        self.buffer.push(':');
        if self.pretty {
            self.buffer.push(' ');
        }
    }

    fn value(&mut self, value: Value<'_>) {
        self.separate();
        let _ = match value {
            Value::Signed(number) => write!(self.buffer, "{number}"),
            Value::Unsigned(number) => write!(self.buffer, "{number}"),
            Value::Bool(value) => write!(self.buffer, "{value}"),
            Value::Null => write!(self.buffer, "null"),
            Value::Number(number) => write!(self.buffer, "{number}"),
            Value::Text(text) => {
                self.quoted(text);
                Ok(())
            }
        };
    }

    fn array_start(&mut self) {
        self.separate();
        self.buffer.push('[');
        self.depth += 1;
        self.comma = false;
        if self.pretty {
            self.buffer.push(' ');
        }
    }

    fn array_end(&mut self) {
        if self.pretty && self.comma {
            self.buffer.push(' ');
        }
        self.comma = false;
        self.close(']');
    }

    fn close(&mut self, bracket: char) {
        self.depth = self.depth.saturating_sub(1);
        if self.comma {
            self.new_line();
        }
        self.buffer.push(bracket);
        self.comma = true;
    }

    fn separate(&mut self) {
        if self.comma {
            self.buffer.push(',');
        }
        self.comma = true;
    }

    fn new_line(&mut self) {
        if self.pretty {
            self.buffer.push('\n');
            for _ in 0..self.depth {
                self.buffer.push_str("    ");
            }
        }
    }

    fn quoted(&mut self, text: &str) {
        self.buffer.push('"');
        for character in text.chars() {
            match character {
                '\t' => self.buffer.push_str("\\t"),
                '\n' => self.buffer.push_str("\\n"),
                '\r' => self.buffer.push_str("\\r"),
                '\u{c}' => self.buffer.push_str("\\f"),
                '\u{8}' => self.buffer.push_str("\\b"),
                '\\' => self.buffer.push_str("\\\\"),
                '"' => self.buffer.push_str("\\\""),
                other => self.buffer.push(other),
            }
        }
        self.buffer.push('"');
    }
}

/// `COLORFGBG` names a dark background by a number of 0 to 6 or 8 behind the last semicolon.
fn background() -> Background {
    let value = std::env::var("COLORFGBG").unwrap_or_default();
    match value.rsplit_once(';') {
        Some((_, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "8")) => Background::Dark,
        _ => Background::Light,
    }
}

fn code(ink: Ink, background: Background) -> Option<&'static str> {
    let (light, dark) = match ink {
        Ink::Name => ("36", "1;36"),
        Ink::Mac => ("33", "1;33"),
        Ink::Inet => ("35", "1;35"),
        Ink::Inet6 => ("34", "1;34"),
        Ink::Up => ("32", "1;32"),
        Ink::Down => ("31", "1;31"),
        Ink::None => return None,
    };
    Some(match background {
        Background::Light => light,
        Background::Dark => dark,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn sample(options: &Options) -> String {
        let mut out = Out::new(options);
        out.begin();
        out.object(None);
        out.field("ifname", "l\"o", format_args!("lo: "));
        out.array("flags", "<");
        out.item("UP", format_args!("UP"));
        out.item("LOWER_UP", format_args!(",LOWER_UP"));
        out.close_array("> ");
        out.array("none", "");
        out.close_array("");
        out.json("link", Value::Null);
        out.line();
        out.field("mtu", 5u32, format_args!("mtu 5"));
        out.object_end();
        out.object(None);
        out.object_end();
        out.text(format_args!("\n"));
        out.end();
        out.buffer
    }

    #[test]
    fn text_and_json_come_from_the_same_calls() {
        let text = Options::default();
        let one_line = Options { one_line: true, ..Options::default() };
        let json = Options { json: true, ..Options::default() };
        let pretty = Options { json: true, pretty: true, ..Options::default() };
        expect![[r#"
            lo: <UP,LOWER_UP> 
            mtu 5
            lo: <UP,LOWER_UP> \mtu 5
            [{"ifname":"l\"o","flags":["UP","LOWER_UP"],"none":[],"link":null,"mtu":5},{}]
            [ {
                    "ifname": "l\"o",
                    "flags": [ "UP","LOWER_UP" ],
                    "none": [ ],
                    "link": null,
                    "mtu": 5
                },{} ]
        "#]]
        .assert_eq(&[text, one_line, json, pretty].map(|options| sample(&options)).concat());
    }
}
