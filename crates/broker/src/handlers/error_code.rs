//! Where the log's errors become Kafka's error codes.

use ottla_protocol::ResponseError;
use ottla_storage::error::{AppendError, ReadError};

use crate::partition::retention::DeleteRecordsError;

/// What a producer is told about a batch that the log did not take.
pub fn of_append(error: &AppendError) -> ResponseError {
    match error {
        AppendError::BatchTooLarge { .. } => ResponseError::RecordListTooLarge,
        AppendError::ControlBatch(_) => ResponseError::InvalidRecord,
        AppendError::InvalidProducerEpoch { .. } => ResponseError::InvalidProducerEpoch,
        AppendError::InvalidTxnState(_) => ResponseError::InvalidTxnState,
        AppendError::OutOfOrderSequence { .. } => ResponseError::OutOfOrderSequenceNumber,
        AppendError::TransactionCoordinatorFenced { .. } => {
            ResponseError::TransactionCoordinatorFenced
        }
        AppendError::NoSpace(_)
        | AppendError::OffsetsOutOfOrder { .. }
        | AppendError::Storage(_) => ResponseError::KafkaStorageError,
    }
}

/// What a consumer is told about a read that failed.
pub fn of_read(error: &ReadError) -> ResponseError {
    match error {
        ReadError::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
        ReadError::Corrupt { .. } => ResponseError::CorruptMessage,
        ReadError::Io(_) => ResponseError::KafkaStorageError,
    }
}

/// What DeleteRecords answers for a partition that keeps its records.
pub fn of_delete_records(error: &DeleteRecordsError) -> ResponseError {
    match error {
        DeleteRecordsError::Policy => ResponseError::PolicyViolation,
        DeleteRecordsError::OutOfRange(..) => ResponseError::OffsetOutOfRange,
        DeleteRecordsError::Storage(_) => ResponseError::KafkaStorageError,
    }
}
