//! The answers of the handlers that work with the service can be written in every version that is served. The codec
//! refuses a field that a version lacks, which no test of one version would find.

use std::ops::RangeInclusive;

use ottla_protocol::api::encode_response;
use ottla_protocol::kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use ottla_protocol::messages::alter_configs_request;
use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::*;
use uuid::Uuid;

use super::*;
use crate::handlers;
use crate::metadata::testing::service;
use crate::network::request::ConnectionContext;

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn name(name: &'static str) -> TopicName {
    TopicName(text(name))
}

fn connection() -> ConnectionContext {
    ConnectionContext::new(
        "PLAINTEXT".into(),
        "192.0.2.1:9092".parse().unwrap(),
        "192.0.2.9:5000".parse().unwrap(),
    )
}

fn new_topic(topic: &'static str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

/// A service with topic `t` of two partitions.
async fn with_topic() -> MetadataService {
    let metadata = service(&[]);
    let request = CreateTopicsRequest::default().with_topics(vec![new_topic("t", 2)]);
    assert_eq!(
        handlers::create_topics::answer(&metadata, request)
            .await
            .topics[0]
            .error_code,
        0
    );
    metadata
}

/// A service whose controller has lost its log.
async fn stopped() -> MetadataService {
    let (controller, mailbox) = ControllerClient::new();
    drop(mailbox);
    let alive = with_topic().await;
    MetadataService::new(
        alive.cluster_id.clone(),
        alive.config.clone(),
        alive.cache.clone(),
        controller,
        1,
    )
}

#[track_caller]
fn encodes<R: Encodable + HeaderVersion + 'static>(key: ApiKey, version: i16, response: &R) {
    if let Err(error) = encode_response(key as i16, version, 1, response) {
        panic!("{key:?} v{version}: {error}");
    }
}

const SERVED: fn(RangeInclusive<i16>) -> Vec<i16> = Iterator::collect;

#[tokio::test]
async fn topics_are_answered_in_all_versions() {
    for metadata in [with_topic().await, stopped().await] {
        for version in SERVED(2..=7) {
            let config = CreatableTopicConfig::default()
                .with_name(text("nope"))
                .with_value(Some(text("1")));
            let topics = vec![
                new_topic(
                    ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"]
                        [version.unsigned_abs() as usize],
                    1,
                ),
                new_topic("t", 1),
                new_topic("u", 1).with_configs(vec![config]),
                new_topic("w", 1),
                new_topic("w", 1),
            ];
            let request = CreateTopicsRequest::default().with_topics(topics);
            encodes(
                ApiKey::CreateTopics,
                version,
                &handlers::create_topics::answer(&metadata, request).await,
            );
        }
        for version in SERVED(0..=3) {
            let grow = |topic, count| {
                CreatePartitionsTopic::default()
                    .with_name(name(topic))
                    .with_count(count)
                    .with_assignments(None)
            };
            let count = 3 + i32::from(version);
            let request = CreatePartitionsRequest::default()
                .with_topics(vec![grow("t", count), grow("none", 1)]);
            encodes(
                ApiKey::CreatePartitions,
                version,
                &handlers::create_partitions::answer(&metadata, request).await,
            );
        }
        for version in SERVED(1..=6) {
            let doomed = ["v1", "v2", "v3", "v4", "v5", "v6"][version.unsigned_abs() as usize - 1];
            let request = if version < 6 {
                DeleteTopicsRequest::default().with_topic_names(vec![
                    name(doomed),
                    name("none"),
                    name("x"),
                    name("x"),
                ])
            } else {
                let by_name = DeleteTopicState::default().with_name(Some(name(doomed)));
                let by_id = DeleteTopicState::default()
                    .with_name(None)
                    .with_topic_id(Uuid::from_u128(7));
                let neither = DeleteTopicState::default().with_name(None);
                DeleteTopicsRequest::default().with_topics(vec![by_name, by_id, neither])
            };
            encodes(
                ApiKey::DeleteTopics,
                version,
                &handlers::delete_topics::answer(&metadata, version, request).await,
            );
        }
    }
}

