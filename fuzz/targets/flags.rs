//! Every flag's value.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| holm_fuzz::every_flag(text));
