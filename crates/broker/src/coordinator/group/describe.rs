//! What operators ask: DescribeGroups, ListGroups, DeleteGroups and OffsetDelete.

use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::{Message, StrBytes};
use ottla_protocol::messages::consumer_group_describe_response;
use ottla_protocol::messages::delete_groups_response::DeletableGroupResult;
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::messages::{
    ConsumerGroupDescribeResponse, DeleteGroupsResponse, DescribeGroupsResponse,
    ListGroupsResponse, OffsetDeleteRequest, OffsetDeleteResponse,
};

use super::core::text;
use super::message::{GroupFilter, Then};
use super::offsets::tombstone;
use super::records::GroupRecord;
use super::{Group, GroupShard};
use crate::answer_room::{self, AnswerRoom};
use crate::coordinator::shard::ReplyTo;

/// First version of DescribeGroups that tells unknown groups from dead ones (KIP-1043).
const GROUP_ID_NOT_FOUND_FROM: i16 = 6;

impl GroupShard {
    /// Answer a DescribeGroups.
    pub(super) fn describe(
        &self,
        version: i16,
        ids: &[Arc<str>],
        mut room: AnswerRoom,
    ) -> DescribeGroupsResponse {
        let describe = |id: &Arc<str>| match self.groups.get(id) {
            Some(Group::Classic(group)) => group.describe(),
            Some(_) => unknown_group(version, id, "is not a classic group"),
            None => unknown_group(version, id, "not found"),
        };
        let groups = ids.iter().map(|id| {
            let described = room.put(DescribedGroup::VERSIONS.max, || describe(id));
            described.unwrap_or_else(|error| {
                DescribedGroup::default()
                    .with_group_id(text(id).into())
                    .with_error_code(error.code())
                    .with_error_message(no_room_text(version))
            })
        });
        DescribeGroupsResponse::default().with_groups(groups.collect())
    }

    /// Answer a ConsumerGroupDescribe.
    pub(super) fn describe_consumers(
        &self,
        ids: &[Arc<str>],
        mut room: AnswerRoom,
    ) -> ConsumerGroupDescribeResponse {
        let describe = |id: &Arc<str>| match self.groups.get(id) {
            Some(Group::Consumer(group)) => group.describe(&self.core),
            other => {
                let why = match other {
                    Some(_) => format!("Group {id} is not a consumer group."),
                    None => format!("Group {id} not found."),
                };
                consumer_group_describe_response::DescribedGroup::default()
                    .with_group_id(text(id).into())
                    .with_error_code(ResponseError::GroupIdNotFound.code())
                    .with_error_message(Some(text(&why)))
            }
        };
        let groups = ids.iter().map(|id| {
            let version = consumer_group_describe_response::DescribedGroup::VERSIONS.max;
            let described = room.put(version, || describe(id));
            described.unwrap_or_else(|error| {
                consumer_group_describe_response::DescribedGroup::default()
                    .with_group_id(text(id).into())
                    .with_error_code(error.code())
                    .with_error_message(Some(text(answer_room::TOO_LARGE)))
            })
        });
        ConsumerGroupDescribeResponse::default().with_groups(groups.collect())
    }

    /// Answer a ListGroups.
    pub(super) fn list(&self, filter: &GroupFilter) -> ListGroupsResponse {
        let mut groups: Vec<ListedGroup> = Vec::new();
        for (id, group) in &self.groups {
            let (state, kind) = (group.state_name(), group.type_name());
            if filter.lets_through(&state, kind) {
                groups.push(
                    ListedGroup::default()
                        .with_group_id(text(id).into())
                        .with_protocol_type(text(group.protocol_type()))
                        .with_group_state(text(&state))
                        .with_group_type(text(kind)),
                );
            }
        }
        groups.sort_by(|a, b| a.group_id.as_str().cmp(b.group_id.as_str()));
        ListGroupsResponse::default().with_groups(groups)
    }

    /// Take a DeleteGroups: groups without members go, with their offsets.
    pub(super) fn delete_groups(&mut self, ids: &[Arc<str>], reply_to: ReplyTo) {
        let mut records = Vec::new();
        let results = ids.iter().map(|id| {
            let outcome = self.delete_group(id, &mut records);
            DeletableGroupResult::default()
                .with_group_id(text(id).into())
                .with_error_code(outcome.err().map_or(0, |error| error.code()))
        });
        let response = DeleteGroupsResponse::default().with_results(results.collect());
        self.append_in_batches(records, Then::Reply(reply_to, Box::new(response.into())));
    }

    fn delete_group(&self, id: &str, records: &mut Vec<GroupRecord>) -> Result<(), ResponseError> {
        let group = self.groups.get(id).ok_or(ResponseError::GroupIdNotFound)?;
        if !group.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        let partitions = self.offsets.partitions(id);
        records.extend(
            partitions
                .iter()
                .map(|(topic, index)| tombstone(id, topic, *index)),
        );
        records.extend(group.tombstones(id));
        Ok(())
    }

    /// Take an OffsetDelete: offsets of topics that the group no longer consumes.
    pub(super) fn delete_offsets(&mut self, request: &OffsetDeleteRequest, reply_to: ReplyTo) {
        let id: &str = &request.group_id;
        let group = match self.groups.get(id) {
            None => Err(ResponseError::GroupIdNotFound),
            Some(group) => group.check_offset_delete().map(|()| group),
        };
        let group = match group {
            Ok(group) => group,
            Err(error) => {
                let response = OffsetDeleteResponse::default().with_error_code(error.code());
                self.core.reply(reply_to, response);
                return;
            }
        };
        let mut records = Vec::new();
        let with_offset = self.offsets.partitions(id);
        let topics = request.topics.iter().map(|topic| {
            let name: Arc<str> = Arc::from(&**topic.name);
            let error = match group.is_subscribed(&name) {
                true => ResponseError::GroupSubscribedToTopic.code(),
                false => 0,
            };
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                if error == 0 && with_offset.contains(&(name.clone(), index)) {
                    records.push(tombstone(id, &name, index));
                }
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(index)
                    .with_error_code(error)
            });
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        let response = OffsetDeleteResponse::default().with_topics(topics.collect());
        self.append_in_batches(records, Then::Reply(reply_to, Box::new(response.into())));
    }
}

/// Versions from 6 on have a text beside the code.
fn no_room_text(version: i16) -> Option<StrBytes> {
    (version >= GROUP_ID_NOT_FOUND_FROM).then(|| text(answer_room::TOO_LARGE))
}

fn unknown_group(version: i16, id: &str, why: &str) -> DescribedGroup {
    let described = DescribedGroup::default()
        .with_group_id(text(id).into())
        .with_group_state(text("Dead"));
    if version < GROUP_ID_NOT_FOUND_FROM {
        return described;
    }
    described
        .with_error_code(ResponseError::GroupIdNotFound.code())
        .with_error_message(Some(text(&format!("Group {id} {why}."))))
}
