use super::*;
use ottla_protocol::ids::{LeaderEpoch, Sequence};
use ottla_protocol::record::batch::HEADER_LEN;

const NOW: i64 = 50_000;
const RETENTION: i64 = 1000;

/// Four records from offset 100 on, of an idempotent producer: keys a, b, c and a tombstone for d.
fn batch(codec: Compression) -> ValidBatch {
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(100))
        .leader_epoch(LeaderEpoch(7))
        .producer(ProducerId(5), ProducerEpoch(2), Sequence(40))
        .codec(codec);
    let header: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"1"))];
    builder.append_with_headers(Timestamp(1000), Some(b"a"), Some(b"1"), header);
    builder.append_with_headers(Timestamp(900), Some(b"b"), Some(b"2"), header);
    builder.append(Timestamp(1100), Some(b"c"), Some(b"3"));
    builder.append(Timestamp(1050), Some(b"d"), None);
    builder.build().unwrap()
}

fn map(keys: &[(&[u8], i64)], latest: i64) -> OffsetMap {
    let mut map = OffsetMap::new(4096, 0.9, 100);
    for (key, offset) in keys {
        assert!(map.put(key, Offset(*offset)));
    }
    map.set_latest(Offset(latest));
    map
}

fn filter(map: &OffsetMap) -> Filter<'_> {
    Filter {
        map,
        last_records: HashMap::new(),
        round_end: Offset(1000),
        delete_retention_ms: RETENTION,
        now: Timestamp(NOW),
        max_content: 1 << 20,
    }
}

fn judge(filter: &Filter<'_>, batch: &ValidBatch) -> Kept {
    let mut transactions = Transactions::default();
    filter
        .judge(
            batch.header(),
            batch.body(),
            &mut transactions,
            &mut Vec::new(),
        )
        .unwrap()
}

fn part(kept: Kept) -> ValidBatch {
    match kept {
        Kept::Part(part) => part,
        other => panic!("{other:?}"),
    }
}

/// Offset, timestamp, key and count of headers of each record.
fn records(batch: &ValidBatch) -> Vec<(i64, i64, String, usize)> {
    let header = batch.header();
    let mut found = Vec::new();
    let mut records = batch.records(1 << 20).unwrap();
    while let Some(record) = records.next().unwrap() {
        found.push((
            header.base_offset().0 + i64::from(record.offset_delta),
            timestamp(header, &record).0,
            String::from_utf8(record.key.unwrap().to_vec()).unwrap(),
            record.headers.len(),
        ));
    }
    found
}

#[test]
fn what_stays_keeps_its_place_time_producer_and_codec() {
    for codec in [0, 1, 2, 3, 4] {
        let codec = Compression::from_id(codec).unwrap();
        let map = map(&[(b"a", 200), (b"c", 300), (b"d", 103)], 500);
        let original = batch(codec);
        let left = part(judge(&filter(&map), &original));
        let (was, is) = (original.header(), left.header());
        assert_eq!(
            records(&left),
            [
                (101, 900, "b".to_owned(), 1),
                (103, 1050, "d".to_owned(), 0)
            ]
        );
        assert_eq!(is.base_offset(), was.base_offset());
        assert_eq!(is.last_offset(), was.last_offset());
        assert_eq!(is.leader_epoch(), was.leader_epoch());
        assert_eq!(is.producer_id(), was.producer_id());
        assert_eq!(is.producer_epoch(), was.producer_epoch());
        assert_eq!(is.base_sequence(), was.base_sequence());
        assert_eq!(is.last_sequence(), was.last_sequence());
        assert_eq!(is.codec_id(), codec.id());
        assert_eq!(is.max_timestamp(), Timestamp(1050), "of those that stay");
        // The tombstone may go from now on in so many milliseconds, and in no later round any later.
        assert!(is.has_delete_horizon());
        assert_eq!(is.base_timestamp(), Timestamp(NOW + RETENTION));
        assert!(matches!(judge(&filter(&map), &left), Kept::Whole));
        let mut late = filter(&map);
        late.now = Timestamp(NOW + RETENTION - 1);
        assert!(matches!(judge(&late, &left), Kept::Whole));
        late.now = Timestamp(NOW + RETENTION);
        let later = part(judge(&late, &left));
        assert_eq!(records(&later), [(101, 900, "b".to_owned(), 1)]);
        assert_eq!(later.header().last_offset(), was.last_offset());
        assert_eq!(later.header().base_timestamp(), Timestamp(NOW + RETENTION));
    }
}

