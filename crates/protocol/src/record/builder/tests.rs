use proptest::prelude::*;

use super::*;
use crate::compression::Compression;
use crate::record::EndTxnMarker;
use crate::record::record::RecordReader;

type OwnedHeaders = Vec<(Vec<u8>, Option<Vec<u8>>)>;
type Owned = (i64, i32, Option<Vec<u8>>, Option<Vec<u8>>, OwnedHeaders);

fn read_all(batch: &ValidBatch) -> Vec<Owned> {
    let mut reader = batch.records(1 << 24).unwrap();
    let mut all = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let headers = record
            .headers
            .map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec)))
            .collect();
        let timestamp = batch.header().base_timestamp().0 + record.timestamp_delta;
        all.push((
            timestamp,
            record.offset_delta,
            record.key.map(<[u8]>::to_vec),
            record.value.map(<[u8]>::to_vec),
            headers,
        ));
    }
    all
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..max),
        (0..max).prop_map(|len| vec![b'x'; len])
    ]
}

fn record() -> impl Strategy<Value = (i64, Option<Vec<u8>>, Option<Vec<u8>>, OwnedHeaders)> {
    let header = (bytes(20), prop::option::of(bytes(20)));
    (
        0..i64::MAX / 2,
        prop::option::of(bytes(100)),
        prop::option::of(bytes(2000)),
        prop::collection::vec(header, 0..4),
    )
}

proptest! {
    #[test]
    fn records_read_back_under_every_codec(
        records in prop::collection::vec(record(), 1..40),
        codec in 0u8..=4,
    ) {
        let codec = Compression::from_id(codec).unwrap();
        let mut builder = BatchBuilder::new().codec(codec).base_offset(Offset(100));
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<_> = headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
            builder.append_with_headers(Timestamp(*timestamp), key.as_deref(), value.as_deref(), &headers);
        }
        let batch = builder.build().unwrap();
        let expected: Vec<Owned> = records
            .iter()
            .enumerate()
            .map(|(index, (at, key, value, headers))| (*at, index as i32, key.clone(), value.clone(), headers.clone()))
            .collect();
        prop_assert_eq!(read_all(&batch), expected);

        let header = batch.header();
        prop_assert_eq!(header.size(), Some(batch.size()));
        prop_assert_eq!(header.codec_id(), codec.id());
        prop_assert_eq!(header.records_count() as usize, records.len());
        prop_assert_eq!(header.next_offset(), Offset(100 + records.len() as i64));
        prop_assert_eq!(header.max_timestamp().0, records.iter().map(|record| record.0).max().unwrap());
        let mut resealed = *header;
        resealed.seal(batch.body());
        prop_assert_eq!(resealed.crc(), header.crc());
    }
}

#[test]
fn a_batch_has_kafkas_bytes() {
    // The layout spelt out by hand from the tables of `batch.rs` and `record.rs`.
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(1))
        .leader_epoch(LeaderEpoch(2))
        .producer(ProducerId(3), ProducerEpoch(4), Sequence(5))
        .transactional();
    builder.append_with_headers(
        Timestamp(1000),
        Some(b"k"),
        Some(b"v"),
        &[(b"h", None), (b"h", Some(b"2"))],
    );
    builder.append(Timestamp(999), None, None);
    let batch = builder.build().unwrap();
    let body: &[u8] = &[
        30, 0, 0, 0, 2, b'k', 2, b'v', 4, 2, b'h', 1, 2, b'h', 2, b'2', // record 0
        12, 0, 1, 2, 1, 1, 0, // record 1
    ];
    assert_eq!(&batch.body()[..], body);
    let mut head = Vec::new();
    head.extend_from_slice(&1i64.to_be_bytes());
    head.extend_from_slice(&(49 + body.len() as i32).to_be_bytes());
    head.extend_from_slice(&2i32.to_be_bytes());
    head.push(2);
    head.extend_from_slice(&batch.header().crc().to_be_bytes());
    head.extend_from_slice(&0x10i16.to_be_bytes());
    head.extend_from_slice(&1i32.to_be_bytes());
    head.extend_from_slice(&1000i64.to_be_bytes());
    head.extend_from_slice(&1000i64.to_be_bytes());
    head.extend_from_slice(&3i64.to_be_bytes());
    head.extend_from_slice(&4i16.to_be_bytes());
    head.extend_from_slice(&5i32.to_be_bytes());
    head.extend_from_slice(&2i32.to_be_bytes());
    assert_eq!(&batch.header().as_bytes()[..], head);
}

