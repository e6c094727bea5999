//! `/proc/self/mountinfo` and `/proc/self/cgroup`, one after the other with a zero byte between.

#![no_main]

use cgroups::Layout;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (mountinfo, own) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let layout = Layout::parse(mountinfo, own);
    let _ = layout.arrangement();
    for hierarchy in layout.hierarchies() {
        // The path below the mount never leads out of it.
        if let Some(own) = hierarchy.own_below_mount() {
            assert!(own.is_relative() && !own.components().any(|part| part.as_os_str() == ".."));
        }
    }
});
