//! The hex strings were made by Apache Kafka 4.1.2's own classes (`MessageUtil.toVersionPrefixedByteBuffer`); 4.3.1
//! gives the same bytes, and the two marked vectors with the fields it added.

use super::*;
use ottla_protocol::ids::TopicId;
use uuid::Uuid;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn topic_id() -> TopicId {
    TopicId(Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10))
}

fn offset_key() -> OffsetCommitKey {
    OffsetCommitKey {
        group: "g".into(),
        topic: "orders".into(),
        partition: 7,
    }
}

fn offset_value() -> OffsetCommitValue {
    OffsetCommitValue {
        offset: 42,
        leader_epoch: 5,
        metadata: "m\u{e4}".into(),
        commit_timestamp: 1_700_000_000_000,
        expire_timestamp: -1,
        topic_id: topic_id(),
    }
}

fn group_key() -> GroupMetadataKey {
    GroupMetadataKey { group: "g".into() }
}

fn group_value() -> GroupMetadataValue {
    GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("m1".into()),
        current_state_timestamp: 1_700_000_000_001,
        members: vec![
            MemberMetadata {
                member_id: "m1".into(),
                group_instance_id: Some("i1".into()),
                client_id: "c".into(),
                client_host: "/127.0.0.1".into(),
                rebalance_timeout: 60_000,
                session_timeout: 10_000,
                subscription: Blob([1, 2, 3].into()),
                assignment: Blob([4].into()),
            },
            MemberMetadata {
                member_id: "m2".into(),
                client_host: "h".into(),
                rebalance_timeout: 60_000,
                session_timeout: 10_000,
                ..Default::default()
            },
        ],
    }
}

fn consumer_key() -> ConsumerGroupKey {
    ConsumerGroupKey {
        group_id: "g".into(),
    }
}

fn member_key() -> ConsumerGroupMemberKey {
    ConsumerGroupMemberKey {
        group_id: "g".into(),
        member_id: "m".into(),
    }
}

fn current(partitions: Vec<i32>, epochs: Option<Vec<i32>>) -> CurrentTopicPartitions {
    CurrentTopicPartitions {
        topic_id: topic_id(),
        partitions,
        assignment_epochs: epochs,
    }
}

