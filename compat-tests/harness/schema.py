"""Request and response layouts of the Kafka protocol, as far as the suites send them by hand.

A layout is a list of fields `(name, type)` or `(name, type, first_version)` or
`(name, type, first_version, last_version)`; a type is a primitive's name, or a list of fields for an
array of structures, or `struct(...)` or `nullable(...)` for one structure, or `Tagged(...)`. Values are plain Python: dict, list, str, bytes, int, None. Facts come from the
message definitions of Apache Kafka 4.1.
"""

from dataclasses import dataclass

NEVER = 1 << 15


@dataclass(frozen=True, eq=False)
class Api:
    """One API: its key, its layouts, and the first version with compact types and tagged fields."""

    name: str
    key: int
    flexible: int
    request: list
    response: list


@dataclass(frozen=True)
class Structure:
    """One structure within another, which may be null."""

    layout: list
    is_nullable: bool


@dataclass(frozen=True)
class Tagged:
    """A field that is there only if it holds something, after the others of its structure (KIP-482)."""

    tag: int
    kind: object


def struct(*layout):
    return Structure(list(layout), False)


def nullable(*layout):
    return Structure(list(layout), True)


_LEADER = struct(("leader_id", "int32"), ("leader_epoch", "int32"))
_ENDPOINTS = [("node_id", "int32"), ("host", "string"), ("port", "int32"), ("rack", "nullable_string")]

PRODUCE = Api("Produce", 0, 9, [
    ("transactional_id", "nullable_string", 3),
    ("acks", "int16"), ("timeout_ms", "int32"),
    ("topics", [
        ("name", "string", 0, 12), ("topic_id", "uuid", 13),
        ("partitions", [("index", "int32"), ("records", "nullable_bytes")]),
    ]),
], [
    ("topics", [
        ("name", "string", 0, 12), ("topic_id", "uuid", 13),
        ("partitions", [
            ("index", "int32"), ("error_code", "int16"), ("base_offset", "int64"),
            ("log_append_time_ms", "int64", 2), ("log_start_offset", "int64", 5),
            ("record_errors", [("batch_index", "int32"), ("message", "nullable_string")], 8),
            ("error_message", "nullable_string", 8), ("current_leader", Tagged(0, _LEADER), 10),
        ]),
    ]),
    ("throttle_time_ms", "int32", 1), ("node_endpoints", Tagged(0, _ENDPOINTS), 10),
])

FETCH = Api("Fetch", 1, 12, [
    ("replica_id", "int32", 0, 14), ("max_wait_ms", "int32"), ("min_bytes", "int32"),
    ("max_bytes", "int32", 3), ("isolation_level", "int8", 4),
    ("session_id", "int32", 7), ("session_epoch", "int32", 7),
    ("topics", [
        ("topic", "string", 0, 12), ("topic_id", "uuid", 13),
        ("partitions", [
            ("partition", "int32"), ("current_leader_epoch", "int32", 9), ("fetch_offset", "int64"),
            ("last_fetched_epoch", "int32", 12), ("log_start_offset", "int64", 5),
            ("partition_max_bytes", "int32"),
        ]),
    ]),
    ("forgotten_topics_data", [
        ("topic", "string", 0, 12), ("topic_id", "uuid", 13), ("partitions", "int32_array"),
    ], 7),
    ("rack_id", "string", 11),
], [
    ("throttle_time_ms", "int32", 1), ("error_code", "int16", 7), ("session_id", "int32", 7),
    ("topics", [
        ("topic", "string", 0, 12), ("topic_id", "uuid", 13),
        ("partitions", [
            ("partition", "int32"), ("error_code", "int16"), ("high_watermark", "int64"),
            ("last_stable_offset", "int64", 4), ("log_start_offset", "int64", 5),
            ("aborted_transactions", [("producer_id", "int64"), ("first_offset", "int64")], 4),
            ("preferred_read_replica", "int32", 11), ("records", "nullable_bytes"),
            ("diverging_epoch", Tagged(0, struct(("epoch", "int32"), ("end_offset", "int64"))), 12),
            ("current_leader", Tagged(1, _LEADER), 12),
        ]),
    ]),
    ("node_endpoints", Tagged(0, _ENDPOINTS), 16),
])

