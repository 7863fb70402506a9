//! The files are Kafka's, byte for byte where that can be said without Kafka.

use std::fs;

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp, TopicId};
use ottla_protocol::record::BatchBuilder;
use ottla_storage::{AppendError, AppendOrigin, Log, LogConfig, OpenError};

use crate::support::{Opening, Random, append, batch, open, os_fs, small_config};

fn plain(log: &mut Log, timestamp: i64, size: usize) -> Offset {
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(timestamp), None, Some(&vec![7; size]));
    builder.append(Timestamp(timestamp - 1), None, None);
    let batch = builder.build().unwrap();
    let info = log
        .append(batch, LeaderEpoch(3), AppendOrigin::Client, Timestamp(0))
        .unwrap();
    info.base_offset
}

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn names_and_index_entries() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        ..LogConfig::default()
    };
    let (mut log, _) = Log::open(
        os_fs(),
        dir.path(),
        Some(TopicId::METADATA),
        config,
        Opening::UNKNOWN,
        Timestamp(0),
    )
    .unwrap();
    // 61 bytes of header, and two records of 107 and 7 bytes.
    for timestamp in [50, 40, 60, 60, 70, 5] {
        plain(&mut log, timestamp, 99);
    }
    log.close().unwrap();
    assert_eq!(
        names(dir.path()),
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "00000000000000000010.index",
            "00000000000000000010.log",
            "00000000000000000010.snapshot",
            "00000000000000000010.timeindex",
            "00000000000000000012.snapshot",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ]
    );
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    let size = read("00000000000000000000.log").len() as u32 / 5;
    let entry = |last_offset: u32, batch: u32| {
        [last_offset.to_be_bytes(), (batch * size).to_be_bytes()].concat()
    };
    let expected: Vec<u8> = (1..5).flat_map(|i| entry(i * 2 + 1, i)).collect();
    assert_eq!(read("00000000000000000000.index"), expected);
    let stamp = |timestamp: i64, last_offset: u32| {
        [&timestamp.to_be_bytes()[..], &last_offset.to_be_bytes()].concat()
    };
    let expected = [stamp(50, 1), stamp(60, 5), stamp(70, 9)].concat();
    assert_eq!(read("00000000000000000000.timeindex"), expected);
    assert!(read("00000000000000000010.index").is_empty());
    assert_eq!(
        read("00000000000000000010.timeindex"),
        stamp(5, 1),
        "the final entry"
    );
    assert_eq!(read("leader-epoch-checkpoint"), b"0\n1\n3 0\n");
    assert_eq!(
        read("partition.metadata"),
        b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"
    );
    assert_eq!(&read("00000000000000000012.snapshot")[..2], [0, 1]);
}

#[test]
fn a_directory_of_another_topic_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let open = |id| {
        Log::open(
            os_fs(),
            dir.path(),
            id,
            small_config(),
            Opening::UNKNOWN,
            Timestamp(0),
        )
    };
    let id = TopicId(uuid::Uuid::from_u128(17));
    assert_eq!(open(Some(id)).unwrap().0.topic_id(), Some(id));
    assert_eq!(open(None).unwrap().0.topic_id(), Some(id));
    let other = open(Some(TopicId::METADATA)).map(|_| ());
    assert!(matches!(other, Err(OpenError::TopicId { .. })), "{other:?}");
}

#[test]
fn segments_roll_by_size_time_and_index() {
    let bases = |log: &Log| -> Vec<i64> {
        let metas = log.segment_metas().unwrap();
        metas.iter().map(|meta| meta.base_offset.0).collect()
    };
    let by_time = LogConfig {
        segment_ms: 100,
        ..LogConfig::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), by_time.clone(), Opening::UNKNOWN);
    // By the timestamps of records, against the first of the segment; the clock says nothing.
    for timestamp in [1000, 1100, 900, 1101, 1150, 1202] {
        plain(&mut log, timestamp, 10);
    }
    assert_eq!(bases(&log), [0, 6, 10]);
    drop(log);
    let mut log = open(dir.path(), by_time.clone(), Opening::UNKNOWN);
    plain(&mut log, 1302, 10);
    plain(&mut log, 1303, 10);
    assert_eq!(
        bases(&log),
        [0, 6, 10, 14],
        "the first timestamp is found again"
    );

    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), by_time, Opening::UNKNOWN);
    for (now, expected) in [(50, 1), (100, 1), (101, 2), (150, 2)] {
        let mut builder = BatchBuilder::new();
        builder.append(Timestamp::NONE, None, Some(b"no time"));
        let batch = builder.build().unwrap();
        log.append(batch, LeaderEpoch(0), AppendOrigin::Client, Timestamp(now))
            .unwrap();
        assert_eq!(bases(&log).len(), expected, "by the clock at {now}");
    }

    let dir = tempfile::tempdir().unwrap();
    let by_index = LogConfig {
        index_interval_bytes: 0,
        segment_index_bytes: 40,
        ..LogConfig::default()
    };
    let mut log = open(dir.path(), by_index, Opening::UNKNOWN);
    for _ in 0..13 {
        plain(&mut log, 5, 10);
    }
    // The first batch of a segment has no entry; five entries are 40 bytes.
    assert_eq!(bases(&log), [0, 12, 24]);
}

#[test]
fn a_batch_larger_than_a_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(1), None, Some(&[0; 5000]));
    let refused = log.append(
        builder.build().unwrap(),
        LeaderEpoch(0),
        AppendOrigin::Client,
        Timestamp(0),
    );
    assert!(
        matches!(refused, Err(AppendError::BatchTooLarge { limit: 4096, .. })),
        "{refused:?}"
    );
    assert_eq!(log.log_end_offset(), Offset(0));
    assert_eq!(
        append(&mut log, batch(&mut Random(1), 1, 10, 0)).base_offset,
        Offset(0)
    );
}

#[test]
fn offsets_far_apart_come_into_segments_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), small_config(), Opening::UNKNOWN);
    let mut replicate = |base: i64| {
        let mut builder = BatchBuilder::new()
            .base_offset(Offset(base))
            .leader_epoch(LeaderEpoch(5));
        builder.append(Timestamp(1), None, Some(b"v"));
        let batch = builder.build().unwrap();
        log.append(
            batch,
            LeaderEpoch(0),
            AppendOrigin::Replication,
            Timestamp(0),
        )
    };
    for base in [0, 7, i64::from(i32::MAX), i64::from(i32::MAX) + 1, 1 << 40] {
        assert_eq!(replicate(base).unwrap().base_offset, Offset(base));
    }
    assert!(matches!(
        replicate(9),
        Err(AppendError::OffsetsOutOfOrder { .. })
    ));
    let metas = log.segment_metas().unwrap();
    let bases: Vec<i64> = metas.iter().map(|meta| meta.base_offset.0).collect();
    assert_eq!(bases, [0, i64::from(i32::MAX) + 1, 1 << 40]);
    let all = crate::support::read_on(&log.reader(), Offset(1), 1 << 20);
    assert_eq!(all.len(), 4, "gaps are read across");
    assert_eq!(all[0].0.leader_epoch(), LeaderEpoch(5));
}
