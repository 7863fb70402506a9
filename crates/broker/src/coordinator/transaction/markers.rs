//! Writing the markers that end a transaction into the partitions it wrote to (`TransactionMarkerChannelManager`,
//! `KafkaApis.handleWriteTxnMarkersRequest`).
//!
//! Markers of committed offsets go through the shard of the group coordinator that owns the partition, for the offsets
//! become visible with them.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{Offset, PartitionIndex, ProducerEpoch, ProducerId};
use ottla_protocol::record::EndTxnMarker;

use super::message::Markers;
use crate::clock::Clock;
use crate::coordinator::group::message::{GroupRequest, GroupResponse};
use crate::coordinator::runtime::{GroupCoordinator, OFFSETS_TOPIC};
use crate::coordinator::shard::TransactionalProducer;
use crate::handlers::error_code;
use crate::partition::Partition;
use crate::partition::group_commit::FlushWait;
use crate::partition::manager::PartitionManager;

/// How long after a failed write the next attempt is made: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Writes markers to the partitions of this broker.
pub struct MarkerWriter {
    /// The partitions.
    pub partitions: Arc<PartitionManager>,
    /// The owner of `__consumer_offsets`.
    pub groups: Arc<GroupCoordinator>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl MarkerWriter {
    /// Write all markers of a transaction, again and again until every partition that still exists has its one. False
    /// when a later epoch of the producer or of the coordinator has been seen: then it is not for this one to end it.
    pub async fn write_all(&self, markers: &Markers, coordinator_epoch: i32) -> bool {
        let marker = EndTxnMarker {
            committed: markers.committed,
            coordinator_epoch,
        };
        let topics = markers.partitions.iter();
        let mut left: Vec<_> = topics
            .flat_map(|(topic, indexes)| indexes.iter().map(move |index| (topic, *index)))
            .collect();
        let (mut pause, longest) = RETRY;
        let (id, epoch) = (markers.producer.id, markers.producer.epoch);
        loop {
            let (mut failed, mut flushes) = (Vec::new(), Flushes::default());
            for (topic, index) in left {
                match self.append(topic, index, id, epoch, marker).await {
                    Ok(Some(appended)) => flushes.add((topic, index), appended),
                    Ok(None) | Err(ResponseError::UnknownTopicOrPartition) => {}
                    Err(
                        error @ (ResponseError::InvalidProducerEpoch
                        | ResponseError::TransactionCoordinatorFenced),
                    ) => {
                        tracing::error!(transactional_id = %markers.producer.transactional_id, %topic, partition = index, %error,
                            "a transaction is left to its later owner");
                        return false;
                    }
                    Err(_) => failed.push((topic, index)),
                }
            }
            failed.extend(flushes.failed().await);
            if failed.is_empty() {
                return true;
            }
            left = failed;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Write one marker.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION when the partition is not here; what the log or the group coordinator says.
    pub async fn write(
        &self,
        topic: &str,
        index: i32,
        id: ProducerId,
        epoch: ProducerEpoch,
        marker: EndTxnMarker,
    ) -> Result<(), ResponseError> {
        let mut flushes = Flushes::default();
        if let Some(appended) = self.append(topic, index, id, epoch, marker).await? {
            flushes.add((), appended);
        }
        match flushes.failed().await.is_empty() {
            true => Ok(()),
            false => Err(ResponseError::KafkaStorageError),
        }
    }

    /// Append one marker; where it has to be flushed.
    async fn append(
        &self,
        topic: &str,
        index: i32,
        id: ProducerId,
        epoch: ProducerEpoch,
        marker: EndTxnMarker,
    ) -> Result<Option<Appended>, ResponseError> {
        let topic = self.partitions.topic(topic);
        let topic = topic.ok_or(ResponseError::UnknownTopicOrPartition)?;
        let partition = topic.partition(PartitionIndex(index))?;
        if id.0 < 0 || epoch == ProducerEpoch::NONE {
            // Nobody's marker ends nothing; Apache Kafka fails to build it (`MemoryRecordsBuilder`).
            return Err(ResponseError::UnknownServerError);
        }
        if epoch < ProducerEpoch::NONE {
            // Every producer has a later one (`ProducerAppendInfo.checkProducerEpoch`).
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if &*topic.name == OFFSETS_TOPIC {
            let producer = TransactionalProducer {
                id,
                epoch,
                guard: None,
            };
            let written = self.write_to_group(index, producer, marker).await;
            return written.map(|()| None);
        }
        let now = self.clock.now();
        let batch = marker.batch(id, epoch, now);
        let batch = batch.map_err(|_| ResponseError::UnknownServerError)?;
        let produced = partition.append_marker(batch, now);
        let produced = produced.map_err(|error| error_code::of_append(&error))?;
        let appended = produced
            .flush_upto
            .map(|upto| (Arc::clone(partition), upto));
        Ok(appended)
    }

    async fn write_to_group(
        &self,
        index: i32,
        producer: TransactionalProducer,
        marker: EndTxnMarker,
    ) -> Result<(), ResponseError> {
        self.groups.start();
        let shard = usize::try_from(index).unwrap_or(usize::MAX);
        let request = GroupRequest::EndTransaction(producer, marker);
        match self.groups.ask_shard(shard, request).await? {
            GroupResponse::EndTransaction(outcome) => outcome,
            _ => Err(ResponseError::UnknownServerError),
        }
    }
}

/// A partition with a marker, and the offset below which it has to be flushed.
type Appended = (Arc<Partition>, Offset);

/// The flushes that markers wait for, each with what it is for.
struct Flushes<T> {
    wait: FlushWait,
    markers: Vec<(T, Appended)>,
}

impl<T> Default for Flushes<T> {
    fn default() -> Self {
        Self {
            wait: FlushWait::default(),
            markers: Vec::new(),
        }
    }
}

impl<T> Flushes<T> {
    fn add(&mut self, what: T, (partition, upto): Appended) {
        partition.flush_upto(upto, &self.wait);
        self.markers.push((what, (partition, upto)));
    }

    /// Wait for all of them; those that have failed.
    async fn failed(self) -> Vec<T> {
        self.wait.done().await;
        let markers = self.markers.into_iter();
        let failed = markers.filter(|(_, (partition, upto))| !partition.is_flushed(*upto));
        failed.map(|(what, _)| what).collect()
    }
}

impl std::fmt::Debug for MarkerWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MarkerWriter").finish_non_exhaustive()
    }
}