LIST_OFFSETS = Api("ListOffsets", 2, 6, [
    ("replica_id", "int32"), ("isolation_level", "int8", 2),
    ("topics", [
        ("name", "string"),
        ("partitions", [
            ("index", "int32"), ("current_leader_epoch", "int32", 4), ("timestamp", "int64"),
        ]),
    ]),
    ("timeout_ms", "int32", 10),
], [
    ("throttle_time_ms", "int32", 2),
    ("topics", [
        ("name", "string"),
        ("partitions", [
            ("index", "int32"), ("error_code", "int16"), ("timestamp", "int64", 1),
            ("offset", "int64", 1), ("leader_epoch", "int32", 4),
        ]),
    ]),
])

METADATA = Api("Metadata", 3, 9, [
    ("topics", [("topic_id", "uuid", 10), ("name", "string", 0, 9), ("name", "nullable_string", 10)]),
    ("allow_auto_topic_creation", "bool", 4),
    ("include_cluster_authorized_operations", "bool", 8, 10),
    ("include_topic_authorized_operations", "bool", 8),
], [
    ("throttle_time_ms", "int32", 3),
    ("brokers", [("node_id", "int32"), ("host", "string"), ("port", "int32"), ("rack", "nullable_string", 1)]),
    ("cluster_id", "nullable_string", 2), ("controller_id", "int32", 1),
    ("topics", [
        ("error_code", "int16"), ("name", "string", 0, 11), ("name", "nullable_string", 12),
        ("topic_id", "uuid", 10), ("is_internal", "bool", 1),
        ("partitions", [
            ("error_code", "int16"), ("index", "int32"), ("leader_id", "int32"), ("leader_epoch", "int32", 7),
            ("replica_nodes", "int32_array"), ("isr_nodes", "int32_array"), ("offline_replicas", "int32_array", 5),
        ]),
        ("topic_authorized_operations", "int32", 8),
    ]),
    ("cluster_authorized_operations", "int32", 8, 10),
    ("error_code", "int16", 13),
])

OFFSET_COMMIT = Api("OffsetCommit", 8, 8, [
    ("group_id", "string"), ("generation_id_or_member_epoch", "int32", 1), ("member_id", "string", 1),
    ("group_instance_id", "nullable_string", 7), ("retention_time_ms", "int64", 2, 4),
    ("topics", [
        ("name", "string"),
        ("partitions", [
            ("partition_index", "int32"), ("committed_offset", "int64"), ("commit_timestamp", "int64", 1, 1),
            ("committed_leader_epoch", "int32", 6), ("committed_metadata", "nullable_string"),
        ]),
    ]),
], [
    ("throttle_time_ms", "int32", 3),
    ("topics", [("name", "string"), ("partitions", [("partition_index", "int32"), ("error_code", "int16")])]),
])

OFFSET_FETCH = Api("OffsetFetch", 9, 6, [
    ("group_id", "string", 0, 7),
    ("topics", [("name", "string"), ("partition_indexes", "int32_array")], 0, 7),
    ("groups", [
        ("group_id", "string"), ("member_id", "nullable_string", 9), ("member_epoch", "int32", 9),
        ("topics", [("name", "string"), ("partition_indexes", "int32_array")]),
    ], 8),
    ("require_stable", "bool", 7),
], [
    ("throttle_time_ms", "int32", 3),
    ("topics", [
        ("name", "string"),
        ("partitions", [
            ("partition_index", "int32"), ("committed_offset", "int64"), ("committed_leader_epoch", "int32", 5),
            ("metadata", "nullable_string"), ("error_code", "int16"),
        ]),
    ], 0, 7),
    ("error_code", "int16", 2, 7),
    ("groups", [
        ("group_id", "string"),
        ("topics", [
            ("name", "string"),
            ("partitions", [
                ("partition_index", "int32"), ("committed_offset", "int64"), ("committed_leader_epoch", "int32"),
                ("metadata", "nullable_string"), ("error_code", "int16"),
            ]),
        ]),
        ("error_code", "int16"),
    ], 8),
])

