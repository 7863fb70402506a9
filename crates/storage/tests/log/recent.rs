//! Which reads need not wait for the disk.

use ottla_protocol::ids::Offset;

use crate::support::{Opening, Random, append, batch, open, small_config};

#[test]
fn what_was_appended_just_now_is_recent_wherever_a_read_begins_and_nothing_is_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(3);
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    // Far more batches than read positions are remembered.
    for at in 0..1500 {
        append(&mut log, batch(&mut random, 2, 20, at));
    }
    let reader = log.reader();
    let active = log.segment_metas().unwrap().last().unwrap().base_offset;
    for offset in active.0..log.log_end_offset().0 {
        assert!(reader.is_recent(Offset(offset)), "{offset}");
    }
    log.close().unwrap();
    drop(log);
    let log = open(
        dir.path(),
        small_config(),
        Opening {
            clean: true,
            ..Opening::UNKNOWN
        },
    );
    let end = log.log_end_offset();
    for offset in 0..end.0 {
        assert!(!log.reader().is_recent(Offset(offset)), "{offset}");
    }
    assert!(log.reader().is_recent(end));
}

#[test]
fn the_middle_of_a_large_segment_is_recent_without_ever_having_been_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(4);
    let mut config = small_config();
    config.segment_bytes = 1 << 20;
    let mut log = open(dir.path(), config, Opening::UNKNOWN);
    for at in 0..2000 {
        append(&mut log, batch(&mut random, 1, 60, at));
    }
    for offset in 0..2000 {
        assert!(log.reader().is_recent(Offset(offset)), "{offset}");
    }
}
