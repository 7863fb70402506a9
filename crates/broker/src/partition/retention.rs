//! The start of a partition's log moves: what has expired goes (`retention.ms`, `retention.bytes`), and what
//! DeleteRecords was asked to delete (KIP-107). A start is on disk before any file goes, and before DeleteRecords is
//! answered. What both may wait for is a disk: callers are threads that may wait.

use std::sync::Arc;

use ottla_protocol::ids::{Offset, Timestamp};
use ottla_storage::Retention;
use ottla_storage::error::{AppendError, ReadError};

use crate::partition::Partition;
use crate::partition::manager::PartitionManager;

/// Why the records of a partition were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Its topic is compacted, and nothing else: records go when later ones replace them.
    #[error("records of a partition with cleanup.policy compact cannot be deleted")]
    Policy,
    /// The offset is negative or above the high watermark.
    #[error("the offset {0} is not one of the partition, whose high watermark is {1}")]
    OutOfRange(Offset, Offset),
    /// The new start could not be written, or the log is offline.
    #[error("the start of the log cannot be noted: {0}")]
    Storage(String),
}

/// In DeleteRecords: everything up to the high watermark (`DeleteRecordsRequest.HIGH_WATERMARK`).
const HIGH_WATERMARK: Offset = Offset(-1);

impl Partition {
    /// Let go of what has expired at `now`. True when the start of the log or its segments have changed: the start is
    /// to be noted then.
    ///
    /// # Errors
    /// When the log cannot be read or a segment cannot be rolled.
    fn expire(&self, now: Timestamp) -> Result<bool, ExpireError> {
        let (log, high_watermark) = (&self.rules().log, self.offsets().high_watermark);
        if !log.delete {
            return Ok(false);
        }
        let policy = Retention {
            ms: log.retention_ms,
            bytes: log.retention_bytes,
        };
        let reader = self.reader();
        let expiry = reader.expired(&policy, high_watermark, now)?;
        if expiry.looked {
            self.log.lock().close_idle_files();
        }
        if expiry.start <= reader.log_start_offset() && !expiry.roll {
            return Ok(false);
        }
        let before = reader.log_start_offset();
        self.log.lock().expire(&expiry, now)?;
        tracing::debug!(partition = %self.id, from = %before, to = %expiry.start, "records have expired");
        self.waiters().wake_all();
        Ok(true)
    }

    /// Let readers see nothing below `offset` any more; the first offset from then on. Not durable yet.
    fn delete_before(&self, offset: Offset) -> Result<Offset, DeleteRecordsError> {
        let rules = self.rules();
        if rules.log.compact && !rules.log.delete {
            return Err(DeleteRecordsError::Policy);
        }
        let end = self.offsets().high_watermark;
        let offset = if offset == HIGH_WATERMARK {
            end
        } else {
            offset
        };
        if offset < Offset(0) || offset > end {
            return Err(DeleteRecordsError::OutOfRange(offset, end));
        }
        {
            let mut log = self.log.lock();
            if let Some(error) = log.failure() {
                return Err(DeleteRecordsError::Storage(error.to_string()));
            }
            let advanced = log.advance_start(offset);
            advanced.map_err(|error| DeleteRecordsError::Storage(error.to_string()))?;
        }
        self.waiters().wake_all();
        Ok(self.reader().log_start_offset())
    }
}

/// Why a log does not let go of what has expired.
#[derive(Debug, thiserror::Error)]
enum ExpireError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Roll(#[from] AppendError),
}

impl PartitionManager {
    /// Let go of what has expired, in all partitions.
    pub fn apply_retention(&self) {
        let now = self.clock.now();
        let mut moved = Vec::new();
        for topic in self.topics() {
            for partition in topic.partitions() {
                match partition.expire(now) {
                    Ok(true) => moved.push(Arc::clone(&partition.log)),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::warn!(partition = %partition.id, %error, "retention has failed");
                    }
                }
            }
        }
        if let Err(error) = self.logs().release(&moved) {
            tracing::error!(%error, "log starts cannot be written: expired files stay");
        }
    }

    /// Delete the records below the offsets, -1 being the high watermark; the first offset of each partition from then
    /// on. What has a result is on disk.
    pub fn delete_records(
        &self,
        wanted: &[(Arc<Partition>, Offset)],
    ) -> Vec<Result<Offset, DeleteRecordsError>> {
        let delete =
            |(partition, offset): &(Arc<Partition>, Offset)| partition.delete_before(*offset);
        let mut results: Vec<_> = wanted.iter().map(delete).collect();
        let done = wanted
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok());
        let logs: Vec<_> = done
            .map(|((partition, _), _)| Arc::clone(&partition.log))
            .collect();
        if let Err(error) = self.logs().note_starts(&logs) {
            tracing::error!(%error, "log starts cannot be written");
            for result in results.iter_mut().filter(|result| result.is_ok()) {
                *result = Err(DeleteRecordsError::Storage(error.to_string()));
            }
        }
        results
    }
}
