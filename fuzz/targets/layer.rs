//! An archive: whatever it holds, it is refused or becomes a tree and an index over it.

#![no_main]

use images::layer::index::Tree;
use images::layer::tar::Archive;
use images::layer::{Limits, erofs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { entries: 10_000, ..Limits::default() };
    let mut archive = Archive::new(bytes);
    let mut tree = Tree::new();
    while let Ok(Some(entry)) = archive.next() {
        if tree.add(entry, &limits).is_err() {
            return;
        }
    }
    let mut index = Vec::new();
    if let Ok(size) = erofs::write(&tree, bytes.len() as u64, [7; 16], &mut index) {
        assert_eq!(size, index.len() as u64);
        assert_eq!(size % 512, 0);
    }
});
