//! The parsers of foreign input on many broken inputs: none of them panics, and what they accept makes sense.

mod archive;

use archive::{Entry, Tar};
use images::layer::index::Tree;
use images::layer::tar::Archive;
use images::layer::{Limits, erofs, name, pax};
use images::{Digest, Reference, config, manifest};

/// Numbers that are the same on every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below.max(1)
    }

    /// Some bytes changed, some cut out, some doubled.
    fn break_it(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut broken = bytes.to_vec();
        for _ in 0..=self.next(6) {
            if broken.is_empty() {
                break;
            }
            let at = self.next(broken.len());
            match self.next(5) {
                0 => broken[at] = self.next(256) as u8,
                1 => broken[at] ^= 1 << self.next(8),
                2 => broken.truncate(at),
                3 => {
                    let piece = broken[at..(at + 512).min(broken.len())].to_vec();
                    broken.splice(at..at, piece);
                }
                _ => {
                    let end = (at + 1 + self.next(600)).min(broken.len());
                    broken.drain(at..end);
                }
            }
        }
        broken
    }
}

/// Broken headers would all be refused for their checksum alone.
fn mend_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
}

#[test]
fn broken_archives_are_refused_or_become_an_index() {
    let whole = Tar::of([
        Entry::directory("d/"),
        Entry::file("d/file", &[1; 1000]).xattr("user.a", b"b").time(1, 5),
        Entry::link("d/link", "d/file"),
        Entry::symlink("s", "d"),
        Entry::sparse("sparse", 1 << 16, &[(0, vec![1; 512]), (8192, vec![2; 512])]),
        Entry::device("n", b'3', 1, 3),
        Entry::file("d/.wh.x", b""),
        Entry::file(&"long/".repeat(30), b"x"),
    ]);
    let mut random = Random(1);
    let limits = Limits::default();
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..4000 {
        let mut bytes = random.break_it(&whole);
        if round % 4 != 0 {
            mend_checksums(&mut bytes);
        }
        let mut archive = Archive::new(&bytes[..]);
        let mut tree = Tree::new();
        let outcome = loop {
            match archive.next() {
                Ok(Some(entry)) => {
                    if tree.add(entry, &limits).is_err() {
                        break false;
                    }
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if !outcome {
            refused += 1;
            continue;
        }
        let mut index = Vec::new();
        if let Ok(size) = erofs::write(&tree, bytes.len() as u64, [7; 16], &mut index) {
            assert_eq!((size, size % 512), (index.len() as u64, 0));
            accepted += 1;
        }
    }
    assert!(accepted > 50 && refused > 50, "{accepted} {refused}");
}

#[test]
fn broken_documents_are_refused_without_a_panic() {
    let digest = Digest::of(b"");
    let texts = [
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{digest}","size":2}},"layers":[]}}"#,
            images::media::OCI_MANIFEST,
            images::media::OCI_CONFIG
        ),
        r#"{"os":"linux","config":{"Env":["A=b"],"Cmd":["x"],"Volumes":{"/v":{}}},"rootfs":{"type":"layers","diff_ids":[]}}"#.to_owned(),
        format!("localhost:5000/a/b__c:v1.2@{digest}"),
        "30 mtime=1700000000.123456789\n".to_owned(),
        "a/./b//.wh.c".to_owned(),
    ];
    let mut random = Random(2);
    for _ in 0..4000 {
        let text = &texts[random.next(texts.len())];
        let bytes = random.break_it(text.as_bytes());
        let _ =
            (manifest::parse(&bytes, ""), config::parse(&bytes), pax::records(&bytes, 0), pax::time(&bytes));
        let _ = name::parse(&bytes, false);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = Digest::parse(text);
            if let Ok(reference) = Reference::parse(text) {
                assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
            }
        }
    }
}
