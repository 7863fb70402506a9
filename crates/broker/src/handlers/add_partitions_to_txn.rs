//! AddPartitionsToTxn, versions 0-5: a producer says where it is about to write within its transaction (KIP-98).
//!
//! *Behaviour*: all partitions of a transaction are added, or none: where one does not exist, the others get
//! OPERATION_NOT_ATTEMPTED.
//!
//! *Versions*: 2 knows PRODUCER_FENCED; 4 and 5 come from brokers, about several transactions, and may only ask whether
//! the partitions have been added (KIP-890).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::PartitionIndex;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use ottla_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::Handler;
use super::transaction_request::{TRANSACTIONS_V1, TRANSACTIONS_V2, fenced_before, producer};
use crate::broker::Broker;
use crate::coordinator::transaction::state::Partitions;
use crate::metadata::controller::topic_name;
use crate::network::request::RequestContext;

/// First version that speaks of several transactions.
const BATCHED_FROM: i16 = 4;
/// First version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;

/// The API.
#[derive(Debug)]
pub struct AddPartitionsToTxn;

impl Handler for AddPartitionsToTxn {
    type Request = AddPartitionsToTxnRequest;
    const NAME: &'static str = "AddPartitionsToTxn";
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: AddPartitionsToTxnRequest,
    ) -> AddPartitionsToTxnResponse {
        if version < BATCHED_FROM {
            let transaction = AddPartitionsToTxnTransaction::default()
                .with_transactional_id(request.v3_and_below_transactional_id)
                .with_producer_id(request.v3_and_below_producer_id)
                .with_producer_epoch(request.v3_and_below_producer_epoch)
                .with_topics(request.v3_and_below_topics);
            let results = add(broker, version, &transaction).await;
            return AddPartitionsToTxnResponse::default()
                .with_results_by_topic_v3_and_below(results);
        }
        let mut results = Vec::with_capacity(request.transactions.len());
        for transaction in request.transactions {
            let topics = add(broker, version, &transaction).await;
            results.push(
                AddPartitionsToTxnResult::default()
                    .with_transactional_id(transaction.transactional_id)
                    .with_topic_results(topics),
            );
        }
        AddPartitionsToTxnResponse::default().with_results_by_transaction(results)
    }
}

async fn add(
    broker: &Broker,
    version: i16,
    request: &AddPartitionsToTxnTransaction,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let unknown = unknown_partitions(broker, &request.topics);
    let is_forbidden = |topic: &str| version < BATCHED_FROM && topic_name::is_internal(topic);
    let has_forbidden = request.topics.iter().any(|topic| is_forbidden(&topic.name));
    if has_forbidden || !unknown.is_empty() {
        return answer(&request.topics, |topic, index| {
            Some(match unknown.contains(&(topic, index)) {
                _ if is_forbidden(topic) => ResponseError::TopicAuthorizationFailed,
                true => ResponseError::UnknownTopicOrPartition,
                false => ResponseError::OperationNotAttempted,
            })
        });
    }
    if request.transactional_id.is_empty() {
        return answer(&request.topics, |_, _| Some(ResponseError::InvalidRequest));
    }
    let speaker = producer(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
    );
    let mut partitions = Partitions::new();
    for topic in &request.topics {
        let name: Arc<str> = topic.name.as_str().into();
        partitions
            .entry(name)
            .or_default()
            .extend(&topic.partitions);
    }
    let transactions = broker.transactions();
    if request.verify_only {
        let missing = transactions.verify_partitions(speaker, partitions).await;
        return answer(&request.topics, |topic, index| match &missing {
            Ok(missing) => missing
                .contains(&(topic.into(), index))
                .then_some(ResponseError::TransactionAbortable),
            Err(error) => Some(*error),
        });
    }
    let client_version = match version < BATCHED_FROM {
        true => TRANSACTIONS_V1,
        false => TRANSACTIONS_V2,
    };
    let added = transactions.add_partitions(speaker, partitions, client_version);
    let error = added.await.err();
    answer(&request.topics, |_, _| {
        error.map(|error| fenced_before(error, version, FENCED_FROM))
    })
}

/// Partitions that do not exist.
fn unknown_partitions<'a>(
    broker: &Broker,
    topics: &'a [AddPartitionsToTxnTopic],
) -> BTreeSet<(&'a str, i32)> {
    let image = broker.metadata().image();
    let mut unknown = BTreeSet::new();
    for wanted in topics {
        let topic = image.topics.by_name(&wanted.name);
        for index in &wanted.partitions {
            let index = PartitionIndex(*index);
            if topic.is_none_or(|topic| topic.partition(index).is_none()) {
                unknown.insert((wanted.name.as_str(), index.0));
            }
        }
    }
    unknown
}

fn answer(
    topics: &[AddPartitionsToTxnTopic],
    error: impl Fn(&str, i32) -> Option<ResponseError>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|index| {
            let code = error(&topic.name, *index).map_or(0, |error| error.code());
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    topics.collect()
}
