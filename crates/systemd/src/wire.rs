//! D-Bus messages as bytes (the D-Bus specification, "Message Protocol"): calls are written, replies and signals read.
//!
//! A call is written in this machine's byte order; [`Message::parse`] reads both orders. Whatever is read is bounded and checked:
//! a length that does not fit is an error, never a panic and never an allocation of its size.

use crate::Property;
use crate::property::Value;

/// The longest message that is read, in bytes. systemd's answers to what we ask have some hundred.
pub const LONGEST: usize = 1 << 20;
/// Bytes of a header before its variable part.
pub const FIXED: usize = 16;

const METHOD_CALL: u8 = 1;
/// A call's flag: do not start the service, it is there or not.
const NO_AUTO_START: u8 = 2;

/// A method call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) destination: &'a str,
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) member: &'a str,
}

impl Call<'_> {
    /// The whole message. `body` was written for `signature`.
    pub(crate) fn message(&self, serial: u32, signature: &str, body: &[u8]) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes.extend([
            if cfg!(target_endian = "little") { b'l' } else { b'B' },
            METHOD_CALL,
            NO_AUTO_START,
            1,
        ]);
        out.u32(body.len() as u32);
        out.u32(serial);
        out.array(8, |out| {
            for (code, kind, text) in [
                (1, "o", self.path),
                (2, "s", self.interface),
                (3, "s", self.member),
                (6, "s", self.destination),
                (8, "g", signature),
            ] {
                if text.is_empty() {
                    continue;
                }
                out.align(8);
                out.bytes.push(code);
                out.signature(kind);
                if kind == "g" { out.signature(text) } else { out.text(text) }
            }
        });
        out.align(8);
        out.bytes.extend(body);
        out.bytes
    }
}

/// Writes values with their alignment.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_ne_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_ne_bytes());
    }

    /// `b`
    pub(crate) fn boolean(&mut self, value: bool) {
        self.u32(value.into());
    }

    /// `s` or `o`. A NUL would end the text early: nobody hands one in, as names and values are checked before.
    pub(crate) fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend(text.bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.bytes.push(text.len() as u8);
        self.bytes.extend(text.bytes());
        self.bytes.push(0);
    }

    /// An array whose elements are aligned to `align`; its length does not count the padding before the first.
    fn array(&mut self, align: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(align);
        let begin = self.bytes.len();
        elements(self);
        let length = (self.bytes.len() - begin) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// `a(sv)`
    pub(crate) fn properties(&mut self, properties: &[Property]) {
        self.array(8, |out| {
            for property in properties {
                out.align(8);
                out.text(&property.name);
                out.signature(property.value.signature());
                out.value(&property.value);
            }
        });
    }

    /// `a(sa(sv))`, empty.
    pub(crate) fn no_auxiliary_units(&mut self) {
        self.array(8, |_| ());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.boolean(*value),
            Value::I32(value) => self.u32(value.cast_unsigned()),
            Value::U32(value) => self.u32(*value),
            Value::I64(value) => self.u64(value.cast_unsigned()),
            Value::U64(value) => self.u64(*value),
            Value::Text(text) => self.text(text),
            Value::Texts(texts) => self.array(4, |out| texts.iter().for_each(|text| out.text(text))),
            Value::Bytes(bytes) => self.array(1, |out| out.bytes.extend(bytes)),
            Value::Numbers(numbers) => {
                self.array(4, |out| numbers.iter().for_each(|number| out.u32(*number)))
            }
            Value::Pairs(pairs) => self.array(8, |out| {
                for (first, second) in pairs {
                    out.align(8);
                    out.text(first);
                    out.text(second);
                }
            }),
            Value::Amounts(amounts) => self.array(8, |out| {
                for (name, amount) in amounts {
                    out.align(8);
                    out.text(name);
                    out.u64(*amount);
                }
            }),
        }
    }
}

/// What sort of message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The answer to a call.
    Return,
    /// A call's error.
    Error,
    /// Something that happened.
    Signal,
    /// What nobody here has use for.
    Other,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its sort.
    pub sort: Sort,
    /// The call that it answers; 0 for signals.
    pub answers: u32,
    /// A signal's name.
    pub member: String,
    /// An error's name.
    pub error: String,
    /// The types of the body.
    pub signature: String,
    body: Vec<u8>,
    swapped: bool,
}

