//! Shapes of the requests that move records.

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    DeleteRecordsRequest, DescribeProducersRequest, FetchRequest, ListOffsetsRequest,
    OffsetForLeaderEpochRequest, ProduceRequest,
};

use crate::guard::shape::{Shape, array, blob, fixed, fixeds, shape, structure, text};

pub(super) static PRODUCE: Shape = shape::<ProduceRequest>(
    9,
    &[
        text("transactional_id"),
        fixed("acks, timeout_ms", 6),
        array::<TopicProduceData>(
            "topic_data",
            &[
                text("name").until(12),
                fixed("topic_id", 16).since(13),
                array::<PartitionProduceData>(
                    "partition_data",
                    &[fixed("index", 4), blob("records")],
                ),
            ],
        ),
    ],
)
.large();

pub(super) static FETCH: Shape = shape::<FetchRequest>(
    12,
    &[
        fixed("replica_id", 4).until(14),
        fixed("max_wait_ms, min_bytes, max_bytes, isolation_level", 13),
        fixed("session_id, session_epoch", 8).since(7),
        array::<FetchTopic>(
            "topics",
            &[
                text("topic").until(12),
                fixed("topic_id", 16).since(13),
                array::<FetchPartition>(
                    "partitions",
                    &[
                        fixed("partition", 4),
                        fixed("current_leader_epoch", 4).since(9),
                        fixed("fetch_offset", 8),
                        fixed("last_fetched_epoch", 4).since(12),
                        fixed("log_start_offset", 8).since(5),
                        fixed("partition_max_bytes", 4),
                        fixed("replica_directory_id", 16).since(17).tag(0),
                        fixed("high_watermark", 8).since(18).tag(1),
                    ],
                ),
            ],
        ),
        array::<ForgottenTopic>(
            "forgotten_topics_data",
            &[
                text("topic").since(7).until(12),
                fixed("topic_id", 16).since(13),
                fixeds("partitions", 4).since(7),
            ],
        )
        .since(7),
        text("rack_id").since(11),
        text("cluster_id").tag(0),
        structure(
            "replica_state",
            &[fixed("replica_id, replica_epoch", 12).since(15)],
        )
        .since(15)
        .tag(1),
    ],
)
.large();

pub(super) static LIST_OFFSETS: Shape = shape::<ListOffsetsRequest>(
    6,
    &[
        fixed("replica_id", 4),
        fixed("isolation_level", 1).since(2),
        array::<ListOffsetsTopic>(
            "topics",
            &[
                text("name"),
                array::<ListOffsetsPartition>(
                    "partitions",
                    &[
                        fixed("partition_index", 4),
                        fixed("current_leader_epoch", 4).since(4),
                        fixed("timestamp", 8),
                    ],
                ),
            ],
        ),
        fixed("timeout_ms", 4).since(10),
    ],
)
.large();

pub(super) static DELETE_RECORDS: Shape = shape::<DeleteRecordsRequest>(
    2,
    &[
        array::<DeleteRecordsTopic>(
            "topics",
            &[
                text("name"),
                array::<DeleteRecordsPartition>(
                    "partitions",
                    &[fixed("partition_index, offset", 12)],
                ),
            ],
        ),
        fixed("timeout_ms", 4),
    ],
);

pub(super) static OFFSET_FOR_LEADER_EPOCH: Shape = shape::<OffsetForLeaderEpochRequest>(
    4,
    &[
        fixed("replica_id", 4).since(3),
        array::<OffsetForLeaderTopic>(
            "topics",
            &[
                text("topic"),
                array::<OffsetForLeaderPartition>(
                    "partitions",
                    &[fixed("partition, current_leader_epoch, leader_epoch", 12)],
                ),
            ],
        ),
    ],
)
.large();

pub(super) static DESCRIBE_PRODUCERS: Shape = shape::<DescribeProducersRequest>(
    0,
    &[array::<TopicRequest>(
        "topics",
        &[text("name"), fixeds("partition_indexes", 4)],
    )],
);
