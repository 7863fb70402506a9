//! DescribeTopicPartitions (KIP-966): the partitions of topics page by page, with their eligible leader replicas.
//!
//! Version 0. Topics come by name; where a page ends the cursor names the next partition. An empty list of topics asks
//! for all of them. A page has at most the partitions the client asks for, and `max.request.partition.size.limit`.

use std::ops::RangeInclusive;

use std::collections::BTreeSet;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{PartitionIndex, TopicId};
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::{
    self, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};

use super::Handler;
use super::authorized_operations;
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
pub struct DescribeTopicPartitions;

impl Handler for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;
    const NAME: &'static str = "DescribeTopicPartitions";
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        _: i16,
        request: DescribeTopicPartitionsRequest,
    ) -> DescribeTopicPartitionsResponse {
        let mut response = answer(broker.metadata(), context.connection, &request);
        if !broker.partitions().is_loaded() {
            hide_opening(broker.partitions(), &mut response);
        }
        response
    }
}

/// Answer a request.
pub(crate) fn answer(
    metadata: &MetadataService,
    connection: &ConnectionContext,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = metadata.image();
    let nodes = nodes(metadata, &image, connection, false);
    let limit = metadata
        .config
        .network
        .max_request_partition_size_limit
        .min(request.response_partition_limit);
    let page = Page {
        image: &image,
        nodes: &nodes,
        room: usize::try_from(limit).unwrap_or(0).max(1),
        topics: Vec::new(),
    };
    let start = request
        .cursor
        .as_ref()
        .map_or("", |cursor| cursor.topic_name.as_str());
    let first = request
        .cursor
        .as_ref()
        .map_or(0, |cursor| cursor.partition_index);
    let named: BTreeSet<&str> = request
        .topics
        .iter()
        .map(|topic| topic.name.as_str())
        .collect();
    let is_cursor_listed = named.is_empty() || request.cursor.is_none() || named.contains(start);
    if first < 0 || !is_cursor_listed {
        return refused(request, ResponseError::InvalidRequest);
    }
    if named.is_empty() {
        let names = image.topics.from_name(start).map(|topic| &**topic.name());
        page.fill(names, start, first)
    } else {
        page.fill(named.range(start..).copied(), start, first)
    }
}

/// A page being filled.
struct Page<'a> {
    image: &'a MetadataImage,
    nodes: &'a [Node],
    /// Partitions that it still takes.
    room: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
}

impl Page<'_> {
    /// Put in the topics called `names`, in that order; of the one called `start` from partition `first` on.
    fn fill<'b>(
        mut self,
        names: impl Iterator<Item = &'b str>,
        start: &str,
        first: i32,
    ) -> DescribeTopicPartitionsResponse {
        let mut next = None;
        for name in names {
            if self.room == 0 {
                next = Some((name.to_owned(), 0));
            } else if let Some(topic) = self.image.topics.by_name(name) {
                next = self.put(topic, if name == start { first } else { 0 });
            } else {
                self.topics.push(unknown(name));
            }
            if next.is_some() {
                break;
            }
        }
        let cursor = next.map(|(name, partition_index)| {
            Cursor::default()
                .with_topic_name(TopicName(StrBytes::from_string(name)))
                .with_partition_index(partition_index)
        });
        DescribeTopicPartitionsResponse::default()
            .with_topics(self.topics)
            .with_next_cursor(cursor)
    }

    /// Put in a topic's partitions from `first` on; where to go on when they do not all fit.
    fn put(&mut self, topic: &TopicImage, first: i32) -> Option<(String, i32)> {
        let from = topic.partitions().filter(|(index, _)| index.0 >= first);
        let partitions: Vec<_> = from
            .take(self.room)
            .map(|(index, partition)| self.partition(index, partition))
            .collect();
        self.room -= partitions.len();
        let next = partitions
            .last()
            .map_or(first, |last| last.partition_index + 1);
        let has_more = topic.partition(PartitionIndex(next)).is_some();
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(TopicName(StrBytes::from_string(
                    topic.name().to_string(),
                ))))
                .with_topic_id(topic.id().0)
                .with_is_internal(topic_name::is_internal(topic.name()))
                .with_partitions(partitions)
                .with_topic_authorized_operations(authorized_operations::TOPIC),
        );
        has_more.then(|| (topic.name().to_string(), next))
    }

    fn partition(
        &self,
        index: PartitionIndex,
        partition: &PartitionRegistration,
    ) -> DescribeTopicPartitionsResponsePartition {
        let view = partition_view::leader(self.image, self.nodes, partition, true);
        DescribeTopicPartitionsResponsePartition::default()
            .with_error_code(view.error_code)
            .with_partition_index(index.0)
            .with_leader_id(view.leader)
            .with_leader_epoch(partition.leader_epoch.0)
            .with_replica_nodes(partition_view::wire(&partition.replicas))
            .with_isr_nodes(partition_view::wire(&partition.isr))
            .with_eligible_leader_replicas(Some(partition_view::wire(
                &partition.eligible_leader_replicas,
            )))
            .with_last_known_elr(Some(partition_view::wire(&partition.last_known_elr)))
            .with_offline_replicas(partition_view::offline(self.nodes, partition))
    }
}

