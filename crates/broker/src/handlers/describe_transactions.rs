//! DescribeTransactions, version 0: where the transactions of transactional ids stand (KIP-664).

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::kafka_protocol::protocol::{Message, StrBytes};
use ottla_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use ottla_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TransactionalId,
};

use super::Handler;
use crate::answer_room::AnswerRoom;
use crate::broker::Broker;
use crate::coordinator::transaction::message::Description;
use crate::network::request::RequestContext;

/// The API.
#[derive(Debug)]
pub struct DescribeTransactions;

impl Handler for DescribeTransactions {
    type Request = DescribeTransactionsRequest;
    const NAME: &'static str = "DescribeTransactions";
    const VERSIONS: RangeInclusive<i16> = 0..=0;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        _: i16,
        request: DescribeTransactionsRequest,
    ) -> DescribeTransactionsResponse {
        let mut states = Vec::with_capacity(request.transactional_ids.len());
        let mut room = AnswerRoom::default();
        for id in request.transactional_ids {
            let found = match id.is_empty() {
                true => Err(ResponseError::InvalidRequest),
                false => match room.take(id.len()) {
                    Ok(()) => broker.transactions().describe(id.as_str().into()).await,
                    Err(error) => Err(error),
                },
            };
            let found = found.and_then(|found| found.ok_or(ResponseError::TransactionalIdNotFound));
            let described = found.and_then(|found| {
                room.put(TransactionState::VERSIONS.max, || {
                    describe(id.clone(), &found)
                })
            });
            states.push(described.unwrap_or_else(|error| {
                TransactionState::default()
                    .with_transactional_id(id)
                    .with_error_code(error.code())
            }));
        }
        DescribeTransactionsResponse::default().with_transaction_states(states)
    }
}

fn describe(id: TransactionalId, found: &Description) -> TransactionState {
    let topics = found.partitions.iter().map(|(topic, partitions)| {
        TopicData::default()
            .with_topic(StrBytes::from_string(topic.to_string()).into())
            .with_partitions(partitions.iter().copied().collect())
    });
    TransactionState::default()
        .with_transactional_id(id)
        .with_transaction_state(StrBytes::from_static_str(found.state.name()))
        .with_transaction_timeout_ms(found.timeout_ms)
        .with_transaction_start_time_ms(found.started_at.0)
        .with_producer_id(ProducerId(found.producer_id.0))
        .with_producer_epoch(found.producer_epoch.0)
        .with_topics(topics.collect())
}
