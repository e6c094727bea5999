//! A launch program in bytes: how the engine writes it and how the stage reads it.
//!
//! [`Writer`] collects operations, texts and slots and ends in [`Program`]; [`Reader`] finds them again in a mapped
//! [`Image`], checking every offset. The layout: eight words of header, texts and tables, operations of eight words each, the
//! numbers of inherited descriptors, and a zero byte.

use sys::raw::Image;

use crate::ops::{ARGUMENTS, Op};

/// The first word: "holm" and the version of this layout.
const MAGIC: u64 = 0x686f_6c6d_0000_0001;
const OP_WORDS: usize = ARGUMENTS + 1;
/// How many slots a stage has.
pub const SLOTS: usize = 512;

/// Finds the parts of a program in an image.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    ops_at: u64,
    /// How many operations there are.
    pub ops: u32,
    slots_at: u64,
    /// How many descriptors are inherited.
    pub slots: u32,
    /// Whether the kernel has openat2(2).
    pub openat2: bool,
    /// Whether the kernel has close_range(2) with `CLOSE_RANGE_CLOEXEC`.
    pub close_range: bool,
}

impl Reader {
    /// Reads the header; none when the image holds no program.
    pub fn new(image: &Image) -> Option<Self> {
        if image.word(0)? != MAGIC {
            return None;
        }
        let features = image.word(40)?;
        Some(Self {
            ops_at: image.word(8)?,
            ops: u32::try_from(image.word(16)?).ok()?,
            slots_at: image.word(24)?,
            slots: u32::try_from(image.word(32)?).ok()?,
            openat2: features & 1 != 0,
            close_range: features & 2 != 0,
        })
    }

    /// The operation at `index` and the step that it belongs to.
    pub fn op(&self, image: &Image, index: u32) -> Option<(u32, Op)> {
        let at = self.ops_at.checked_add(u64::from(index) * OP_WORDS as u64 * 8)?;
        let head = image.word(at)?;
        let mut words = [0; ARGUMENTS];
        let mut place = at;
        for word in &mut words {
            place = place.checked_add(8)?;
            *word = image.word(place)?;
        }
        Some(((head >> 32) as u32, Op::decode(head as u32, &words)?))
    }

    /// The slot that the inherited descriptor `index` goes to, and its number.
    pub fn inherited(&self, image: &Image, index: u32) -> Option<(u16, i32)> {
        let word = image.word(self.slots_at.checked_add(u64::from(index) * 8)?)?;
        Some((u16::try_from(word >> 32).ok()?, i32::try_from(word as u32).ok()?))
    }
}

#[cfg(feature = "std")]
pub use writer::{Features, Program, TooLarge, Writer};

#[cfg(feature = "std")]
mod writer {
    use std::fmt;

    use sys::raw::Image;

    use super::{MAGIC, OP_WORDS, SLOTS};
    use crate::ops::{Blob, Op, Slot, Table, Text};

    const HEADER_WORDS: usize = 8;

