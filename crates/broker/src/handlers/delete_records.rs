//! DeleteRecords (KIP-107): the log of a partition starts later.
//!
//! Versions 0-2. Offset -1 stands for the high watermark. The answer comes when the new start is on disk: what was
//! deleted does not come back, neither after a kill nor after a power cut. It names the low watermark, which is the
//! start of the log: all replicas are here. An offset below the start changes nothing and is no error.
//!
//! The topics of the broker itself are refused with INVALID_TOPIC_EXCEPTION, topics that are only compacted with
//! POLICY_VIOLATION.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{Offset, PartitionIndex};
use ottla_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};

use super::Handler;
use super::error_code;
use crate::broker::Broker;
use crate::network::request::RequestContext;
use crate::partition::Partition;
use crate::partition::manager::PartitionManager;

/// The low watermark of a partition with an error.
const NO_LOW_WATERMARK: Offset = Offset(-1);

/// The API.
#[derive(Debug)]
pub struct DeleteRecords;

impl Handler for DeleteRecords {
    type Request = DeleteRecordsRequest;
    const NAME: &'static str = "DeleteRecords";
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: DeleteRecordsRequest,
    ) -> DeleteRecordsResponse {
        let partitions = Arc::clone(broker.partitions());
        // A new start is written to disk.
        let work = tokio::task::spawn_blocking(move || answer(&partitions, request));
        work.await.unwrap_or_else(|error| {
            tracing::error!(%error, "records were not deleted");
            DeleteRecordsResponse::default()
        })
    }
}

type Results = BTreeMap<(TopicName, i32), Result<Offset, ResponseError>>;

fn answer(partitions: &PartitionManager, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    // Of a partition that is named twice the later offset counts, as in Kafka.
    let mut wanted = BTreeMap::new();
    for topic in request.topics {
        for partition in topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            wanted.insert(key, Offset(partition.offset));
        }
    }
    let (mut results, mut keys, mut work) = (Results::new(), Vec::new(), Vec::new());
    for (key, offset) in wanted {
        match find(partitions, &key) {
            Ok(partition) => {
                keys.push(key);
                work.push((partition, offset));
            }
            Err(error) => {
                results.insert(key, Err(error));
            }
        }
    }
    let done = partitions.delete_records(&work).into_iter();
    let done = done.map(|result| result.map_err(|error| error_code::of_delete_records(&error)));
    results.extend(keys.into_iter().zip(done));
    DeleteRecordsResponse::default().with_topics(by_topic(results))
}

fn find(
    partitions: &PartitionManager,
    (topic, index): &(TopicName, i32),
) -> Result<Arc<Partition>, ResponseError> {
    let topic = partitions
        .topic(topic)
        .ok_or(ResponseError::UnknownTopicOrPartition)?;
    let found = topic.partition(PartitionIndex(*index));
    match found {
        Err(ResponseError::UnknownTopicOrPartition) => Err(ResponseError::UnknownTopicOrPartition),
        _ if topic.internal => Err(ResponseError::InvalidTopicException),
        found => found.cloned(),
    }
}

fn by_topic(results: Results) -> Vec<DeleteRecordsTopicResult> {
    let mut topics: Vec<DeleteRecordsTopicResult> = Vec::new();
    for ((name, index), result) in results {
        let code = result.map_or_else(|error| error.code(), |_| 0);
        let partition = DeleteRecordsPartitionResult::default()
            .with_partition_index(index)
            .with_low_watermark(result.unwrap_or(NO_LOW_WATERMARK).0)
            .with_error_code(code);
        match topics.last_mut().filter(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(
                DeleteRecordsTopicResult::default()
                    .with_name(name)
                    .with_partitions(vec![partition]),
            ),
        }
    }
    topics
}