FIND_COORDINATOR = Api("FindCoordinator", 10, 3, [
    ("key", "string", 0, 3), ("key_type", "int8", 1), ("coordinator_keys", "string_array", 4),
], [
    ("throttle_time_ms", "int32", 1), ("error_code", "int16", 0, 3), ("error_message", "nullable_string", 1, 3),
    ("node_id", "int32", 0, 3), ("host", "string", 0, 3), ("port", "int32", 0, 3),
    ("coordinators", [
        ("key", "string"), ("node_id", "int32"), ("host", "string"), ("port", "int32"),
        ("error_code", "int16"), ("error_message", "nullable_string"),
    ], 4),
])

JOIN_GROUP = Api("JoinGroup", 11, 6, [
    ("group_id", "string"), ("session_timeout_ms", "int32"), ("rebalance_timeout_ms", "int32", 1), ("member_id", "string"),
    ("group_instance_id", "nullable_string", 5), ("protocol_type", "string"),
    ("protocols", [("name", "string"), ("metadata", "bytes")]), ("reason", "nullable_string", 8),
], [
    ("throttle_time_ms", "int32", 2), ("error_code", "int16"), ("generation_id", "int32"),
    ("protocol_type", "nullable_string", 7), ("protocol_name", "nullable_string"), ("leader", "string"),
    ("skip_assignment", "bool", 9), ("member_id", "string"),
    ("members", [("member_id", "string"), ("group_instance_id", "nullable_string", 5), ("metadata", "bytes")]),
])

SYNC_GROUP = Api("SyncGroup", 14, 4, [
    ("group_id", "string"), ("generation_id", "int32"), ("member_id", "string"), ("group_instance_id", "nullable_string", 3),
    ("protocol_type", "nullable_string", 5), ("protocol_name", "nullable_string", 5),
    ("assignments", [("member_id", "string"), ("assignment", "bytes")]),
], [
    ("throttle_time_ms", "int32", 1), ("error_code", "int16"),
    ("protocol_type", "nullable_string", 5), ("protocol_name", "nullable_string", 5), ("assignment", "bytes"),
])

HEARTBEAT = Api("Heartbeat", 12, 4, [
    ("group_id", "string"), ("generation_id", "int32"), ("member_id", "string"), ("group_instance_id", "nullable_string", 3),
], [("throttle_time_ms", "int32", 1), ("error_code", "int16")])

LEAVE_GROUP = Api("LeaveGroup", 13, 4, [
    ("group_id", "string"), ("member_id", "string", 0, 2),
    ("members", [("member_id", "string"), ("group_instance_id", "nullable_string"), ("reason", "nullable_string", 5)], 3),
], [
    ("throttle_time_ms", "int32", 1), ("error_code", "int16"),
    ("members", [("member_id", "string"), ("group_instance_id", "nullable_string"), ("error_code", "int16")], 3),
])

DESCRIBE_GROUPS = Api("DescribeGroups", 15, 5, [
    ("groups", "string_array"), ("include_authorized_operations", "bool", 3),
], [
    ("throttle_time_ms", "int32", 1),
    ("groups", [
        ("error_code", "int16"), ("error_message", "nullable_string", 6), ("group_id", "string"), ("group_state", "string"),
        ("protocol_type", "string"), ("protocol_data", "string"),
        ("members", [
            ("member_id", "string"), ("group_instance_id", "nullable_string", 4), ("client_id", "string"),
            ("client_host", "string"), ("member_metadata", "bytes"), ("member_assignment", "bytes"),
        ]),
        ("authorized_operations", "int32", 3),
    ]),
])

LIST_GROUPS = Api("ListGroups", 16, 3, [
    ("states_filter", "string_array", 4), ("types_filter", "string_array", 5),
], [
    ("throttle_time_ms", "int32", 1), ("error_code", "int16"),
    ("groups", [
        ("group_id", "string"), ("protocol_type", "string"), ("group_state", "string", 4), ("group_type", "string", 5),
    ]),
])

