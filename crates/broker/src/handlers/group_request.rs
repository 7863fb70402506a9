//! What the handlers of the group APIs share: who asks, and how an answer comes back.

use std::sync::Arc;

use ottla_protocol::ResponseError;

use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse, Origin};
use crate::metadata::image::MetadataImage;
use crate::network::request::RequestContext;

/// Who sent the request, as the coordinator notes it.
pub fn origin(context: &RequestContext<'_>, version: i16) -> Origin {
    let address = context.connection.peer_addr.ip().to_canonical();
    Origin {
        version,
        client_id: context.client_id.as_deref().unwrap_or_default().into(),
        // `InetAddress.toString`: no host name, a slash, the address.
        client_host: format!("/{address}").into(),
    }
}

/// Whether the cluster has finalized a `group.version` with the consumer protocol (`GroupVersion.GV_1`). The log of an
/// older cluster has not, and an older Kafka could not read what its groups would store.
pub fn serves_consumer_protocol(broker: &Broker) -> bool {
    broker.metadata().image().features.level("group.version") >= 1
}

/// Ask the group's coordinator; `take` picks the answer of the right kind.
pub async fn ask<T>(
    broker: &Broker,
    group: &str,
    request: GroupRequest,
    take: impl FnOnce(GroupResponse) -> Option<T>,
) -> Result<T, ResponseError> {
    let response = broker.groups().ask(group, request).await?;
    take(response).ok_or(ResponseError::UnknownServerError)
}

/// Whether the answer to a commit has a topic that the request names with so many partitions. Known topics are answered by
/// partition, so that one without any is left out (`KafkaApis.handleOffsetCommitRequest`, `handleTxnOffsetCommitRequest`).
pub fn is_answered(image: &MetadataImage, topic: &str, partitions: usize) -> bool {
    partitions > 0 || image.topics.by_name(topic).is_none()
}

/// Groups by the shard that looks after them, in the order of the shards. `None` while there is no shard.
pub fn by_shard(broker: &Broker, groups: &[Arc<str>]) -> Option<Vec<(usize, Vec<Arc<str>>)>> {
    let mut shards: std::collections::BTreeMap<usize, Vec<Arc<str>>> = Default::default();
    for group in groups {
        let shard = broker.groups().shard_of(group)?;
        shards.entry(shard).or_default().push(Arc::clone(group));
    }
    Some(shards.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::APIS;
    use ottla_protocol::api::encode_response;
    use ottla_protocol::kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
    use ottla_protocol::messages::describe_groups_response::{
        DescribedGroup, DescribedGroupMember,
    };
    use ottla_protocol::messages::join_group_response::JoinGroupResponseMember;
    use ottla_protocol::messages::list_groups_response::ListedGroup;
    use ottla_protocol::messages::{
        ApiKey, DescribeGroupsResponse, JoinGroupResponse, ListGroupsResponse, SyncGroupResponse,
    };

    fn text(value: &'static str) -> StrBytes {
        StrBytes::from_static_str(value)
    }

    /// The coordinator fills in all it knows; old versions leave out what they do not have.
    fn encodes_in_all_versions<R: Encodable + HeaderVersion + 'static>(key: ApiKey, response: &R) {
        let api = APIS.iter().find(|api| api.key == key).unwrap();
        for version in api.min..=api.max {
            let encoded = encode_response(key as i16, version, 1, response);
            assert!(encoded.is_ok(), "{key:?} {version}: {encoded:?}");
        }
    }

    #[test]
    fn full_answers_encode_in_all_versions() {
        let member = JoinGroupResponseMember::default()
            .with_member_id(text("m"))
            .with_group_instance_id(Some(text("i")));
        let join = JoinGroupResponse::default()
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")))
            .with_members(vec![member]);
        encodes_in_all_versions(ApiKey::JoinGroup, &join);
        let sync = SyncGroupResponse::default()
            .with_protocol_type(Some(text("consumer")))
            .with_protocol_name(Some(text("range")));
        encodes_in_all_versions(ApiKey::SyncGroup, &sync);
        let member = DescribedGroupMember::default().with_group_instance_id(Some(text("i")));
        let group = DescribedGroup::default()
            .with_group_state(text("Stable"))
            .with_members(vec![member]);
        let groups = DescribeGroupsResponse::default().with_groups(vec![group]);
        encodes_in_all_versions(ApiKey::DescribeGroups, &groups);
        let group = ListedGroup::default()
            .with_group_state(text("Stable"))
            .with_group_type(text("classic"));
        let groups = ListGroupsResponse::default().with_groups(vec![group]);
        encodes_in_all_versions(ApiKey::ListGroups, &groups);
    }
}