#[test]
fn holes_and_empty_batches_keep_their_range() {
    let mut original = BatchBuilder::new().base_offset(Offset(10)).producer(
        ProducerId(1),
        ProducerEpoch(0),
        Sequence(7),
    );
    for at in 0..5 {
        original.append(Timestamp(at), Some(b"key"), Some(b"value"));
    }
    let original = original.build().unwrap();

    let mut kept = BatchBuilder::like(original.header()).last_offset_delta(4);
    let mut reader = original.records(usize::MAX).unwrap();
    while let Some(record) = reader.next().unwrap() {
        if record.offset_delta == 1 || record.offset_delta == 3 {
            kept.append_record(
                record.offset_delta,
                Timestamp(record.timestamp_delta),
                &record,
            );
        }
    }
    let kept = kept.build().unwrap();
    assert_eq!(
        read_all(&kept)
            .iter()
            .map(|record| record.1)
            .collect::<Vec<_>>(),
        [1, 3]
    );
    assert_eq!(kept.header().last_offset(), Offset(14));
    assert_eq!(kept.header().last_sequence(), Sequence(11));
    assert_eq!(kept.header().max_timestamp(), Timestamp(3));

    let empty = BatchBuilder::like(original.header())
        .codec(Compression::Zstd)
        .last_offset_delta(4)
        .max_timestamp(Timestamp(4))
        .build()
        .unwrap();
    assert_eq!(empty.size(), HEADER_LEN);
    assert_eq!(empty.header().codec_id(), 0);
    assert_eq!(
        (empty.header().last_offset(), empty.header().records_count()),
        (Offset(14), 0)
    );
    assert_eq!(
        (
            empty.header().base_timestamp(),
            empty.header().max_timestamp()
        ),
        (Timestamp::NONE, Timestamp(4))
    );
    assert!(read_all(&empty).is_empty());
    assert!(matches!(
        BatchBuilder::new().build(),
        Err(BuildError::Empty)
    ));
}

#[test]
fn a_delete_horizon_takes_the_place_of_the_base_timestamp() {
    let mut builder = BatchBuilder::new().delete_horizon(Timestamp(50_000));
    builder.append(Timestamp(20_000), Some(b"k"), None);
    let batch = builder.build().unwrap();
    assert!(batch.header().has_delete_horizon());
    assert_eq!(batch.header().base_timestamp(), Timestamp(50_000));
    assert_eq!(read_all(&batch)[0].0, 20_000);
}

#[test]
fn the_broker_clock_goes_into_the_header_only() {
    let mut builder = BatchBuilder::new().log_append_time(Timestamp(777));
    builder.append(Timestamp(5), None, None);
    let batch = builder.build().unwrap();
    assert!(batch.header().is_log_append_time());
    assert_eq!(batch.header().max_timestamp(), Timestamp(777));
    assert!(RecordReader::new(batch.header(), batch.body(), 0).is_ok());
}