DELETE_GROUPS = Api("DeleteGroups", 42, 2, [("groups_names", "string_array")], [
    ("throttle_time_ms", "int32"), ("results", [("group_id", "string"), ("error_code", "int16")]),
])

OFFSET_DELETE = Api("OffsetDelete", 47, NEVER, [
    ("group_id", "string"), ("topics", [("name", "string"), ("partitions", [("partition_index", "int32")])]),
], [
    ("error_code", "int16"), ("throttle_time_ms", "int32"),
    ("topics", [("name", "string"), ("partitions", [("partition_index", "int32"), ("error_code", "int16")])]),
])

CONSUMER_GROUP_HEARTBEAT = Api("ConsumerGroupHeartbeat", 68, 0, [
    ("group_id", "string"), ("member_id", "string"), ("member_epoch", "int32"), ("instance_id", "nullable_string"),
    ("rack_id", "nullable_string"), ("rebalance_timeout_ms", "int32"), ("subscribed_topic_names", "string_array"),
    ("subscribed_topic_regex", "nullable_string", 1), ("server_assignor", "nullable_string"),
    ("topic_partitions", [("topic_id", "uuid"), ("partitions", "int32_array")]),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("error_message", "nullable_string"),
    ("member_id", "nullable_string"), ("member_epoch", "int32"), ("heartbeat_interval_ms", "int32"),
    ("assignment", nullable(("topic_partitions", [("topic_id", "uuid"), ("partitions", "int32_array")]))),
])

MEMBER_PARTITIONS = struct(("topic_partitions", [
    ("topic_id", "uuid"), ("topic_name", "string"), ("partitions", "int32_array")]))
CONSUMER_GROUP_DESCRIBE = Api("ConsumerGroupDescribe", 69, 0, [
    ("group_ids", "string_array"), ("include_authorized_operations", "bool"),
], [
    ("throttle_time_ms", "int32"),
    ("groups", [
        ("error_code", "int16"), ("error_message", "nullable_string"), ("group_id", "string"), ("group_state", "string"),
        ("group_epoch", "int32"), ("assignment_epoch", "int32"), ("assignor_name", "string"),
        ("members", [
            ("member_id", "string"), ("instance_id", "nullable_string"), ("rack_id", "nullable_string"),
            ("member_epoch", "int32"), ("client_id", "string"), ("client_host", "string"),
            ("subscribed_topic_names", "string_array"), ("subscribed_topic_regex", "nullable_string"),
            ("assignment", MEMBER_PARTITIONS), ("target_assignment", MEMBER_PARTITIONS), ("member_type", "int8", 1),
        ]),
        ("authorized_operations", "int32"),
    ]),
])

API_VERSIONS = Api("ApiVersions", 18, 3, [
    ("client_software_name", "string", 3), ("client_software_version", "string", 3),
], [
    ("error_code", "int16"),
    ("api_keys", [("api_key", "int16"), ("min_version", "int16"), ("max_version", "int16")]),
    ("throttle_time_ms", "int32", 1),
    ("supported_features", Tagged(0, [("name", "string"), ("min_version", "int16"), ("max_version", "int16")]), 3),
    ("finalized_features_epoch", Tagged(1, "int64"), 3),
    ("finalized_features", Tagged(2, [
        ("name", "string"), ("max_version_level", "int16"), ("min_version_level", "int16"),
    ]), 3),
])

CREATE_TOPICS = Api("CreateTopics", 19, 5, [
    ("topics", [
        ("name", "string"), ("num_partitions", "int32"), ("replication_factor", "int16"),
        ("assignments", [("partition_index", "int32"), ("broker_ids", "int32_array")]),
        ("configs", [("name", "string"), ("value", "nullable_string")]),
    ]),
    ("timeout_ms", "int32"), ("validate_only", "bool", 1),
], [
    ("throttle_time_ms", "int32", 2),
    ("topics", [
        ("name", "string"), ("topic_id", "uuid", 7), ("error_code", "int16"), ("error_message", "nullable_string", 1),
        ("num_partitions", "int32", 5), ("replication_factor", "int16", 5),
        ("configs", [
            ("name", "string"), ("value", "nullable_string"), ("read_only", "bool"),
            ("config_source", "int8"), ("is_sensitive", "bool"),
        ], 5),
    ]),
])

