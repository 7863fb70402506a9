//! ListPartitionReassignments: the partitions whose replicas are being moved.
//!
//! Version 0. With one broker none lasts, but a data directory that comes from a cluster may be in the middle of one. Null topics ask for all; what is not being moved is not listed.

use std::ops::RangeInclusive;

use ottla_protocol::ids::PartitionIndex;
use ottla_protocol::kafka_protocol::protocol::StrBytes;
use ottla_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use ottla_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};

use super::Handler;
use super::partition_view::wire;
use crate::broker::Broker;
use crate::metadata::image::{PartitionRegistration, TopicImage};
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct ListPartitionReassignments;

impl Handler for ListPartitionReassignments {
    type Request = ListPartitionReassignmentsRequest;
    const NAME: &'static str = "ListPartitionReassignments";
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: ListPartitionReassignmentsRequest,
    ) -> ListPartitionReassignmentsResponse {
        answer(broker.metadata(), &request)
    }
}

/// Answer a request.
pub(crate) fn answer(
    metadata: &MetadataService,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let image = metadata.image();
    let topics: Vec<_> = match &request.topics {
        None => image
            .topics
            .iter()
            .filter_map(|topic| ongoing(topic, topic.partitions()))
            .collect(),
        Some(asked) => {
            let moving = asked.iter().filter_map(|asked| {
                let topic = image.topics.by_name(&asked.name)?;
                let indexes = asked
                    .partition_indexes
                    .iter()
                    .map(|index| PartitionIndex(*index));
                ongoing(
                    topic,
                    indexes.filter_map(|index| Some((index, topic.partition(index)?))),
                )
            });
            moving.collect()
        }
    };
    ListPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_topics(topics)
}

fn ongoing<'a>(
    topic: &TopicImage,
    partitions: impl Iterator<Item = (PartitionIndex, &'a PartitionRegistration)>,
) -> Option<OngoingTopicReassignment> {
    let moving = partitions.filter(|(_, partition)| partition.is_reassigning());
    let partitions: Vec<_> = moving
        .map(|(index, partition)| {
            OngoingPartitionReassignment::default()
                .with_partition_index(index.0)
                .with_replicas(wire(&partition.replicas))
                .with_adding_replicas(wire(&partition.adding_replicas))
                .with_removing_replicas(wire(&partition.removing_replicas))
        })
        .collect();
    let name = TopicName(StrBytes::from_string(topic.name().to_string()));
    (!partitions.is_empty()).then(|| {
        OngoingTopicReassignment::default()
            .with_name(name)
            .with_partitions(partitions)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ottla_protocol::ids::BrokerId;
    use ottla_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;

    use super::*;
    use crate::handlers::metadata::tests::fixed;
    use crate::metadata::cache::MetadataCache;
    use crate::metadata::record::PartitionChangeRecord;

    #[test]
    fn only_what_moves_is_listed() {
        let metadata = fixed();
        let mut image = metadata.image().as_ref().clone();
        let change = PartitionChangeRecord {
            partition_id: PartitionIndex(2),
            topic_id: image.topics.by_name("a").unwrap().id(),
            adding_replicas: Some(vec![BrokerId(3)]),
            ..Default::default()
        };
        let none = ListPartitionReassignmentsRequest::default().with_topics(None);
        assert!(answer(&metadata, &none).topics.is_empty());

        image.replay(&change.into()).unwrap();
        let metadata = MetadataService {
            cache: Arc::new(MetadataCache::new(Arc::new(image))),
            ..metadata
        };
        let ask = |name: &'static str, partitions: &[i32]| {
            let topic = ListPartitionReassignmentsTopics::default()
                .with_name(TopicName(StrBytes::from_static_str(name)))
                .with_partition_indexes(partitions.to_vec());
            ListPartitionReassignmentsRequest::default().with_topics(Some(vec![topic]))
        };
        for (request, found) in [
            (none, 1),
            (ask("a", &[1, 2, 99]), 1),
            (ask("a", &[0, 1]), 0),
            (ask("b", &[0]), 0),
            (ask("none", &[2]), 0),
        ] {
            let response = answer(&metadata, &request);
            assert_eq!(response.topics.len(), found, "{request:?}");
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            assert!(
                partitions
                    .into_iter()
                    .all(|partition| partition.partition_index == 2)
            );
        }
    }
}
