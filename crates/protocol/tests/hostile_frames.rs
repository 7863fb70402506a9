//! Hostile requests: whatever the bytes, decoding neither panics nor takes more memory than the guard's bound.
//!
//! Runs under an allocator that counts, so all checks are in one test: nothing else may allocate meanwhile.

use std::alloc::System;

use bytes::Bytes;
use ottla_protocol::api::{self, DecodeError};
use ottla_protocol::guard::{MEMORY_BASE, MEMORY_PER_BYTE};
use ottla_protocol::kafka_protocol::protocol::Request;
use ottla_protocol::messages::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What an error report takes.
const ERROR_MEMORY: usize = 4096;

#[test]
fn hostile_frames() {
    known_killers_are_refused();
    dense_frames_stay_within_the_bound();
    random_frames_stay_within_the_bound();
}

/// Decode, and see that no more was allocated than may be. All that was ever allocated is counted, freed or not.
fn decode<R: Request>(version: i16, body: &[u8]) -> Result<R, DecodeError> {
    let mut frame = Bytes::copy_from_slice(body);
    let region = Region::new(ALLOCATOR);
    let decoded = api::decode_request::<R>(&mut frame, version);
    let allocated = region.change().bytes_allocated;
    let bound = MEMORY_PER_BYTE * body.len() + MEMORY_BASE + ERROR_MEMORY;
    assert!(
        allocated <= bound,
        "{} {version}: {allocated} > {bound} bytes for {body:?}",
        R::KEY
    );
    decoded
}

/// Each of these aborted the process when it reached the decoder of `kafka-protocol` 0.18.
fn known_killers_are_refused() {
    const MANY: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
    const MANY_COMPACT: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];

    assert!(
        decode::<MetadataRequest>(1, &MANY).is_err(),
        "154 GB of topics out of four bytes"
    );
    assert!(decode::<MetadataRequest>(9, &[0xff; 12]).is_err());
    let mut produce = vec![0xff, 0xff, 0, 1, 0, 0, 0, 0];
    produce.extend_from_slice(&MANY);
    assert!(decode::<ProduceRequest>(3, &produce).is_err());
    for version in [9, 13] {
        let mut produce = vec![0, 0, 1, 0, 0, 0, 0];
        produce.extend_from_slice(&MANY_COMPACT);
        assert!(decode::<ProduceRequest>(version, &produce).is_err());
    }
    let mut fetch = vec![0; 25];
    fetch.extend_from_slice(&MANY_COMPACT);
    assert!(decode::<FetchRequest>(12, &fetch).is_err());
    let mut list_offsets = vec![0; 4];
    list_offsets.extend_from_slice(&MANY);
    assert!(decode::<ListOffsetsRequest>(1, &list_offsets).is_err());
    assert!(decode::<CreateTopicsRequest>(2, &MANY).is_err());
    assert!(decode::<DeleteTopicsRequest>(1, &MANY).is_err());
    assert!(decode::<DescribeConfigsRequest>(1, &MANY).is_err());
}

/// Frames that are honest in form and consist of as many tiny elements as fit.
fn dense_frames_stay_within_the_bound() {
    for len in [100, 10_000, 1 << 20, 12 << 20] {
        let count = len as i32 / 2;
        let mut topics = count.to_be_bytes().to_vec();
        topics.resize(4 + len, 0);
        let _ = decode::<MetadataRequest>(1, &topics);

        let mut produce = vec![0xff, 0xff, 0, 1, 0, 0, 0, 0];
        produce.extend_from_slice(&(len as i32 / 6).to_be_bytes());
        produce.resize(12 + len, 0);
        let _ = decode::<ProduceRequest>(3, &produce);

        // Every topic has one unknown tag: a map of its own for six bytes.
        let mut tagged = vec![];
        ottla_protocol::varint::put_u32(&mut tagged, len as u32 / 6 + 1);
        for _ in 0..len / 6 {
            tagged.extend_from_slice(&[2, b't', 1, 9, 1, 0]);
        }
        tagged.extend_from_slice(&[1, 0, 0, 0]);
        let _ = decode::<MetadataRequest>(9, &tagged);

        // One structure has very many.
        let mut tags = vec![0];
        ottla_protocol::varint::put_u32(&mut tags, len as u32 / 4);
        for tag in 0..len as u32 / 4 {
            ottla_protocol::varint::put_u32(&mut tags, tag);
            tags.push(0);
        }
        let _ = decode::<FindCoordinatorRequest>(3, &tags);
    }
}

fn random_frames_stay_within_the_bound() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..2_000 {
        let mut body = vec![0u8; random.below(64) as usize];
        // Small values make counts that fit now and then; 0xff makes lengths that never do.
        body.iter_mut().for_each(|byte| {
            *byte = match random.below(4) {
                0 => random.below(256) as u8,
                1 => 0xff,
                _ => random.below(4) as u8,
            }
        });
        decode_as_everything(&body, round);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

macro_rules! decode_all {
    ($body:ident, $round:ident: $($request:ident)*) => {
        $(
            let range = $request::VERSIONS;
            for version in range.min - 1..=range.max + 1 {
                let decoded = decode::<$request>(version, $body);
                assert!(
                    decoded.is_err() || version >= range.min || [8, 32].contains(&$request::KEY),
                    "round {}: {} {version}", $round, stringify!($request)
                );
            }
        )*
    };
}

fn decode_as_everything(body: &[u8], round: u32) {
    use ottla_protocol::kafka_protocol::protocol::Message;
    decode_all! { body, round:
        ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
        FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
        DescribeGroupsRequest ListGroupsRequest SaslHandshakeRequest ApiVersionsRequest CreateTopicsRequest
        DeleteTopicsRequest DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest
        AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest WriteTxnMarkersRequest
        TxnOffsetCommitRequest DescribeAclsRequest CreateAclsRequest DeleteAclsRequest DescribeConfigsRequest
        AlterConfigsRequest AlterReplicaLogDirsRequest DescribeLogDirsRequest SaslAuthenticateRequest
        CreatePartitionsRequest CreateDelegationTokenRequest RenewDelegationTokenRequest
        ExpireDelegationTokenRequest DescribeDelegationTokenRequest DeleteGroupsRequest ElectLeadersRequest
        IncrementalAlterConfigsRequest AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest
        OffsetDeleteRequest DescribeClientQuotasRequest AlterClientQuotasRequest
        DescribeUserScramCredentialsRequest AlterUserScramCredentialsRequest DescribeQuorumRequest
        UpdateFeaturesRequest DescribeClusterRequest DescribeProducersRequest UnregisterBrokerRequest
        DescribeTransactionsRequest ListTransactionsRequest ConsumerGroupHeartbeatRequest
        ConsumerGroupDescribeRequest GetTelemetrySubscriptionsRequest PushTelemetryRequest
        ListConfigResourcesRequest DescribeTopicPartitionsRequest
    }
}
