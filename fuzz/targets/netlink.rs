//! Datagrams of netlink: messages, attributes inside of attributes, and every typed header.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    netlink::walk(bytes);
});
