//! DescribeGroups, versions 0-6: state and members of classic groups.
//!
//! *Behaviour*: a group nobody has heard of is `Dead`; from version 6 on it is GROUP_ID_NOT_FOUND (KIP-1043).
//!
//! *Versions*: 3 brings authorized operations (KIP-430); 4 static members (KIP-345).

use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::{Message, StrBytes};
use ottla_protocol::messages::describe_groups_response::DescribedGroup;
use ottla_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::Handler;
use super::authorized_operations;
use super::group_request::{by_shard, origin};
use crate::answer_room::AnswerRoom;
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct DescribeGroups;

impl Handler for DescribeGroups {
    type Request = DescribeGroupsRequest;
    const NAME: &'static str = "DescribeGroups";
    const VERSIONS: RangeInclusive<i16> = 0..=6;

    async fn handle(
        broker: &Broker,
        context: &RequestContext<'_>,
        version: i16,
        request: DescribeGroupsRequest,
    ) -> DescribeGroupsResponse {
        let ids: Vec<Arc<str>> = request.groups.iter().map(|id| Arc::from(&***id)).collect();
        let Some(shards) = by_shard(broker, &ids) else {
            let strangers = ids
                .iter()
                .map(|id| refused(id, ResponseError::NotCoordinator));
            return DescribeGroupsResponse::default().with_groups(strangers.collect());
        };
        let mut groups = Vec::with_capacity(ids.len());
        let mut room = AnswerRoom::default();
        for (shard, ids) in shards {
            let origin = origin(context, version);
            let request = GroupRequest::DescribeGroups(origin, ids.clone(), room);
            match broker.groups().ask_shard(shard, request).await {
                Ok(GroupResponse::DescribeGroups(response)) => {
                    room.spend(&response, DescribeGroupsResponse::VERSIONS.max);
                    groups.extend(response.groups);
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
        }
        DescribeGroupsResponse::default().with_groups(groups)
    }
}

fn refused(id: &str, error: ResponseError) -> DescribedGroup {
    DescribedGroup::default()
        .with_group_id(StrBytes::from_string(id.to_owned()).into())
        .with_error_code(error.code())
}
