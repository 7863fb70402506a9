//! OffsetFetch, versions 1-9: how far groups have read.
//!
//! *Behaviour*: a group or partition nobody has committed for has offset -1 and no error. With `require_stable`, a
//! partition with an offset in an open transaction gets UNSTABLE_OFFSET_COMMIT (KIP-447).
//!
//! *Versions*: 2 asks for all partitions by null; 5 leader epochs; 7 `require_stable`; 8 several groups (KIP-709).

use std::ops::RangeInclusive;

use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
};
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::Handler;
use super::group_request::ask;
use crate::answer_room::AnswerRoom;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// First version that asks for several groups.
const GROUPS_FROM: i16 = 8;

/// The API.
#[derive(Debug)]
pub struct OffsetFetch;

impl Handler for OffsetFetch {
    type Request = OffsetFetchRequest;
    const NAME: &'static str = "OffsetFetch";
    const VERSIONS: RangeInclusive<i16> = 1..=9;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: OffsetFetchRequest,
    ) -> OffsetFetchResponse {
        let require_stable = request.require_stable;
        if version >= GROUPS_FROM {
            let mut groups = Vec::with_capacity(request.groups.len());
            let mut room = AnswerRoom::default();
            for group in request.groups {
                let fetched = fetch(broker, group, require_stable, room).await;
                room.spend(&fetched, version);
                groups.push(fetched);
            }
            return OffsetFetchResponse::default().with_groups(groups);
        }
        let group = fetch(
            broker,
            one_group(&request),
            require_stable,
            AnswerRoom::default(),
        )
        .await;
        one_answer(version, &request, group)
    }
}

async fn fetch(
    broker: &Broker,
    request: OffsetFetchRequestGroup,
    require_stable: bool,
    room: AnswerRoom,
) -> OffsetFetchResponseGroup {
    let group_id = request.group_id.clone();
    let request = GroupRequest::OffsetFetch(request, require_stable, room);
    let answer = ask(broker, &group_id, request, |response| match response {
        GroupResponse::OffsetFetch(response) => Some(response),
        _ => None,
    });
    answer.await.unwrap_or_else(|error| {
        OffsetFetchResponseGroup::default()
            .with_group_id(group_id.clone())
            .with_error_code(error.code())
    })
}

/// An old request as one for a single group.
fn one_group(request: &OffsetFetchRequest) -> OffsetFetchRequestGroup {
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name.clone())
                .with_partition_indexes(topic.partition_indexes.clone())
        });
        topics.collect()
    });
    OffsetFetchRequestGroup::default()
        .with_group_id(request.group_id.clone())
        .with_topics(topics)
}

/// An old answer: version 1 has no error of its own, so every partition says it.
fn one_answer(
    version: i16,
    request: &OffsetFetchRequest,
    group: OffsetFetchResponseGroup,
) -> OffsetFetchResponse {
    if group.error_code != 0 {
        let topics = match version {
            1 => refused_topics(request, group.error_code),
            _ => Vec::new(),
        };
        return OffsetFetchResponse::default()
            .with_error_code(group.error_code)
            .with_topics(topics);
    }
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(old_partition);
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

fn old_partition(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition {
    OffsetFetchResponsePartition::default()
        .with_partition_index(partition.partition_index)
        .with_committed_offset(partition.committed_offset)
        .with_committed_leader_epoch(partition.committed_leader_epoch)
        .with_metadata(partition.metadata)
        .with_error_code(partition.error_code)
}

fn refused_topics(request: &OffsetFetchRequest, code: i16) -> Vec<OffsetFetchResponseTopic> {
    let topics = request.topics.iter().flatten().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(*index)
                .with_committed_offset(-1)
                .with_committed_leader_epoch(-1)
                .with_metadata(Some(Default::default()))
                .with_error_code(code)
        });
        OffsetFetchResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    topics.collect()
}
