use kafka_protocol::ResponseError;
use proptest::prelude::*;

use super::*;
use crate::ids::{ProducerEpoch, ProducerId, Sequence};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const HOUR_MS: i64 = 3_600_000;

fn rules() -> BatchRules {
    BatchRules {
        max_message_bytes: 1_048_588,
        max_decompressed_bytes: 10_000_000,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: HOUR_MS,
        require_keys: false,
        codec: TopicCodec::Producer,
        now: NOW,
        produce_version: 12,
    }
}

/// Three keyed records, 5 ms apart, the latest in the middle.
fn builder() -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for (index, after) in [0, 10, 5].into_iter().enumerate() {
        let key = format!("key-{index}");
        builder.append(
            Timestamp(NOW.0 + after),
            Some(key.as_bytes()),
            Some(b"value value value"),
        );
    }
    builder
}

fn batch() -> Bytes {
    builder().build().unwrap().to_bytes()
}

/// Change bytes of the batch and make its CRC right again.
fn altered(batch: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let crc = crc32c(&bytes[CRC_START..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn refused(records: Bytes, rules: &BatchRules) -> InvalidBatch {
    ValidBatch::check(records, rules).expect_err("the batch is not valid")
}

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip { level: 6 },
    Codec::Snappy,
    Codec::Lz4 { level: 9 },
    Codec::Zstd { level: 3 },
];

#[test]
fn a_good_batch_passes_as_it_is() {
    for codec in CODECS {
        let bytes = builder().codec(codec).build().unwrap().to_bytes();
        let valid = ValidBatch::check(bytes.clone(), &rules()).unwrap();
        assert_eq!(valid.to_bytes(), bytes, "{codec:?}");
        let body = bytes.slice(HEADER_LEN..);
        assert_eq!(
            valid.body().as_ptr(),
            body.as_ptr(),
            "the body is the producer's own bytes"
        );
        assert_eq!(valid.size(), bytes.len());
    }
}

#[test]
fn every_fault_has_kafkas_error() {
    use ResponseError::{
        CorruptMessage, InvalidRecord, MessageTooLarge, UnsupportedCompressionType,
    };
    let good = batch();
    let put = |at: usize, field: &[u8]| {
        let field = field.to_vec();
        altered(&good, |bytes| {
            bytes[at..at + field.len()].copy_from_slice(&field)
        })
    };
    let damaged = {
        let mut bytes = good.to_vec();
        bytes[70] ^= 1;
        Bytes::from(bytes)
    };
    let table: Vec<(&str, Bytes, ResponseError)> = vec![
        ("empty", Bytes::new(), InvalidRecord),
        ("no whole header", good.slice(..60), InvalidRecord),
        ("cut short", good.slice(..good.len() - 1), InvalidRecord),
        (
            "two batches",
            [&good[..], &good[..]].concat().into(),
            InvalidRecord,
        ),
        (
            "bytes behind",
            [&good[..], &[0]].concat().into(),
            InvalidRecord,
        ),
        ("length negative", put(8, &[0xff; 4]), CorruptMessage),
        (
            "length below any header",
            put(8, &13i32.to_be_bytes()),
            CorruptMessage,
        ),
        (
            "length below this header",
            put(8, &48i32.to_be_bytes()),
            CorruptMessage,
        ),
        ("magic 1", put(16, &[1]), InvalidRecord),
        ("magic 0", put(16, &[0]), InvalidRecord),
        ("magic 3", put(16, &[3]), CorruptMessage),
        ("magic -1", put(16, &[0xff]), CorruptMessage),
        ("crc", damaged, CorruptMessage),
        ("base offset", put(0, &1i64.to_be_bytes()), InvalidRecord),
        ("codec 5", put(22, &[5]), UnsupportedCompressionType),
        ("codec 7", put(22, &[7]), UnsupportedCompressionType),
        ("plain records called gzip", put(22, &[1]), InvalidRecord),
        ("control batch", put(22, &[0x20]), InvalidRecord),
        ("no record", put(57, &[0; 4]), InvalidRecord),
        ("count negative", put(57, &[0xff; 4]), InvalidRecord),
        (
            "count above the offsets",
            put(57, &4i32.to_be_bytes()),
            InvalidRecord,
        ),
        (
            "offsets above the count",
            put(23, &3i32.to_be_bytes()),
            InvalidRecord,
        ),
        ("last delta negative", put(23, &[0xff; 4]), InvalidRecord),
        (
            "more records declared than there are",
            altered(&good, |bytes| {
                bytes[23..27].copy_from_slice(&3i32.to_be_bytes());
                bytes[57..61].copy_from_slice(&4i32.to_be_bytes());
            }),
            InvalidRecord,
        ),
        (
            "fewer records declared than there are",
            altered(&good, |bytes| {
                bytes[23..27].copy_from_slice(&1i32.to_be_bytes());
                bytes[57..61].copy_from_slice(&2i32.to_be_bytes());
            }),
            InvalidRecord,
        ),
        (
            "producer without sequence",
            builder()
                .producer(ProducerId(7), ProducerEpoch(0), Sequence(-1))
                .build()
                .unwrap()
                .to_bytes(),
            InvalidRecord,
        ),
    ];
    for (what, records, code) in table {
        let error = refused(records, &rules());
        assert_eq!(error.error_code(), code, "{what}: {error}");
        assert!(error.record_errors().is_empty(), "{what}");
        assert!(!error.message().is_empty());
    }
    let error = refused(
        good.clone(),
        &BatchRules {
            max_message_bytes: good.len() - 1,
            ..rules()
        },
    );
    assert_eq!(error.error_code(), MessageTooLarge);
    assert!(
        ValidBatch::check(
            good.clone(),
            &BatchRules {
                max_message_bytes: good.len(),
                ..rules()
            }
        )
        .is_ok()
    );
}

/// What the first bytes say, or in words why they cannot be a batch.
fn first_bytes(records: &[u8]) -> Result<bool, String> {
    begins_transactional(records).map_err(|invalid| invalid.to_string())
}

#[test]
fn what_the_first_bytes_say() {
    let plain = batch();
    let transactional = builder().transactional().build().unwrap().to_bytes();
    for (records, expected) in [(&plain, false), (&transactional, true)] {
        assert_eq!(first_bytes(records), Ok(expected));
        // Only a whole batch counts; what follows it does not.
        for len in 0..records.len() {
            assert_eq!(first_bytes(&records[..len]), Ok(false), "{len}");
        }
        let two = [&records[..], &transactional].concat();
        assert_eq!(first_bytes(&two), Ok(expected));
    }
    let short = altered(&transactional, |bytes| {
        bytes[8..12].copy_from_slice(&[0, 0, 0, 13]);
    });
    let expected = Err(InvalidBatch::Length(13).to_string());
    for len in 12..short.len() {
        assert_eq!(first_bytes(&short[..len]), expected, "{len}");
    }
    let strange = altered(&transactional, |bytes| bytes[16] = 3);
    let expected = Err(InvalidBatch::UnknownMagic(3).to_string());
    assert_eq!(first_bytes(&strange), expected);
    assert_eq!(first_bytes(&strange[..16]), Ok(false));
    let old = altered(&transactional, |bytes| bytes[16] = 1);
    assert_eq!(first_bytes(&old), Ok(false));
}

#[test]
fn zstd_needs_produce_7() {
    let bytes = builder()
        .codec(Codec::Zstd { level: 3 })
        .build()
        .unwrap()
        .to_bytes();
    let error = refused(
        bytes.clone(),
        &BatchRules {
            produce_version: 6,
            ..rules()
        },
    );
    assert_eq!(
        error.error_code(),
        ResponseError::UnsupportedCompressionType
    );
    assert!(
        ValidBatch::check(
            bytes,
            &BatchRules {
                produce_version: 7,
                ..rules()
            }
        )
        .is_ok()
    );
}

#[test]
fn bombs_are_too_large() {
    for codec in &CODECS[1..] {
        let mut builder = BatchBuilder::new().codec(*codec);
        builder.append(NOW, None, Some(&vec![0; 3_000_000]));
        let bytes = builder.build().unwrap().to_bytes();
        let error = refused(
            bytes.clone(),
            &BatchRules {
                max_decompressed_bytes: 2_000_000,
                ..rules()
            },
        );
        let too_large = error.error_code() == ResponseError::MessageTooLarge;
        // The one block of raw snappy is refused before it is decompressed.
        assert!(too_large || *codec == Codec::Snappy, "{codec:?}: {error}");
        assert!(ValidBatch::check(bytes, &rules()).is_ok(), "{codec:?}");
    }
}

#[test]
fn timestamps_out_of_range_are_named() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new().codec(codec);
        let late = NOW.0 + HOUR_MS + 1;
        for at in [NOW.0, late, NOW.0 + HOUR_MS, -1, NOW.0 - 1000, NOW.0 - 1001] {
            builder.append(Timestamp(at), Some(b"k"), None);
        }
        let bytes = builder.build().unwrap().to_bytes();
        let error = refused(
            bytes,
            &BatchRules {
                timestamp_before_max_ms: 1000,
                ..rules()
            },
        );
        assert_eq!(error.error_code(), ResponseError::InvalidTimestamp);
        // Timestamp -1 says that there is none.
        assert_eq!(
            error
                .record_errors()
                .iter()
                .map(|fault| fault.0)
                .collect::<Vec<_>>(),
            [1, 5]
        );
        let range = format!("[{}, {}]", NOW.0 - 1000, NOW.0 + HOUR_MS);
        assert!(
            error.record_errors()[0].1.contains(&range),
            "{:?}",
            error.record_errors()
        );
    }
}