/// What is written now, both ways.
fn written() -> Vec<(GroupRecord, &'static str, &'static str)> {
    vec![
        (
            GroupRecord::OffsetCommit(offset_key(), Some(offset_value())),
            "000100016700066f726465727300000007",
            "0004000000000000002a00000005046dc3a40000018bcfe568000100100102030405060708090a0b0c0d0e0f10",
        ),
        (
            GroupRecord::OffsetCommit(
                offset_key(),
                Some(OffsetCommitValue {
                    metadata: String::new(),
                    topic_id: TopicId::ZERO,
                    ..offset_value()
                }),
            ),
            "000100016700066f726465727300000007",
            "0004000000000000002a00000005010000018bcfe5680000",
        ),
        (
            GroupRecord::OffsetCommit(
                offset_key(),
                Some(OffsetCommitValue {
                    leader_epoch: -1,
                    expire_timestamp: 1_700_000_000_099,
                    topic_id: TopicId::ZERO,
                    ..offset_value()
                }),
            ),
            "000100016700066f726465727300000007",
            "0001000000000000002a00036dc3a40000018bcfe568000000018bcfe56863",
        ),
        (
            GroupRecord::GroupMetadata(group_key(), Some(group_value())),
            "0002000167",
            "00030008636f6e73756d657200000003000572616e676500026d310000018bcfe568010000000200026d3100026931000163000a2f3132372e302e302e310000ea600000271000000003010203000000010400026d32ffff00000001680000ea60000027100000000000000000",
        ),
        (
            GroupRecord::GroupMetadata(
                group_key(),
                Some(GroupMetadataValue {
                    current_state_timestamp: 1_700_000_000_001,
                    ..Default::default()
                }),
            ),
            "0002000167",
            "0003000000000000ffffffff0000018bcfe5680100000000",
        ),
        (
            GroupRecord::ConsumerGroupMetadata(
                consumer_key(),
                Some(ConsumerGroupMetadataValue {
                    epoch: 9,
                    metadata_hash: 0x1122_3344_5566_7788,
                }),
            ),
            "0003000167",
            "0000000000090100081122334455667788",
        ),
        (
            GroupRecord::ConsumerGroupMetadata(
                consumer_key(),
                Some(ConsumerGroupMetadataValue {
                    epoch: 9,
                    metadata_hash: 0,
                }),
            ),
            "0003000167",
            "00000000000900",
        ),
        (
            GroupRecord::ConsumerGroupPartitionMetadata(
                consumer_key(),
                Some(ConsumerGroupPartitionMetadataValue {
                    topics: vec![TopicMetadata {
                        topic_id: topic_id(),
                        topic_name: "orders".into(),
                        num_partitions: 2,
                        partition_metadata: vec![PartitionMetadata {
                            partition: 1,
                            racks: vec!["r1".into(), "r2".into()],
                        }],
                    }],
                }),
            ),
            "0004000167",
            "0000020102030405060708090a0b0c0d0e0f10076f726465727300000002020000000103037231037232000000",
        ),
        (
            GroupRecord::ConsumerGroupMemberMetadata(
                member_key(),
                Some(ConsumerGroupMemberMetadataValue {
                    instance_id: Some("i".into()),
                    rack_id: None,
                    client_id: "c".into(),
                    client_host: "/h".into(),
                    subscribed_topic_names: vec!["a".into(), "b".into()],
                    subscribed_topic_regex: Some("x.*".into()),
                    rebalance_timeout_ms: 300_000,
                    server_assignor: Some("uniform".into()),
                    classic_member_metadata: None,
                }),
            ),
            "000500016700016d",
            "00000269000263032f68030261026204782e2a000493e008756e69666f726d01000100",
        ),
        (
            GroupRecord::ConsumerGroupMemberMetadata(
                member_key(),
                Some(ConsumerGroupMemberMetadataValue {
                    instance_id: None,
                    rack_id: Some("r".into()),
                    client_id: "c".into(),
                    client_host: "/h".into(),
                    subscribed_topic_names: vec!["a".into()],
                    subscribed_topic_regex: Some(String::new()),
                    rebalance_timeout_ms: 300_000,
                    server_assignor: None,
                    classic_member_metadata: Some(ClassicMemberMetadata {
                        session_timeout_ms: 45_000,
                        supported_protocols: vec![ClassicProtocol {
                            name: "range".into(),
                            metadata: Blob([9, 8].into()),
                        }],
                    }),
                }),
            ),
            "000500016700016d",
            "00000002720263032f6802026101000493e000010011010000afc8020672616e67650309080000",
        ),
        (
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(
                consumer_key(),
                Some(ConsumerGroupTargetAssignmentMetadataValue {
                    assignment_epoch: 11,
                    assignment_timestamp: 0,
                }),
            ),
            "0006000167",
            "00000000000b00",
        ),
        (
            // Kafka 4.3.
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(
                consumer_key(),
                Some(ConsumerGroupTargetAssignmentMetadataValue {
                    assignment_epoch: 11,
                    assignment_timestamp: 1_700_000_000_003,
                }),
            ),
            "0006000167",
            "00000000000b0100080000018bcfe56803",
        ),
        (
            GroupRecord::ConsumerGroupTargetAssignmentMember(
                member_key(),
                Some(ConsumerGroupTargetAssignmentMemberValue {
                    topic_partitions: vec![TargetTopicPartitions {
                        topic_id: topic_id(),
                        partitions: vec![0, 1, 2],
                    }],
                }),
            ),
            "000700016700016d",
            "0000020102030405060708090a0b0c0d0e0f10040000000000000001000000020000",
        ),
        (
            GroupRecord::ConsumerGroupCurrentMemberAssignment(
                member_key(),
                Some(ConsumerGroupCurrentMemberAssignmentValue {
                    member_epoch: 5,
                    previous_member_epoch: 4,
                    state: 1,
                    assigned_partitions: vec![current(vec![0, 1], None)],
                    partitions_pending_revocation: vec![current(vec![2], None)],
                }),
            ),
            "000800016700016d",
            "0000000000050000000401020102030405060708090a0b0c0d0e0f1003000000000000000100020102030405060708090a0b0c0d0e0f1002000000020000",
        ),
        (
            // Kafka 4.3.
            GroupRecord::ConsumerGroupCurrentMemberAssignment(
                member_key(),
                Some(ConsumerGroupCurrentMemberAssignmentValue {
                    member_epoch: 5,
                    previous_member_epoch: 4,
                    state: 0,
                    assigned_partitions: vec![current(vec![0, 1], Some(vec![5, 6]))],
                    partitions_pending_revocation: vec![],
                }),
            ),
            "000800016700016d",
            "0000000000050000000400020102030405060708090a0b0c0d0e0f100300000000000000010100090300000005000000060100",
        ),
        (
            GroupRecord::ConsumerGroupRegularExpression(
                ConsumerGroupRegularExpressionKey {
                    group_id: "g".into(),
                    regular_expression: "x.*".into(),
                },
                Some(ConsumerGroupRegularExpressionValue {
                    topics: vec!["xa".into(), "xb".into()],
                    version: 12,
                    timestamp: 1_700_000_000_002,
                }),
            ),
            "00100001670003782e2a",
            "000003037861037862000000000000000c0000018bcfe5680200",
        ),
    ]
}

