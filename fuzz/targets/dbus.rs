//! Messages as a bus sends them, values of annotations, and names of units.
#![no_main]

use libfuzzer_sys::fuzz_target;
use systemd::Property;
use systemd::names::UnitPath;
use systemd::property::mask;
use systemd::wire::{self, Message};

fuzz_target!(|data: &[u8]| {
    if let Some(fixed) = data.first_chunk::<{ wire::FIXED }>() {
        if let Ok(length) = wire::length(fixed) {
            assert!(length <= wire::LONGEST);
        }
    }
    if let Ok(message) = Message::parse(data) {
        let _ = (message.texts(), message.variant_text());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Property::from_annotation("TimeoutStopSec", text);
        let _ = mask(text);
        if let Ok(path) = UnitPath::parse(text, "holm", "id", false) {
            let group = path.cgroup("/");
            assert!(!group.split('/').any(|part| part == ".." || part.is_empty()));
        }
    }
});
