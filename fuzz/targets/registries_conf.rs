//! registries.conf, and who is asked because of it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| holm_fuzz::registries_conf(text));