/// Nobody leads a partition whose log is not open yet: clients ask again.
fn hide_opening(partitions: &PartitionManager, response: &mut DescribeTopicPartitionsResponse) {
    for topic in &mut response.topics {
        let Some(known) = partitions.topic_by_id(TopicId(topic.topic_id)) else {
            continue;
        };
        let opening = |partition: &&mut DescribeTopicPartitionsResponsePartition| {
            known.is_opening(PartitionIndex(partition.partition_index))
        };
        for partition in topic.partitions.iter_mut().filter(opening) {
            partition.error_code = ResponseError::LeaderNotAvailable.code();
            partition.leader_id = messages::BrokerId(NO_LEADER.0);
        }
    }
}

fn unknown(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match topic_name::validate(name) {
        Ok(()) => ResponseError::UnknownTopicOrPartition,
        Err(_) => ResponseError::InvalidTopicException,
    };
    failure(TopicName(StrBytes::from_string(name.to_owned())), error)
        .with_topic_authorized_operations(authorized_operations::TOPIC)
}

fn failure(name: TopicName, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_is_internal(topic_name::is_internal(&name))
        .with_name(Some(name))
}

fn refused(
    request: &DescribeTopicPartitionsRequest,
    error: ResponseError,
) -> DescribeTopicPartitionsResponse {
    let topics = request
        .topics
        .iter()
        .map(|topic| failure(topic.name.clone(), error));
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::describe_topic_partitions_request::{self, TopicRequest};

    use super::*;
    use crate::handlers::metadata::tests::{fixed, here};

    fn name(name: &str) -> TopicName {
        TopicName(StrBytes::from_string(name.to_owned()))
    }

    fn ask(
        topics: &[&str],
        limit: i32,
        cursor: Option<(&str, i32)>,
    ) -> DescribeTopicPartitionsRequest {
        let topics = topics
            .iter()
            .map(|topic| TopicRequest::default().with_name(name(topic)));
        let cursor = cursor.map(|(topic, partition)| {
            describe_topic_partitions_request::Cursor::default()
                .with_topic_name(name(topic))
                .with_partition_index(partition)
        });
        DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor)
    }

    /// Topics with their error and partitions, and the cursor.
    type Shown = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

    fn shown(request: &DescribeTopicPartitionsRequest) -> Shown {
        let response = answer(&fixed(), &here(), request);
        let topics = response.topics.iter().map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|partition| partition.partition_index)
                .collect();
            (
                topic.name.as_ref().unwrap().to_string(),
                topic.error_code,
                partitions,
            )
        });
        let cursor = response.next_cursor.as_ref();
        (
            topics.collect(),
            cursor.map(|cursor| (cursor.topic_name.to_string(), cursor.partition_index)),
        )
    }

    fn topic(name: &str, error: i16, partitions: &[i32]) -> (String, i16, Vec<i32>) {
        (name.to_owned(), error, partitions.to_vec())
    }

    #[test]
    fn pages_follow_each_other() {
        let offsets = || topic("__consumer_offsets", 0, &[]);
        let at = |name: &str, partition| Some((name.to_owned(), partition));
        let all = (
            vec![offsets(), topic("a", 0, &[0, 1, 2, 3]), topic("b", 0, &[])],
            None,
        );
        assert_eq!(shown(&ask(&[], 2000, None)), all);
        assert_eq!(
            shown(&ask(&[], 3, None)),
            (vec![offsets(), topic("a", 0, &[0, 1, 2])], at("a", 3))
        );
        assert_eq!(
            shown(&ask(&[], 3, Some(("a", 3)))),
            (vec![topic("a", 0, &[3]), topic("b", 0, &[])], None)
        );
        // A page that ends with its topic points to the next one.
        assert_eq!(
            shown(&ask(&[], 4, None)),
            (vec![offsets(), topic("a", 0, &[0, 1, 2, 3])], at("b", 0))
        );
        assert_eq!(
            shown(&ask(&["b", "a"], 1, Some(("a", 1)))),
            (vec![topic("a", 0, &[1])], at("a", 2))
        );
        assert_eq!(
            shown(&ask(&["a"], 0, None)),
            (vec![topic("a", 0, &[0])], at("a", 1))
        );
    }

    #[test]
    fn what_is_unknown_or_makes_no_sense_has_its_error() {
        assert_eq!(
            shown(&ask(&["x", "a b"], 9, None)),
            (vec![topic("a b", 17, &[]), topic("x", 3, &[])], None)
        );
        assert_eq!(
            shown(&ask(&["b"], 9, Some(("a", 0)))).0,
            [topic("b", 42, &[])]
        );
        assert_eq!(
            shown(&ask(&["a"], 9, Some(("a", -1)))).0,
            [topic("a", 42, &[])]
        );
    }

    #[test]
    fn a_refused_request_says_nothing_of_operations() {
        let operations = |request: &DescribeTopicPartitionsRequest| {
            answer(&fixed(), &here(), request).topics[0].topic_authorized_operations
        };
        let not_asked = authorized_operations::NOT_ASKED;
        assert_eq!(operations(&ask(&["b"], 9, Some(("a", 0)))), not_asked);
        assert_eq!(
            operations(&ask(&["x"], 9, None)),
            authorized_operations::TOPIC
        );
    }
}
