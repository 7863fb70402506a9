//! WriteTxnMarkers, version 1: write the markers that end transactions (KIP-98). It comes from transaction coordinators
//! and, about transactions that hang, from operators (`kafka-transactions abort`, KIP-664).

use std::ops::RangeInclusive;

use ottla_protocol::ids::{ProducerEpoch, ProducerId};
use ottla_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use ottla_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use ottla_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use ottla_protocol::record::EndTxnMarker;

use super::Handler;
use crate::broker::Broker;
use crate::coordinator::transaction::markers::MarkerWriter;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct WriteTxnMarkers;

impl Handler for WriteTxnMarkers {
    type Request = WriteTxnMarkersRequest;
    const NAME: &'static str = "WriteTxnMarkers";
    const VERSIONS: RangeInclusive<i16> = 1..=1;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: WriteTxnMarkersRequest,
    ) -> WriteTxnMarkersResponse {
        let writer = broker.transactions().marker_writer();
        let mut results = Vec::with_capacity(request.markers.len());
        // A marker for no partition has no result.
        let names_some = |marker: &&WritableTxnMarker| {
            marker
                .topics
                .iter()
                .any(|t| !t.partition_indexes.is_empty())
        };
        for marker in request.markers.iter().filter(names_some) {
            results.push(write(&writer, marker).await);
        }
        WriteTxnMarkersResponse::default().with_markers(results)
    }
}

async fn write(writer: &MarkerWriter, wanted: &WritableTxnMarker) -> WritableTxnMarkerResult {
    let marker = EndTxnMarker {
        committed: wanted.transaction_result,
        coordinator_epoch: wanted.coordinator_epoch,
    };
    let id = ProducerId(wanted.producer_id.0);
    let epoch = ProducerEpoch(wanted.producer_epoch);
    let mut topics = Vec::with_capacity(wanted.topics.len());
    for topic in &wanted.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in &topic.partition_indexes {
            let written = writer.write(&topic.name, *index, id, epoch, marker).await;
            partitions.push(
                WritableTxnMarkerPartitionResult::default()
                    .with_partition_index(*index)
                    .with_error_code(written.err().map_or(0, |error| error.code())),
            );
        }
        if !partitions.is_empty() {
            topics.push(
                WritableTxnMarkerTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
    }
    WritableTxnMarkerResult::default()
        .with_producer_id(wanted.producer_id)
        .with_topics(topics)
}