/// How long a message is, from its first [`FIXED`] bytes.
///
/// # Errors
/// When they are no header, or one of a message longer than [`LONGEST`].
pub fn length(fixed: &[u8; FIXED]) -> Result<usize, &'static str> {
    let mut reader = Reader::new(fixed, is_swapped(fixed[0])?);
    reader.at = 4;
    let (body, _serial, fields) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let fields = (fields as usize).checked_next_multiple_of(8).ok_or(TOO_LONG)?;
    let length = FIXED.checked_add(fields).and_then(|length| length.checked_add(body as usize));
    length.filter(|length| *length <= LONGEST).ok_or(TOO_LONG)
}

const TOO_LONG: &str = "a message is too long";
const SHORT: &str = "a message ends before it should";

fn is_swapped(order: u8) -> Result<bool, &'static str> {
    match order {
        b'l' => Ok(cfg!(target_endian = "big")),
        b'B' => Ok(cfg!(target_endian = "little")),
        _ => Err("a message has no byte order"),
    }
}

impl Message {
    /// Reads a whole message.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let fixed = bytes.first_chunk::<FIXED>().ok_or(SHORT)?;
        if length(fixed)? != bytes.len() {
            return Err("a message has another length than it says");
        }
        if fixed[3] != 1 {
            return Err("a message is of another version of D-Bus");
        }
        let swapped = is_swapped(fixed[0])?;
        let mut reader = Reader::new(bytes, swapped);
        reader.at = 4;
        let (body, _serial, fields) = (reader.u32()? as usize, reader.u32()?, reader.u32()? as usize);
        let mut message = Self {
            sort: match fixed[1] {
                2 => Sort::Return,
                3 => Sort::Error,
                4 => Sort::Signal,
                _ => Sort::Other,
            },
            answers: 0,
            member: String::new(),
            error: String::new(),
            signature: String::new(),
            body: bytes[bytes.len() - body..].to_vec(),
            swapped,
        };
        let end = FIXED + fields;
        while reader.at < end {
            reader.align(8)?;
            let code = reader.byte()?;
            let kind = reader.signature()?;
            match (code, kind.as_str()) {
                (3, "s") => message.member = reader.text()?,
                (4, "s") => message.error = reader.text()?,
                (5, "u") => message.answers = reader.u32()?,
                (8, "g") => message.signature = reader.signature()?,
                (_, "s" | "o") => drop(reader.text()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.u32()?),
                _ => return Err("a header's field has a type that none has"),
            }
            if reader.at > end {
                return Err("a header's field is longer than the header");
            }
        }
        Ok(message)
    }

    /// The texts of a body that begins with texts and object paths, numbers among them left out: `uoss` of a job that ended gives
    /// the job's path, the unit and the result.
    ///
    /// # Errors
    /// When the body is shorter than its types say.
    pub fn texts(&self) -> Result<Vec<String>, &'static str> {
        let mut reader = Reader::new(&self.body, self.swapped);
        let mut found = Vec::new();
        for kind in self.signature.chars() {
            match kind {
                's' | 'o' => found.push(reader.text()?),
                'u' | 'i' | 'b' => drop(reader.u32()?),
                _ => break,
            }
        }
        Ok(found)
    }

    /// The text in a body that is a variant with one.
    ///
    /// # Errors
    /// When it is something else.
    pub fn variant_text(&self) -> Result<String, &'static str> {
        let mut reader = Reader::new(&self.body, self.swapped);
        match (self.signature.as_str(), reader.signature()?.as_str()) {
            ("v", "s" | "o") => reader.text(),
            _ => Err("a property is not a text"),
        }
    }
}

