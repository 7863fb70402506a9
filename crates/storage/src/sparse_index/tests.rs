use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, Timestamp};
use proptest::prelude::*;

use crate::fs::{Fs, OsFs, Source};
use crate::lazy_file::{LazyFile, LogPath};
use crate::offset_index::{OffsetIndex, OffsetPosition};
use crate::time_index::{TimeIndex, TimestampOffset};

fn file(dir: &Path, name: &str) -> LazyFile {
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    LazyFile::new(fs, LogPath::new(dir), name.to_owned())
}

const BASE: Offset = Offset(1_000_000_000_000);

/// An index in a file that is empty at first.
fn offset_index(dir: &Path) -> OffsetIndex {
    std::fs::write(dir.join("i"), []).unwrap();
    reopened(dir)
}

fn reopened(dir: &Path) -> OffsetIndex {
    OffsetIndex::new(BASE, file(dir, "i"))
}

/// Entry `i` of the test index: last offsets 9, 19, 29, ..., positions 100, 200, 300, ...
fn entry(i: i64) -> OffsetPosition {
    OffsetPosition {
        offset: BASE.plus(i * 10 + 9),
        position: (i as u32 + 1) * 100,
    }
}

fn filled(dir: &Path, count: i64) -> OffsetIndex {
    let index = offset_index(dir);
    for i in 0..count {
        index.append(entry(i).offset, entry(i).position).unwrap();
    }
    index
}

fn check(index: &OffsetIndex, count: i64, step: usize) {
    let start = OffsetPosition {
        offset: BASE,
        position: 0,
    };
    let size = (count as u32 + 1) * 100;
    for i in (0..count).step_by(step) {
        let before = if i == 0 { start } else { entry(i - 1) };
        let at = entry(i);
        assert_eq!(
            index.lookup(at.offset, Source::Disk).unwrap(),
            at,
            "entry {i}"
        );
        assert_eq!(
            index.lookup(at.offset.plus(-1), Source::Disk).unwrap(),
            before
        );
        assert_eq!(index.lookup(at.offset.plus(9), Source::Disk).unwrap(), at);
        assert_eq!(
            index
                .lookup_position(at.position, size, Source::Disk)
                .unwrap(),
            at
        );
        assert_eq!(
            index
                .lookup_position(at.position - 1, size, Source::Disk)
                .unwrap(),
            before
        );
    }
    let last = (count > 0).then(|| entry(count - 1));
    assert_eq!(index.last().unwrap(), last);
    let far = index.lookup(Offset(i64::MAX), Source::Disk).unwrap();
    assert_eq!(far, last.unwrap_or(start));
}

#[test]
fn entries_are_found_in_memory_in_the_file_and_in_both() {
    for count in [0, 1, 2, 255, 256, 257, 4095, 4096, 4097, 9000] {
        let dir = tempfile::tempdir().unwrap();
        let index = filled(dir.path(), count);
        check(&index, count, 7);
        index.write_out().unwrap();
        check(&index, count, 61);
        index.seal().unwrap();
        check(&index, count, 61);
        check(&reopened(dir.path()), count, 7);
        let len = std::fs::metadata(dir.path().join("i")).unwrap().len();
        assert_eq!(len, count as u64 * 8);
    }
}

#[test]
fn a_sealed_index_takes_more_entries() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path(), 300);
    index.seal().unwrap();
    for i in 300..5000 {
        index.append(entry(i).offset, entry(i).position).unwrap();
    }
    check(&index, 5000, 13);
    index.seal().unwrap();
    check(&reopened(dir.path()), 5000, 13);
}

#[test]
fn truncation_wherever_the_entries_are() {
    for (count, sealed, keep) in [
        (100, false, 40),
        (100, true, 40),
        (9000, false, 8000),
        (9000, false, 3000),
        (9000, true, 4097),
        (9000, false, 0),
        (50, true, 50),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let index = filled(dir.path(), count);
        if sealed {
            index.seal().unwrap();
        }
        index.truncate_position(entry(keep).position).unwrap();
        check(&index, keep, 7);
        for i in keep..keep + 10 {
            index.append(entry(i).offset, entry(i).position).unwrap();
        }
        check(&index, keep + 10, 7);
        index.write_out().unwrap();
        check(&reopened(dir.path()), keep + 10, 7);
    }
}