#[tokio::test]
async fn configs_are_answered_in_all_versions() {
    for metadata in [with_topic().await, stopped().await] {
        let ask = |resource_type, resource| {
            DescribeConfigsResource::default()
                .with_resource_type(resource_type)
                .with_resource_name(text(resource))
                .with_configuration_keys(None)
        };
        for version in SERVED(0..=4) {
            let request = DescribeConfigsRequest::default()
                .with_resources(vec![
                    ask(2, "t"),
                    ask(4, "1"),
                    ask(4, ""),
                    ask(2, "none"),
                    ask(9, "x"),
                ])
                .with_include_synonyms(version >= 1)
                .with_include_documentation(version >= 3);
            encodes(
                ApiKey::DescribeConfigs,
                version,
                &handlers::describe_configs::answer(&metadata, &request),
            );
        }
        for version in SERVED(0..=1) {
            let config = AlterableConfig::default()
                .with_name(text("retention.ms"))
                .with_value(Some(text("1")));
            let alter = |topic| {
                AlterConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(text(topic))
                    .with_configs(vec![config.clone()])
            };
            let request = IncrementalAlterConfigsRequest::default()
                .with_resources(vec![alter("t"), alter("none")]);
            let response = handlers::incremental_alter_configs::answer(&metadata, request).await;
            encodes(ApiKey::IncrementalAlterConfigs, version, &response);
        }
        for version in SERVED(0..=2) {
            let alter = |topic| {
                alter_configs_request::AlterConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(text(topic))
            };
            let request =
                AlterConfigsRequest::default().with_resources(vec![alter("t"), alter("none")]);
            encodes(
                ApiKey::AlterConfigs,
                version,
                &handlers::alter_configs::answer(&metadata, request).await,
            );
        }
    }
}

#[tokio::test]
async fn the_cluster_is_described_in_all_versions() {
    for metadata in [with_topic().await, stopped().await] {
        for version in SERVED(0..=13) {
            let topic = |topic| MetadataRequestTopic::default().with_name(Some(name(topic)));
            for request in [
                MetadataRequest::default().with_topics(Some(vec![
                    topic("t"),
                    topic("auto"),
                    topic("a b"),
                ])),
                MetadataRequest::default().with_topics(None),
            ] {
                let request = request
                    .with_include_cluster_authorized_operations((8..=10).contains(&version))
                    .with_include_topic_authorized_operations(version >= 8);
                let response =
                    handlers::metadata::answer(&metadata, &connection(), version, &request).await;
                encodes(ApiKey::Metadata, version, &response);
            }
        }
        // No client could send this in version 11, but a byte stream can say it.
        let by_id = MetadataRequestTopic::default()
            .with_name(None)
            .with_topic_id(Uuid::from_u128(5));
        for version in SERVED(10..=13) {
            let request = MetadataRequest::default().with_topics(Some(vec![by_id.clone()]));
            let response =
                handlers::metadata::answer(&metadata, &connection(), version, &request).await;
            encodes(ApiKey::Metadata, version, &response);
        }
        for version in SERVED(0..=2) {
            for endpoint_type in [1, 2, 9] {
                let request = DescribeClusterRequest::default()
                    .with_endpoint_type(endpoint_type)
                    .with_include_fenced_brokers(version >= 2);
                let response =
                    handlers::describe_cluster::answer(&metadata, &connection(), version, &request);
                encodes(ApiKey::DescribeCluster, version, &response);
            }
        }
        let request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(1);
        let response =
            handlers::describe_topic_partitions::answer(&metadata, &connection(), &request);
        assert!(response.next_cursor.is_some());
        encodes(ApiKey::DescribeTopicPartitions, 0, &response);
        let response =
            handlers::list_partition_reassignments::answer(&metadata, &Default::default());
        encodes(ApiKey::ListPartitionReassignments, 0, &response);
    }
}

#[tokio::test]
async fn elections_ids_and_coordinators_are_answered_in_all_versions() {
    for metadata in [with_topic().await, stopped().await] {
        for version in SERVED(0..=2) {
            for election_type in [0, 1, 9] {
                let named = TopicPartitions::default()
                    .with_topic(name("t"))
                    .with_partitions(vec![0, 9]);
                let request = ElectLeadersRequest::default()
                    .with_election_type(election_type)
                    .with_topic_partitions(Some(vec![named]));
                encodes(
                    ApiKey::ElectLeaders,
                    version,
                    &handlers::elect_leaders::answer(&metadata, version, request).await,
                );
            }
        }
        for version in SERVED(0..=5) {
            for transactional_id in [None, Some(TransactionalId(text("tx")))] {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(transactional_id)
                    .with_producer_id(ProducerId(-1))
                    .with_producer_epoch(-1);
                let response = handlers::init_producer_id::answer(&metadata, &request).await;
                encodes(ApiKey::InitProducerId, version, &response);
            }
        }
        for version in SERVED(0..=6) {
            let request = if version < 4 {
                FindCoordinatorRequest::default().with_key(text("g"))
            } else {
                FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g"), text("")])
            };
            encodes(
                ApiKey::FindCoordinator,
                version,
                &handlers::find_coordinator::answer(
                    version,
                    &request,
                    &Err(ottla_protocol::ResponseError::CoordinatorNotAvailable),
                ),
            );
        }
    }
}
