//! TxnOffsetCommit, versions 0-5: commit a group's offsets within a transaction (KIP-98).
//!
//! *Behaviour*: the offsets are stored at once and count from the marker on that commits the transaction.
//!
//! *Versions*: 2 leader epochs (KIP-320); 3 names the member, so that a member that has been replaced is refused
//! (KIP-447); 4 knows TRANSACTION_ABORTABLE; 5 makes the group's partition part of the transaction (KIP-890).

use std::collections::HashMap;
use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::Handler;
use super::group_request::{ask, is_answered};
use super::transaction_request::{Joining, is_passing, leave, producer};
use crate::broker::Broker;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::coordinator::group::transactional_offsets::refuse;
use crate::coordinator::runtime::OFFSETS_TOPIC;
use crate::coordinator::shard::TransactionalProducer;
use crate::metadata::image::MetadataImage;
use crate::network::request::RequestContext;

/// First version that makes the group's partition part of the transaction.
const JOINS_FROM: i16 = 5;
/// First version that knows TRANSACTION_ABORTABLE.
const ABORTABLE_FROM: i16 = 4;

/// The API.
#[derive(Debug)]
pub struct TxnOffsetCommit;

impl Handler for TxnOffsetCommit {
    type Request = TxnOffsetCommitRequest;
    const NAME: &'static str = "TxnOffsetCommit";
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        mut request: TxnOffsetCommitRequest,
    ) -> TxnOffsetCommitResponse {
        let image = broker.metadata().image();
        request
            .topics
            .retain(|topic| is_answered(&image, &topic.name, topic.partitions.len()));
        let mut known = request.clone();
        keep_known(&image, &mut known);
        if known.topics.is_empty() {
            return refuse(&request, ResponseError::UnknownTopicOrPartition);
        }
        let response = match commit(broker, version, &known).await {
            Ok(response) => response,
            Err(error) => refuse(&known, for_client(error, version)),
        };
        in_order(&request, &response)
    }
}

async fn commit(
    broker: &Broker,
    version: i16,
    request: &TxnOffsetCommitRequest,
) -> Result<TxnOffsetCommitResponse, ResponseError> {
    if request.group_id.is_empty() {
        return Err(ResponseError::InvalidGroupId);
    }
    if request.transactional_id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    let groups = broker.groups();
    let shard = groups.shard_of(&request.group_id);
    let shard = shard.ok_or(ResponseError::NotCoordinator)?;
    let topic = broker.partitions().topic(OFFSETS_TOPIC);
    let topic = topic.ok_or(ResponseError::NotCoordinator)?;
    let index = PartitionIndex(i32::try_from(shard).unwrap_or(i32::MAX));
    let partition = topic.partition(index)?;
    let joining = match version < JOINS_FROM {
        true => Joining::Said,
        false => Joining::Implicit,
    };
    let speaker = producer(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
    );
    let leave = leave(broker, partition, speaker, joining).await?;
    let producer = TransactionalProducer {
        id: ProducerId(request.producer_id.0),
        epoch: ProducerEpoch(request.producer_epoch),
        guard: leave.guard(),
    };
    let asked = GroupRequest::TxnOffsetCommit(producer, request.clone());
    let answer = ask(
        broker,
        &request.group_id,
        asked,
        |response| match response {
            GroupResponse::TxnOffsetCommit(response) => Some(response),
            _ => None,
        },
    );
    answer.await
}

/// Old clients retry on COORDINATOR_LOAD_IN_PROGRESS without looking for the coordinator again.
fn for_client(error: ResponseError, version: i16) -> ResponseError {
    match error {
        ResponseError::NotCoordinator => error,
        error if is_passing(error) => ResponseError::CoordinatorLoadInProgress,
        ResponseError::TransactionAbortable if version < ABORTABLE_FROM => {
            ResponseError::InvalidTxnState
        }
        error => error,
    }
}

/// Leave only the partitions that exist.
fn keep_known(image: &MetadataImage, request: &mut TxnOffsetCommitRequest) {
    for wanted in &mut request.topics {
        let topic = image.topics.by_name(&wanted.name);
        wanted.partitions.retain(|partition| {
            let index = PartitionIndex(partition.partition_index);
            topic.is_some_and(|topic| topic.partition(index).is_some())
        });
    }
    request.topics.retain(|topic| !topic.partitions.is_empty());
}

/// The answer in the order of the request; what was not asked of the coordinator does not exist.
fn in_order(
    request: &TxnOffsetCommitRequest,
    response: &TxnOffsetCommitResponse,
) -> TxnOffsetCommitResponse {
    let mut codes = HashMap::new();
    for topic in &response.topics {
        for partition in &topic.partitions {
            let key = (topic.name.as_str(), partition.partition_index);
            codes.insert(key, partition.error_code);
        }
    }
    let mut ordered = refuse(request, ResponseError::UnknownTopicOrPartition);
    for topic in &mut ordered.topics {
        for partition in &mut topic.partitions {
            let key = (topic.name.as_str(), partition.partition_index);
            if let Some(code) = codes.get(&key) {
                partition.error_code = *code;
            }
        }
    }
    ordered
}
