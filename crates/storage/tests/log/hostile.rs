//! Arbitrary bytes in the files of a log: opening and reading may fail, but never panic, hang or take memory without
//! bound.

use std::fs;

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use ottla_storage::{AppendOrigin, Log};

use crate::support::{Opening, Random, append, batch, open, os_fs, small_config};

/// Use a log in every way; errors are fine.
fn exercise(dir: &std::path::Path, opening: Opening, random: &mut Random) {
    let opened = Log::open(os_fs(), dir, None, small_config(), opening, Timestamp(0));
    let Ok((mut log, _)) = opened else { return };
    let reader = log.reader();
    for _ in 0..8 {
        let from = Offset(random.below(400) as i64);
        let max_bytes = random.below(5000) as u32;
        if let Ok(slice) = reader.read(from, Offset(i64::MAX), max_bytes, true) {
            let _ = reader.aborted_transactions(&slice);
        }
        let _ = reader.offset_for_timestamp(Timestamp(random.below(200) as i64), Offset(i64::MAX));
    }
    let _ = reader.max_timestamp_offset(Offset(i64::MAX));
    let _ = log.segment_metas();
    let _ = log.delete_before(Offset(random.below(100) as i64));
    let next = batch(random, 2, 50, 100);
    let _ = log.append(next, LeaderEpoch(1), AppendOrigin::Client, Timestamp(0));
    let _ = log.truncate_to(Offset(random.below(300) as i64), Timestamp(0));
    let _ = log.close();
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let len = bytes.len() as u64;
    let at = if len == 0 {
        0
    } else {
        random.below(len) as usize
    };
    match random.below(5) {
        0 => bytes.truncate(at),
        1 => (0..random.below(100)).for_each(|_| bytes.push(random.next() as u8)),
        2 => bytes.resize(len as usize + random.below(5000) as usize, 0),
        3 => bytes[at..]
            .iter_mut()
            .take(16)
            .for_each(|byte| *byte = random.next() as u8),
        _ => bytes[at..]
            .iter_mut()
            .take(1)
            .for_each(|byte| *byte ^= 1 << random.below(8)),
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let whole = tempfile::tempdir().unwrap();
    let mut random = Random(1);
    let mut log = open(whole.path(), small_config(), Opening::UNKNOWN);
    for at in 0..60 {
        append(&mut log, batch(&mut random, 3, 40, at));
    }
    log.close().unwrap();
    drop(log);
    let files: Vec<_> = fs::read_dir(whole.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    for seed in 0..150 {
        let mut random = Random(seed);
        let dir = tempfile::tempdir().unwrap();
        for path in &files {
            let mut bytes = fs::read(path).unwrap();
            if random.chance(25) {
                damage(&mut bytes, &mut random);
            }
            fs::write(dir.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        let opening = Opening {
            clean: random.chance(50),
            recovery_point: Offset(random.below(200) as i64),
            log_start_offset: Offset(random.below(50) as i64),
        };
        println!("seed {seed}");
        exercise(dir.path(), opening, &mut random);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]

    #[test]
    fn arbitrary_files_do_no_harm(
        log in proptest::collection::vec(proptest::num::u8::ANY, 0..500),
        index in proptest::collection::vec(proptest::num::u8::ANY, 0..100),
        clean in proptest::bool::ANY,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("00000000000000000000.log", &log);
        for suffix in ["index", "timeindex", "txnindex", "snapshot"] {
            write(&format!("00000000000000000000.{suffix}"), &index);
        }
        exercise(dir.path(), Opening { clean, ..Opening::UNKNOWN }, &mut Random(1));
    }
}

/// Clients may ask for any number: the debug build's checks of overflow judge.
#[test]
fn any_offset_time_and_epoch_may_be_asked_for() {
    const NUMBERS: [i64; 9] = [
        i64::MIN,
        i64::MIN + 1,
        -2,
        -1,
        0,
        1900,
        1 << 32,
        i64::MAX - 1,
        i64::MAX,
    ];
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    for at in 0..1500 {
        append(&mut log, batch(&mut random, 2, 40, at));
    }
    log.delete_before(Offset(1500)).unwrap();
    assert!(log.segment_metas().unwrap()[0].base_offset > Offset(0));
    let reader = log.reader();
    for number in NUMBERS {
        let offset = Offset(number);
        for below in NUMBERS.map(Offset) {
            for max_bytes in [0, 1, u32::MAX] {
                let read = reader.read(offset, below, max_bytes, true);
                assert_eq!(read.is_ok(), number == 1900, "{number}");
            }
            let _ = reader.offset_for_timestamp(Timestamp(number), below);
        }
        let _ = reader.max_timestamp_offset(offset);
        reader.epoch_at(offset);
        let epoch = i32::try_from(number).unwrap_or(i32::MIN);
        reader.end_offset_for_epoch(LeaderEpoch(epoch));
    }
    for now in NUMBERS.map(Timestamp) {
        let next = batch(&mut random, 2, 50, now.0.saturating_sub(1));
        let _ = log.append(next, LeaderEpoch(1), AppendOrigin::Client, now);
        log.expire_producers(now);
        log.flush_due(now);
    }
}