DELETE_TOPICS = Api("DeleteTopics", 20, 4, [
    ("topics", [("name", "nullable_string"), ("topic_id", "uuid")], 6),
    ("topic_names", "string_array", 0, 5), ("timeout_ms", "int32"),
], [
    ("throttle_time_ms", "int32", 1),
    ("responses", [
        ("name", "string", 0, 5), ("name", "nullable_string", 6), ("topic_id", "uuid", 6),
        ("error_code", "int16"), ("error_message", "nullable_string", 5),
    ]),
])

INIT_PRODUCER_ID = Api("InitProducerId", 22, 2, [
    ("transactional_id", "nullable_string"), ("transaction_timeout_ms", "int32"),
    ("producer_id", "int64", 3), ("producer_epoch", "int16", 3),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("producer_id", "int64"), ("producer_epoch", "int16"),
])

OFFSET_FOR_LEADER_EPOCH = Api("OffsetForLeaderEpoch", 23, 4, [
    ("replica_id", "int32", 3),
    ("topics", [
        ("topic", "string"),
        ("partitions", [("partition", "int32"), ("current_leader_epoch", "int32", 2), ("leader_epoch", "int32")]),
    ]),
], [
    ("throttle_time_ms", "int32", 2),
    ("topics", [
        ("topic", "string"),
        ("partitions", [
            ("error_code", "int16"), ("partition", "int32"), ("leader_epoch", "int32", 1), ("end_offset", "int64"),
        ]),
    ]),
])

ADD_PARTITIONS_TO_TXN = Api("AddPartitionsToTxn", 24, 3, [
    ("transactions", [
        ("transactional_id", "string"), ("producer_id", "int64"), ("producer_epoch", "int16"), ("verify_only", "bool"),
        ("topics", [("name", "string"), ("partitions", "int32_array")]),
    ], 4),
    ("transactional_id", "string", 0, 3), ("producer_id", "int64", 0, 3), ("producer_epoch", "int16", 0, 3),
    ("topics", [("name", "string"), ("partitions", "int32_array")], 0, 3),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16", 4),
    ("results_by_transaction", [
        ("transactional_id", "string"),
        ("topics", [("name", "string"), ("partitions", [("index", "int32"), ("error_code", "int16")])]),
    ], 4),
    ("topics", [("name", "string"), ("partitions", [("index", "int32"), ("error_code", "int16")])], 0, 3),
])

ADD_OFFSETS_TO_TXN = Api("AddOffsetsToTxn", 25, 3, [
    ("transactional_id", "string"), ("producer_id", "int64"), ("producer_epoch", "int16"), ("group_id", "string"),
], [("throttle_time_ms", "int32"), ("error_code", "int16")])

END_TXN = Api("EndTxn", 26, 3, [
    ("transactional_id", "string"), ("producer_id", "int64"), ("producer_epoch", "int16"), ("committed", "bool"),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("producer_id", "int64", 5), ("producer_epoch", "int16", 5),
])

TXN_OFFSET_COMMIT = Api("TxnOffsetCommit", 28, 3, [
    ("transactional_id", "string"), ("group_id", "string"), ("producer_id", "int64"), ("producer_epoch", "int16"),
    ("generation_id", "int32", 3), ("member_id", "string", 3), ("group_instance_id", "nullable_string", 3),
    ("topics", [
        ("name", "string"),
        ("partitions", [
            ("index", "int32"), ("offset", "int64"), ("leader_epoch", "int32", 2), ("metadata", "nullable_string"),
        ]),
    ]),
], [
    ("throttle_time_ms", "int32"),
    ("topics", [("name", "string"), ("partitions", [("index", "int32"), ("error_code", "int16")])]),
])

