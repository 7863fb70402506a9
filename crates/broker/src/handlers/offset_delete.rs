//! OffsetDelete, version 0: delete committed offsets of topics that a group no longer consumes (KIP-496).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::PartitionIndex;
use ottla_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, TopicName};

use super::Handler;
use super::group_request::ask;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct OffsetDelete;

impl Handler for OffsetDelete {
    type Request = OffsetDeleteRequest;
    const NAME: &'static str = "OffsetDelete";
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        mut request: OffsetDeleteRequest,
    ) -> OffsetDeleteResponse {
        let group = request.group_id.to_string();
        let unknown = without_unknown(broker, &mut request);
        let request = GroupRequest::OffsetDelete(request);
        let answer = ask(broker, &group, request, |response| match response {
            GroupResponse::OffsetDelete(response) => Some(response),
            _ => None,
        });
        let mut response = answer
            .await
            .unwrap_or_else(|error| OffsetDeleteResponse::default().with_error_code(error.code()));
        if response.error_code == 0 {
            response.topics = merge(unknown, response.topics);
        }
        response
    }
}

/// What does not exist and what the coordinator has answered: each topic once, unless everything exists and a topic was
/// named twice (`OffsetDeleteResponse.Builder.merge`).
fn merge(
    unknown: Vec<OffsetDeleteResponseTopic>,
    known: Vec<OffsetDeleteResponseTopic>,
) -> Vec<OffsetDeleteResponseTopic> {
    if unknown.is_empty() {
        return known;
    }
    let mut places: HashMap<TopicName, usize> = HashMap::new();
    let mut topics: Vec<OffsetDeleteResponseTopic> = Vec::new();
    for topic in unknown.into_iter().chain(known) {
        match places.get(&topic.name) {
            Some(place) => topics[*place].partitions.extend(topic.partitions),
            None => {
                places.insert(topic.name.clone(), topics.len());
                topics.push(topic);
            }
        }
    }
    topics
}

/// Take the partitions that do not exist out of the request, with an answer for them.
fn without_unknown(
    broker: &Broker,
    request: &mut OffsetDeleteRequest,
) -> Vec<OffsetDeleteResponseTopic> {
    let image = broker.metadata().image();
    let mut answers = Vec::new();
    for wanted in &mut request.topics {
        let topic = image.topics.by_name(&wanted.name);
        let mut unknown = Vec::new();
        wanted.partitions.retain(|partition| {
            let index = PartitionIndex(partition.partition_index);
            let known = topic.is_some_and(|topic| topic.partition(index).is_some());
            if !known {
                unknown.push(
                    OffsetDeleteResponsePartition::default()
                        .with_partition_index(index.0)
                        .with_error_code(ResponseError::UnknownTopicOrPartition.code()),
                );
            }
            known
        });
        // A topic that does not exist is answered even where none of its partitions is named.
        if topic.is_none() || !unknown.is_empty() {
            answers.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(wanted.name.clone())
                    .with_partitions(unknown),
            );
        }
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
    answers
}
