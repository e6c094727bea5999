//! A launch program as the stage reads it.
//!
//! An image stays mapped for the life of the process, as the stage needs it; a process may have 65530 mappings
//! (`vm.max_map_count`). From there on only the decoding of operations goes on: run it with `-runs=60000`.

#![no_main]

use init::ops::{ARGUMENTS, Op};
use init::program::Reader;
use libfuzzer_sys::fuzz_target;
use sys::raw::{Fd, Image};

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<u64> =
        bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("eight"))).collect();
    if let Some((code, words)) = words.split_first()
        && let Some(words) = words.first_chunk::<ARGUMENTS>()
        && let Some(op) = Op::decode(*code as u32, words)
    {
        let (code, words) = op.encode();
        assert_eq!(Op::decode(code, &words), Some(op));
    }

    // The engine ends every program with a zero byte; others are refused by `Image::map`.
    let Ok(file) = sys::memfd::sealed(c"program", false, &[bytes, &[0]]) else { return };
    let Ok(image) = Image::map(Fd::from(&file), 0, bytes.len() + 1) else { return };
    for offset in words.iter().copied().chain([0, u64::MAX]) {
        let _ = (image.word(offset), image.text(offset));
    }
    let Some(reader) = Reader::new(&image) else { return };
    for index in (0..reader.ops.min(64)).chain([u32::MAX]) {
        let _ = reader.op(&image, index);
    }
    for index in (0..reader.slots.min(64)).chain([u32::MAX]) {
        let _ = reader.inherited(&image, index);
    }
});
