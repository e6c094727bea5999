//! Names of images: what is printed is read back as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| holm_fuzz::image_name(text));
