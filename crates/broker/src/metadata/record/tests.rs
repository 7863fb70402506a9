use proptest::prelude::*;
use serde_json::Value;

use super::json::to_json;
use super::*;

/// Every type in every version, once with all fields at their default and once with all fields set: type, version,
/// bytes and JSON as Apache Kafka 4.3.0 (`MetadataRecordSerde`, `MetadataJsonConverters`) writes them.
const GOLDEN: &str = include_str!("golden.txt");

struct Vector {
    type_name: &'static str,
    version: i16,
    bytes: Vec<u8>,
    json: Value,
}

fn vectors() -> Vec<Vector> {
    GOLDEN.lines().map(vector).collect()
}

fn vector(line: &'static str) -> Vector {
    let parts: Vec<_> = line.splitn(4, ' ').collect();
    let [type_name, version, hex, json] = parts[..] else {
        panic!("{line}")
    };
    let digits: Vec<u8> = hex
        .chars()
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    Vector {
        type_name,
        version: version.parse().unwrap(),
        bytes: digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
        json: serde_json::from_str(json).unwrap(),
    }
}

fn encoded(record: &MetadataRecord, version: i16) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(version, &mut out).unwrap();
    out
}

#[test]
fn reads_and_writes_the_bytes_of_apache_kafka() {
    for Vector {
        type_name,
        version,
        bytes,
        json,
    } in vectors()
    {
        let (record, found) =
            MetadataRecord::decode(&bytes).unwrap_or_else(|e| panic!("{type_name} {version}: {e}"));
        assert_eq!(found, version, "{type_name}");
        assert_eq!(
            encoded(&record, version),
            bytes,
            "{type_name} {version}: {record:?}"
        );
        assert_eq!(
            to_json(&record, version),
            serde_json::json!({"type": type_name, "version": version, "data": json})
        );
    }
}

#[test]
fn vectors_cover_every_type_and_version() {
    let covered: std::collections::BTreeSet<_> = vectors()
        .iter()
        .map(|vector| {
            (
                MetadataRecord::decode(&vector.bytes).unwrap().0.api_key(),
                vector.version,
            )
        })
        .collect();
    let known = SCHEMAS
        .iter()
        .flat_map(|schema| (schema.low..=schema.high).map(|version| (schema.api_key, version)));
    assert_eq!(covered, known.collect());
}

#[test]
fn tables_are_in_the_order_of_the_wire() {
    fn check(name: &str, fields: &[FieldSchema]) {
        let tags: Vec<_> = fields.iter().filter_map(|field| field.tag).collect();
        assert!(tags.is_sorted(), "{name}: {tags:?}");
        for field in fields {
            let mut kind = field.kind;
            while let Kind::Array(inner) | Kind::Nullable(inner) = kind {
                kind = *inner;
            }
            if let Kind::Struct { name, fields } = kind {
                check(name, fields);
            }
        }
    }
    SCHEMAS
        .iter()
        .for_each(|schema| check(schema.name, schema.fields));
    assert!(SCHEMAS.is_sorted_by_key(|schema| schema.api_key));
}

#[test]
fn a_field_that_the_version_lacks_is_not_lost_silently() {
    let change = BrokerRegistrationChangeRecord {
        cordoned_log_dirs: Some(vec![]),
        ..Default::default()
    };
    let record = MetadataRecord::from(change);
    let error = record.encode(2, &mut Vec::new()).unwrap_err();
    assert_eq!(
        error,
        EncodeError::NotInVersion {
            field: "cordoned_log_dirs",
            version: 2
        }
    );
    assert_eq!(record.version_at(MetadataVersion::IBP_4_3_IV0), 3);
}

