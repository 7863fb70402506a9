//! Groups of the consumer protocol (KIP-848): record types 3 to 8 and 16.

use ottla_protocol::ids::TopicId;

use super::field::{Blob, Encoding, Field, read_tags, structs, write_tags};
use super::{DecodeError, EncodeError};

structs! {
    /// A group, for records of which it has one each: types 3, 4 and 6.
    ConsumerGroupKey {
        /// Group id.
        group_id: String [0],
    }

    /// A member, for records of which each member has one: types 5, 7 and 8.
    ConsumerGroupMemberKey {
        /// Group id.
        group_id: String [0],
        /// Member id.
        member_id: String [0],
    }

    /// A regular expression that members subscribe to: type 16.
    ConsumerGroupRegularExpressionKey {
        /// Group id.
        group_id: String [0],
        /// The expression as the members sent it.
        regular_expression: String [0],
    }

    /// Type 3: the group's epoch.
    ConsumerGroupMetadataValue {
        /// Counts the changes of members, subscriptions and topics.
        epoch: i32 [0],
        /// Hash of the subscribed topics; 0 when there is none (KIP-1101).
        metadata_hash: i64 [0] tag 0,
    }

    /// Type 4: the subscribed topics, as 4.0 wrote them; later releases keep the hash in type 3.
    ConsumerGroupPartitionMetadataValue {
        /// The topics.
        topics: Vec<TopicMetadata> [0],
    }

    /// One topic of [`ConsumerGroupPartitionMetadataValue`].
    TopicMetadata {
        /// Its id.
        topic_id: TopicId [0],
        /// Its name.
        topic_name: String [0],
        /// How many partitions it had.
        num_partitions: i32 [0],
        /// Racks, where partitions have any.
        partition_metadata: Vec<PartitionMetadata> [0],
    }

    /// One partition of [`TopicMetadata`].
    PartitionMetadata {
        /// Index within the topic.
        partition: i32 [0],
        /// Racks of its replicas.
        racks: Vec<String> [0],
    }

    /// Type 5: a member and what it subscribes to.
    ConsumerGroupMemberMetadataValue {
        /// `group.instance.id` of a static member.
        instance_id: Option<String> [0],
        /// `client.rack`.
        rack_id: Option<String> [0],
        /// `client.id`.
        client_id: String [0],
        /// Address of the client, as Java prints it.
        client_host: String [0],
        /// Topics it names.
        subscribed_topic_names: Vec<String> [0],
        /// Expression whose topics it wants.
        subscribed_topic_regex: Option<String> [0],
        /// How long it may take to give up partitions, ms.
        rebalance_timeout_ms: i32 [0] = -1,
        /// Assignor it prefers.
        server_assignor: Option<String> [0],
        /// What a member that speaks the classic protocol said when it joined. The schema's default is an empty
        /// struct, so that null is written and a record without the field is not null.
        classic_member_metadata: Option<ClassicMemberMetadata> [0] tag 0 = Some(ClassicMemberMetadata::default()),
    }

    /// The classic side of a member of a consumer group.
    ClassicMemberMetadata {
        /// How long the member may be silent, ms.
        session_timeout_ms: i32 [0],
        /// The protocols of its JoinGroup.
        supported_protocols: Vec<ClassicProtocol> [0],
    }

    /// One protocol of a JoinGroup.
    ClassicProtocol {
        /// Its name.
        name: String [0],
        /// The member's metadata for it.
        metadata: Blob [0],
    }

    /// Type 6: which epoch the target assignment is of.
    ConsumerGroupTargetAssignmentMetadataValue {
        /// The group epoch it was computed for.
        assignment_epoch: i32 [0],
        /// When it was computed, ms since the Unix epoch; 0 when not told (KIP-1263, 4.3).
        assignment_timestamp: i64 [0] tag 0,
    }

    /// Type 7: the target assignment of a member.
    ConsumerGroupTargetAssignmentMemberValue {
        /// The partitions it shall own.
        topic_partitions: Vec<TargetTopicPartitions> [0],
    }

    /// Partitions of one topic in a target assignment.
    TargetTopicPartitions {
        /// The topic.
        topic_id: TopicId [0],
        /// Indexes within it.
        partitions: Vec<i32> [0],
    }

    /// Type 8: where a member is on its way to the target.
    ConsumerGroupCurrentMemberAssignmentValue {
        /// Its epoch.
        member_epoch: i32 [0],
        /// The epoch it had before; a request with it may be a late one.
        previous_member_epoch: i32 [0],
        /// 0 stable, 1 unrevoked partitions, 2 unreleased partitions.
        state: i8 [0],
        /// Partitions it owns.
        assigned_partitions: Vec<CurrentTopicPartitions> [0],
        /// Partitions it has been told to give up.
        partitions_pending_revocation: Vec<CurrentTopicPartitions> [0],
    }

    /// Partitions of one topic in a current assignment.
    CurrentTopicPartitions {
        /// The topic.
        topic_id: TopicId [0],
        /// Indexes within it.
        partitions: Vec<i32> [0],
        /// The epoch at which each was assigned (4.3).
        assignment_epochs: Option<Vec<i32>> [0] tag 0,
    }

    /// Type 16: the topics that an expression was found to match.
    ConsumerGroupRegularExpressionValue {
        /// Their names.
        topics: Vec<String> [0],
        /// Offset of the metadata log at which they were looked up.
        version: i64 [0],
        /// When, ms since the Unix epoch.
        timestamp: i64 [0],
    }
}

/// A nullable struct in a tagged field begins with a byte: 1, or 0 for null.
impl Field for Option<ClassicMemberMetadata> {
    const MIN_LEN: usize = 1;

    fn write(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            None => 0_i8.write(encoding, out),
            Some(value) => {
                1_i8.write(encoding, out)?;
                value.write(encoding, out)
            }
        }
    }

    fn read(encoding: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
        match i8::read(encoding, input)? {
            ..=0 => Ok(None),
            _ => ClassicMemberMetadata::read(encoding, input).map(Some),
        }
    }
}
