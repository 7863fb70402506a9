//! The text files of offsets and of leader epochs, by themselves and in a log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_storage::checkpoint::parse_offsets;
use ottla_storage::leader_epoch::LeaderEpochs;

fuzz_target!(|data: &[u8]| {
    let _ = parse_offsets(data);
    if let Ok(epochs) = LeaderEpochs::parse(data) {
        let ascend = epochs.entries().windows(2).all(|pair| {
            pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset
        });
        assert!(ascend, "{epochs:?}");
    }
    ottla_storage_fuzz::with_file("leader-epoch-checkpoint", data);
});
