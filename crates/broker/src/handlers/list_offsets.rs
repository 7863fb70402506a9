//! ListOffsets, versions 1-10: offsets by timestamp, and the ends of partitions.
//!
//! *Behaviour*: -1 is the end that the isolation level allows, -2 and -4 the start of the log, -3 the record with the largest
//! timestamp, -5 the end of what is in tiered storage, which there is not. A timestamp finds the first record that is not
//! older, by looking into its batch. When there is none the answer is -1 for offset and timestamp, without an error.
//!
//! *Versions*: 2 brings the isolation level (KIP-98); 4 leader epochs (KIP-320); 7 the largest timestamp (KIP-734);
//! 8 and 9 tiered storage (KIP-405, KIP-1005).

use std::collections::BTreeMap;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{LeaderEpoch, Offset, PartitionIndex, Timestamp};
use ottla_protocol::messages::list_offsets_request::ListOffsetsPartition;
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::Handler;
use super::error_code;
use crate::broker::Broker;
use crate::network::request::RequestContext;
use crate::partition::{Isolation, Partition};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// The API.
#[derive(Debug)]
pub struct ListOffsets;

/// What was found; `None` where no record answers the question.
type Found = Option<(Timestamp, Offset, LeaderEpoch)>;

impl Handler for ListOffsets {
    type Request = ListOffsetsRequest;
    const NAME: &'static str = "ListOffsets";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: ListOffsetsRequest,
    ) -> ListOffsetsResponse {
        let isolation = Isolation::from_wire(request.isolation_level);
        let mut topics = Vec::with_capacity(request.topics.len());
        for wanted in request.topics {
            let topic = broker.partitions().topic(&wanted.name);
            let mut partitions = Vec::with_capacity(wanted.partitions.len());
            let (queries, twice) = unique(wanted.partitions);
            partitions.extend(
                twice
                    .iter()
                    .map(|query| answer(query, version, Err(ResponseError::InvalidRequest))),
            );
            for query in queries {
                let partition = match &topic {
                    _ if !is_known_to(version, query.timestamp) => {
                        Err(ResponseError::UnsupportedVersion)
                    }
                    Some(topic) => topic.partition(PartitionIndex(query.partition_index)),
                    None => Err(ResponseError::UnknownTopicOrPartition),
                };
                let found = match partition {
                    Ok(partition) => find(partition, isolation, &query).await,
                    Err(error) => Err(error),
                };
                partitions.push(answer(&query, version, found));
            }
            // As `ReplicaManager.fetchOffset`, which answers by partition.
            if !partitions.is_empty() {
                topics.push(
                    ListOffsetsTopicResponse::default()
                        .with_name(wanted.name)
                        .with_partitions(partitions),
                );
            }
        }
        ListOffsetsResponse::default().with_topics(topics)
    }
}

/// The queries for partitions that are asked for once, and one each of those that are asked for more often.
fn unique(
    queries: Vec<ListOffsetsPartition>,
) -> (Vec<ListOffsetsPartition>, Vec<ListOffsetsPartition>) {
    let mut count = BTreeMap::new();
    for query in &queries {
        *count.entry(query.partition_index).or_insert(0) += 1;
    }
    let (once, mut twice): (Vec<_>, Vec<_>) = queries
        .into_iter()
        .partition(|query| count.get(&query.partition_index) == Some(&1));
    twice.sort_by_key(|query| query.partition_index);
    twice.dedup_by_key(|query| query.partition_index);
    (once, twice)
}

async fn find(
    partition: &std::sync::Arc<Partition>,
    isolation: Isolation,
    query: &ListOffsetsPartition,
) -> Result<Found, ResponseError> {
    partition.check_epoch(LeaderEpoch(query.current_leader_epoch))?;
    let end = partition.end_for(isolation);
    match query.timestamp {
        LATEST => Ok(Some((Timestamp::NONE, end, partition.leader_epoch()))),
        EARLIEST | EARLIEST_LOCAL => {
            let start = partition.offsets().log_start;
            // An empty log has no records of any epoch; the leader's own begins where they will.
            let epoch = partition.reader().epoch_at(start);
            Ok(Some((
                Timestamp::NONE,
                start,
                epoch.unwrap_or(partition.leader_epoch()),
            )))
        }
        LATEST_TIERED => Ok(None),
        timestamp => search(partition, end, timestamp).await,
    }
}

/// Whether a version knows a special timestamp (`ReplicaManager.isListOffsetsTimestampUnsupported`, which comes first).
fn is_known_to(version: i16, timestamp: i64) -> bool {
    let since = match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        0.. | LATEST | EARLIEST => 1,
        _ => i16::MAX,
    };
    version >= since
}

/// Look into the log, on a thread that may wait for the disk.
async fn search(
    partition: &std::sync::Arc<Partition>,
    end: Offset,
    timestamp: i64,
) -> Result<Found, ResponseError> {
    let reader = partition.shared_reader();
    let search = tokio::task::spawn_blocking(move || match timestamp {
        MAX_TIMESTAMP => reader.max_timestamp_offset(end),
        at => reader.offset_for_timestamp(Timestamp(at), end),
    });
    match search.await {
        Ok(Ok(found)) => Ok(found.map(|found| (found.timestamp, found.offset, found.leader_epoch))),
        Ok(Err(error)) => {
            tracing::warn!(partition = %partition.id, timestamp, %error, "offset lookup failed");
            Err(error_code::of_read(&error))
        }
        Err(_) => Err(ResponseError::UnknownServerError),
    }
}

fn answer(
    query: &ListOffsetsPartition,
    version: i16,
    found: Result<Found, ResponseError>,
) -> ListOffsetsPartitionResponse {
    let none = (Timestamp::NONE, Offset(-1), LeaderEpoch::NONE);
    let (error, (timestamp, offset, epoch)) = match found {
        Ok(found) => (0, found.unwrap_or(none)),
        Err(error) => (error.code(), none),
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(query.partition_index)
        .with_error_code(error)
        .with_timestamp(timestamp.0)
        .with_offset(offset.0)
        // The field exists from version 4 on.
        .with_leader_epoch(if version >= 4 { epoch.0 } else { -1 })
}
