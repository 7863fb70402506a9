//! OffsetForLeaderEpoch, versions 2-4: where the records of a leader epoch end.
//!
//! A consumer asks when it sees a new leader epoch, as after each start of this broker, whether the log still holds what
//! it has read (KIP-320). The answer is the latest epoch not above the asked one that has records, and the offset where
//! it ends; -1 for both, without an error, where that is unknown: no epoch is asked for, or one that is yet to come.
//! This leader's own epoch ends at the end of the log, also while nothing has been appended in it.
//!
//! *Versions*: 2 the client's epoch; 3 the replica id; 4 flexible.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{LeaderEpoch, Offset, PartitionIndex};
use ottla_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use ottla_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::Handler;
use crate::broker::Broker;
use crate::network::request::RequestContext;
use crate::partition::topic::Topic;

/// The API.
#[derive(Debug)]
pub struct OffsetForLeaderEpoch;

impl Handler for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    const NAME: &'static str = "OffsetForLeaderEpoch";
    const VERSIONS: RangeInclusive<i16> = 2..=4;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        let topics = request.topics.into_iter().map(|wanted| {
            let topic = broker.partitions().topic(&wanted.topic);
            let partitions = wanted.partitions.iter();
            OffsetForLeaderTopicResult::default()
                .with_partitions(partitions.map(|q| answer(topic.as_deref(), q)).collect())
                .with_topic(wanted.topic)
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }
}

fn answer(topic: Option<&Topic>, query: &OffsetForLeaderPartition) -> EpochEndOffset {
    let (error, found) = match find(topic, query) {
        Ok(found) => (0, found),
        Err(error) => (error.code(), None),
    };
    let (epoch, end) = found.unwrap_or((LeaderEpoch::NONE, Offset(-1)));
    EpochEndOffset::default()
        .with_error_code(error)
        .with_partition(query.partition)
        .with_leader_epoch(epoch.0)
        .with_end_offset(end.0)
}

fn find(
    topic: Option<&Topic>,
    query: &OffsetForLeaderPartition,
) -> Result<Option<(LeaderEpoch, Offset)>, ResponseError> {
    let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
    let partition = topic.partition(PartitionIndex(query.partition))?;
    partition.check_epoch(LeaderEpoch(query.current_leader_epoch))?;
    Ok(partition.end_offset_for_epoch(LeaderEpoch(query.leader_epoch)))
}