#[test]
fn only_what_makes_sense_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path(), 100);
    index.seal().unwrap();
    let path = dir.path().join("i");
    let mut bytes = std::fs::read(&path).unwrap();
    // As Kafka leaves it after a crash: zeros behind the entries.
    bytes.resize(4096, 0);
    std::fs::write(&path, &bytes).unwrap();
    let trust = |below: i64, size| {
        let index = reopened(dir.path());
        let last = index.trust_below(BASE.plus(below), size).unwrap();
        assert_eq!(last, index.last().unwrap());
        std::fs::write(&path, &bytes).unwrap();
        last
    };
    assert_eq!(trust(100_000, 100_000), Some(entry(99)));
    assert_eq!(trust(100_000, 5001), Some(entry(49)), "within the segment");
    assert_eq!(trust(210, 100_000), Some(entry(20)), "below the offset");
    assert_eq!(trust(0, 100_000), None);
    bytes[80..88].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let index = reopened(dir.path());
    assert_eq!(
        index.trust_below(BASE.plus(100_000), 100_000).unwrap(),
        Some(entry(9))
    );
    check(&index, 10, 1);
}

#[test]
fn an_index_is_full_at_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let index = filled(dir.path(), 10);
    assert!(index.is_full(87).unwrap());
    assert!(!index.is_full(88).unwrap());
    let time = TimeIndex::new(BASE, file(dir.path(), "t"));
    std::fs::write(dir.path().join("t"), []).unwrap();
    for i in 1..=10 {
        time.maybe_append(stamp(i * 5, i)).unwrap();
    }
    assert!(time.is_full(11 * 12).unwrap(), "one slot stays free");
    assert!(!time.is_full(12 * 12).unwrap());
}

fn stamp(timestamp: i64, relative: i64) -> TimestampOffset {
    TimestampOffset {
        timestamp: Timestamp(timestamp),
        offset: BASE.plus(relative),
    }
}

#[test]
fn the_time_index_grows_with_the_timestamps_only() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t"), []).unwrap();
    let index = TimeIndex::new(BASE, file(dir.path(), "t"));
    assert_eq!(index.last().unwrap(), stamp(-1, 0));
    for (timestamp, offset) in [(-1, 1), (10, 2), (10, 5), (9, 6), (12, 7), (12, 7)] {
        index.maybe_append(stamp(timestamp, offset)).unwrap();
    }
    for (target, expected) in [
        (-1, stamp(-1, 0)),
        (9, stamp(-1, 0)),
        (10, stamp(10, 2)),
        (11, stamp(10, 2)),
        (12, stamp(12, 7)),
        (i64::MAX, stamp(12, 7)),
    ] {
        assert_eq!(
            index.lookup(Timestamp(target)).unwrap(),
            expected,
            "{target}"
        );
    }
    index.seal().unwrap();
    let bytes = std::fs::read(dir.path().join("t")).unwrap();
    assert_eq!(bytes.len(), 24);
    assert_eq!(bytes[..12], [0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 2]);
    index.truncate_offset(BASE.plus(7)).unwrap();
    assert_eq!(index.last().unwrap(), stamp(10, 2));
    index.truncate_offset(BASE.plus(2)).unwrap();
    assert_eq!(index.last().unwrap(), stamp(-1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_bytes_are_searched_without_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..6000),
        offsets in proptest::collection::vec(any::<i64>(), 5),
    ) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("i"), &bytes).unwrap();
        std::fs::write(dir.path().join("t"), &bytes).unwrap();
        let index = OffsetIndex::new(Offset(5), file(dir.path(), "i"));
        let time = TimeIndex::new(Offset(5), file(dir.path(), "t"));
        for offset in offsets {
            index.lookup(Offset(offset.max(0)), Source::Disk).unwrap();
            index.lookup_position(offset as u32, 4000, Source::Disk).unwrap();
            time.lookup(Timestamp(offset)).unwrap();
        }
        index.truncate_position(bytes.len() as u32).unwrap();
        time.truncate_offset(Offset(bytes.len() as i64)).unwrap();
        index.trust_below(Offset(1000), 4000).unwrap();
        time.trust_up_to(Offset(1000)).unwrap();
        index.append(Offset(70), 7).unwrap();
        index.write_out().unwrap();
    }
}
