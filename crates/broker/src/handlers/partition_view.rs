//! A partition as clients of one listener see it; what Metadata and DescribeTopicPartitions have in common.

use ottla_protocol::ResponseError;
use ottla_protocol::ids::BrokerId;
use ottla_protocol::messages;

use super::nodes::Node;
use crate::metadata::image::{MetadataImage, PartitionRegistration};
use crate::metadata::record::NO_LEADER;

/// Who leads a partition, as far as clients can reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaderView {
    /// The leader, or `NO_LEADER`.
    pub(super) leader: messages::BrokerId,
    /// Error code of the partition; 0 when it has a leader.
    pub(super) error_code: i16,
}

/// The leader of `partition` for clients that reach `nodes`. A leader that is up, but not at their listener, is
/// LISTENER_NOT_FOUND for those who know that code.
pub(super) fn leader(
    image: &MetadataImage,
    nodes: &[Node],
    partition: &PartitionRegistration,
    knows_listener_error: bool,
) -> LeaderView {
    if is_up(nodes, partition.leader) {
        return LeaderView {
            leader: messages::BrokerId(partition.leader.0),
            error_code: 0,
        };
    }
    let error = if knows_listener_error && image.cluster.is_active(partition.leader) {
        ResponseError::ListenerNotFound
    } else {
        ResponseError::LeaderNotAvailable
    };
    LeaderView {
        leader: messages::BrokerId(NO_LEADER.0),
        error_code: error.code(),
    }
}

/// The replicas of `partition` on brokers that are not there.
pub(super) fn offline(
    nodes: &[Node],
    partition: &PartitionRegistration,
) -> Vec<messages::BrokerId> {
    let offline = partition
        .replicas
        .iter()
        .filter(|broker| !is_up(nodes, **broker));
    offline.map(|broker| messages::BrokerId(broker.0)).collect()
}

/// Broker ids as messages have them.
pub(super) fn wire(brokers: &[BrokerId]) -> Vec<messages::BrokerId> {
    brokers
        .iter()
        .map(|broker| messages::BrokerId(broker.0))
        .collect()
}

fn is_up(nodes: &[Node], broker: BrokerId) -> bool {
    nodes.iter().any(|node| node.id == broker)
}