#[test]
fn extreme_timestamps_do_not_overflow() {
    for at in [i64::MIN, i64::MIN + 1, -2, 0, i64::MAX] {
        let mut builder = BatchBuilder::new().base_timestamp(Timestamp(0));
        builder.append(Timestamp(at), Some(b"k"), None);
        let bytes = builder.build().unwrap().to_bytes();
        let limits = BatchRules {
            timestamp_before_max_ms: HOUR_MS,
            ..rules()
        };
        assert_eq!(
            refused(bytes.clone(), &limits).error_code(),
            ResponseError::InvalidTimestamp,
            "{at}"
        );
        let none = BatchRules {
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: i64::MAX,
            ..rules()
        };
        assert!(ValidBatch::check(bytes, &none).is_ok(), "{at}");
    }
}

#[test]
fn keys_are_required_on_compacted_topics() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new().codec(codec);
        for key in [None, Some(&b"k"[..]), None, Some(b"")] {
            builder.append(NOW, key, Some(b"v"));
        }
        let bytes = builder.build().unwrap().to_bytes();
        assert!(ValidBatch::check(bytes.clone(), &rules()).is_ok());
        let error = refused(
            bytes,
            &BatchRules {
                require_keys: true,
                ..rules()
            },
        );
        assert_eq!(error.error_code(), ResponseError::InvalidRecord);
        assert_eq!(
            error
                .record_errors()
                .iter()
                .map(|fault| fault.0)
                .collect::<Vec<_>>(),
            [0, 2]
        );
    }
}

