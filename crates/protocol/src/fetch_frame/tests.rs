use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId,
};
use kafka_protocol::messages::{BrokerId, ProducerId, ResponseHeader, TopicName};
use kafka_protocol::protocol::{HeaderVersion, StrBytes};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

/// The same response from the generated encoder, which needs the records in memory.
fn golden(correlation_id: i32, version: i16, response: &FetchResponse) -> Vec<u8> {
    let mut frame = vec![0; 4];
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header
        .encode(&mut frame, FetchResponse::header_version(version))
        .unwrap();
    response.encode(&mut frame, version).unwrap();
    let len = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame
}

fn partitions(response: &FetchResponse) -> impl Iterator<Item = &PartitionData> {
    response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions)
}

fn lens(response: &FetchResponse) -> Vec<u32> {
    partitions(response)
        .map(|partition| partition.records.as_ref().unwrap().len() as u32)
        .collect()
}

/// What goes over the wire: pieces and records in turn.
fn assemble(frame: &FetchFrame, response: &FetchResponse) -> Vec<u8> {
    let mut records = partitions(response)
        .map(|partition| partition.records.as_ref().unwrap())
        .filter(|r| !r.is_empty());
    let mut bytes = Vec::new();
    for (index, piece) in frame.pieces().enumerate() {
        if index > 0 {
            bytes.extend_from_slice(records.next().expect("a gap has records"));
        }
        bytes.extend_from_slice(&piece);
    }
    assert!(records.next().is_none(), "all records have a gap");
    bytes
}

prop_compose! {
    fn partition(version: i16)(
        index in any::<i32>(),
        error in any::<i16>(),
        offsets in any::<[i64; 3]>(),
        aborted in prop::option::of(prop::collection::vec(any::<(i64, i64)>(), 0..4)),
        replica in any::<i32>(),
        records in prop_oneof![Just(vec![]), prop::collection::vec(any::<u8>(), 0..300)],
        tags in any::<[bool; 3]>(),
        epoch in any::<(i32, i64)>(),
        leader in any::<(i32, i32)>(),
    ) -> PartitionData {
        let mut partition = PartitionData::default()
            .with_partition_index(index)
            .with_error_code(error)
            .with_high_watermark(offsets[0])
            .with_last_stable_offset(offsets[1])
            .with_log_start_offset(offsets[2])
            .with_records(Some(records.into()));
        partition.aborted_transactions = aborted.map(|list| list
            .into_iter()
            .map(|(id, first)| AbortedTransaction::default().with_producer_id(ProducerId(id)).with_first_offset(first))
            .collect());
        if version >= 11 {
            partition.preferred_read_replica = BrokerId(replica);
        }
        if version >= 12 {
            if tags[0] {
                partition.diverging_epoch = EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(epoch.1);
            }
            if tags[1] {
                partition.current_leader =
                    LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader.0)).with_leader_epoch(leader.1);
            }
            if tags[2] {
                partition.snapshot_id = SnapshotId::default().with_end_offset(epoch.1).with_epoch(epoch.0);
            }
        }
        partition
    }
}

prop_compose! {
    fn topic(version: i16)(
        name in "[a-z]{0,200}",
        id in any::<u128>(),
        partitions in prop::collection::vec(partition(version), 0..5),
    ) -> FetchableTopicResponse {
        let topic = FetchableTopicResponse::default().with_partitions(partitions);
        if version >= 13 {
            topic.with_topic_id(Uuid::from_u128(id))
        } else {
            topic.with_topic(TopicName(StrBytes::from_string(name)))
        }
    }
}

