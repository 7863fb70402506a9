//! The error codes in a response, for the metric that counts them.

use ottla_protocol::messages::*;

use crate::telemetry::ErrorTally;

/// A response that tells the error code of each of its entries, `NONE` included.
pub trait ResponseErrors {
    /// Counts them.
    fn count_errors(&self, errors: &mut ErrorTally<'_>);
}

macro_rules! response_errors {
    ($($response:ty: |$name:ident, $errors:ident| $count:expr;)*) => {
        $(impl ResponseErrors for $response {
            fn count_errors(&self, $errors: &mut ErrorTally<'_>) {
                let $name = self;
                $count
            }
        })*
    };
}

response_errors! {
    ConsumerGroupHeartbeatResponse: |response, errors| errors.add(response.error_code);
    ConsumerGroupDescribeResponse: |response, errors| errors.add_all(response.groups.iter().map(|g| g.error_code));
    AlterConfigsResponse: |response, errors| errors.add_all(response.responses.iter().map(|r| r.error_code));
    ApiVersionsResponse: |response, errors| errors.add(response.error_code);
    CreatePartitionsResponse: |response, errors| errors.add_all(response.results.iter().map(|r| r.error_code));
    CreateTopicsResponse: |response, errors| errors.add_all(response.topics.iter().map(|t| t.error_code));
    DeleteTopicsResponse: |response, errors| errors.add_all(response.responses.iter().map(|t| t.error_code));
    DescribeClusterResponse: |response, errors| errors.add(response.error_code);
    DescribeConfigsResponse: |response, errors| errors.add_all(response.results.iter().map(|r| r.error_code));
    DescribeTopicPartitionsResponse: |response, errors| errors.add_all(response.topics.iter().map(|t| t.error_code));
    IncrementalAlterConfigsResponse: |response, errors| errors.add_all(response.responses.iter().map(|r| r.error_code));
    InitProducerIdResponse: |response, errors| errors.add(response.error_code);
    ListPartitionReassignmentsResponse: |response, errors| errors.add(response.error_code);
    AlterPartitionReassignmentsResponse: |response, errors| {
        errors.add(response.error_code);
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    ElectLeadersResponse: |response, errors| {
        errors.add(response.error_code);
        let results = response.replica_election_results.iter();
        errors.add_all(results.flat_map(|topic| &topic.partition_result).map(|partition| partition.error_code));
    };
    FetchResponse: |response, errors| {
        errors.add(response.error_code);
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    DeleteGroupsResponse: |response, errors| errors.add_all(response.results.iter().map(|g| g.error_code));
    DescribeGroupsResponse: |response, errors| errors.add_all(response.groups.iter().map(|g| g.error_code));
    DescribeLogDirsResponse: |response, errors| errors.add(response.error_code);
    AlterClientQuotasResponse: |response, errors| errors.add_all(response.entries.iter().map(|e| e.error_code));
    DescribeClientQuotasResponse: |response, errors| errors.add(response.error_code);
    DescribeUserScramCredentialsResponse: |response, errors| {
        errors.add(response.error_code);
        errors.add_all(response.results.iter().map(|user| user.error_code));
    };
    DescribeQuorumResponse: |response, errors| errors.add(response.error_code);
    HeartbeatResponse: |response, errors| errors.add(response.error_code);
    JoinGroupResponse: |response, errors| errors.add(response.error_code);
    LeaveGroupResponse: |response, errors| errors.add(response.error_code);
    ListConfigResourcesResponse: |response, errors| errors.add(response.error_code);
    ListGroupsResponse: |response, errors| errors.add(response.error_code);
    SyncGroupResponse: |response, errors| errors.add(response.error_code);
    UpdateFeaturesResponse: |response, errors| errors.add(response.error_code);
    DeleteRecordsResponse: |response, errors| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    DescribeProducersResponse: |response, errors| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    OffsetCommitResponse: |response, errors| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    OffsetForLeaderEpochResponse: |response, errors| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    OffsetDeleteResponse: |response, errors| {
        errors.add(response.error_code);
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    AddPartitionsToTxnResponse: |response, errors| {
        errors.add(response.error_code);
        let of_transactions = response.results_by_transaction.iter().flat_map(|result| &result.topic_results);
        let topics = of_transactions.chain(&response.results_by_topic_v3_and_below);
        let partitions = topics.flat_map(|topic| &topic.results_by_partition);
        errors.add_all(partitions.map(|partition| partition.partition_error_code));
    };
    AddOffsetsToTxnResponse: |response, errors| errors.add(response.error_code);
    EndTxnResponse: |response, errors| errors.add(response.error_code);
    WriteTxnMarkersResponse: |response, errors| {
        let topics = response.markers.iter().flat_map(|marker| &marker.topics);
        let partitions = topics.flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    TxnOffsetCommitResponse: |response, errors| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    DescribeTransactionsResponse: |response, errors| errors.add_all(response.transaction_states.iter().map(|t| t.error_code));
    ListTransactionsResponse: |response, errors| errors.add(response.error_code);
    // Up to version 7 the one group stands in the response itself.
    OffsetFetchResponse: |response, errors| match response.groups.as_slice() {
        [] => errors.add(response.error_code),
        groups => errors.add_all(groups.iter().map(|group| group.error_code)),
    };
    // Up to version 3 the one coordinator stands in the response itself.
    FindCoordinatorResponse: |response, errors| match response.coordinators.as_slice() {
        [] => errors.add(response.error_code),
        coordinators => errors.add_all(coordinators.iter().map(|coordinator| coordinator.error_code)),
    };
    ListOffsetsResponse: |response, errors| {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
    MetadataResponse: |response, errors| errors.add_all(response.topics.iter().map(|t| t.error_code));
    ProduceResponse: |response, errors| {
        let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        errors.add_all(partitions.map(|partition| partition.error_code));
    };
}
