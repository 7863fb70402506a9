//! Shapes of the requests about idempotent and transactional producers.

use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::write_txn_markers_request::{
    WritableTxnMarker, WritableTxnMarkerTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    InitProducerIdRequest, ListTransactionsRequest, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};

use crate::guard::shape::{Shape, array, fixed, fixeds, shape, text, texts};

pub(super) static INIT_PRODUCER_ID: Shape = shape::<InitProducerIdRequest>(
    2,
    &[
        text("transactional_id"),
        fixed("transaction_timeout_ms", 4),
        fixed("producer_id, producer_epoch", 10).since(3),
    ],
);

pub(super) static ADD_PARTITIONS_TO_TXN: Shape = shape::<AddPartitionsToTxnRequest>(
    3,
    &[
        array::<AddPartitionsToTxnTransaction>(
            "transactions",
            &[
                text("transactional_id").since(4),
                fixed("producer_id, producer_epoch, verify_only", 11).since(4),
                array::<AddPartitionsToTxnTopic>(
                    "topics",
                    &[text("name"), fixeds("partitions", 4)],
                )
                .since(4),
            ],
        )
        .since(4),
        text("v3_and_below_transactional_id").until(3),
        fixed("v3_and_below_producer_id, v3_and_below_producer_epoch", 10).until(3),
        array::<AddPartitionsToTxnTopic>(
            "v3_and_below_topics",
            &[text("name"), fixeds("partitions", 4)],
        )
        .until(3),
    ],
);

pub(super) static ADD_OFFSETS_TO_TXN: Shape = shape::<AddOffsetsToTxnRequest>(
    3,
    &[
        text("transactional_id"),
        fixed("producer_id, producer_epoch", 10),
        text("group_id"),
    ],
);

pub(super) static END_TXN: Shape = shape::<EndTxnRequest>(
    3,
    &[
        text("transactional_id"),
        fixed("producer_id, producer_epoch, committed", 11),
    ],
);

pub(super) static WRITE_TXN_MARKERS: Shape = shape::<WriteTxnMarkersRequest>(
    0,
    &[array::<WritableTxnMarker>(
        "markers",
        &[
            fixed("producer_id, producer_epoch, transaction_result", 11),
            array::<WritableTxnMarkerTopic>(
                "topics",
                &[text("name"), fixeds("partition_indexes", 4)],
            ),
            fixed("coordinator_epoch", 4),
        ],
    )],
);

pub(super) static TXN_OFFSET_COMMIT: Shape = shape::<TxnOffsetCommitRequest>(
    3,
    &[
        text("transactional_id"),
        text("group_id"),
        fixed("producer_id, producer_epoch", 10),
        fixed("generation_id", 4).since(3),
        text("member_id").since(3),
        text("group_instance_id").since(3),
        array::<TxnOffsetCommitRequestTopic>(
            "topics",
            &[
                text("name"),
                array::<TxnOffsetCommitRequestPartition>(
                    "partitions",
                    &[
                        fixed("partition_index, committed_offset", 12),
                        fixed("committed_leader_epoch", 4).since(2),
                        text("committed_metadata"),
                    ],
                ),
            ],
        ),
    ],
)
.large();

pub(super) static DESCRIBE_TRANSACTIONS: Shape =
    shape::<DescribeTransactionsRequest>(0, &[texts("transactional_ids")]);

pub(super) static LIST_TRANSACTIONS: Shape = shape::<ListTransactionsRequest>(
    0,
    &[
        texts("state_filters"),
        fixeds("producer_id_filters", 8),
        fixed("duration_filter", 8).since(1),
        text("transactional_id_pattern").since(2),
    ],
);
