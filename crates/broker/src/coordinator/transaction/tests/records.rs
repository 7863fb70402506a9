//! The hex strings were made by Apache Kafka 4.1.2's own classes (`MessageUtil.toVersionPrefixedBytes` of
//! `TransactionLogKey` and `TransactionLogValue`); 4.3.1 gives the same bytes.

use crate::coordinator::record::{CoordinatorRecord, DecodeError};
use crate::coordinator::transaction::records::{
    TransactionLogKey, TransactionLogValue, TransactionPartitions, TransactionRecord,
};
use crate::coordinator::transaction::state::TransactionMetadata;

const KEY: &str = "0000000574782dc3a9";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn key() -> TransactionLogKey {
    TransactionLogKey {
        transactional_id: "tx-é".to_owned(),
    }
}

fn ongoing() -> TransactionLogValue {
    let partitions = |topic: &str, ids: &[i32]| TransactionPartitions {
        topic: topic.to_owned(),
        partition_ids: ids.to_vec(),
    };
    TransactionLogValue {
        producer_id: 4242,
        producer_epoch: 7,
        transaction_timeout_ms: 60_000,
        transaction_status: 1,
        transaction_partitions: Some(vec![partitions("a", &[0, 3]), partitions("b", &[1])]),
        transaction_last_update_timestamp_ms: 1_700_000_000_123,
        transaction_start_timestamp_ms: 1_700_000_000_001,
        ..TransactionLogValue::default()
    }
}

fn empty() -> TransactionLogValue {
    TransactionLogValue {
        producer_id: 1,
        transaction_timeout_ms: 1_000,
        transaction_last_update_timestamp_ms: 5,
        transaction_start_timestamp_ms: -1,
        ..TransactionLogValue::default()
    }
}

fn table() -> Vec<(i16, TransactionLogValue, &'static str)> {
    vec![
        (
            0,
            ongoing(),
            "0000000000000000109200070000ea60010000000200016100000002000000000000000300016200000001000000010000018bcfe5687b0000018bcfe56801",
        ),
        (
            1,
            ongoing(),
            "0001000000000000109200070000ea60010302610300000000000000030002620200000001000000018bcfe5687b0000018bcfe5680100",
        ),
        (
            1,
            TransactionLogValue {
                transaction_status: 2,
                previous_producer_id: 4242,
                next_producer_id: 4300,
                producer_epoch: i16::MAX,
                client_transaction_version: 2,
                ..ongoing()
            },
            "000100000000000010927fff0000ea60020302610300000000000000030002620200000001000000018bcfe5687b0000018bcfe568010300080000000000001092010800000000000010cc02020002",
        ),
        (
            0,
            empty(),
            "000000000000000000010000000003e800ffffffff0000000000000005ffffffffffffffff",
        ),
        (
            1,
            TransactionLogValue {
                previous_producer_id: 1,
                ..empty()
            },
            "000100000000000000010000000003e800000000000000000005ffffffffffffffff0100080000000000000001",
        ),
        (
            1,
            TransactionLogValue {
                transaction_status: 5,
                previous_producer_id: 1,
                transaction_partitions: Some(vec![]),
                ..empty()
            },
            "000100000000000000010000000003e805010000000000000005ffffffffffffffff0100080000000000000001",
        ),
    ]
}

#[test]
fn records_have_kafkas_bytes() {
    for (version, value, hex) in table() {
        let record = TransactionRecord {
            key: key(),
            value: Some(value),
            version,
        };
        let encoded = record.encode().unwrap();
        assert_eq!(encoded.key, bytes(KEY));
        assert_eq!(
            encoded.value.as_deref(),
            Some(&bytes(hex)[..]),
            "{record:?}"
        );
        let decoded = TransactionRecord::decode(&encoded.key, encoded.value.as_deref());
        assert_eq!(decoded, Ok(record));
    }
}

#[test]
fn metadata_goes_through_its_record() {
    for (version, value, _) in table() {
        let metadata = TransactionMetadata::of_record(&value).unwrap();
        let record = metadata.to_record("tx-é", version);
        assert_eq!((record.key, record.value), (key(), Some(value)));
    }
}

#[test]
fn what_is_no_record_is_refused() {
    let key = bytes(KEY);
    for (_, _, hex) in table() {
        let value = bytes(hex);
        for len in 0..value.len() {
            assert!(TransactionRecord::decode(&key, Some(&value[..len])).is_err());
        }
        let mut longer = value.clone();
        longer.push(0);
        let decoded = TransactionRecord::decode(&key, Some(&longer));
        assert_eq!(decoded, Err(DecodeError::TrailingBytes { len: 1 }));
    }
    let mut value = bytes(table()[0].2);
    value[16] = 6;
    let decoded = TransactionRecord::decode(&key, Some(&value));
    assert_eq!(decoded, Err(DecodeError::UnknownState(6)));
    value[1] = 2;
    let decoded = TransactionRecord::decode(&key, Some(&value));
    assert!(matches!(
        decoded,
        Err(DecodeError::UnknownVersion { version: 2, .. })
    ));
    let decoded = TransactionRecord::decode(&[0, 1, 0, 0], None);
    assert_eq!(decoded, Err(DecodeError::UnknownType(1)));
    let tombstone = TransactionRecord::decode(&key, None).unwrap();
    assert_eq!(tombstone.value, None);
    assert_eq!(tombstone.encode().unwrap().value, None);
}
