use std::net::SocketAddr;
use std::sync::Arc;

use ottla_protocol::ids::BrokerId;
use ottla_protocol::messages::metadata_response::MetadataResponseTopic;

use super::*;
use crate::metadata::cache::MetadataCache;
use crate::metadata::record::{
    BrokerEndpoint, MetadataRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
};
use crate::metadata::testing::service;

pub(in crate::handlers) fn connection(listener: &str, local: &str) -> ConnectionContext {
    let local_addr: SocketAddr = local.parse().unwrap();
    ConnectionContext::new(
        listener.into(),
        local_addr,
        "192.0.2.9:5000".parse().unwrap(),
    )
}

pub(in crate::handlers) fn here() -> ConnectionContext {
    connection("PLAINTEXT", "192.0.2.1:9092")
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
}

fn by_id(id: u128) -> MetadataRequestTopic {
    MetadataRequestTopic::default()
        .with_name(None)
        .with_topic_id(Uuid::from_u128(id))
}

fn asking(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
    MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(false)
}

/// A hand-built image: brokers 1 (this one) and 2 are up, 3 is fenced; topics `a`, `b` and `__consumer_offsets`.
pub(in crate::handlers) fn fixed() -> MetadataService {
    let broker = |id: i32, fenced| RegisterBrokerRecord {
        broker_id: BrokerId(id),
        fenced,
        rack: Some(format!("rack{id}")),
        end_points: vec![BrokerEndpoint {
            name: "PLAINTEXT".into(),
            host: format!("host{id}"),
            port: 9000,
            security_protocol: 0,
        }],
        ..Default::default()
    };
    let mut records: Vec<MetadataRecord> = vec![
        broker(1, false).into(),
        broker(2, false).into(),
        broker(3, true).into(),
    ];
    for (id, name) in [(100_u128, "b"), (101, "a"), (102, "__consumer_offsets")] {
        records.push(
            TopicRecord {
                name: name.into(),
                topic_id: TopicId(Uuid::from_u128(id)),
            }
            .into(),
        );
    }
    for (index, leader) in [(0, 1), (1, 2), (2, 3), (3, -1)] {
        let replicas = vec![BrokerId(1), BrokerId(2), BrokerId(3)];
        let partition = PartitionRecord {
            partition_id: PartitionIndex(index),
            topic_id: TopicId(Uuid::from_u128(101)),
            isr: replicas[..2].to_vec(),
            directories: vec![Uuid::nil(); 3],
            replicas,
            leader: BrokerId(leader),
            leader_epoch: ottla_protocol::ids::LeaderEpoch(index + 5),
            partition_epoch: 0,
            ..Default::default()
        };
        records.push(partition.into());
    }
    let mut image = MetadataImage::default();
    records
        .iter()
        .for_each(|record| image.replay(record).unwrap());
    MetadataService {
        cache: Arc::new(MetadataCache::new(Arc::new(image))),
        ..service(&[])
    }
}

fn names(topics: &[MetadataResponseTopic]) -> Vec<(&str, i16)> {
    topics
        .iter()
        .map(|topic| {
            (
                topic.name.as_ref().map_or("-", |name| name.as_str()),
                topic.error_code,
            )
        })
        .collect()
}

#[tokio::test]
async fn what_an_empty_list_and_none_at_all_mean_depends_on_the_version() {
    let metadata = fixed();
    let all = [("__consumer_offsets", 0), ("a", 0), ("b", 0)];
    for (version, topics, expected) in [
        (0, Some(vec![]), &all[..]),
        (1, Some(vec![]), &[]),
        (1, None, &all),
        (13, None, &all),
        (13, Some(vec![]), &[]),
    ] {
        let response = answer(&metadata, &here(), version, &asking(topics)).await;
        assert_eq!(names(&response.topics), expected, "v{version}");
    }
}

#[tokio::test]
async fn a_partition_tells_its_leader_and_who_is_down() {
    let metadata = fixed();
    let response = answer(&metadata, &here(), 12, &asking(Some(vec![named("a")]))).await;
    let topic = &response.topics[0];
    assert_eq!(
        (topic.topic_id, topic.is_internal),
        (Uuid::from_u128(101), false)
    );
    let partitions: Vec<_> = topic
        .partitions
        .iter()
        .map(|p| {
            (
                p.partition_index,
                p.error_code,
                p.leader_id.0,
                p.leader_epoch,
                p.offline_replicas[0].0,
            )
        })
        .collect();
    assert_eq!(
        partitions,
        [
            (0, 0, 1, 5, 3),
            (1, 0, 2, 6, 3),
            (2, 5, -1, 7, 3),
            (3, 5, -1, 8, 3)
        ]
    );
    assert_eq!(
        (
            topic.partitions[0].replica_nodes.len(),
            topic.partitions[0].isr_nodes.len()
        ),
        (3, 2)
    );
    let internal = answer(
        &metadata,
        &here(),
        12,
        &asking(Some(vec![named("__consumer_offsets")])),
    )
    .await;
    assert!(internal.topics[0].is_internal);
}

#[tokio::test]
async fn ids_are_found_from_version_12_on() {
    let metadata = fixed();
    let request = asking(Some(vec![by_id(101), by_id(999), named("b")]));
    let response = answer(&metadata, &here(), 12, &request).await;
    assert_eq!(names(&response.topics), [("a", 0), ("-", 100)]);
    assert_eq!(response.topics[1].topic_id, Uuid::from_u128(999));
    for version in [10, 11] {
        let response = answer(&metadata, &here(), version, &request).await;
        assert_eq!(
            names(&response.topics),
            [("", 42), ("", 42), ("b", 42)],
            "v{version}"
        );
    }
}