prop_compose! {
    fn response(version: i16)(
        throttle in any::<i32>(),
        error in any::<i16>(),
        session in any::<i32>(),
        topics in prop::collection::vec(topic(version), 0..5),
        endpoints in prop::collection::vec(any::<(i32, i32, Option<u8>)>(), 0..3),
    ) -> FetchResponse {
        let mut response = FetchResponse::default().with_throttle_time_ms(throttle).with_responses(topics);
        if version >= 7 {
            response = response.with_error_code(error).with_session_id(session);
        }
        if version >= 16 {
            response.node_endpoints = endpoints
                .into_iter()
                .map(|(id, port, rack)| NodeEndpoint::default()
                    .with_node_id(BrokerId(id))
                    .with_host("broker.example".to_owned().into())
                    .with_port(port)
                    .with_rack(rack.map(|rack| rack.to_string().into())))
                .collect();
        }
        response
    }
}

proptest! {
    #[test]
    fn pieces_and_records_are_what_the_generated_encoder_writes(
        (version, response) in VERSIONS.prop_flat_map(|version| (Just(version), response(version))),
        correlation_id in any::<i32>(),
    ) {
        let frame = encode(correlation_id, version, &response, &lens(&response)).unwrap();
        let golden = golden(correlation_id, version, &response);
        prop_assert_eq!(assemble(&frame, &response), &golden[..], "version {}", version);
        prop_assert_eq!(frame.len(), golden.len() as u64);
        let gaps = lens(&response).iter().filter(|len| **len > 0).count();
        prop_assert_eq!(frame.piece_count(), gaps + 1);
    }

    #[test]
    fn a_wrong_length_changes_the_bytes(
        (version, response) in VERSIONS.prop_flat_map(|version| (Just(version), response(version))),
        at in any::<prop::sample::Index>(),
    ) {
        let mut lens = lens(&response);
        prop_assume!(!lens.is_empty());
        let at = at.index(lens.len());
        prop_assume!(lens[at] > 0);
        lens[at] += 1;
        let frame = encode(1, version, &response, &lens).unwrap();
        prop_assert_ne!(assemble(&frame, &response), golden(1, version, &response));
    }
}

fn one_partition(records_len: usize) -> FetchResponse {
    let partition = PartitionData::default().with_records(Some(vec![7; records_len].into()));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    FetchResponse::default().with_responses(vec![topic])
}

#[test]
fn a_partition_without_records_has_an_empty_set() {
    // The generated encoder would write null (-1, or compact 0) for `records: None`.
    let mut response = one_partition(0);
    response.responses[0].partitions[0].records = None;
    let v11 = encode(1, 11, &response, &[0]).unwrap().piece(0);
    assert_eq!(v11[v11.len() - 4..], [0, 0, 0, 0]);
    let v12 = encode(1, 12, &response, &[0]).unwrap().piece(0);
    // Compact length 0, then no tags of partition, topic and response.
    assert_eq!(v12[v12.len() - 4..], [1, 0, 0, 0]);
}

#[test]
fn lengths_must_match_the_partitions() {
    for lens in [&[][..], &[1, 2]] {
        let refused = encode(1, 4, &one_partition(1), lens);
        assert!(
            matches!(
                refused,
                Err(EncodeError::RecordLengths { partitions: 1, .. })
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn a_frame_beyond_its_prefix_is_refused() {
    for version in VERSIONS {
        let refused = encode(1, version, &one_partition(1), &[i32::MAX as u32]);
        assert!(
            matches!(refused, Err(EncodeError::TooLarge(_))),
            "{refused:?}"
        );
        assert!(encode(1, version, &one_partition(1), &[u32::MAX]).is_err());
    }
}

#[test]
fn the_usual_response_fits_the_first_buffer() {
    for version in VERSIONS {
        let mut response = FetchResponse::default();
        for _ in 0..3 {
            let partitions = (0..100)
                .map(|index| PartitionData::default().with_partition_index(index))
                .collect();
            response
                .responses
                .push(FetchableTopicResponse::default().with_partitions(partitions));
        }
        let room = estimate(&response);
        let len = encode(1, version, &response, &[1000; 300])
            .unwrap()
            .pieces_len();
        assert!(len <= room, "version {version}: {len} > {room}");
    }
}
