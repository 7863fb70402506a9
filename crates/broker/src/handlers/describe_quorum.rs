//! DescribeQuorum: who leads the metadata log, and how far its voters are.
//!
//! Versions 0-2. This node is the only voter, and there are no observers, so that everything is as far as the log is.
//! v1: times of the voters' last fetches, which are now for the leader, as in Kafka. v2: the voters' directories, and
//! where their controllers listen.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::Timestamp;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use ottla_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse};

use super::Handler;
use crate::broker::Broker;
use crate::metadata::controller::{error_text, topic_name};
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct DescribeQuorum;

impl Handler for DescribeQuorum {
    type Request = DescribeQuorumRequest;
    const NAME: &'static str = "DescribeQuorum";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: DescribeQuorumRequest,
    ) -> DescribeQuorumResponse {
        answer(broker.metadata(), version, &request, broker.now())
    }
}

/// Answer a request.
pub(crate) fn answer(
    metadata: &MetadataService,
    version: i16,
    request: &DescribeQuorumRequest,
    now: Timestamp,
) -> DescribeQuorumResponse {
    let is_valid = matches!(&request.topics[..], [topic] if topic.topic_name.as_str() == topic_name::CLUSTER_METADATA
        && matches!(&topic.partitions[..], [partition] if partition.partition_index == 0));
    if !is_valid {
        return refused(version, request);
    }
    let partition = partition(metadata, version, now);
    let topics = request.topics.iter();
    let topics = topics.map(|topic| {
        TopicData::default()
            .with_topic_name(topic.topic_name.clone())
            .with_partitions(vec![partition.clone()])
    });
    let nodes = if version >= 2 {
        nodes(metadata)
    } else {
        Vec::new()
    };
    DescribeQuorumResponse::default()
        .with_error_message(None)
        .with_topics(topics.collect())
        .with_nodes(nodes)
}

fn partition(metadata: &MetadataService, version: i16, now: Timestamp) -> PartitionData {
    let provenance = metadata.image().provenance;
    let end = provenance.last_contained_offset.0 + 1;
    let leader = BrokerId(metadata.node_id().0);
    let mut voter = ReplicaState::default()
        .with_replica_id(leader)
        .with_log_end_offset(end);
    if version >= 1 {
        voter = voter
            .with_last_fetch_timestamp(now.0)
            .with_last_caught_up_timestamp(now.0);
    }
    if let Some(named) = metadata.cache.voter().filter(|_| version >= 2) {
        voter = voter.with_replica_directory_id(named.voter_directory_id);
    }
    PartitionData::default()
        .with_error_message(None)
        .with_leader_id(leader)
        .with_leader_epoch(provenance.last_contained_epoch.0)
        .with_high_watermark(end)
        .with_current_voters(vec![voter])
}

fn nodes(metadata: &MetadataService) -> Vec<Node> {
    let endpoints = metadata
        .cache
        .voter()
        .map(|voter| voter.endpoints.as_slice())
        .unwrap_or_default();
    let listeners = endpoints.iter().map(|endpoint| {
        Listener::default()
            .with_name(StrBytes::from_string(endpoint.name.clone()))
            .with_host(StrBytes::from_string(endpoint.host.clone()))
            .with_port(endpoint.port)
    });
    vec![
        Node::default()
            .with_node_id(BrokerId(metadata.node_id().0))
            .with_listeners(listeners.collect()),
    ]
}

/// There is one partition that can be asked for.
fn refused(version: i16, request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let error = ResponseError::UnknownTopicOrPartition;
    let message = (version >= 2).then(|| StrBytes::from_string(error_text(error)));
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            PartitionData::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
                .with_error_message(message.clone())
        });
        TopicData::default()
            .with_topic_name(topic.topic_name.clone())
            .with_partitions(partitions.collect())
    });
    DescribeQuorumResponse::default()
        .with_error_message(None)
        .with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use ottla_protocol::api::encode_response;
    use ottla_protocol::messages::describe_quorum_request::{self, PartitionData};
    use ottla_protocol::messages::{ApiKey, TopicName};
    use uuid::Uuid;

    use super::*;
    use crate::metadata::testing::service;

    fn ask(topic: &'static str, partition: i32) -> DescribeQuorumRequest {
        let partition = PartitionData::default().with_partition_index(partition);
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(TopicName(StrBytes::from_static_str(topic)))
            .with_partitions(vec![partition]);
        DescribeQuorumRequest::default().with_topics(vec![topic])
    }

    #[test]
    fn this_node_is_the_quorum() {
        let metadata = service(&[]);
        for version in 0..=2 {
            let response = answer(
                &metadata,
                version,
                &ask("__cluster_metadata", 0),
                Timestamp(77),
            );
            encode_response(ApiKey::DescribeQuorum as i16, version, 1, &response).unwrap();
            let partition = &response.topics[0].partitions[0];
            let end = metadata.image().provenance.last_contained_offset.0 + 1;
            assert_eq!(
                (
                    partition.error_code,
                    partition.leader_id.0,
                    partition.leader_epoch
                ),
                (0, 1, 1)
            );
            assert_eq!(
                (partition.high_watermark, partition.observers.len()),
                (end, 0)
            );
            let [voter] = &partition.current_voters[..] else {
                panic!("one voter")
            };
            let time = if version == 0 { -1 } else { 77 };
            assert_eq!(
                (
                    voter.replica_id.0,
                    voter.log_end_offset,
                    voter.last_fetch_timestamp
                ),
                (1, end, time)
            );
            let directory = if version < 2 {
                Uuid::nil()
            } else {
                Uuid::from_u128(500)
            };
            assert_eq!(
                (voter.replica_directory_id, response.nodes.len()),
                (directory, usize::from(version >= 2))
            );
        }
    }

    #[test]
    fn no_other_partition_has_a_quorum() {
        for (topic, partition) in [("t", 0), ("__cluster_metadata", 1)] {
            for version in 0..=2 {
                let response = answer(
                    &service(&[]),
                    version,
                    &ask(topic, partition),
                    Timestamp(77),
                );
                encode_response(ApiKey::DescribeQuorum as i16, version, 1, &response).unwrap();
                assert_eq!(response.topics[0].partitions[0].error_code, 3);
            }
        }
    }
}