DESCRIBE_TRANSACTIONS = Api("DescribeTransactions", 65, 0, [("transactional_ids", "string_array")], [
    ("throttle_time_ms", "int32"),
    ("transaction_states", [
        ("error_code", "int16"), ("transactional_id", "string"), ("transaction_state", "string"),
        ("transaction_timeout_ms", "int32"), ("transaction_start_time_ms", "int64"), ("producer_id", "int64"),
        ("producer_epoch", "int16"), ("topics", [("topic", "string"), ("partitions", "int32_array")]),
    ]),
])

DESCRIBE_CONFIGS = Api("DescribeConfigs", 32, 4, [
    ("resources", [
        ("resource_type", "int8"), ("resource_name", "string"), ("configuration_keys", "string_array"),
    ]),
    ("include_synonyms", "bool", 1), ("include_documentation", "bool", 3),
], [
    ("throttle_time_ms", "int32"),
    ("results", [
        ("error_code", "int16"), ("error_message", "nullable_string"), ("resource_type", "int8"),
        ("resource_name", "string"),
        ("configs", [
            ("name", "string"), ("value", "nullable_string"), ("read_only", "bool"), ("is_default", "bool", 0, 0),
            ("config_source", "int8", 1), ("is_sensitive", "bool"),
            ("synonyms", [("name", "string"), ("value", "nullable_string"), ("source", "int8")], 1),
            ("config_type", "int8", 3), ("documentation", "nullable_string", 3),
        ]),
    ]),
])

CREATE_PARTITIONS = Api("CreatePartitions", 37, 2, [
    ("topics", [("name", "string"), ("count", "int32"), ("assignments", [("broker_ids", "int32_array")])]),
    ("timeout_ms", "int32"), ("validate_only", "bool"),
], [
    ("throttle_time_ms", "int32"),
    ("results", [("name", "string"), ("error_code", "int16"), ("error_message", "nullable_string")]),
])

DESCRIBE_CLUSTER = Api("DescribeCluster", 60, 0, [
    ("include_cluster_authorized_operations", "bool"), ("endpoint_type", "int8", 1), ("include_fenced_brokers", "bool", 2),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("error_message", "nullable_string"),
    ("endpoint_type", "int8", 1), ("cluster_id", "string"), ("controller_id", "int32"),
    ("brokers", [
        ("broker_id", "int32"), ("host", "string"), ("port", "int32"), ("rack", "nullable_string"), ("is_fenced", "bool", 2),
    ]),
    ("cluster_authorized_operations", "int32"),
])

_ALTERED = [
    ("throttle_time_ms", "int32"),
    ("responses", [
        ("error_code", "int16"), ("error_message", "nullable_string"), ("resource_type", "int8"), ("resource_name", "string"),
    ]),
]

INCREMENTAL_ALTER_CONFIGS = Api("IncrementalAlterConfigs", 44, 1, [
    ("resources", [
        ("resource_type", "int8"), ("resource_name", "string"),
        ("configs", [("name", "string"), ("config_operation", "int8"), ("value", "nullable_string")]),
    ]),
    ("validate_only", "bool"),
], _ALTERED)

ALTER_CONFIGS = Api("AlterConfigs", 33, 2, [
    ("resources", [
        ("resource_type", "int8"), ("resource_name", "string"),
        ("configs", [("name", "string"), ("value", "nullable_string")]),
    ]),
    ("validate_only", "bool"),
], _ALTERED)

LIST_CONFIG_RESOURCES = Api("ListConfigResources", 74, 0, [("resource_types", "int8_array", 1)], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"),
    ("config_resources", [("resource_name", "string"), ("resource_type", "int8", 1)]),
])

ELECT_LEADERS = Api("ElectLeaders", 43, 2, [
    ("election_type", "int8", 1), ("topic_partitions", [("topic", "string"), ("partitions", "int32_array")]),
    ("timeout_ms", "int32"),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16", 1),
    ("results", [
        ("topic", "string"),
        ("partitions", [("partition_id", "int32"), ("error_code", "int16"), ("error_message", "nullable_string")]),
    ]),
])

