//! ConsumerGroupDescribe, versions 0-1: epochs, members and assignments of groups of the consumer protocol (KIP-848).
//!
//! *Behaviour*: a classic group is GROUP_ID_NOT_FOUND here, upon which admin clients ask with DescribeGroups. All are
//! UNSUPPORTED_VERSION where the cluster's `group.version` is 0.
//!
//! *Versions*: 1 tells which members speak the classic protocol (KIP-1099).

use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::{Message, StrBytes};
use ottla_protocol::messages::consumer_group_describe_response::DescribedGroup;
use ottla_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

use super::Handler;
use super::authorized_operations;
use super::group_request::{by_shard, serves_consumer_protocol};
use crate::answer_room::AnswerRoom;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// First version with the type of a member.
const MEMBER_TYPE_FROM: i16 = 1;

/// The API.
#[derive(Debug)]
pub struct ConsumerGroupDescribe;

impl Handler for ConsumerGroupDescribe {
    type Request = ConsumerGroupDescribeRequest;
    const NAME: &'static str = "ConsumerGroupDescribe";
    const VERSIONS: RangeInclusive<i16> = 0..=1;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: ConsumerGroupDescribeRequest,
    ) -> ConsumerGroupDescribeResponse {
        let ids: Vec<Arc<str>> = request
            .group_ids
            .iter()
            .map(|id| Arc::from(&***id))
            .collect();
        if !serves_consumer_protocol(broker) {
            let refused = |id: &Arc<str>| refused(id, ResponseError::UnsupportedVersion);
            return ConsumerGroupDescribeResponse::default()
                .with_groups(ids.iter().map(refused).collect());
        }
        let (named, empty): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| !id.is_empty());
        let mut groups: Vec<DescribedGroup> = (empty.iter())
            .map(|id| refused(id, ResponseError::InvalidGroupId))
            .collect();
        let Some(shards) = by_shard(broker, &named) else {
            groups.extend(
                named
                    .iter()
                    .map(|id| refused(id, ResponseError::NotCoordinator)),
            );
            return ConsumerGroupDescribeResponse::default().with_groups(groups);
        };
        let mut room = AnswerRoom::default();
        for (shard, ids) in shards {
            let request = GroupRequest::ConsumerGroupDescribe(ids.clone(), room);
            match broker.groups().ask_shard(shard, request).await {
                Ok(GroupResponse::ConsumerGroupDescribe(response)) => {
                    room.spend(&response, ConsumerGroupDescribeResponse::VERSIONS.max);
                    groups.extend(response.groups)
                }
                Ok(_) => {}
                Err(error) => groups.extend(ids.iter().map(|id| refused(id, error))),
            }
        }
        for group in &mut groups {
            group.authorized_operations = match request.include_authorized_operations {
                true if group.error_code == 0 => authorized_operations::GROUP,
                _ => authorized_operations::NOT_ASKED,
            };
            if version < MEMBER_TYPE_FROM {
                group
                    .members
                    .iter_mut()
                    .for_each(|member| member.member_type = -1);
            }
        }
        ConsumerGroupDescribeResponse::default().with_groups(groups)
    }
}

fn refused(id: &str, error: ResponseError) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(StrBytes::from_string(id.to_owned()).into())
        .with_error_code(error.code())
}
