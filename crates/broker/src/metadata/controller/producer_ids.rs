//! Blocks of producer ids (`ProducerIdControlManager`).

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{BrokerId, ProducerId};
use ottla_protocol::messages;
use ottla_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use super::{Controller, Decision};
use crate::metadata::record::ProducerIdsRecord;

/// Ids in one block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
pub const PRODUCER_ID_BLOCK_LEN: i32 = 1000;

impl Controller<'_> {
    /// Hand out the next block. Its end is in the log before the block is in the answer, so that no id is ever
    /// handed out twice, whatever happens to the broker that got it.
    pub fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Decision<AllocateProducerIdsResponse> {
        let refuse = |error: ResponseError| {
            Decision::answer(AllocateProducerIdsResponse::default().with_error_code(error.code()))
        };
        let broker_id = BrokerId(request.broker_id.0);
        match self.image.cluster.broker(broker_id) {
            Some(broker) if broker.epoch() == request.broker_epoch => {}
            _ => return refuse(ResponseError::StaleBrokerEpoch),
        }
        let first = self.image.producer_ids.next_producer_id();
        let Some(next) = first.0.checked_add(i64::from(PRODUCER_ID_BLOCK_LEN)) else {
            // As Kafka: "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit".
            return refuse(ResponseError::UnknownServerError);
        };
        let record = ProducerIdsRecord {
            broker_id,
            broker_epoch: request.broker_epoch,
            next_producer_id: ProducerId(next),
        };
        let response = AllocateProducerIdsResponse::default()
            .with_producer_id_start(messages::ProducerId(first.0))
            .with_producer_id_len(PRODUCER_ID_BLOCK_LEN);
        Decision {
            records: vec![record.into()],
            response,
        }
    }
}
