//! Shapes of the requests about groups and their offsets.

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest,
    DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, SyncGroupRequest,
};

use crate::guard::shape::{NEVER_FLEXIBLE, Shape, array, blob, fixed, fixeds, shape, text, texts};

pub(super) static FIND_COORDINATOR: Shape = shape::<FindCoordinatorRequest>(
    3,
    &[
        text("key").until(3),
        fixed("key_type", 1).since(1),
        texts("coordinator_keys").since(4),
    ],
);

pub(super) static JOIN_GROUP: Shape = shape::<JoinGroupRequest>(
    6,
    &[
        text("group_id"),
        fixed("session_timeout_ms", 4),
        fixed("rebalance_timeout_ms", 4).since(1),
        text("member_id"),
        text("group_instance_id").since(5),
        text("protocol_type"),
        array::<JoinGroupRequestProtocol>("protocols", &[text("name"), blob("metadata")]),
        text("reason").since(8),
    ],
)
.large();

pub(super) static HEARTBEAT: Shape = shape::<HeartbeatRequest>(
    4,
    &[
        text("group_id"),
        fixed("generation_id", 4),
        text("member_id"),
        text("group_instance_id").since(3),
    ],
);

pub(super) static LEAVE_GROUP: Shape = shape::<LeaveGroupRequest>(
    4,
    &[
        text("group_id"),
        text("member_id").until(2),
        array::<MemberIdentity>(
            "members",
            &[
                text("member_id").since(3),
                text("group_instance_id").since(3),
                text("reason").since(5),
            ],
        )
        .since(3),
    ],
);

pub(super) static SYNC_GROUP: Shape = shape::<SyncGroupRequest>(
    4,
    &[
        text("group_id"),
        fixed("generation_id", 4),
        text("member_id"),
        text("group_instance_id").since(3),
        text("protocol_type").since(5),
        text("protocol_name").since(5),
        array::<SyncGroupRequestAssignment>(
            "assignments",
            &[text("member_id"), blob("assignment")],
        ),
    ],
)
.large();

pub(super) static DESCRIBE_GROUPS: Shape = shape::<DescribeGroupsRequest>(
    5,
    &[
        texts("groups"),
        fixed("include_authorized_operations", 1).since(3),
    ],
)
.large();

pub(super) static LIST_GROUPS: Shape = shape::<ListGroupsRequest>(
    3,
    &[
        texts("states_filter").since(4),
        texts("types_filter").since(5),
    ],
);

pub(super) static DELETE_GROUPS: Shape = shape::<DeleteGroupsRequest>(2, &[texts("groups_names")]);

pub(super) static OFFSET_COMMIT: Shape = shape::<OffsetCommitRequest>(
    8,
    &[
        text("group_id"),
        fixed("generation_id_or_member_epoch", 4),
        text("member_id"),
        text("group_instance_id").since(7),
        fixed("retention_time_ms", 8).since(2).until(4),
        array::<OffsetCommitRequestTopic>(
            "topics",
            &[
                text("name"),
                array::<OffsetCommitRequestPartition>(
                    "partitions",
                    &[
                        fixed("partition_index, committed_offset", 12),
                        fixed("commit_timestamp", 8).until(1),
                        fixed("committed_leader_epoch", 4).since(6),
                        text("committed_metadata"),
                    ],
                ),
            ],
        ),
    ],
)
.served_since(1)
.large();

pub(super) static OFFSET_FETCH: Shape = shape::<OffsetFetchRequest>(
    6,
    &[
        text("group_id").until(7),
        array::<OffsetFetchRequestTopic>(
            "topics",
            &[
                text("name").until(7),
                fixeds("partition_indexes", 4).until(7),
            ],
        )
        .until(7)
        .nullable_since(2),
        array::<OffsetFetchRequestGroup>(
            "groups",
            &[
                text("group_id").since(8),
                text("member_id").since(9),
                fixed("member_epoch", 4).since(9),
                array::<OffsetFetchRequestTopics>(
                    "topics",
                    &[
                        text("name").since(8),
                        fixeds("partition_indexes", 4).since(8),
                    ],
                )
                .since(8),
            ],
        )
        .since(8),
        fixed("require_stable", 1).since(7),
    ],
)
.large();

pub(super) static OFFSET_DELETE: Shape = shape::<OffsetDeleteRequest>(
    NEVER_FLEXIBLE,
    &[
        text("group_id"),
        array::<OffsetDeleteRequestTopic>(
            "topics",
            &[
                text("name"),
                array::<OffsetDeleteRequestPartition>("partitions", &[fixed("partition_index", 4)]),
            ],
        ),
    ],
);

pub(super) static CONSUMER_GROUP_HEARTBEAT: Shape = shape::<ConsumerGroupHeartbeatRequest>(
    0,
    &[
        text("group_id"),
        text("member_id"),
        fixed("member_epoch", 4),
        text("instance_id"),
        text("rack_id"),
        fixed("rebalance_timeout_ms", 4),
        texts("subscribed_topic_names"),
        text("subscribed_topic_regex").since(1),
        text("server_assignor"),
        array::<TopicPartitions>(
            "topic_partitions",
            &[fixed("topic_id", 16), fixeds("partitions", 4)],
        ),
    ],
);

pub(super) static CONSUMER_GROUP_DESCRIBE: Shape = shape::<ConsumerGroupDescribeRequest>(
    0,
    &[
        texts("group_ids"),
        fixed("include_authorized_operations", 1),
    ],
);