#[test]
fn the_bytes_are_kafkas() {
    for (record, key, value) in written() {
        let expected = EncodedRecord {
            key: bytes(key),
            value: Some(bytes(value)),
        };
        assert_eq!(record.encode().unwrap(), expected, "{record:?}");
        let decoded = GroupRecord::decode(&expected.key, expected.value.as_deref());
        assert_eq!(decoded.unwrap(), record);
    }
}

#[test]
fn older_and_newer_versions_are_read() {
    let offset = |value: OffsetCommitValue| GroupRecord::OffsetCommit(offset_key(), Some(value));
    let no_epoch = OffsetCommitValue {
        leader_epoch: -1,
        topic_id: TopicId::ZERO,
        ..offset_value()
    };
    let no_topic_id = OffsetCommitValue {
        topic_id: TopicId::ZERO,
        ..offset_value()
    };
    let group = |change: fn(&mut GroupMetadataValue)| {
        let mut value = group_value();
        change(&mut value);
        GroupRecord::GroupMetadata(group_key(), Some(value))
    };
    let offset_hex = "000100016700066f726465727300000007";
    let table = [
        (
            offset_hex,
            "0000000000000000002a00036dc3a40000018bcfe56800",
            offset(no_epoch.clone()),
        ),
        (
            offset_hex,
            "0002000000000000002a00036dc3a40000018bcfe56800",
            offset(no_epoch),
        ),
        (
            offset_hex,
            "0003000000000000002a0000000500036dc3a40000018bcfe56800",
            offset(no_topic_id),
        ),
        (
            "000000016700066f726465727300000007",
            "0000000000000000002a00036dc3a40000018bcfe56800",
            GroupRecord::LegacyOffsetCommit(
                offset_key(),
                Some(LegacyOffsetCommitValue {
                    offset: 42,
                    metadata: "m\u{e4}".into(),
                    commit_timestamp: 1_700_000_000_000,
                }),
            ),
        ),
        (
            "0002000167",
            "00000008636f6e73756d657200000003000572616e676500026d310000000200026d31000163000a2f3132372e302e302e310000271000000003010203000000010400026d320000000168000027100000000000000000",
            group(|value| {
                value.current_state_timestamp = -1;
                value.members.iter_mut().for_each(|member| {
                    member.group_instance_id = None;
                    member.rebalance_timeout = -1;
                });
            }),
        ),
        (
            "0002000167",
            "00020008636f6e73756d657200000003000572616e676500026d310000018bcfe568010000000200026d31000163000a2f3132372e302e302e310000ea600000271000000003010203000000010400026d3200000001680000ea60000027100000000000000000",
            group(|value| value.members[0].group_instance_id = None),
        ),
        (
            "0002000167",
            "000409636f6e73756d6572000000030672616e6765036d310000018bcfe5680103036d3103693102630b2f3132372e302e302e310000ea600000271004010203020400036d32000102680000ea600000271001010000",
            group(|_| ()),
        ),
    ];
    for (key, value, expected) in table {
        let decoded = GroupRecord::decode(&bytes(key), Some(&bytes(value)));
        assert_eq!(decoded.unwrap(), expected, "{value}");
    }
}

#[test]
fn a_tombstone_has_no_value() {
    let record = GroupRecord::GroupMetadata(group_key(), None);
    let encoded = record.encode().unwrap();
    assert_eq!(encoded.value, None);
    assert_eq!(GroupRecord::decode(&encoded.key, None).unwrap(), record);
}

#[test]
fn every_cut_and_every_addition_is_refused() {
    for (record, key, value) in written() {
        let (key, value) = (bytes(key), bytes(value));
        for len in 0..key.len() {
            assert!(
                GroupRecord::decode(&key[..len], None).is_err(),
                "{record:?}"
            );
        }
        for len in 0..value.len() {
            let cut = GroupRecord::decode(&key, Some(&value[..len]));
            assert!(cut.is_err(), "{record:?} cut at {len}");
        }
        let longer = [&value[..], &[0]].concat();
        assert_eq!(
            GroupRecord::decode(&key, Some(&longer)),
            Err(DecodeError::TrailingBytes { len: 1 })
        );
    }
}

#[test]
fn unknown_types_and_versions_are_told_apart() {
    // 9 is a partition of a share group.
    assert_eq!(
        GroupRecord::decode(&[0, 9, 0, 1, b'g'], Some(&[0, 0])),
        Err(DecodeError::UnknownType(9))
    );
    assert_eq!(
        GroupRecord::decode(&bytes("0002000167"), Some(&[0, 5])),
        Err(DecodeError::UnknownVersion {
            record_type: 2,
            version: 5
        })
    );
}

#[test]
fn a_count_without_bytes_reserves_nothing() {
    // Two billion members in a few bytes.
    let value = bytes("000300000000000000000000000000000000000000007fffffff");
    assert_eq!(
        GroupRecord::decode(&bytes("0002000167"), Some(&value)),
        Err(DecodeError::Truncated)
    );
}