#[tokio::test]
async fn clients_are_told_of_an_address_they_can_reach() {
    let addresses = |response: &MetadataResponse| {
        let brokers = response.brokers.iter();
        brokers
            .map(|broker| {
                (
                    broker.node_id.0,
                    format!("{}:{}", broker.host.as_str(), broker.port),
                )
            })
            .collect::<Vec<_>>()
    };
    let table = [
        (&[][..], "127.0.0.1:9092", "127.0.0.1:9092"),
        (&[], "[::ffff:192.0.2.1]:9092", "192.0.2.1:9092"),
        (&[], "[2001:db8::1]:9092", "2001:db8::1:9092"),
        (
            &[("advertised.listeners", "PLAINTEXT://kafka.example:1234")],
            "127.0.0.1:9092",
            "kafka.example:1234",
        ),
        (
            &[
                ("advertised.listeners", "OTHER://kafka.example:1234"),
                ("listeners", "PLAINTEXT://:9092,OTHER://:9093"),
                (
                    "listener.security.protocol.map",
                    "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT",
                ),
            ],
            "127.0.0.1:9092",
            "127.0.0.1:9092",
        ),
    ];
    for (overrides, local, expected) in table {
        let metadata = service(overrides);
        let response = answer(
            &metadata,
            &connection("PLAINTEXT", local),
            12,
            &asking(None),
        )
        .await;
        assert_eq!(
            addresses(&response),
            [(1, expected.to_owned())],
            "{overrides:?}"
        );
        assert_eq!(
            (
                response.controller_id.0,
                response.cluster_id.unwrap().as_str()
            ),
            (1, "cluster")
        );
    }
    // Other brokers are where they registered, and fenced ones are not told of.
    let response = answer(&fixed(), &here(), 12, &asking(None)).await;
    assert_eq!(
        addresses(&response),
        [
            (1, "192.0.2.1:9092".to_owned()),
            (2, "host2:9000".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_leader_without_this_listener_is_named_as_such() {
    let metadata = fixed();
    for (version, code) in [(5, 5), (6, 72)] {
        let response = answer(
            &metadata,
            &connection("OTHER", "192.0.2.1:9092"),
            version,
            &asking(Some(vec![named("a")])),
        )
        .await;
        let codes: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|partition| partition.error_code)
            .collect();
        assert_eq!(codes, [0, code, 5, 5], "v{version}");
    }
}

#[tokio::test]
async fn an_unknown_topic_is_created_before_the_answer() {
    let metadata = service(&[("num.partitions", "3")]);
    let create = |name: &str| asking(Some(vec![named(name)])).with_allow_auto_topic_creation(true);
    let response = answer(&metadata, &here(), 12, &create("new")).await;
    assert_eq!(names(&response.topics), [("new", 0)]);
    assert_eq!(response.topics[0].partitions.len(), 3);
    assert!(
        response.topics[0]
            .partitions
            .iter()
            .all(|p| (p.error_code, p.leader_id.0) == (0, 1))
    );
    let again = answer(&metadata, &here(), 12, &create("new")).await;
    assert_eq!(again.topics[0].topic_id, response.topics[0].topic_id);

    let table = [
        ("a b", 17),
        ("new_", 0),
        ("new.", 17),
        ("__consumer_offsets", 3),
    ];
    for (name, code) in table {
        let response = answer(&metadata, &here(), 12, &create(name)).await;
        assert_eq!(names(&response.topics), [(name, code)]);
    }
}

#[tokio::test]
async fn clients_that_ask_for_one_new_topic_at_once_all_get_it() {
    let metadata = Arc::new(service(&[]));
    let request = asking(Some(vec![named("t")])).with_allow_auto_topic_creation(true);
    let connection = here();
    let answers = (0..8).map(|_| answer(&metadata, &connection, 12, &request));
    for response in futures_util::future::join_all(answers).await {
        assert_eq!(names(&response.topics), [("t", 0)]);
    }
}

#[tokio::test]
async fn nothing_is_created_when_broker_or_client_say_no() {
    for (broker, client) in [("false", true), ("true", false)] {
        let metadata = service(&[("auto.create.topics.enable", broker)]);
        let topics = Some(vec![named("t"), named("a b")]);
        let request = asking(topics).with_allow_auto_topic_creation(client);
        let response = answer(&metadata, &here(), 12, &request).await;
        assert_eq!(names(&response.topics), [("t", 3), ("a b", 17)]);
        assert!(metadata.image().topics.is_empty());
    }
}

#[tokio::test]
async fn authorized_operations_are_told_only_when_asked() {
    let metadata = fixed();
    let plain = asking(Some(vec![named("a")]));
    let asked = plain
        .clone()
        .with_include_cluster_authorized_operations(true)
        .with_include_topic_authorized_operations(true);
    for (version, request, cluster, topic) in [
        (8, &plain, i32::MIN, i32::MIN),
        (8, &asked, 8096, 3576),
        (10, &asked, 8096, 3576),
        // From version 11 on DescribeCluster tells those of the cluster.
        (11, &asked, i32::MIN, 3576),
    ] {
        let response = answer(&metadata, &here(), version, request).await;
        assert_eq!(
            (
                response.cluster_authorized_operations,
                response.topics[0].topic_authorized_operations
            ),
            (cluster, topic)
        );
    }
}

#[tokio::test]
async fn every_version_encodes() {
    use ottla_protocol::kafka_protocol::protocol::Encodable;
    let metadata = fixed();
    for version in 0..=13 {
        let response = answer(
            &metadata,
            &here(),
            version,
            &asking(Some(vec![named("a"), named("none")])),
        )
        .await;
        response
            .encode(&mut bytes::BytesMut::new(), version)
            .unwrap();
    }
}
