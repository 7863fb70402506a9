//! Shapes of the requests about topics, their placement and their configuration.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest, ListPartitionReassignmentsRequest,
    MetadataRequest,
};

use crate::guard::shape::{Shape, array, fixed, fixeds, optional, shape, text, texts};

pub(super) static METADATA: Shape = shape::<MetadataRequest>(
    9,
    &[
        array::<MetadataRequestTopic>(
            "topics",
            &[
                fixed("topic_id", 16).since(10),
                text("name").nullable_since(10),
            ],
        )
        .nullable_since(1),
        fixed("allow_auto_topic_creation", 1).since(4),
        fixed("include_cluster_authorized_operations", 1)
            .since(8)
            .until(10),
        fixed("include_topic_authorized_operations", 1).since(8),
    ],
)
.large();

pub(super) static DESCRIBE_TOPIC_PARTITIONS: Shape = shape::<DescribeTopicPartitionsRequest>(
    0,
    &[
        array::<TopicRequest>("topics", &[text("name")]),
        fixed("response_partition_limit", 4),
        optional("cursor", &[text("topic_name"), fixed("partition_index", 4)]),
    ],
)
.large();

pub(super) static CREATE_TOPICS: Shape = shape::<CreateTopicsRequest>(
    5,
    &[
        array::<CreatableTopic>(
            "topics",
            &[
                text("name"),
                fixed("num_partitions, replication_factor", 6),
                array::<CreatableReplicaAssignment>(
                    "assignments",
                    &[fixed("partition_index", 4), fixeds("broker_ids", 4)],
                ),
                array::<CreatableTopicConfig>("configs", &[text("name"), text("value")]),
            ],
        ),
        fixed("timeout_ms, validate_only", 5),
    ],
)
.large();

pub(super) static DELETE_TOPICS: Shape = shape::<DeleteTopicsRequest>(
    4,
    &[
        array::<DeleteTopicState>(
            "topics",
            &[text("name").since(6), fixed("topic_id", 16).since(6)],
        )
        .since(6),
        texts("topic_names").until(5),
        fixed("timeout_ms", 4),
    ],
)
.large();

pub(super) static CREATE_PARTITIONS: Shape = shape::<CreatePartitionsRequest>(
    2,
    &[
        array::<CreatePartitionsTopic>(
            "topics",
            &[
                text("name"),
                fixed("count", 4),
                array::<CreatePartitionsAssignment>("assignments", &[fixeds("broker_ids", 4)]),
            ],
        ),
        fixed("timeout_ms, validate_only", 5),
    ],
)
.large();

pub(super) static DESCRIBE_CONFIGS: Shape = shape::<DescribeConfigsRequest>(
    4,
    &[
        array::<DescribeConfigsResource>(
            "resources",
            &[
                fixed("resource_type", 1),
                text("resource_name"),
                texts("configuration_keys"),
            ],
        ),
        fixed("include_synonyms", 1).since(1),
        fixed("include_documentation", 1).since(3),
    ],
)
.served_since(0)
.large();

pub(super) static ALTER_CONFIGS: Shape = shape::<AlterConfigsRequest>(
    2,
    &[
        array::<AlterConfigsResource>(
            "resources",
            &[
                fixed("resource_type", 1),
                text("resource_name"),
                array::<AlterableConfig>("configs", &[text("name"), text("value")]),
            ],
        ),
        fixed("validate_only", 1),
    ],
)
.large();

pub(super) static INCREMENTAL_ALTER_CONFIGS: Shape = shape::<IncrementalAlterConfigsRequest>(
    1,
    &[
        array::<incremental::AlterConfigsResource>(
            "resources",
            &[
                fixed("resource_type", 1),
                text("resource_name"),
                array::<incremental::AlterableConfig>(
                    "configs",
                    &[text("name"), fixed("config_operation", 1), text("value")],
                ),
            ],
        ),
        fixed("validate_only", 1),
    ],
)
.large();

pub(super) static LIST_CONFIG_RESOURCES: Shape =
    shape::<ListConfigResourcesRequest>(0, &[fixeds("resource_types", 1).since(1)]);

pub(super) static ELECT_LEADERS: Shape = shape::<ElectLeadersRequest>(
    2,
    &[
        fixed("election_type", 1).since(1),
        array::<TopicPartitions>(
            "topic_partitions",
            &[text("topic"), fixeds("partitions", 4)],
        ),
        fixed("timeout_ms", 4),
    ],
)
.large();

pub(super) static ALTER_PARTITION_REASSIGNMENTS: Shape =
    shape::<AlterPartitionReassignmentsRequest>(
        0,
        &[
            fixed("timeout_ms", 4),
            fixed("allow_replication_factor_change", 1).since(1),
            array::<ReassignableTopic>(
                "topics",
                &[
                    text("name"),
                    array::<ReassignablePartition>(
                        "partitions",
                        &[fixed("partition_index", 4), fixeds("replicas", 4)],
                    ),
                ],
            ),
        ],
    )
    .large();

pub(super) static LIST_PARTITION_REASSIGNMENTS: Shape = shape::<ListPartitionReassignmentsRequest>(
    0,
    &[
        fixed("timeout_ms", 4),
        array::<ListPartitionReassignmentsTopics>(
            "topics",
            &[text("name"), fixeds("partition_indexes", 4)],
        ),
    ],
);

pub(super) static ALTER_REPLICA_LOG_DIRS: Shape = shape::<AlterReplicaLogDirsRequest>(
    2,
    &[array::<AlterReplicaLogDir>(
        "dirs",
        &[
            text("path"),
            array::<AlterReplicaLogDirTopic>("topics", &[text("name"), fixeds("partitions", 4)]),
        ],
    )],
);

pub(super) static DESCRIBE_LOG_DIRS: Shape = shape::<DescribeLogDirsRequest>(
    2,
    &[array::<DescribableLogDirTopic>(
        "topics",
        &[text("topic"), fixeds("partitions", 4)],
    )],
)
.large();