#[test]
fn the_list_of_record_errors_is_bounded() {
    let mut builder = BatchBuilder::new();
    for _ in 0..5000 {
        builder.append(NOW, None, None);
    }
    let error = refused(
        builder.build().unwrap().to_bytes(),
        &BatchRules {
            require_keys: true,
            ..rules()
        },
    );
    assert_eq!(error.record_errors().len(), MAX_RECORD_ERRORS);
}

#[test]
fn a_max_timestamp_that_lies_is_corrected() {
    for codec in CODECS {
        let honest = builder().codec(codec).build().unwrap().to_bytes();
        let lie = altered(&honest, |bytes| {
            bytes[35..43].copy_from_slice(&(NOW.0 + 99_999).to_be_bytes())
        });
        assert_ne!(lie, honest);
        assert_eq!(
            ValidBatch::check(lie, &rules()).unwrap().to_bytes(),
            honest,
            "{codec:?}"
        );
    }
}

#[test]
fn a_producer_that_claims_log_append_time_is_treated_as_kafka_does() {
    let mut own = builder().log_append_time(NOW).build().unwrap();
    assert!(own.header_mut().is_log_append_time());
    let bytes = own.to_bytes();
    // In range on a CreateTime topic: the claim is taken back.
    let valid = ValidBatch::check(bytes.clone(), &rules()).unwrap();
    assert!(!valid.header().is_log_append_time());
    assert_eq!(valid.header().max_timestamp(), NOW);
    let mut resealed = *valid.header();
    resealed.seal(valid.body());
    assert_eq!(resealed.crc(), valid.header().crc());
    // On a LogAppendTime topic it is an error of every record.
    let error = refused(
        bytes,
        &BatchRules {
            timestamp_type: TimestampType::LogAppendTime,
            ..rules()
        },
    );
    assert_eq!(
        (error.error_code(), error.record_errors().len()),
        (ResponseError::InvalidTimestamp, 3)
    );
}

#[test]
fn log_append_time_goes_into_the_header() {
    let topic = BatchRules {
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_after_max_ms: 0,
        ..rules()
    };
    for codec in CODECS {
        let bytes = builder().codec(codec).build().unwrap().to_bytes();
        let valid = ValidBatch::check(bytes.clone(), &topic).unwrap();
        assert!(valid.header().is_log_append_time());
        assert_eq!(valid.header().max_timestamp(), NOW);
        assert_eq!(valid.header().codec_id(), codec.compression().id());
        assert_eq!(valid.body()[..], bytes[HEADER_LEN..]);
        assert_eq!(valid.header().crc(), crc32c(&valid.to_bytes()[CRC_START..]));
    }
}

