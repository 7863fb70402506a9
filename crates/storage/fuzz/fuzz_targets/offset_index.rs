//! An offset index of arbitrary bytes beside sound batches.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ottla_storage_fuzz::with_file("00000000000000000000.index", data));
