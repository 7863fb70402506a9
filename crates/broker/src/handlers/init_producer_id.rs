//! InitProducerId: an id for a producer that wants its retries recognised.
//!
//! Versions 0-5. Without a transactional id the answer is always a new id with epoch 0, also to a producer that names
//! the one it had (KIP-360): so does Kafka. With one it is the transaction coordinator's, which bumps the epoch and
//! thereby fences whoever had the one before. v3: the producer names its id and epoch; v4 knows PRODUCER_FENCED; v5
//! TRANSACTION_ABORTABLE. v6 (two-phase commit) is not served.

use std::ops::RangeInclusive;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{self, ProducerEpoch};
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::Handler;
use super::transaction_request::fenced_before;
use crate::broker::Broker;
use crate::metadata::service::MetadataService;
use crate::network::request::RequestContext;

/// "None", of an id and of an epoch.
const NONE: i16 = -1;
/// First version that knows PRODUCER_FENCED.
const FENCED_FROM: i16 = 4;

/// The API.
#[derive(Debug)]
pub struct InitProducerId;

impl Handler for InitProducerId {
    type Request = InitProducerIdRequest;
    const NAME: &'static str = "InitProducerId";
    const VERSIONS: RangeInclusive<i16> = 0..=5;

    async fn handle(
        broker: &Broker,
        _: &RequestContext<'_>,
        version: i16,
        request: InitProducerIdRequest,
    ) -> InitProducerIdResponse {
        let transactional_id = request.transactional_id.as_deref();
        let Some(id) = transactional_id.filter(|id| !id.is_empty()) else {
            return answer(broker.metadata(), &request).await;
        };
        let initialized = match named_producer(&request) {
            Ok(expected) => {
                let timeout_ms = request.transaction_timeout_ms;
                let transactions = broker.transactions();
                transactions
                    .initialize(id.as_str().into(), timeout_ms, expected)
                    .await
            }
            Err(error) => Err(error),
        };
        respond(initialized.map_err(|error| fenced_before(error, version, FENCED_FROM)))
    }
}

/// Answer a request of a producer that is not transactional.
pub(crate) async fn answer(
    metadata: &MetadataService,
    request: &InitProducerIdRequest,
) -> InitProducerIdResponse {
    respond(producer_id(metadata, request).await)
}

fn respond(
    given: Result<(ids::ProducerId, ProducerEpoch), ResponseError>,
) -> InitProducerIdResponse {
    match given {
        Ok((id, epoch)) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id.0))
            .with_producer_epoch(epoch.0),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(i64::from(NONE)))
            .with_producer_epoch(NONE),
    }
}

async fn producer_id(
    metadata: &MetadataService,
    request: &InitProducerIdRequest,
) -> Result<(ids::ProducerId, ProducerEpoch), ResponseError> {
    named_producer(request)?;
    if request.transactional_id.is_some() {
        return Err(ResponseError::InvalidRequest);
    }
    let id = metadata.producer_ids.next_id().await?;
    Ok((id, ProducerEpoch(0)))
}

/// The id and epoch that the producer says it had: both, or neither.
fn named_producer(
    request: &InitProducerIdRequest,
) -> Result<Option<(ids::ProducerId, ProducerEpoch)>, ResponseError> {
    let id = ids::ProducerId(request.producer_id.0);
    let epoch = ProducerEpoch(request.producer_epoch);
    match (id == ids::ProducerId::NONE, epoch == ProducerEpoch::NONE) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some((id, epoch))),
        _ => Err(ResponseError::InvalidRequest),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ottla_protocol::kafka_protocol::protocol::StrBytes;
    use ottla_protocol::messages::TransactionalId;

    use super::*;
    use crate::metadata::testing::service;

    fn idempotent() -> InitProducerIdRequest {
        InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1)
    }

    #[tokio::test]
    async fn each_producer_gets_an_id_of_its_own_across_blocks() {
        let metadata = service(&[]);
        let request = idempotent();
        let answers =
            futures_util::future::join_all((0..2500).map(|_| answer(&metadata, &request))).await;
        assert!(
            answers
                .iter()
                .all(|answer| (answer.error_code, answer.producer_epoch) == (0, 0))
        );
        let ids: BTreeSet<_> = answers.iter().map(|answer| answer.producer_id.0).collect();
        assert_eq!(
            ids.into_iter().collect::<Vec<_>>(),
            (0..2500).collect::<Vec<_>>()
        );
        // Three blocks were allotted, and that is in the log.
        assert_eq!(metadata.image().producer_ids.next_producer_id().0, 3000);
    }

    #[tokio::test]
    async fn a_producer_that_comes_again_gets_a_new_id() {
        let metadata = service(&[]);
        let first = answer(&metadata, &idempotent()).await;
        let again = idempotent()
            .with_producer_id(first.producer_id)
            .with_producer_epoch(0);
        let second = answer(&metadata, &again).await;
        assert_eq!(
            (
                second.error_code,
                second.producer_id.0,
                second.producer_epoch
            ),
            (0, first.producer_id.0 + 1, 0)
        );
    }

    #[tokio::test]
    async fn what_makes_no_sense_gets_no_id() {
        let metadata = service(&[]);
        let named = |name| {
            idempotent()
                .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str(name))))
        };
        for (request, code) in [
            (idempotent().with_producer_id(ProducerId(5)), 42),
            (idempotent().with_producer_epoch(5), 42),
            (named(""), 42),
        ] {
            let response = answer(&metadata, &request).await;
            assert_eq!(
                (
                    response.error_code,
                    response.producer_id.0,
                    response.producer_epoch
                ),
                (code, -1, -1)
            );
        }
        assert_eq!(metadata.image().producer_ids.next_producer_id().0, 0);
    }
}