#[test]
fn a_batch_that_loses_nothing_is_not_touched() {
    let mut original = BatchBuilder::new().base_offset(Offset(9));
    original.append(Timestamp(1), Some(b"a"), Some(b"1"));
    original.append(Timestamp(1), Some(b"b"), Some(b"1"));
    let original = original.build().unwrap();
    for (keys, latest) in [
        (&[(&b"a"[..], 9), (b"b", 10)][..], 500),
        (&[], 500),
        (&[(b"a", 12)], 8),
        (&[(b"b", 7)], 10),
    ] {
        let map = map(keys, latest);
        assert!(matches!(judge(&filter(&map), &original), Kept::Whole));
    }
}

#[test]
fn headers_without_records_stay_where_they_are_needed() {
    let original = batch(Compression::Zstd);
    let map = map(&[(b"a", 200), (b"b", 200), (b"c", 300), (b"d", 400)], 500);
    assert!(matches!(judge(&filter(&map), &original), Kept::Nothing));
    let mut last_of_producer = filter(&map);
    let last = LastRecord {
        data: Some(Offset(103)),
        epoch: ProducerEpoch(2),
    };
    last_of_producer.last_records.insert(ProducerId(5), last);
    let mut last_of_round = filter(&map);
    last_of_round.round_end = Offset(104);
    for filter in [&last_of_producer, &last_of_round] {
        let left = part(judge(filter, &original));
        assert_eq!(left.size(), HEADER_LEN);
        assert_eq!(left.header().records_count(), 0);
        assert_eq!(left.header().last_offset(), Offset(103));
        assert_eq!(left.header().last_sequence(), Sequence(43));
        assert_eq!(left.header().max_timestamp(), Timestamp(1100));
        assert!(matches!(judge(filter, &left), Kept::Whole), "and stay so");
        assert!(matches!(
            judge(&super::tests::filter(&map), &left),
            Kept::Nothing
        ));
    }
}

#[test]
fn the_broker_s_time_stays() {
    let mut builder = BatchBuilder::new().log_append_time(Timestamp(777));
    builder.append(Timestamp(5), Some(b"a"), Some(b"1"));
    builder.append(Timestamp(6), Some(b"b"), Some(b"1"));
    let original = builder.build().unwrap();
    let map = map(&[(b"a", 200)], 500);
    let left = part(judge(&filter(&map), &original));
    assert!(left.header().is_log_append_time());
    assert_eq!(left.header().max_timestamp(), Timestamp(777));
    assert_eq!(records(&left), [(1, 777, "b".to_owned(), 0)]);
}

#[test]
fn a_marker_goes_when_its_time_has_come() {
    let marker = EndTxnMarker {
        committed: true,
        coordinator_epoch: 1,
    };
    let original = marker.batch(ProducerId(5), ProducerEpoch(0), Timestamp(10));
    let original = original.unwrap();
    let map = map(&[], 500);
    let marked = part(judge(&filter(&map), &original));
    assert_eq!(marked.header().base_timestamp(), Timestamp(NOW + RETENTION));
    assert!(marked.header().is_control() && marked.header().is_transactional());
    assert_eq!(
        super::marker(marked.header(), marked.body(), 100).unwrap(),
        Some(marker)
    );
    let mut late = filter(&map);
    assert!(matches!(judge(&late, &marked), Kept::Whole));
    late.now = Timestamp(NOW + RETENTION);
    assert!(matches!(judge(&late, &marked), Kept::Nothing));
    // Unless it is all that tells of its producer's epoch.
    let last = LastRecord {
        data: None,
        epoch: ProducerEpoch(0),
    };
    late.last_records.insert(ProducerId(5), last);
    assert!(matches!(judge(&late, &marked), Kept::Whole));
}
