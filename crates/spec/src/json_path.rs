//! Which property of a JSON text a position is in.
//!
//! [`at`] walks the text up to the position and keeps the names it is below. It runs only after a parser has
//! refused the text, so it takes the text as it comes and never fails.

use std::fmt;

/// The path of the property that ends at, or holds, the given position: `linux.namespaces[2].type`. `line` counts
/// from 1, `column` is the number of bytes of that line that were read.
pub(crate) fn at(bytes: &[u8], line: usize, column: usize) -> String {
    let start = match line {
        0 | 1 => 0,
        _ => bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(line - 2)
            .map_or(0, |(at, _)| at + 1),
    };
    let read = &bytes[..bytes.len().min(start + column)];
    render(&levels(read))
}

/// One object or array that is open, and where in it the walk is.
enum Level<'t> {
    /// In an object; the member's name, as it stands between the quotes.
    Object(Option<&'t [u8]>),
    /// In an array; the element's index.
    Array(usize),
}

/// The objects and arrays that are open after `read`. What `read` ends with counts as not yet left, since an
/// error in it is noticed at its end.
fn levels(read: &[u8]) -> Vec<Level<'_>> {
    let mut levels = Vec::new();
    let mut name_comes = false;
    let mut at = 0;
    while at < read.len() {
        match read[at] {
            b'{' => {
                levels.push(Level::Object(None));
                name_comes = true;
            }
            b'[' => {
                levels.push(Level::Array(0));
                name_comes = false;
            }
            b'}' | b']' => {
                levels.pop();
                name_comes = false;
            }
            b',' => match levels.last_mut() {
                Some(Level::Object(_)) => name_comes = true,
                Some(Level::Array(index)) => *index += 1,
                None => {}
            },
            b'"' => {
                let end = string_end(read, at + 1);
                if name_comes && let Some(Level::Object(name)) = levels.last_mut() {
                    *name = Some(&read[at + 1..end]);
                    name_comes = false;
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    levels
}

/// Where the string that starts at `from` has its closing quote, or the text its end.
fn string_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < text.len() {
        match text[at] {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The path; what is nested more deeply than any document here is cut off.
fn render(levels: &[Level<'_>]) -> String {
    const MOST: usize = 24;
    let mut path = String::new();
    for level in levels.iter().take(MOST) {
        match level {
            Level::Object(Some(name)) => path.push_str(&Key(&String::from_utf8_lossy(name)).to_string()),
            Level::Object(None) => {}
            Level::Array(index) => path.push_str(&format!("[{index}]")),
        }
    }
    if levels.len() > MOST {
        path.push('…');
    }
    if path.starts_with('.') {
        path.remove(0);
    }
    one_line(path)
}

/// A member's name as the next step of a path: `.name`, or in brackets and quotes when it is not a plain word.
pub(crate) struct Key<'n>(pub(crate) &'n str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !self.0.is_empty() && self.0.bytes().all(word) {
            write!(f, ".{}", self.0)
        } else {
            write!(f, "[{:?}]", self.0)
        }
    }
}

/// `text`, which quotes a document, on one line and not longer than a few of them.
pub(crate) fn one_line(text: String) -> String {
    const MOST: usize = 600;
    if text.len() <= MOST && !text.contains(char::is_control) {
        return text;
    }
    let mut line: String = text
        .chars()
        .take(MOST)
        .flat_map(|character| {
            let (plain, escaped) = if character.is_control() {
                (None, Some(character.escape_default()))
            } else {
                (Some(character), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect();
    if text.chars().nth(MOST).is_some() {
        line.push('…');
    }
    line
}
