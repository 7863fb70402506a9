//! Metadata: who the brokers are, and where the partitions of topics are.
//!
//! Versions 0-13. An unknown topic is created, if client and broker allow it, before the answer goes out: a single
//! node needs no second request until there is a leader, as Kafka does.
//!
//! * v0: an empty list asks for all topics; from v1 on null does, and empty asks for none.
//! * v4: the client says whether it wants topics created. Before it always does.
//! * v8-10: authorized operations of the cluster; v8+ of topics.
//! * v10: topic ids in the answer; v12: topics can be asked for by id, and names may be null only then.
//! * v13: an error for the whole request.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{PartitionIndex, TopicId};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{CreateTopicsRequest, MetadataRequest, MetadataResponse, TopicName};
use uuid::Uuid;

use super::Handler;
use super::authorized_operations;
use super::mutation_quota::Limited;
use super::nodes::{Node, nodes};
use super::partition_view;
use crate::broker::Broker;
use crate::metadata::controller::topic_name;
use crate::metadata::image::{MetadataImage, PartitionRegistration, TopicImage};
use crate::metadata::record::NO_LEADER;
use crate::metadata::service::MetadataService;
use crate::network::request::ConnectionContext;
use crate::network::request::RequestContext;
use crate::partition::manager::PartitionManager;

/// The API.
#[derive(Debug)]
pub struct Metadata;

impl Handler for Metadata {
    type Request = MetadataRequest;
    const NAME: &'static str = "Metadata";
    const VERSIONS: RangeInclusive<i16> = 0..=13;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: MetadataRequest,
    ) -> MetadataResponse {
        let mut response = {
            // A topic that is created by the way counts for the quota on mutations, as if it was asked for.
            let limited = Limited::new(broker, context, true);
            answer(limited.metadata(), context.connection, version, &request).await
        };
        if !broker.partitions().is_loaded() {
            hide_opening(broker.partitions(), &mut response);
        }
        response
    }
}

/// Answer a request.
pub(crate) async fn answer(
    metadata: &MetadataService,
    connection: &ConnectionContext,
    version: i16,
    request: &MetadataRequest,
) -> MetadataResponse {
    let asked = match Asked::of(request, version) {
        Ok(asked) => asked,
        Err(error) => return refused(request, version, error),
    };
    let may_create =
        metadata.config.node.auto_create_topics_enable && request.allow_auto_topic_creation;
    let created = match &asked {
        Asked::Some(topics) if may_create => auto_create(metadata, topics).await,
        _ => Vec::new(),
    };
    let image = metadata.cache.image();
    let nodes = nodes(metadata, &image, connection, false);
    let view = View {
        image: &image,
        nodes: &nodes,
        version,
    };
    let mut topics: Vec<_> = match asked {
        Asked::All => image.topics.iter().map(|topic| view.topic(topic)).collect(),
        Asked::Some(topics) => topics
            .into_iter()
            .map(|topic| view.asked_topic(topic, &created))
            .collect(),
    };
    if version >= 8 && request.include_topic_authorized_operations {
        let unknown = ResponseError::UnknownTopicId.code();
        for topic in topics
            .iter_mut()
            .filter(|topic| topic.error_code != unknown)
        {
            topic.topic_authorized_operations = authorized_operations::TOPIC;
        }
    }
    let controller = nodes
        .iter()
        .find(|node| node.id == metadata.node_id())
        .or(nodes.first());
    let cluster_operations = match (version, request.include_cluster_authorized_operations) {
        (8..=10, true) => authorized_operations::CLUSTER,
        _ => authorized_operations::NOT_ASKED,
    };
    MetadataResponse::default()
        .with_brokers(nodes.iter().map(broker).collect())
        .with_cluster_id(Some(StrBytes::from_string(metadata.cluster_id.to_string())))
        .with_controller_id(messages::BrokerId(controller.map_or(-1, |node| node.id.0)))
        .with_cluster_authorized_operations(cluster_operations)
        .with_topics(topics)
}

/// The topics a request is about.
enum Asked<'a> {
    All,
    Some(Vec<&'a MetadataRequestTopic>),
}

impl<'a> Asked<'a> {
    fn of(request: &'a MetadataRequest, version: i16) -> Result<Self, ResponseError> {
        let Some(topics) = request
            .topics
            .as_deref()
            .filter(|topics| version > 0 || !topics.is_empty())
        else {
            return Ok(Self::All);
        };
        if version < 12
            && topics
                .iter()
                .any(|topic| topic.name.is_none() || topic.topic_id != Uuid::nil())
        {
            return Err(ResponseError::InvalidRequest);
        }
        let is_named =
            |topic: &MetadataRequestTopic| topic.name.is_some() || topic.topic_id != Uuid::nil();
        if !topics.iter().all(is_named) {
            return Err(ResponseError::InvalidRequest);
        }
        // As in Kafka: one id in the request, and only ids count.
        let by_id = topics.iter().any(|topic| topic.topic_id != Uuid::nil());
        let mut wanted: Vec<_> = topics
            .iter()
            .filter(|topic| {
                if by_id {
                    topic.topic_id != Uuid::nil()
                } else {
                    topic.name.is_some()
                }
            })
            .collect();
        let mut seen = std::collections::HashSet::new();
        wanted.retain(|topic| {
            seen.insert(if by_id {
                (None, topic.topic_id)
            } else {
                (topic.name.as_ref(), Uuid::nil())
            })
        });
        Ok(Self::Some(wanted))
    }
}

