//! A segment of arbitrary bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ottla_storage_fuzz::with_file("00000000000000000000.log", data));