ALTER_PARTITION_REASSIGNMENTS = Api("AlterPartitionReassignments", 45, 0, [
    ("timeout_ms", "int32"), ("allow_replication_factor_change", "bool", 1),
    ("topics", [("name", "string"), ("partitions", [("partition_index", "int32"), ("replicas", "int32_array")])]),
], [
    ("throttle_time_ms", "int32"), ("allow_replication_factor_change", "bool", 1),
    ("error_code", "int16"), ("error_message", "nullable_string"),
    ("responses", [
        ("name", "string"),
        ("partitions", [("partition_index", "int32"), ("error_code", "int16"), ("error_message", "nullable_string")]),
    ]),
])

LIST_PARTITION_REASSIGNMENTS = Api("ListPartitionReassignments", 46, 0, [
    ("timeout_ms", "int32"), ("topics", [("name", "string"), ("partition_indexes", "int32_array")]),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("error_message", "nullable_string"),
    ("topics", [
        ("name", "string"),
        ("partitions", [
            ("index", "int32"), ("replicas", "int32_array"), ("adding", "int32_array"), ("removing", "int32_array"),
        ]),
    ]),
])

_CURSOR = nullable(("topic_name", "string"), ("partition_index", "int32"))
DESCRIBE_TOPIC_PARTITIONS = Api("DescribeTopicPartitions", 75, 0, [
    ("topics", [("name", "string")]), ("response_partition_limit", "int32"), ("cursor", _CURSOR),
], [
    ("throttle_time_ms", "int32"),
    ("topics", [
        ("error_code", "int16"), ("name", "nullable_string"), ("topic_id", "uuid"), ("is_internal", "bool"),
        ("partitions", [
            ("error_code", "int16"), ("index", "int32"), ("leader_id", "int32"), ("leader_epoch", "int32"),
            ("replicas", "int32_array"), ("isr", "int32_array"), ("eligible_leader_replicas", "int32_array"),
            ("last_known_elr", "int32_array"), ("offline_replicas", "int32_array"),
        ]),
        ("topic_authorized_operations", "int32"),
    ]),
    ("next_cursor", _CURSOR),
])

DELETE_RECORDS = Api("DeleteRecords", 21, 2, [
    ("topics", [("name", "string"), ("partitions", [("index", "int32"), ("offset", "int64")])]),
    ("timeout_ms", "int32"),
], [
    ("throttle_time_ms", "int32"),
    ("topics", [
        ("name", "string"),
        ("partitions", [("index", "int32"), ("low_watermark", "int64"), ("error_code", "int16")]),
    ]),
])

DESCRIBE_LOG_DIRS = Api("DescribeLogDirs", 35, 2, [
    ("topics", [("topic", "string"), ("partitions", "int32_array")]),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16", 3),
    ("results", [
        ("error_code", "int16"), ("log_dir", "string"),
        ("topics", [
            ("name", "string"),
            ("partitions", [
                ("index", "int32"), ("partition_size", "int64"), ("offset_lag", "int64"), ("is_future_key", "bool"),
            ]),
        ]),
        ("total_bytes", "int64", 4), ("usable_bytes", "int64", 4),
    ]),
])

UPDATE_FEATURES = Api("UpdateFeatures", 57, 0, [
    ("timeout_ms", "int32"),
    ("updates", [
        ("feature", "string"), ("max_version_level", "int16"), ("allow_downgrade", "bool", 0, 0), ("upgrade_type", "int8", 1),
    ]),
    ("validate_only", "bool", 1),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("error_message", "nullable_string"),
    ("results", [("feature", "string"), ("error_code", "int16"), ("error_message", "nullable_string")], 0, 1),
])