/// The answer to a request that is wrong as a whole: every topic of it, and nothing else.
fn refused(request: &MetadataRequest, version: i16, error: ResponseError) -> MetadataResponse {
    let topics = request.topics.iter().flatten().map(|topic| {
        let name = topic.name.clone().unwrap_or_default();
        unknown(name, TopicId(topic.topic_id), error)
    });
    let response = MetadataResponse::default()
        .with_cluster_id(None)
        .with_topics(topics.collect());
    if version < 13 {
        return response;
    }
    response.with_error_code(error.code())
}

/// Create those of `topics` that do not exist; the codes of those that could not be.
async fn auto_create(
    metadata: &MetadataService,
    topics: &[&MetadataRequestTopic],
) -> Vec<(TopicName, i16)> {
    let missing: Vec<CreatableTopic> = {
        let image = metadata.image();
        let names = topics
            .iter()
            .filter(|topic| topic.topic_id == Uuid::nil())
            .filter_map(|topic| topic.name.as_ref());
        let creatable = names.filter(|name| {
            // The broker creates its own topics itself, with what they need.
            topic_name::validate(name).is_ok()
                && !topic_name::is_internal(name)
                && image.topics.by_name(name).is_none()
        });
        creatable
            .map(|name| {
                CreatableTopic::default()
                    .with_name(name.clone())
                    .with_num_partitions(-1)
                    .with_replication_factor(-1)
            })
            .collect()
    };
    if missing.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = missing.iter().map(|topic| topic.name.clone()).collect();
    match metadata
        .controller
        .create_topics(CreateTopicsRequest::default().with_topics(missing))
        .await
    {
        // Whoever else created it meanwhile did what was wanted: the image has it.
        Ok(response) => response
            .topics
            .into_iter()
            .map(|topic| (topic.name, topic.error_code))
            .collect(),
        Err(_) => {
            let code = ResponseError::LeaderNotAvailable.code();
            names.into_iter().map(|name| (name, code)).collect()
        }
    }
}

/// One image, as seen through one listener.
struct View<'a> {
    image: &'a MetadataImage,
    nodes: &'a [Node],
    version: i16,
}

impl View<'_> {
    fn asked_topic(
        &self,
        asked: &MetadataRequestTopic,
        created: &[(TopicName, i16)],
    ) -> MetadataResponseTopic {
        if asked.topic_id != Uuid::nil() {
            let id = TopicId(asked.topic_id);
            return match self.image.topics.get(id) {
                Some(topic) => self.topic(topic),
                None => {
                    unknown(TopicName::default(), id, ResponseError::UnknownTopicId).with_name(None)
                }
            };
        }
        let name = asked.name.clone().unwrap_or_default();
        if let Some(topic) = self.image.topics.by_name(&name) {
            return self.topic(topic);
        }
        let quota_exceeded = ResponseError::ThrottlingQuotaExceeded.code();
        let refusal = created
            .iter()
            .find(|(of, code)| *of == name && *code != 0 && *code != quota_exceeded);
        let error = match refusal {
            Some((_, code)) => {
                ResponseError::try_from_code(*code).unwrap_or(ResponseError::UnknownServerError)
            }
            None if topic_name::validate(&name).is_err() => ResponseError::InvalidTopicException,
            None => ResponseError::UnknownTopicOrPartition,
        };
        unknown(name, TopicId::ZERO, error)
    }

    fn topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        let mut partitions = Vec::with_capacity(topic.partition_count());
        partitions.extend(
            topic
                .partitions()
                .map(|(index, partition)| self.partition(index, partition)),
        );
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_string(
                topic.name().to_string(),
            ))))
            .with_topic_id(topic.id().0)
            .with_is_internal(topic_name::is_internal(topic.name()))
            .with_partitions(partitions)
    }

    fn partition(
        &self,
        index: PartitionIndex,
        partition: &PartitionRegistration,
    ) -> MetadataResponsePartition {
        let view = partition_view::leader(self.image, self.nodes, partition, self.version >= 6);
        MetadataResponsePartition::default()
            .with_error_code(view.error_code)
            .with_partition_index(index.0)
            .with_leader_id(view.leader)
            .with_leader_epoch(partition.leader_epoch.0)
            .with_replica_nodes(partition_view::wire(&partition.replicas))
            .with_isr_nodes(partition_view::wire(&partition.isr))
            .with_offline_replicas(partition_view::offline(self.nodes, partition))
    }
}

/// Nobody leads a partition whose log is not open yet: clients ask again.
fn hide_opening(partitions: &PartitionManager, response: &mut MetadataResponse) {
    for topic in &mut response.topics {
        let Some(known) = partitions.topic_by_id(TopicId(topic.topic_id)) else {
            continue;
        };
        let opening = |partition: &&mut MetadataResponsePartition| {
            known.is_opening(PartitionIndex(partition.partition_index))
        };
        for partition in topic.partitions.iter_mut().filter(opening) {
            partition.error_code = ResponseError::LeaderNotAvailable.code();
            partition.leader_id = messages::BrokerId(NO_LEADER.0);
        }
    }
}

fn unknown(name: TopicName, id: TopicId, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_is_internal(topic_name::is_internal(&name))
        .with_name(Some(name))
        .with_topic_id(id.0)
}

fn broker(node: &Node) -> MetadataResponseBroker {
    MetadataResponseBroker::default()
        .with_node_id(messages::BrokerId(node.id.0))
        .with_host(node.host.clone())
        .with_port(node.port)
        .with_rack(node.rack.clone())
}

#[cfg(test)]
pub(super) mod tests;
