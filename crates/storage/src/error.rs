//! Why the log refused. The broker turns these into Kafka's error codes.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, TopicId};

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory belongs to another topic of the same name (Kafka: `InconsistentTopicIdException`).
    #[error("{dir} belongs to topic id {found}, not {expected}")]
    TopicId {
        /// Directory of the log.
        dir: PathBuf,
        /// What its `partition.metadata` says.
        found: TopicId,
        /// What was asked for.
        expected: TopicId,
    },
    /// Two segments of the log cover the same offsets, or a file is not what its name says.
    #[error("{path}: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{dir}: {error}")]
    Io {
        /// Directory of the log.
        dir: PathBuf,
        /// The error.
        error: io::Error,
    },
}

/// Why a batch was not appended. Nothing of it is in the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The batch is larger than a segment may be (`RECORD_LIST_TOO_LARGE`).
    #[error("the batch is {size} bytes, a segment no more than {limit}")]
    BatchTooLarge {
        /// Bytes of the batch.
        size: usize,
        /// `segment.bytes`.
        limit: u32,
    },
    /// A control record that is no transaction marker, from an idempotent producer (`INVALID_RECORD`).
    #[error("the control batch of producer {0} holds no transaction marker")]
    ControlBatch(ProducerId),
    /// A later incarnation of the producer has written (`INVALID_PRODUCER_EPOCH`).
    #[error("epoch {epoch} of producer {producer_id} is older than {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch in the batch.
        epoch: ProducerEpoch,
        /// The epoch last seen.
        current: ProducerEpoch,
    },
    /// A write outside the transaction that the producer has open here (`INVALID_TXN_STATE`).
    #[error("producer {0} has an open transaction, but the batch is not part of it")]
    InvalidTxnState(ProducerId),
    /// No space is left; the log is as before and takes appends again when there is (`KAFKA_STORAGE_ERROR`).
    #[error("no space left: {0}")]
    NoSpace(Arc<io::Error>),
    /// The batch's offsets do not follow the end of the log (replication only).
    #[error("the batch starts at offset {found}, the log ends at {end}")]
    OffsetsOutOfOrder {
        /// First offset of the batch.
        found: Offset,
        /// End of the log.
        end: Offset,
    },
    /// The sequence leaves a gap, or repeats a batch that is too old to be remembered (`OUT_OF_ORDER_SEQUENCE_NUMBER`).
    #[error("producer {producer_id}: sequence {found} does not follow {last}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// First sequence of the batch.
        found: Sequence,
        /// Last sequence in the log, or [`Sequence::NONE`] when the epoch is new.
        last: Sequence,
    },
    /// A write or a sync failed, now or before: what is on disk is not known, so nothing more is appended until the
    /// log was opened anew (`KAFKA_STORAGE_ERROR`).
    #[error("the log is offline: {0}")]
    Storage(Arc<io::Error>),
    /// An older transaction coordinator sent the marker (`TRANSACTION_COORDINATOR_FENCED`).
    #[error("producer {producer_id}: coordinator epoch {found} is older than {current}")]
    TransactionCoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
        /// Epoch of the coordinator in the marker.
        found: i32,
        /// The epoch last seen.
        current: i32,
    },
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is outside the log (`OFFSET_OUT_OF_RANGE`).
    #[error("offset {offset} is not between {start} and {end}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// First offset of the log.
        start: Offset,
        /// End of the log.
        end: Offset,
    },
    /// The bytes on disk are not what was written (`CORRUPT_MESSAGE`).
    #[error("{path} at byte {position}: {what}")]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A file could not be read (`KAFKA_STORAGE_ERROR`).
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ReadError {
    /// True when the look at [`Source::PageCache`](crate::fs::Source::PageCache) was not enough: whoever may wait for
    /// the disk will find more.
    pub fn needs_disk(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
