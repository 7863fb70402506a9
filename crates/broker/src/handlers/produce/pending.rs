//! A produce request whose batches are appended and whose answer waits for the disk.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ResponseError;
use ottla_protocol::api as wire;
use ottla_protocol::ids::Offset;
use ottla_protocol::messages::ProduceResponse;

use super::{API, refuse};
use crate::broker::Broker;
use crate::handlers::{Refusal, ResponseErrors};
use crate::partition::Partition;
use crate::partition::group_commit::FlushWait;

/// The answer as it will be if all goes well, and what it waits for.
#[derive(Debug)]
pub struct PendingProduce {
    version: i16,
    correlation_id: i32,
    response: ProduceResponse,
    flushes: Flushes,
}

/// The flushes that a request waits for.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    wait: FlushWait,
    batches: Vec<Unflushed>,
}

/// A batch that is to be on disk before it is acknowledged.
#[derive(Debug)]
struct Unflushed {
    /// Its place in the response: topic, and partition within it.
    place: (usize, usize),
    partition: Arc<Partition>,
    upto: Offset,
}

impl Flushes {
    /// Wait for `partition` to be flushed up to `upto` before what stands at `place` of the response is said.
    pub(super) fn add(&mut self, place: (usize, usize), partition: &Arc<Partition>, upto: Offset) {
        partition.flush_upto(upto, &self.wait);
        self.batches.push(Unflushed {
            place,
            partition: Arc::clone(partition),
            upto,
        });
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

impl PendingProduce {
    pub(super) fn new(
        version: i16,
        correlation_id: i32,
        response: ProduceResponse,
        flushes: Flushes,
    ) -> Self {
        Self {
            version,
            correlation_id,
            response,
            flushes,
        }
    }

    /// Resolves when all flushes have been tried.
    pub fn wait(&self) -> FlushWait {
        self.flushes.wait.clone()
    }

    /// The answer, once [`Self::wait`] is over. A batch that could not be flushed is in the log, but nobody knows whether
    /// it is on disk: its producer is told KAFKA_STORAGE_ERROR, and no consumer has seen it.
    ///
    /// # Errors
    /// The answer cannot be encoded.
    pub fn finish(mut self, broker: &Broker) -> Result<Bytes, Refusal> {
        for batch in &self.flushes.batches {
            if !batch.partition.is_flushed(batch.upto) {
                let (topic, partition) = batch.place;
                let answer = &mut self.response.responses[topic].partition_responses[partition];
                *answer = refuse(answer.index, ResponseError::KafkaStorageError, None);
            }
        }
        encode(broker, self.version, self.correlation_id, &self.response)
    }
}

/// Count the errors in the response and encode it.
pub(super) fn encode(
    broker: &Broker,
    version: i16,
    correlation_id: i32,
    response: &ProduceResponse,
) -> Result<Bytes, Refusal> {
    count_errors(broker, response);
    let key = API.key as i16;
    Ok(wire::encode_response(
        key,
        version,
        correlation_id,
        response,
    )?)
}

pub(super) fn count_errors(broker: &Broker, response: &ProduceResponse) {
    let mut errors = broker.telemetry().requests.errors(API.key as i16, API.name);
    response.count_errors(&mut errors);
}