type Seen = (i32, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn contents(batch: &ValidBatch) -> Vec<Seen> {
    let mut reader = batch.records(usize::MAX).unwrap();
    let mut seen = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        let at = timestamp_of(&record, batch.header());
        seen.push((
            record.offset_delta,
            at.0,
            record.key.map(<[u8]>::to_vec),
            record.value.map(<[u8]>::to_vec),
        ));
    }
    seen
}

#[test]
fn another_codec_of_the_topic_recompresses() {
    let topic_codecs = [
        (TopicCodec::Uncompressed, 0),
        (TopicCodec::Gzip { level: 1 }, 1),
        (TopicCodec::Snappy, 2),
        (TopicCodec::Lz4 { level: 1 }, 3),
        (TopicCodec::Zstd { level: 1 }, 4),
    ];
    let producer = |builder: BatchBuilder| {
        builder
            .producer(ProducerId(9), ProducerEpoch(1), Sequence(40))
            .transactional()
    };
    let expected = contents(&builder().build().unwrap());
    for source in CODECS {
        for (codec, id) in topic_codecs {
            let bytes = producer(builder())
                .codec(source)
                .build()
                .unwrap()
                .to_bytes();
            let valid = ValidBatch::check(bytes.clone(), &BatchRules { codec, ..rules() }).unwrap();
            let header = valid.header();
            assert_eq!(header.codec_id(), id);
            assert_eq!(contents(&valid), expected, "{source:?} to {codec:?}");
            assert_eq!(header.producer_id(), ProducerId(9));
            assert_eq!(
                (header.producer_epoch(), header.base_sequence()),
                (ProducerEpoch(1), Sequence(40))
            );
            assert!(header.is_transactional());
            assert_eq!(header.crc(), crc32c(&valid.to_bytes()[CRC_START..]));
            if source.compression().id() == id {
                assert_eq!(
                    valid.to_bytes(),
                    bytes,
                    "the same codec leaves the bytes alone"
                );
            }
        }
    }
}

#[test]
fn size_is_checked_again_after_recompression() {
    let mut builder = BatchBuilder::new().codec(Codec::Zstd { level: 3 });
    builder.append(NOW, None, Some(&[0; 10_000]));
    let bytes = builder.build().unwrap().to_bytes();
    let topic = BatchRules {
        codec: TopicCodec::Uncompressed,
        max_message_bytes: 5000,
        ..rules()
    };
    assert_eq!(
        refused(bytes, &topic).error_code(),
        ResponseError::MessageTooLarge
    );
}

#[test]
fn offset_deltas_that_do_not_count_up_are_rewritten() {
    for codec in CODECS {
        let mut odd = BatchBuilder::new().codec(codec);
        let source = builder().build().unwrap();
        let mut reader = source.records(usize::MAX).unwrap();
        let mut deltas = [7, 0, 2].into_iter();
        while let Some(record) = reader.next().unwrap() {
            let at = timestamp_of(&record, source.header());
            odd.append_record(deltas.next().unwrap(), at, &record);
        }
        let bytes = odd.build().unwrap().to_bytes();
        let valid = ValidBatch::check(bytes, &rules()).unwrap();
        assert_eq!(contents(&valid), contents(&source), "{codec:?}");
        assert_eq!(valid.header().last_offset_delta(), 2);
        assert_eq!(valid.header().codec_id(), codec.compression().id());
    }
}

#[test]
fn trusted_bytes_must_be_one_batch() {
    let bytes = batch();
    assert_eq!(
        ValidBatch::from_trusted_bytes(bytes.clone())
            .unwrap()
            .to_bytes(),
        bytes
    );
    assert!(ValidBatch::from_trusted_bytes(bytes.slice(..bytes.len() - 1)).is_none());
    assert!(ValidBatch::from_trusted_bytes([&bytes[..], &[0]].concat().into()).is_none());
    assert!(ValidBatch::from_trusted_bytes(Bytes::new()).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_changes_do_no_harm(
        codec in 0usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        topic in 0usize..3,
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let good = builder().codec(CODECS[codec]).build().unwrap().to_bytes();
        let mut bytes = altered(&good, |bytes| for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        });
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let codec = [TopicCodec::Producer, TopicCodec::Uncompressed, TopicCodec::Zstd { level: 1 }][topic];
        if let Ok(valid) = ValidBatch::check(bytes, &BatchRules { codec, ..rules() }) {
            // What passes reads back and is sealed.
            let header = valid.header();
            prop_assert_eq!(header.crc(), crc32c(&valid.to_bytes()[CRC_START..]));
            prop_assert_eq!(contents(&valid).len() as i32, header.records_count());
            prop_assert_eq!(header.size(), Some(valid.size()));
        }
    }
}
