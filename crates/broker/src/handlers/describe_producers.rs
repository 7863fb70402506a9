//! DescribeProducers, version 0: the producers that a partition knows, and where their transactions began (KIP-664).
//!
//! *Behaviour*: a message comes with the error of a topic, none with that of a partition.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{Offset, PartitionIndex, ProducerId};
use ottla_protocol::kafka_protocol::protocol::{Message, StrBytes};
use ottla_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use ottla_protocol::messages::{self, DescribeProducersRequest, DescribeProducersResponse};
use ottla_storage::producer_state::ProducerEntry;

use super::Handler;
use crate::answer_room::{self, AnswerRoom};
use crate::broker::Broker;
use crate::metadata::controller::{error_text, topic_name};
use crate::network::request::RequestContext;
use crate::partition::topic::Topic;

/// The API.
#[derive(Debug)]
pub struct DescribeProducers;

impl Handler for DescribeProducers {
    type Request = DescribeProducersRequest;
    const NAME: &'static str = "DescribeProducers";
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: DescribeProducersRequest,
    ) -> DescribeProducersResponse {
        let mut room = AnswerRoom::default();
        let topics = request.topics.into_iter().map(|wanted| {
            let topic = find(broker, &wanted.name);
            let partitions = wanted.partition_indexes.into_iter().map(|index| {
                let response = PartitionResponse::default().with_partition_index(index);
                let described = room.put(PartitionResponse::VERSIONS.max, || match &topic {
                    Ok(topic) => partition(topic, response.clone()),
                    Err((error, message)) => response
                        .clone()
                        .with_error_code(error.code())
                        .with_error_message(Some(StrBytes::from_string(message.clone()))),
                });
                described.unwrap_or_else(|error| {
                    response
                        .with_error_code(error.code())
                        .with_error_message(Some(StrBytes::from_static_str(answer_room::TOO_LARGE)))
                })
            });
            let partitions = partitions.collect();
            TopicResponse::default()
                .with_name(wanted.name)
                .with_partitions(partitions)
        });
        DescribeProducersResponse::default().with_topics(topics.collect())
    }
}

fn find(broker: &Broker, name: &str) -> Result<Arc<Topic>, (ResponseError, String)> {
    topic_name::validate(name).map_err(|why| (ResponseError::InvalidTopicException, why))?;
    let unknown = ResponseError::UnknownTopicOrPartition;
    let topic = broker.partitions().topic(name);
    topic.ok_or_else(|| (unknown, error_text(unknown)))
}

fn partition(topic: &Topic, response: PartitionResponse) -> PartitionResponse {
    match topic.partition(PartitionIndex(response.partition_index)) {
        Ok(partition) => {
            let producers = partition.producers();
            let producers = producers.iter().map(|(id, entry)| describe(*id, entry));
            response.with_active_producers(producers.collect())
        }
        Err(error) => response.with_error_code(error.code()),
    }
}

fn describe(id: ProducerId, entry: &ProducerEntry) -> ProducerState {
    ProducerState::default()
        .with_producer_id(messages::ProducerId(id.0))
        .with_producer_epoch(entry.epoch.0.into())
        .with_last_sequence(entry.last_sequence().0)
        .with_last_timestamp(entry.last_timestamp.0)
        .with_coordinator_epoch(entry.coordinator_epoch)
        .with_current_txn_start_offset(entry.txn_first_offset.map_or(-1, |Offset(at)| at))
}
