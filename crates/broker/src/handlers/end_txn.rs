//! EndTxn, versions 0-5: commit or abort a transaction (KIP-98).
//!
//! *Behaviour*: the answer comes when the outcome is durable and, unless that takes long, when all markers are written.
//!
//! *Versions*: 2 knows PRODUCER_FENCED; 4 TRANSACTION_ABORTABLE; 5 bumps the producer's epoch, whatever
//! `transaction.version` the cluster has, and tells the new one (KIP-890).

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

use super::Handler;
use super::transaction_request::{TRANSACTIONS_V1, TRANSACTIONS_V2, fenced_before, producer};
use crate::broker::Broker;
use crate::network::request::RequestContext;

/// First version that bumps the epoch.
const BUMPS_FROM: i16 = 5;
/// First version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 2;

/// The API.
#[derive(Debug)]
pub struct EndTxn;

impl Handler for EndTxn {
    type Request = EndTxnRequest;
    const NAME: &'static str = "EndTxn";
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: EndTxnRequest,
    ) -> EndTxnResponse {
        let response = EndTxnResponse::default()
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        if request.transactional_id.is_empty() {
            return response.with_error_code(ResponseError::InvalidRequest.code());
        }
        let speaker = producer(
            &request.transactional_id,
            request.producer_id,
            request.producer_epoch,
        );
        let client_version = match version < BUMPS_FROM {
            true => TRANSACTIONS_V1,
            false => TRANSACTIONS_V2,
        };
        let ended = broker
            .transactions()
            .end(speaker, request.committed, client_version);
        match ended.await {
            Ok(_) if version < BUMPS_FROM => response,
            Ok((id, epoch)) => response
                .with_producer_id(ProducerId(id.0))
                .with_producer_epoch(epoch.0),
            Err(error) => {
                let error = fenced_before(error, version, FENCED_FROM);
                response.with_error_code(error.code())
            }
        }
    }
}
