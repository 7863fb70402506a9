//! AddOffsetsToTxn, versions 0-4: a producer is about to commit a group's offsets within its transaction (KIP-98).
//!
//! *Behaviour*: the group's partition of `__consumer_offsets` becomes part of the transaction.
//!
//! *Versions*: 2 knows PRODUCER_FENCED; 4 TRANSACTION_ABORTABLE (KIP-890).

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::Handler;
use super::internal_topics;
use super::transaction_request::{TRANSACTIONS_V1, fenced_before, producer};
use crate::broker::Broker;
use crate::coordinator::runtime::OFFSETS_TOPIC;
use crate::coordinator::transaction::state::Partitions;
use crate::network::request::RequestContext;

/// First version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;

/// The API.
#[derive(Debug)]
pub struct AddOffsetsToTxn;

impl Handler for AddOffsetsToTxn {
    type Request = AddOffsetsToTxnRequest;
    const NAME: &'static str = "AddOffsetsToTxn";
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: AddOffsetsToTxnRequest,
    ) -> AddOffsetsToTxnResponse {
        let error = add(broker, &request).await.err();
        let error = error.map(|error| fenced_before(error, version, FENCED_FROM));
        AddOffsetsToTxnResponse::default().with_error_code(error.map_or(0, |error| error.code()))
    }
}

async fn add(broker: &Broker, request: &AddOffsetsToTxnRequest) -> Result<(), ResponseError> {
    if request.transactional_id.is_empty() {
        return Err(ResponseError::InvalidRequest);
    }
    internal_topics::start_groups(broker).await?;
    let shard = broker.groups().shard_of(&request.group_id);
    let index = shard.and_then(|shard| i32::try_from(shard).ok());
    let index = index.ok_or(ResponseError::CoordinatorNotAvailable)?;
    let partitions = Partitions::from([(OFFSETS_TOPIC.into(), [index].into())]);
    let speaker = producer(
        &request.transactional_id,
        request.producer_id,
        request.producer_epoch,
    );
    let transactions = broker.transactions();
    transactions
        .add_partitions(speaker, partitions, TRANSACTIONS_V1)
        .await
}
