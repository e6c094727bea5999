//! A bundle's `config.json`: from its bytes to a valid specification and the meaning of its mount options.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(spec) = spec::load(bytes) else { return };
    for mount in &spec.mounts {
        let _ = spec::mount_options::parse(mount);
    }
    // What was read can be written, and reads as the same.
    let text = spec::to_pretty_json(&spec).expect("a document serializes");
    assert_eq!(spec::load(text.as_bytes()).expect("what was written reads"), spec);
    let _ = spec::validate(spec);
});