#[test]
fn what_is_not_a_known_record_is_refused() {
    let no_op = encoded(&NoOpRecord {}.into(), 0);
    assert_eq!(no_op, [1, 20, 0, 0]);
    let table: &[(&[u8], DecodeError)] = &[
        (&[], DecodeError::Varint),
        (&[0, 20, 0, 0], DecodeError::UnknownFrame(0)),
        (&[1, 6, 0, 0], DecodeError::UnknownType { api_key: 6 }),
        (&[1, 29, 0, 0], DecodeError::UnknownType { api_key: 29 }),
        (
            &[1, 20, 1, 0],
            DecodeError::UnknownVersion {
                name: "NoOpRecord",
                version: 1,
                low: 0,
                high: 0,
            },
        ),
        (&[1, 20, 0, 0, 0], DecodeError::TrailingBytes { len: 1 }),
        (&[1, 20, 0], DecodeError::Varint),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 0], DecodeError::Varint),
        // TopicRecord without a name, with a name that is not UTF-8, with a name longer than the record.
        (&[1, 2, 0, 0], DecodeError::Null),
        (&[1, 2, 0, 2, 0xff], DecodeError::NotUtf8),
        (&[1, 2, 0, 9, b'a'], DecodeError::Truncated),
        (
            &[1, 2, 0, 0x81, 0x80, 2, b'a'],
            DecodeError::TooLong { len: 0x8000 },
        ),
        // BrokerRegistrationChangeRecord v0 with tag 1, which begins with v1; with a tag 0 of two bytes.
        (
            &[1, 17, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 1, 1, 1],
            DecodeError::TagNotInVersion { tag: 1, version: 0 },
        ),
        (
            &[1, 17, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 2, 1, 1],
            DecodeError::TagLength { tag: 0 },
        ),
    ];
    for (bytes, error) in table {
        assert_eq!(
            MetadataRecord::decode(bytes).as_ref(),
            Err(error),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_tagged_field_of_a_later_release_is_passed_over() {
    let with_tag_77 = [1, 20, 0, 1, 77, 3, 1, 2, 3];
    assert_eq!(
        MetadataRecord::decode(&with_tag_77),
        Ok((NoOpRecord {}.into(), 0))
    );
}

#[test]
fn a_count_reserves_no_more_than_the_bytes_can_hold() {
    // DelegationTokenRecord: two empty strings, then an array that claims 2^31 - 2 strings.
    let bytes = [1, 10, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0x07, 1, 1, 1];
    assert_eq!(MetadataRecord::decode(&bytes), Err(DecodeError::Truncated));
}

#[test]
fn secrets_do_not_show_in_debug_output() {
    let record = UserScramCredentialRecord {
        stored_key: Secret(b"hunter2".to_vec()),
        ..Default::default()
    };
    assert!(!format!("{record:?}").contains("104"), "{record:?}");
    assert!(format!("{record:?}").contains("(hidden)"));
}

/// `MetadataVersion` of Apache Kafka 4.3.0: level, name, and the versions of RegisterBroker, Partition and
/// PartitionChange records that it writes.
const LEVELS: &[(i16, &str, i16, i16)] = &[
    (7, "3.3-IV3", 1, 0),
    (8, "3.4-IV0", 2, 0),
    (11, "3.5-IV2", 2, 0),
    (13, "3.6-IV1", 2, 0),
    (14, "3.6-IV2", 2, 0),
    (15, "3.7-IV0", 2, 0),
    (16, "3.7-IV1", 2, 0),
    (17, "3.7-IV2", 3, 1),
    (19, "3.7-IV4", 3, 1),
    (20, "3.8-IV0", 3, 1),
    (21, "3.9-IV0", 3, 1),
    (22, "4.0-IV0", 3, 1),
    (23, "4.0-IV1", 3, 2),
    (25, "4.0-IV3", 3, 2),
    (27, "4.1-IV1", 3, 2),
    (29, "4.2-IV1", 3, 2),
    (30, "4.3-IV0", 4, 2),
];

#[test]
fn record_versions_follow_the_finalized_level() {
    for &(level, name, register_broker, partition) in LEVELS {
        let level = MetadataVersion(level);
        assert_eq!(level.to_string(), name);
        assert_eq!(MetadataVersion::from_name(name), Some(level));
        assert_eq!(
            MetadataRecord::from(RegisterBrokerRecord::default()).version_at(level),
            register_broker,
            "{name}"
        );
        assert_eq!(
            MetadataRecord::from(PartitionRecord::default()).version_at(level),
            partition,
            "{name}"
        );
        assert_eq!(
            MetadataRecord::from(PartitionChangeRecord::default()).version_at(level),
            partition,
            "{name}"
        );
    }
    assert_eq!(
        MetadataVersion::from_name("4.1"),
        Some(MetadataVersion::IBP_4_1_IV1)
    );
    assert_eq!(MetadataVersion::from_name("4.9"), None);
    assert_eq!(MetadataVersion(31).to_string(), "level 31");
    assert_eq!(MetadataVersion(i16::MIN).name(), None);
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_and_what_decodes_encodes(
        which in 0usize..1000,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let all = vectors();
        let mut bytes = all[which % all.len()].bytes.clone();
        for (at, value) in &edits {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok((record, version)) = MetadataRecord::decode(&bytes) {
            let again = encoded(&record, version);
            prop_assert!(again.len() <= bytes.len());
            let (reread, _) = MetadataRecord::decode(&again).unwrap();
            // NaN is not equal to itself, so compare bytes.
            prop_assert_eq!(encoded(&reread, version), again);
        }
    }

    #[test]
    fn random_bytes_never_panic(api_key in 0u8..32, version in 0u8..5, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[1, api_key, version], &body[..]].concat();
        let _ = MetadataRecord::decode(&bytes);
    }
}
