//! The files of networks: their own, records of containers, and the table of leases.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    network::walk(bytes);
});