/// Reads values with their alignment, never beyond the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    swapped: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], swapped: bool) -> Self {
        Self { bytes, at: 0, swapped }
    }

    fn align(&mut self, to: usize) -> Result<(), &'static str> {
        let aligned = self.at.next_multiple_of(to);
        self.take(aligned - self.at).map(drop)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let end = self.at.checked_add(count).ok_or(SHORT)?;
        let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        self.align(4)?;
        let bytes = self.take(4)?.first_chunk::<4>().ok_or(SHORT)?;
        let value = u32::from_ne_bytes(*bytes);
        Ok(if self.swapped { value.swap_bytes() } else { value })
    }

    fn text(&mut self) -> Result<String, &'static str> {
        let length = self.u32()? as usize;
        self.terminated(length)
    }

    fn signature(&mut self) -> Result<String, &'static str> {
        let length = self.byte()?;
        self.terminated(length.into())
    }

    fn terminated(&mut self, length: usize) -> Result<String, &'static str> {
        let text = self.take(length)?;
        if self.byte()? != 0 {
            return Err("a text has no end");
        }
        Ok(str::from_utf8(text).map_err(|_| "a text is not UTF-8")?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const CALL: Call<'_> = Call { destination: "a.b", path: "/a", interface: "a.b.C", member: "D" };

    fn dump(bytes: &[u8]) -> String {
        let line =
            |chunk: &[u8]| chunk.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        bytes.chunks(8).map(|chunk| line(chunk) + "\n").collect()
    }

    /// An answer as systemd's bus sends it, in either byte order.
    fn answer(order: u8, signature: &str, body: &[u8]) -> Vec<u8> {
        let number = |value: u32| if order == b'l' { value.to_le_bytes() } else { value.to_be_bytes() };
        let mut fields = vec![5, 1, b'u', 0];
        fields.extend(number(7));
        fields.extend([8, 1, b'g', 0, signature.len() as u8]);
        fields.extend(signature.bytes());
        fields.push(0);
        let mut bytes = vec![order, 2, 1, 1];
        bytes.extend(number(body.len() as u32));
        bytes.extend(number(1));
        bytes.extend(number(fields.len() as u32));
        bytes.extend(&fields);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(body);
        bytes
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_call_is_laid_out_as_the_specification_says() {
        let mut body = Writer::default();
        body.text("x");
        body.properties(&[Property::new("N", Value::U64(5)), Property::new("M", Value::Numbers(vec![9]))]);
        expect![[r#"
            6c 01 02 01 3c 00 00 00
            03 00 00 00 4c 00 00 00
            01 01 6f 00 02 00 00 00
            2f 61 00 00 00 00 00 00
            02 01 73 00 05 00 00 00
            61 2e 62 2e 43 00 00 00
            03 01 73 00 01 00 00 00
            44 00 00 00 00 00 00 00
            06 01 73 00 03 00 00 00
            61 2e 62 00 00 00 00 00
            08 01 67 00 06 73 61 28
            73 76 29 00 00 00 00 00
        "#]]
        .assert_eq(&{
            // The header is compared here, the body below.
            let message = CALL.message(3, "sa(sv)", &body.bytes);
            dump(&message[..message.len() - body.bytes.len()])
        });
        expect![[r#"
            01 00 00 00 78 00 00 00
            2c 00 00 00 00 00 00 00
            01 00 00 00 4e 00 01 74
            00 00 00 00 00 00 00 00
            05 00 00 00 00 00 00 00
            01 00 00 00 4d 00 02 61
            75 00 00 00 04 00 00 00
            09 00 00 00
        "#]]
        .assert_eq(&dump(&body.bytes));
    }

    #[test]
    fn answers_of_both_byte_orders_are_read() {
        for (order, length) in [(b'l', 3u32.to_le_bytes()), (b'B', 3u32.to_be_bytes())] {
            let mut body = length.to_vec();
            body.extend(b"/jo\0");
            let message = Message::parse(&answer(order, "o", &body)).unwrap();
            assert_eq!((message.sort, message.answers), (Sort::Return, 7));
            assert_eq!(message.texts().unwrap(), ["/jo"]);
        }
    }

    #[test]
    fn a_call_of_ours_is_a_message_too() {
        let mut body = Writer::default();
        body.text("unit");
        let bytes = CALL.message(9, "s", &body.bytes);
        assert_eq!(length(bytes.first_chunk().unwrap()), Ok(bytes.len()));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.sort, message.member.as_str(), message.signature.as_str()),
            (Sort::Other, "D", "s")
        );
        assert_eq!(message.texts().unwrap(), ["unit"]);
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let good = answer(b'l', "uoss", b"\x01\0\0\0\x02\0\0\0/j\0\0\x01\0\0\0u\0\0\0\x04\0\0\0done\0");
        assert_eq!(Message::parse(&good).unwrap().texts().unwrap(), ["/j", "u", "done"]);
        for length in 0..good.len() {
            assert!(Message::parse(&good[..length]).is_err());
        }
        for at in 0..good.len() {
            for value in [0, 1, 7, 0x7f, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                if let Ok(message) = Message::parse(&bytes) {
                    let _ = (message.texts(), message.variant_text());
                }
            }
        }
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_it_is_read() {
        let mut fixed = [0; FIXED];
        fixed[0] = b'l';
        fixed[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(length(&fixed), Err(TOO_LONG));
        fixed[12..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(length(&fixed), Err(TOO_LONG));
    }
}
