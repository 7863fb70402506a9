//! Shapes of the requests about the cluster as a whole.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, ApiVersionsRequest, DescribeClientQuotasRequest,
    DescribeClusterRequest, DescribeQuorumRequest, GetTelemetrySubscriptionsRequest,
    PushTelemetryRequest, UnregisterBrokerRequest, UpdateFeaturesRequest,
};

use crate::guard::shape::{Shape, array, blob, fixed, shape, text};

pub(super) static API_VERSIONS: Shape = shape::<ApiVersionsRequest>(
    3,
    &[
        text("client_software_name").since(3),
        text("client_software_version").since(3),
    ],
);

pub(super) static DESCRIBE_CLUSTER: Shape = shape::<DescribeClusterRequest>(
    0,
    &[
        fixed("include_cluster_authorized_operations", 1),
        fixed("endpoint_type", 1).since(1),
        fixed("include_fenced_brokers", 1).since(2),
    ],
);

pub(super) static DESCRIBE_QUORUM: Shape = shape::<DescribeQuorumRequest>(
    0,
    &[array::<TopicData>(
        "topics",
        &[
            text("topic_name"),
            array::<PartitionData>("partitions", &[fixed("partition_index", 4)]),
        ],
    )],
);

pub(super) static UPDATE_FEATURES: Shape = shape::<UpdateFeaturesRequest>(
    0,
    &[
        fixed("timeout_ms", 4),
        array::<FeatureUpdateKey>(
            "feature_updates",
            &[
                text("feature"),
                fixed("max_version_level", 2),
                fixed("allow_downgrade", 1).until(0),
                fixed("upgrade_type", 1).since(1),
            ],
        ),
        fixed("validate_only", 1).since(1),
    ],
);

pub(super) static UNREGISTER_BROKER: Shape =
    shape::<UnregisterBrokerRequest>(0, &[fixed("broker_id", 4)]);

pub(super) static DESCRIBE_CLIENT_QUOTAS: Shape = shape::<DescribeClientQuotasRequest>(
    1,
    &[
        array::<ComponentData>(
            "components",
            &[text("entity_type"), fixed("match_type", 1), text("_match")],
        ),
        fixed("strict", 1),
    ],
);

pub(super) static ALTER_CLIENT_QUOTAS: Shape = shape::<AlterClientQuotasRequest>(
    1,
    &[
        array::<EntryData>(
            "entries",
            &[
                array::<EntityData>("entity", &[text("entity_type"), text("entity_name")]),
                array::<OpData>("ops", &[text("key"), fixed("value, remove", 9)]),
            ],
        ),
        fixed("validate_only", 1),
    ],
);

pub(super) static GET_TELEMETRY_SUBSCRIPTIONS: Shape =
    shape::<GetTelemetrySubscriptionsRequest>(0, &[fixed("client_instance_id", 16)]);

pub(super) static PUSH_TELEMETRY: Shape = shape::<PushTelemetryRequest>(
    0,
    &[
        fixed(
            "client_instance_id, subscription_id, terminating, compression_type",
            22,
        ),
        blob("metrics"),
    ],
)
.large();
