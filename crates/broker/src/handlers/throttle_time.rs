//! `throttle_time_ms` of the responses: how long the client is held back, by all quotas together (KIP-124, KIP-219).

use ottla_protocol::messages::*;

/// A response that may tell its client how long it is held back.
pub trait ThrottleTime {
    /// Tell it. Versions that have no room for it leave it out.
    fn set_throttle_time_ms(&mut self, ms: i32);
}

macro_rules! throttle_time {
    (told: $($told:ident)*; untold: $($untold:ident)*;) => {
        $(impl ThrottleTime for $told {
            fn set_throttle_time_ms(&mut self, ms: i32) {
                self.throttle_time_ms = ms;
            }
        })*
        // These have no such field; their clients are held back all the same.
        $(impl ThrottleTime for $untold {
            fn set_throttle_time_ms(&mut self, _: i32) {}
        })*
    };
}

throttle_time! {
    told:
        AddOffsetsToTxnResponse AddPartitionsToTxnResponse AlterConfigsResponse AlterPartitionReassignmentsResponse
        AlterClientQuotasResponse ApiVersionsResponse ConsumerGroupDescribeResponse ConsumerGroupHeartbeatResponse CreatePartitionsResponse
        CreateTopicsResponse DeleteGroupsResponse DeleteRecordsResponse DeleteTopicsResponse DescribeClusterResponse
        DescribeClientQuotasResponse DescribeConfigsResponse DescribeGroupsResponse DescribeLogDirsResponse DescribeProducersResponse
        DescribeTopicPartitionsResponse DescribeTransactionsResponse DescribeUserScramCredentialsResponse ElectLeadersResponse
        EndTxnResponse FetchResponse
        FindCoordinatorResponse HeartbeatResponse IncrementalAlterConfigsResponse InitProducerIdResponse
        JoinGroupResponse LeaveGroupResponse ListConfigResourcesResponse ListGroupsResponse ListOffsetsResponse
        ListPartitionReassignmentsResponse ListTransactionsResponse MetadataResponse OffsetCommitResponse
        OffsetDeleteResponse OffsetFetchResponse OffsetForLeaderEpochResponse ProduceResponse SyncGroupResponse
        TxnOffsetCommitResponse UpdateFeaturesResponse;
    untold: DescribeQuorumResponse WriteTxnMarkersResponse;
}
