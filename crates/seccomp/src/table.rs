//! System call names and numbers of the architectures we know.
//!
//! [`number`] and [`name`] are the two questions. [`rows`] holds the facts, one readable row a call; here
//! they are packed at build time into one string and flat arrays, so that the program carries no pointers
//! that would have to be relocated at start.

mod rows;

use crate::arch::{Arch, X32_BIT};
use rows::ROWS;

/// A call and its number on each architecture, in the order of [`Arch::index`].
struct Row {
    name: &'static str,
    numbers: [u32; 5],
}

const COUNT: usize = ROWS.len();

const NAME_BYTES: usize = {
    let mut total = 0;
    let mut i = 0;
    while i < COUNT {
        total += ROWS[i].name.len();
        i += 1;
    }
    total
};

static NAMES: [u8; NAME_BYTES] = {
    let mut packed = [0; NAME_BYTES];
    let (mut at, mut i) = (0, 0);
    while i < COUNT {
        let name = ROWS[i].name.as_bytes();
        let mut j = 0;
        while j < name.len() {
            packed[at] = name[j];
            at += 1;
            j += 1;
        }
        i += 1;
    }
    packed
};

/// Where each name starts in [`NAMES`]; one more entry for the end.
static STARTS: [u16; COUNT + 1] = {
    let mut starts = [0; COUNT + 1];
    let mut i = 0;
    while i < COUNT {
        starts[i + 1] = starts[i] + ROWS[i].name.len() as u16;
        i += 1;
    }
    starts
};

/// The first eight bytes of each name, as a number that sorts the same way.
static HEADS: [u64; COUNT] = {
    let mut heads = [0; COUNT];
    let mut i = 0;
    while i < COUNT {
        heads[i] = head(ROWS[i].name.as_bytes());
        i += 1;
    }
    heads
};

static NUMBERS: [[u32; 5]; COUNT] = {
    let mut numbers = [[0; 5]; COUNT];
    let mut i = 0;
    while i < COUNT {
        numbers[i] = ROWS[i].numbers;
        i += 1;
    }
    numbers
};

const fn head(name: &[u8]) -> u64 {
    let mut value = 0;
    let mut i = 0;
    while i < 8 {
        value = value << 8 | if i < name.len() { name[i] as u64 } else { 0 };
        i += 1;
    }
    value
}

/// A row of the table: a call that at least one architecture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call(u16);

impl Call {
    /// The number on `arch`, with [`X32_BIT`] set for x32, as it appears in `seccomp_data.nr`.
    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        match NUMBERS[self.0 as usize][arch.index()] {
            u32::MAX => None,
            number if matches!(arch, Arch::X32) => Some(number | X32_BIT),
            number => Some(number),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        let (start, end) = (STARTS[self.0 as usize], STARTS[self.0 as usize + 1]);
        std::str::from_utf8(&NAMES[start as usize..end as usize]).unwrap_or_default()
    }
}

/// The call of that name, known at build time; a name that is not in the table does not build.
pub(crate) const fn call(name: &str) -> Call {
    let mut i = 0;
    while !same(ROWS[i].name.as_bytes(), name.as_bytes()) {
        i += 1;
    }
    Call(i as u16)
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut i = 0;
    while i < one.len() && i < other.len() && one[i] == other[i] {
        i += 1;
    }
    i == one.len() && i == other.len()
}

/// The call of that name, if any of our architectures has it.
pub(crate) fn find(name: &str) -> Option<Call> {
    let wanted = head(name.as_bytes());
    let mut at = HEADS.partition_point(|head| *head < wanted);
    while at < COUNT && HEADS[at] == wanted {
        let call = Call(at as u16);
        if call.name() == name {
            return Some(call);
        }
        at += 1;
    }
    None
}

/// The number of the call `name` on `arch`; for x32 with [`X32_BIT`] set.
///
/// `None`: no such call there, or one newer than Linux 7.1.
pub fn number(name: &str, arch: Arch) -> Option<u32> {
    find(name)?.number(arch)
}

/// The name of the call `number` on `arch`; for x32 the number carries [`X32_BIT`].
pub fn name(number: u32, arch: Arch) -> Option<&'static str> {
    all().find(|call| call.number(arch) == Some(number)).map(Call::name)
}

/// Every call of the table with its number on `arch`.
pub fn calls(arch: Arch) -> impl Iterator<Item = (&'static str, u32)> {
    all().filter_map(move |call| Some((call.name(), call.number(arch)?)))
}

fn all() -> impl Iterator<Item = Call> {
    (0..COUNT as u16).map(Call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unique() {
        assert!(ROWS.windows(2).all(|pair| pair[0].name.as_bytes() < pair[1].name.as_bytes()));
    }

    #[test]
    fn every_row_is_found_by_its_name() {
        for (i, row) in ROWS.iter().enumerate() {
            assert_eq!(find(row.name), Some(Call(i as u16)));
            assert_eq!(Call(i as u16).name(), row.name);
        }
        for absent in ["", "a", "zzz", "open_tree_", "accept\0", "rt_sigactio", "rt_sigactionx"] {
            assert_eq!(find(absent), None, "{absent:?}");
        }
    }

    #[test]
    fn no_number_is_given_twice_on_one_architecture() {
        for arch in Arch::ALL {
            let mut numbers: Vec<u32> = calls(arch).map(|(_, number)| number).collect();
            let count = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), count, "{arch}");
        }
    }

    #[test]
    fn numbers_agree_with_the_installed_kernel_headers() {
        let headers = [
            (Arch::X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
            (Arch::X86, "/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
            (Arch::X32, "/usr/include/x86_64-linux-gnu/asm/unistd_x32.h"),
        ];
        for (arch, path) in headers {
            let Ok(text) = std::fs::read_to_string(path) else {
                eprintln!("SKIPPED numbers_agree_with_the_installed_kernel_headers: no {path}");
                continue;
            };
            let mut seen = 0;
            for line in text.lines().filter_map(|line| line.strip_prefix("#define __NR_")) {
                let (call, value) = line.split_once(' ').unwrap();
                let value = value.trim_matches(['(', ')']);
                let expected = match value.strip_prefix("__X32_SYSCALL_BIT + ") {
                    Some(low) => low.parse::<u32>().unwrap() | X32_BIT,
                    None => value.parse().unwrap(),
                };
                assert_eq!(number(call, arch), Some(expected), "{call} on {arch}");
                seen += 1;
            }
            assert!(seen > 300, "{path} has only {seen} calls");
        }
    }
}