WRITE_TXN_MARKERS = Api("WriteTxnMarkers", 27, 1, [
    ("markers", [
        ("producer_id", "int64"), ("producer_epoch", "int16"), ("transaction_result", "bool"),
        ("topics", [("name", "string"), ("partition_indexes", "int32_array")]), ("coordinator_epoch", "int32"),
    ]),
], [
    ("markers", [
        ("producer_id", "int64"),
        ("topics", [("name", "string"), ("partitions", [("partition_index", "int32"), ("error_code", "int16")])]),
    ]),
])

DESCRIBE_PRODUCERS = Api("DescribeProducers", 61, 0, [
    ("topics", [("name", "string"), ("partition_indexes", "int32_array")]),
], [
    ("throttle_time_ms", "int32"),
    ("topics", [
        ("name", "string"),
        ("partitions", [
            ("partition_index", "int32"), ("error_code", "int16"), ("error_message", "nullable_string"),
            ("active_producers", [
                ("producer_id", "int64"), ("producer_epoch", "int32"), ("last_sequence", "int32"),
                ("last_timestamp", "int64"), ("coordinator_epoch", "int32"), ("current_txn_start_offset", "int64"),
            ]),
        ]),
    ]),
])

LIST_TRANSACTIONS = Api("ListTransactions", 66, 0, [
    ("state_filters", "string_array"), ("producer_id_filters", "int64_array"), ("duration_filter", "int64", 1),
    ("transactional_id_pattern", "nullable_string", 2),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("unknown_state_filters", "string_array"),
    ("transaction_states", [
        ("transactional_id", "string"), ("producer_id", "int64"), ("transaction_state", "string"),
    ]),
])

_REPLICA = [
    ("replica_id", "int32"), ("replica_directory_id", "uuid", 2), ("log_end_offset", "int64"),
    ("last_fetch_timestamp", "int64", 1), ("last_caught_up_timestamp", "int64", 1),
]
DESCRIBE_QUORUM = Api("DescribeQuorum", 55, 0, [
    ("topics", [("topic_name", "string"), ("partitions", [("partition_index", "int32")])]),
], [
    ("error_code", "int16"), ("error_message", "nullable_string", 2),
    ("topics", [
        ("topic_name", "string"),
        ("partitions", [
            ("partition_index", "int32"), ("error_code", "int16"), ("error_message", "nullable_string", 2),
            ("leader_id", "int32"), ("leader_epoch", "int32"), ("high_watermark", "int64"),
            ("current_voters", _REPLICA), ("observers", _REPLICA),
        ]),
    ]),
    ("nodes", [
        ("node_id", "int32"), ("listeners", [("name", "string"), ("host", "string"), ("port", "uint16")]),
    ], 2),
])

_ENTITY = [("entity_type", "string"), ("entity_name", "nullable_string")]

DESCRIBE_CLIENT_QUOTAS = Api("DescribeClientQuotas", 48, 1, [
    ("components", [("entity_type", "string"), ("match_type", "int8"), ("match", "nullable_string")]), ("strict", "bool"),
], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("error_message", "nullable_string"),
    ("entries", [("entity", _ENTITY), ("values", [("key", "string"), ("value", "float64")])]),
])

ALTER_CLIENT_QUOTAS = Api("AlterClientQuotas", 49, 1, [
    ("entries", [("entity", _ENTITY), ("ops", [("key", "string"), ("value", "float64"), ("remove", "bool")])]),
    ("validate_only", "bool"),
], [
    ("throttle_time_ms", "int32"),
    ("entries", [("error_code", "int16"), ("error_message", "nullable_string"), ("entity", _ENTITY)]),
])

DESCRIBE_USER_SCRAM_CREDENTIALS = Api("DescribeUserScramCredentials", 50, 0, [("users", [("name", "string")])], [
    ("throttle_time_ms", "int32"), ("error_code", "int16"), ("error_message", "nullable_string"),
    ("results", [
        ("user", "string"), ("error_code", "int16"), ("error_message", "nullable_string"),
        ("credential_infos", [("mechanism", "int8"), ("iterations", "int32")]),
    ]),
])

# Every API here, and its name by its key.
APIS = [one for one in list(globals().values()) if isinstance(one, Api)]
NAMES = {one.key: one.name for one in APIS}
