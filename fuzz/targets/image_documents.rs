//! Documents and names of images, each from the whole input.

#![no_main]

use images::layer::{name, pax};
use images::{Digest, Reference, config, manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = manifest::parse(bytes, "");
    let _ = manifest::parse(bytes, images::media::OCI_INDEX);
    let _ = config::parse(bytes);
    let _ = pax::records(bytes, 0);
    let _ = pax::time(bytes);
    if let Ok(name::Name::Entry(path)) = name::parse(bytes, true) {
        assert!(path.split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
    }
});