/// The same three records of a transactional producer, written by Apache Kafka 4.3.0 (`MemoryRecordsBuilder`).
const KAFKA_BATCHES: [(Compression, &str); 5] = [
    (
        Compression::None,
        "\
        00000000000000000000007dffffffff0277a821ca0010000000020000018bcfe568000000018bcfe568\
        0a0000000000000fa000030000001100000003560000000a6b65792d3032612076616c75652c20612076\
        616c75652c20612076616c7565040268023102680126001402011a616e6f746865722076616c75650016\
        0009040a6b65792d320100",
    ),
    (
        Compression::Gzip,
        "\
        00000000000000000000007bffffffff02c82a5c9b0011000000020000018bcfe568000000018bcfe568\
        0a0000000000000fa0000300000011000000031f8b08000000000000ff0b636060e0ca4eadd435304a54\
        284bcc294dd5514067b030653019326530aa318830314a25e6e59764a41641a418c4183859c0fa8d1819\
        00b7d573cf4c000000",
    ),
    (
        Compression::Snappy,
        "\
        000000000000000000000084ffffffff022f35df940012000000020000018bcfe568000000018bcfe568\
        0a0000000000000fa00003000000110000000382534e415050590000000001000000010000003f4c4c56\
        0000000a6b65792d3032612076616c75652c203e090050040268023102680126001402011a616e6f7468\
        6572092d3000160009040a6b65792d320100",
    ),
    (
        Compression::Lz4,
        "\
        00000000000000000000007fffffffff0252d87c6e0013000000020000018bcfe568000000018bcfe568\
        0a0000000000000fa00003000000110000000304224d186040823f000000fc05560000000a6b65792d30\
        32612076616c75652c200900f206040268023102680126001402011a616e6f746865722d00d000160009\
        040a6b65792d32010000000000",
    ),
    (
        Compression::Zstd,
        "\
        00000000000000000000007dffffffff0237d103da0014000000020000018bcfe568000000018bcfe568\
        0a0000000000000fa00003000000110000000328b52ffd00580402006403560000000a6b65792d303261\
        2076616c75652c20040268023102680126001402011a616e6f7468657200160009040a6b65792d320100\
        0200a11a18228509010000",
    ),
];

/// A commit marker by Kafka 4.3.0 (`MemoryRecords.withEndTransactionMarker`).
const KAFKA_MARKER: &str = "\
        000000000000000000000042ffffffff02ce4cf28e0030000000000000018bcfe568000000018bcfe568\
        000000000000000fa00003ffffffff000000012000000008000000010c00000000000700";

fn unhex(hex: &str) -> Bytes {
    let digits: Vec<char> = hex
        .chars()
        .filter(|digit| digit.is_ascii_hexdigit())
        .collect();
    let byte = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn kafkas_batch() -> BatchBuilder {
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(4000), ProducerEpoch(3), Sequence(17))
        .transactional();
    builder
        .append_with_headers(
            Timestamp(1_700_000_000_000),
            Some(b"key-0"),
            Some(b"a value, a value, a value"),
            &[(b"h", Some(b"1")), (b"h", None)],
        )
        .append(Timestamp(1_700_000_000_010), None, Some(b"another value"))
        .append(Timestamp(1_699_999_999_995), Some(b"key-2"), None);
    builder
}

#[test]
fn batches_are_those_of_kafka() {
    let ours = kafkas_batch().build().unwrap();
    for (compression, hex) in KAFKA_BATCHES {
        let theirs = unhex(hex);
        if compression == Compression::None {
            assert_eq!(ours.to_bytes(), theirs);
        }
        let theirs = ValidBatch::from_trusted_bytes(theirs).unwrap();
        assert_eq!(read_all(&theirs), read_all(&ours), "{compression:?}");
        // All of the header but length, CRC and codec.
        let fields = |batch: &ValidBatch| {
            let header = batch.header();
            let producer = (
                header.producer_id(),
                header.producer_epoch(),
                header.base_sequence(),
            );
            (
                producer,
                header.last_offset_delta(),
                header.max_timestamp(),
                header.is_transactional(),
            )
        };
        assert_eq!(fields(&theirs), fields(&ours));
        let mut resealed = *theirs.header();
        resealed.seal(theirs.body());
        assert_eq!(resealed.crc(), theirs.header().crc());
    }
    let marker = EndTxnMarker {
        committed: true,
        coordinator_epoch: 7,
    };
    let marker = marker
        .batch(
            ProducerId(4000),
            ProducerEpoch(3),
            Timestamp(1_700_000_000_000),
        )
        .unwrap();
    assert_eq!(marker.to_bytes(), unhex(KAFKA_MARKER));
}
