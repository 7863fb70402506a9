//! A producer snapshot: by itself, with a checksum that holds or nothing would get past it, and in a log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_protocol::record::batch::crc32c;
use ottla_storage::producer_state::snapshot;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    if bytes.len() > 7 && bytes[0] & 2 == 0 {
        let crc = crc32c(&bytes[7..]);
        bytes[3..7].copy_from_slice(&crc.to_be_bytes());
    }
    let _ = snapshot::decode(bytes.get(1..).unwrap_or_default());
    ottla_storage_fuzz::with_file("00000000000000000048.snapshot", &bytes);
});
