//! Hands out producer ids from blocks that the controller allots (`RPCProducerIdManager`).
//!
//! What is left of a block when the broker stops is never used: an id that was handed out once is never handed out
//! again.

use std::ops::Range;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{BrokerId, ProducerId};
use ottla_protocol::kafka_protocol::error::ParseResponseErrorCode;
use ottla_protocol::messages;
use ottla_protocol::messages::AllocateProducerIdsRequest;
use tokio::sync::Mutex;

use super::controller_client::ControllerClient;

/// The ids of this broker.
#[derive(Debug)]
pub struct ProducerIdManager {
    broker: BrokerId,
    broker_epoch: i64,
    controller: ControllerClient,
    /// What is left of the block. Held while the next one is fetched, as all who wait need it.
    block: Mutex<Range<i64>>,
}

impl ProducerIdManager {
    /// No block yet; the first id fetches one.
    pub fn new(broker: BrokerId, broker_epoch: i64, controller: ControllerClient) -> Self {
        Self {
            broker,
            broker_epoch,
            controller,
            block: Mutex::new(0..0),
        }
    }

    /// An id that nobody else has or will have.
    ///
    /// # Errors
    /// The controller does not allot a block; producers try again.
    pub async fn next_id(&self) -> Result<ProducerId, ResponseError> {
        let mut block = self.block.lock().await;
        if let Some(id) = block.next() {
            return Ok(ProducerId(id));
        }
        *block = self.allocate().await?;
        block
            .next()
            .map(ProducerId)
            .ok_or(ResponseError::UnknownServerError)
    }

    async fn allocate(&self) -> Result<Range<i64>, ResponseError> {
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(messages::BrokerId(self.broker.0))
            .with_broker_epoch(self.broker_epoch);
        let allotted = self.controller.allocate_producer_ids(request).await;
        // Every failure looks like a coordinator that is still loading: clients know that they may ask again.
        let block = allotted.map_err(|_| ResponseError::CoordinatorLoadInProgress)?;
        match block.error_code.err() {
            None => Ok(block.producer_id_start.0
                ..block.producer_id_start.0 + i64::from(block.producer_id_len)),
            Some(ResponseError::UnknownServerError) => Err(ResponseError::UnknownServerError),
            Some(_) => Err(ResponseError::CoordinatorLoadInProgress),
        }
    }
}
