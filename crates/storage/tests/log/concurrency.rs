//! Readers beside the writer: whatever they see is whole, in order and without holes, and never beyond their bound.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use ottla_protocol::ids::{Offset, Timestamp};
use ottla_storage::{LogConfig, LogReader, ReadError};

use crate::support::{Opening, Random, append, batch, batches, bytes, open, small_config};

/// Read on behind the writer until it is done; how many batches were seen.
fn follow(reader: &LogReader, bound: &AtomicI64, done: &AtomicBool, seed: u64) -> usize {
    let mut random = Random(seed);
    let mut next = Offset(0);
    let mut seen = 0;
    loop {
        let finished = done.load(Ordering::SeqCst);
        let below = Offset(bound.load(Ordering::SeqCst));
        let max_bytes = 200 + random.below(5000) as u32;
        let slice = match reader.read(next, below, max_bytes, true) {
            Ok(slice) => slice,
            // The start of the log has passed by.
            Err(ReadError::OffsetOutOfRange { start, .. }) if start > next => {
                next = start;
                continue;
            }
            Err(error) => panic!("from {next}: {error}"),
        };
        let found = batches(&bytes(&slice));
        for (header, _) in &found {
            assert!(header.last_offset() >= next && header.last_offset() < below);
            assert!(header.base_offset() <= next, "a hole before {next}");
            next = header.next_offset();
        }
        seen += found.len();
        if finished && next == below {
            return seen;
        }
    }
}

#[test]
fn readers_follow_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: 9000,
        ..small_config()
    };
    let mut log = open(dir.path(), config, Opening::UNKNOWN);
    let reader = log.reader();
    let (bound, done) = (AtomicI64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let followers = (1..4).map(|seed| {
            let (reader, bound, done) = (&reader, &bound, &done);
            scope.spawn(move || follow(reader, bound, done, seed))
        });
        let followers: Vec<_> = followers.collect();
        let mut random = Random(0);
        let mut written = 0;
        for step in 0..4000 {
            let count = 1 + random.below(4) as usize;
            let info = append(&mut log, batch(&mut random, count, 50, step));
            written += 1;
            // Sometimes the bound stays behind, as a high watermark does.
            if random.chance(80) {
                bound.store(info.last_offset.0 + 1, Ordering::SeqCst);
            }
            if step % 500 == 499 {
                let start = bound.load(Ordering::SeqCst) - 300;
                log.delete_before(Offset(start.max(0))).unwrap();
                log.close_idle_files();
            }
            if step % 700 == 699 {
                log.roll(Timestamp(0)).unwrap();
            }
        }
        bound.store(log.log_end_offset().0, Ordering::SeqCst);
        done.store(true, Ordering::SeqCst);
        for follower in followers {
            let seen = follower.join().unwrap();
            assert!(seen > 0 && seen <= written, "{seen} of {written}");
        }
    });
}
