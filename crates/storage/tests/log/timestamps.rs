//! Records found by timestamp, against a search through all of them.

use std::fs;
use std::path::Path;

use ottla_protocol::compression::Compression;
use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::record::BatchBuilder;
use ottla_storage::{AppendOrigin, Log, LogConfig};

use crate::support::{Opening, Random, open, read_on, small_config};

/// Every record's timestamp, by offset.
fn fill(log: &mut Log, random: &mut Random, batches: usize) -> Vec<i64> {
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd];
    let mut all = Vec::new();
    for index in 0..batches {
        let mut builder = BatchBuilder::new().codec(codecs[index % 3]);
        let by_broker = random.chance(20);
        let now = index as i64 * 10 + random.below(50) as i64;
        if by_broker {
            builder = builder.log_append_time(Timestamp(now));
        }
        for _ in 0..=random.below(5) {
            let none = random.chance(3);
            let at = if none {
                -1
            } else {
                index as i64 * 10 + random.below(60) as i64
            };
            builder.append(Timestamp(at), None, Some(&[b'x'; 30]));
            all.push(if by_broker { now } else { at });
        }
        let batch = builder.build().unwrap();
        let epoch = LeaderEpoch(index as i32 / 50);
        log.append(batch, epoch, AppendOrigin::Client, Timestamp(0))
            .unwrap();
    }
    all
}

/// `segment`: where the first segment begins that is not deleted as a whole.
fn check(log: &Log, all: &[i64], start: i64, segment: i64) {
    let reader = log.reader();
    let latest = all.iter().max().copied().unwrap_or(0);
    let records = |from: i64| all.iter().zip(0..).filter(move |(_, at)| *at >= from);
    for at in -1..=latest + 2 {
        let expected = records(start).find(|(timestamp, _)| **timestamp >= at);
        let found = reader
            .offset_for_timestamp(Timestamp(at), Offset(i64::MAX))
            .unwrap();
        let found = found.map(|m| (m.timestamp.0, m.offset.0));
        assert_eq!(
            found,
            expected.map(|(t, o)| (*t, o)),
            "at {at} from {start}"
        );
    }
    let largest = records(segment).map(|(t, _)| *t).max();
    let first = largest.and_then(|largest| records(segment).find(|(t, _)| **t == largest));
    let found = reader.max_timestamp_offset(Offset(i64::MAX)).unwrap();
    assert_eq!(
        found.map(|m| (m.timestamp.0, m.offset.0)),
        first.map(|(t, o)| (*t, o))
    );
}

#[test]
fn the_first_record_at_or_after_a_timestamp() {
    for seed in 0..6 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            index_interval_bytes: 200,
            ..small_config()
        };
        let mut log = open(dir.path(), config.clone(), Opening::UNKNOWN);
        assert_eq!(
            log.reader()
                .offset_for_timestamp(Timestamp(0), Offset(0))
                .unwrap(),
            None
        );
        assert_eq!(log.reader().max_timestamp_offset(Offset(0)).unwrap(), None);
        let mut all = fill(&mut log, &mut random, 120);
        check(&log, &all, 0, 0);
        let clean = Opening {
            clean: seed % 2 == 0,
            ..Opening::UNKNOWN
        };
        if clean.clean {
            log.close().unwrap();
        }
        drop(log);
        let mut log = open(dir.path(), config, clean);
        check(&log, &all, 0, 0);
        let cut = all.len() as i64 - 40;
        log.truncate_to(Offset(cut), Timestamp(0)).unwrap();
        // Records of a batch that straddles the cut are gone too.
        let left = read_on(&log.reader(), Offset(0), 1 << 20);
        all.truncate(left.last().unwrap().0.next_offset().0 as usize);
        check(&log, &all, 0, 0);
    }
}

/// Where the segment begins that holds `offset`.
fn segment_of(dir: &Path, offset: i64) -> i64 {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let names = files.map(|file| file.file_name().into_string().unwrap());
    let bases = names.filter_map(|name| name.strip_suffix(".log")?.parse().ok());
    bases.filter(|base| *base <= offset).max().unwrap()
}

#[test]
fn what_is_deleted_or_above_the_bound_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    let all = fill(&mut log, &mut Random(11), 100);
    for start in [3, 50, 120] {
        log.delete_before(Offset(start)).unwrap();
        // -1 is no timestamp to look for here: the oldest segments are gone with their records.
        check(&log, &all, start, segment_of(dir.path(), start));
    }
    let reader = log.reader();
    let at = Timestamp(500);
    let found = reader
        .offset_for_timestamp(at, Offset(i64::MAX))
        .unwrap()
        .unwrap();
    assert_eq!(found.leader_epoch, reader.epoch_at(found.offset).unwrap());
    assert_eq!(reader.offset_for_timestamp(at, found.offset).unwrap(), None);
    assert_eq!(
        reader
            .offset_for_timestamp(at, found.offset.plus(1))
            .unwrap(),
        Some(found)
    );
}

#[test]
fn the_timestamp_at_an_offset_is_that_of_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        index_interval_bytes: 200,
        ..small_config()
    };
    let mut log = open(dir.path(), config, Opening::UNKNOWN);
    assert_eq!(log.reader().timestamp_at(Offset(0)).unwrap(), None);
    let all = fill(&mut log, &mut Random(5), 120);
    log.delete_before(Offset(20)).unwrap();
    let batches = read_on(&log.reader(), Offset(20), 1 << 20);
    assert!(batches.len() > 90);
    for (header, ..) in &batches {
        let first = all[header.base_offset().0 as usize];
        for offset in header.base_offset().0.max(20)..=header.last_offset().0 {
            let found = log.reader().timestamp_at(Offset(offset)).unwrap();
            assert_eq!(found, Some(Timestamp(first)), "at {offset}");
        }
    }
    let end = log.reader().log_end_offset();
    assert_eq!(log.reader().timestamp_at(end).unwrap(), None);
}
