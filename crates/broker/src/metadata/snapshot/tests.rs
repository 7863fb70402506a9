use std::fs::{read, write};

use ottla_protocol::record::batch::BatchHeader;
use ottla_storage::fs::OsFs;

use super::*;
use crate::metadata::record::{FeatureLevelRecord, MetadataVersion, TopicRecord};

const EPOCH: LeaderEpoch = LeaderEpoch(3);
const NOW: Timestamp = Timestamp(1_000);

fn metadata_version(level: MetadataVersion) -> MetadataRecord {
    FeatureLevelRecord {
        name: "metadata.version".into(),
        feature_level: level.0,
    }
    .into()
}

fn topic(name: &str) -> MetadataRecord {
    TopicRecord {
        name: name.into(),
        ..Default::default()
    }
    .into()
}

fn write_snapshot(path: &Path, records: &[MetadataRecord]) -> u64 {
    let fs = Arc::new(OsFs);
    let head = [ControlRecord::kraft_version(1)];
    let mut writer =
        SnapshotWriter::create(fs, path.to_owned(), EPOCH, Timestamp(7), &head, NOW).unwrap();
    records
        .chunks(2)
        .for_each(|records| writer.append(records, NOW).unwrap());
    writer.freeze(NOW).unwrap()
}

fn read_snapshot(path: &Path) -> Result<Vec<MetadataRecord>, ReadSnapshotError> {
    let (reader, _) = SnapshotReader::open(&OsFs, path)?;
    let mut records = Vec::new();
    for content in reader {
        if let Content::Metadata(batch) = content? {
            records.extend(batch);
        }
    }
    Ok(records)
}

#[test]
fn names_are_those_of_kafka() {
    let id = SnapshotId {
        epoch: LeaderEpoch(1),
        end_offset: Offset(34),
    };
    assert_eq!(id.file_name(), "00000000000000000034-0000000001.checkpoint");
    assert_eq!(SnapshotId::parse(&id.file_name()), Some(id));
    for name in [
        "bootstrap.checkpoint",
        "00000000000000000034-0000000001.checkpoint.part",
        "00000000000000000034-0000000001-9176.checkpoint.part",
        "00000000000000000034-0000000001.checkpoint.deleted",
        "34-1.checkpoint",
        "0000000000000000003x-0000000001.checkpoint",
        "99999999999999999999-0000000001.checkpoint",
        "00000000000000000034.log",
    ] {
        assert_eq!(SnapshotId::parse(name), None, "{name}");
        assert_eq!(
            SnapshotId::is_leftover(name),
            name.contains(".checkpoint."),
            "{name}"
        );
    }
}

#[test]
fn a_later_epoch_is_newer() {
    let id = |epoch, end_offset| SnapshotId {
        epoch: LeaderEpoch(epoch),
        end_offset: Offset(end_offset),
    };
    assert!(SnapshotId::BOOTSTRAP < id(1, 5));
    assert!(id(1, 5) < id(1, 6));
    assert!(id(1, 6) < id(2, 6));
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.checkpoint");
    let records = [
        metadata_version(MetadataVersion::IBP_4_1_IV1),
        topic("a"),
        topic("b"),
        topic("c"),
    ];
    let len = write_snapshot(&path, &records);
    assert_eq!(read(&path).unwrap().len() as u64, len);

    let (reader, head) = SnapshotReader::open(&OsFs, &path).unwrap();
    assert_eq!(head, [ControlRecord::kraft_version(1)]);
    assert_eq!(
        (reader.file_len(), reader.last_contained_timestamp()),
        (len, Timestamp(7))
    );
    assert_eq!(read_snapshot(&path).unwrap(), records);
    let names: Vec<_> = OsFs
        .list(dir.path())
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert_eq!(names, ["s.checkpoint"]);
}

/// Offsets run from 0 through all batches, and every batch has the epoch of the snapshot.
#[test]
fn batches_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.checkpoint");
    write_snapshot(
        &path,
        &[
            metadata_version(MetadataVersion::IBP_4_1_IV1),
            topic("a"),
            topic("b"),
        ],
    );
    let bytes = read(&path).unwrap();
    let mut rest = &bytes[..];
    let mut ranges = Vec::new();
    while let Some(header) = BatchHeader::read(rest) {
        assert_eq!(header.leader_epoch(), EPOCH);
        ranges.push((
            header.base_offset().0,
            header.last_offset().0,
            header.is_control(),
        ));
        rest = &rest[header.size().unwrap()..];
    }
    assert_eq!(
        ranges,
        [(0, 1, true), (2, 3, false), (4, 4, false), (5, 5, true)]
    );
}

#[test]
fn a_cut_or_changed_snapshot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.checkpoint");
    write_snapshot(
        &path,
        &[metadata_version(MetadataVersion::IBP_4_1_IV1), topic("a")],
    );
    let whole = read(&path).unwrap();
    for len in 0..whole.len() {
        write(&path, &whole[..len]).unwrap();
        assert!(read_snapshot(&path).is_err(), "cut to {len}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        write(&path, &changed).unwrap();
        // Base offset and epoch are outside the checksum, and a reader of a snapshot needs neither.
        let outside = read_snapshot(&path).is_ok();
        assert!(
            !outside || is_offset_or_epoch(&whole, at),
            "changed at {at}"
        );
    }
    write(&path, [&whole[..], &whole[..]].concat()).unwrap();
    assert!(matches!(
        read_snapshot(&path).unwrap_err().reason,
        ReadSnapshotReason::BehindFooter
    ));
}

fn is_offset_or_epoch(bytes: &[u8], at: usize) -> bool {
    let mut start = 0;
    loop {
        let size = BatchHeader::read(&bytes[start..]).unwrap().size().unwrap();
        if at < start + size {
            return matches!(at - start, 0..8 | 12..16);
        }
        start += size;
    }
}