    /// What the player may use.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Features {
        /// openat2(2), Linux 5.6.
        pub openat2: bool,
        /// close_range(2) with `CLOSE_RANGE_CLOEXEC`, Linux 5.11.
        pub close_range: bool,
    }

    /// The program needs more than the format can hold: over 4 GiB of text, or more than [`SLOTS`] descriptors at once.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct TooLarge;

    impl fmt::Display for TooLarge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "the launch needs more than {SLOTS} open descriptors or 4 GiB of text")
        }
    }

    impl std::error::Error for TooLarge {}

    /// Collects a program.
    #[derive(Debug)]
    pub struct Writer {
        ops: Vec<(u32, Op)>,
        data: Vec<u8>,
        inherited: Vec<Slot>,
        next: u16,
        free: Vec<Slot>,
        step: u32,
        overflow: bool,
    }

    impl Default for Writer {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Writer {
        /// An empty program.
        pub fn new() -> Self {
            Self {
                ops: Vec::with_capacity(256),
                data: Vec::with_capacity(8192),
                inherited: Vec::new(),
                next: 0,
                free: Vec::new(),
                step: 0,
                overflow: false,
            }
        }

        /// What follows belongs to this step.
        pub fn begin_step(&mut self, step: u32) {
            self.step = step;
        }

        /// Adds an operation.
        pub fn push(&mut self, op: Op) {
            self.ops.push((self.step, op));
        }

        /// A slot that is filled when the program starts. [`Program::to_bytes`] takes the descriptors in this order.
        pub fn inherit(&mut self) -> Slot {
            let slot = self.run_of_slots(1);
            self.inherited.push(slot);
            slot
        }

        /// A slot that is not in use.
        pub fn slot(&mut self) -> Slot {
            if let Some(slot) = self.free.pop() {
                return slot;
            }
            self.run_of_slots(1)
        }

        /// The first of `count` slots in a row.
        pub fn run_of_slots(&mut self, count: u16) -> Slot {
            let slot = Slot(self.next);
            self.next = self.next.saturating_add(count);
            self.overflow |= usize::from(self.next) > SLOTS;
            slot
        }

        /// Closes the descriptor in a slot, which may then be used anew.
        pub fn close(&mut self, slot: Slot) {
            self.push(Op::Close { fd: slot });
            self.reuse(slot);
        }

        /// The slot may be used anew; an operation has closed it.
        pub fn reuse(&mut self, slot: Slot) {
            self.free.push(slot);
        }

        /// A string. It ends at the first zero byte: strings are checked before they come here.
        pub fn text(&mut self, text: impl AsRef<[u8]>) -> Text {
            let at = self.offset();
            let text = text.as_ref();
            let len = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
            self.data.extend_from_slice(&text[..len]);
            self.data.push(0);
            Text(at)
        }

        /// Bytes, at an 8-byte boundary.
        pub fn blob(&mut self, bytes: &[u8]) -> Blob {
            self.align();
            let at = self.offset();
            self.overflow |= u32::try_from(bytes.len()).is_err();
            self.data.extend_from_slice(bytes);
            Blob { at, len: bytes.len() as u32 }
        }

        /// A table of strings.
        pub fn table<T: AsRef<[u8]>>(&mut self, texts: impl IntoIterator<Item = T>) -> Table {
            let mut words: Vec<u64> = texts.into_iter().map(|text| self.text(text).0.into()).collect();
            words.push(Image::END);
            self.align();
            let at = self.offset();
            for word in words {
                self.data.extend_from_slice(&word.to_ne_bytes());
            }
            Table(at)
        }

        fn align(&mut self) {
            let padded = self.data.len().next_multiple_of(8);
            self.data.resize(padded, 0);
        }

        fn offset(&mut self) -> u32 {
            u32::try_from(HEADER_WORDS * 8 + self.data.len()).unwrap_or_else(|_| {
                self.overflow = true;
                0
            })
        }

        /// The finished program.
        pub fn finish(mut self) -> Result<Program, TooLarge> {
            self.align();
            self.offset();
            if self.overflow {
                return Err(TooLarge);
            }
            Ok(Program { ops: self.ops, data: self.data, inherited: self.inherited })
        }
    }

    /// A finished program.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Program {
        ops: Vec<(u32, Op)>,
        data: Vec<u8>,
        inherited: Vec<Slot>,
    }

    impl Program {
        /// How many descriptors it inherits.
        pub fn inherited(&self) -> usize {
            self.inherited.len()
        }

        /// Its operations, each with the step that it belongs to.
        pub fn ops(&self) -> &[(u32, Op)] {
            &self.ops
        }

        /// Makes the operations of a step fail before the first of them is performed. For tests.
        pub fn fail_at(&mut self, step: u32, errno: sys::Errno) {
            if let Some(index) = self.ops.iter().position(|(of, _)| *of == step) {
                self.ops.insert(index, (step, Op::Fail { errno: errno.raw() as u32 }));
            }
        }

        /// Makes every step note when it begins, and all notes written to one more inherited descriptor right before the filter is
        /// loaded or the program executed. Returns the steps in the order of their notes. For profiles.
        pub fn stamp_steps(&mut self) -> Vec<u32> {
            self.data.resize(self.data.len().next_multiple_of(8), 0);
            let at = HEADER_WORDS * 8 + self.data.len();
            let file = Slot(SLOTS as u16 - 1);
            let (mut ops, mut steps) = (Vec::with_capacity(self.ops.len() * 2), Vec::new());
            let (mut current, mut written) = (None, false);
            for (step, op) in std::mem::take(&mut self.ops) {
                let last = !written && matches!(op, Op::LoadFilter { .. } | Op::Execute { .. });
                if !written && (current.replace(step) != Some(step) || last) {
                    ops.push((step, Op::Stamp { at: (at + steps.len() * 8) as u32 }));
                    steps.push(step);
                }
                if last {
                    written = true;
                    let bytes = Blob { at: at as u32, len: (steps.len() * 8) as u32 };
                    ops.push((step, Op::Write { to: file, bytes }));
                }
                ops.push((step, op));
            }
            self.ops = ops;
            self.data.resize(self.data.len() + steps.len() * 8, 0);
            self.inherited.push(file);
            steps
        }

        /// The program in bytes, its first slots filled with these descriptor numbers.
        ///
        /// # Panics
        /// When the numbers are not as many as the slots that the program inherits: a mistake of the caller.
        pub fn to_bytes(&self, inherited: &[i32], features: Features) -> Vec<u8> {
            assert_eq!(inherited.len(), self.inherited.len(), "one number for each inherited slot");
            let ops_at = HEADER_WORDS * 8 + self.data.len();
            let slots_at = ops_at + self.ops.len() * OP_WORDS * 8;
            let header = [
                MAGIC,
                ops_at as u64,
                self.ops.len() as u64,
                slots_at as u64,
                inherited.len() as u64,
                u64::from(features.openat2) | u64::from(features.close_range) << 1,
                0,
                0,
            ];
            let mut bytes = Vec::with_capacity(slots_at + inherited.len() * 8 + 8);
            let mut put = |word: u64| bytes.extend_from_slice(&word.to_ne_bytes());
            header.into_iter().for_each(&mut put);
            bytes.extend_from_slice(&self.data);
            for (step, op) in &self.ops {
                let (code, words) = op.encode();
                bytes.extend_from_slice(&(u64::from(*step) << 32 | u64::from(code)).to_ne_bytes());
                for word in words {
                    bytes.extend_from_slice(&word.to_ne_bytes());
                }
            }
            for (slot, number) in self.inherited.iter().zip(inherited) {
                let word = u64::from(slot.0) << 32 | u64::from(*number as u32);
                bytes.extend_from_slice(&word.to_ne_bytes());
            }
            bytes.extend_from_slice(&[0; 8]);
            bytes
        }

        /// A string of the program.
        pub fn text(&self, text: Text) -> String {
            let start = (text.0 as usize).saturating_sub(HEADER_WORDS * 8);
            let rest = self.data.get(start..).unwrap_or(&[]);
            let len = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            String::from_utf8_lossy(&rest[..len]).into_owned()
        }

        /// Bytes of the program, as far as they are text.
        pub fn bytes(&self, blob: Blob) -> &[u8] {
            let start = (blob.at as usize).saturating_sub(HEADER_WORDS * 8);
            self.data.get(start..start + blob.len as usize).unwrap_or(&[])
        }

        /// The strings of a table.
        pub fn strings(&self, table: Table) -> Vec<String> {
            let start = (table.0 as usize).saturating_sub(HEADER_WORDS * 8);
            let words = self.data.get(start..).unwrap_or(&[]).chunks_exact(8);
            words
                .map(|word| u64::from_ne_bytes(word.try_into().unwrap_or([0xff; 8])))
                .take_while(|word| *word != Image::END)
                .map(|offset| self.text(Text(offset as u32)))
                .collect()
        }

        /// What an operation works on, as a person would name it.
        pub fn subject(&self, op: Op) -> String {
            match op {
                Op::FsOpen { fstype, .. } => self.text(fstype),
                Op::FsFlag { key, .. } | Op::FsFd { key, .. } => self.text(key),
                Op::FsString { key, value, .. } => format!("{}={}", self.text(key), self.text(value)),
                Op::OpenTree { name, .. } | Op::Open { name, .. } => self.text(name),
                Op::MoveMount { name, .. } => self.text(name),
                Op::OpenBelow { path, .. }
                | Op::EnsureDirectory { path, .. }
                | Op::EnsureFile { path, .. }
                | Op::EnsureSame { path, .. }
                | Op::Mask { path, .. }
                | Op::WriteBelow { path, .. }
                | Op::Attach { path, .. }
                | Op::CheckMount { path, .. }
                | Op::Detach { path, .. }
                | Op::ChangeDirectory { path } => self.text(path),
                Op::MakeDirectory { name, .. }
                | Op::MakeNode { name, .. }
                | Op::Chown { name, .. }
                | Op::MakeLink { name, .. }
                | Op::JoinKeyring { name } => self.text(name),
                Op::WriteOwn { name, .. } => format!("/proc/self/{}", self.text(name)),
                Op::SetHostname { name } | Op::SetDomainname { name } => {
                    String::from_utf8_lossy(self.bytes(name)).into_owned()
                }
                Op::SetUid { uid } => format!("uid {uid}"),
                Op::SetGid { gid } => format!("gid {gid}"),
                Op::SetRlimit { resource, soft, hard } => format!("resource {resource}, {soft}:{hard}"),
                Op::Unshare { kinds } | Op::Join { kinds, .. } => format!("{kinds:#x}"),
                Op::Execute { candidates, .. } | Op::FindProgram { candidates } => {
                    match self.strings(candidates).as_slice() {
                        [one] => one.clone(),
                        // Of those in the directories of PATH only the name is known to whoever asked.
                        all => {
                            all.last().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned()
                        }
                    }
                }
                Op::LetGo { path } => self.text(path),
                Op::CheckDevice { major, minor, .. } => format!("character device {major}:{minor}"),
                _ => String::new(),
            }
        }
    }
}
