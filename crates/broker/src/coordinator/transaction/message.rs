//! What a transaction shard is asked, what it answers, and what it has others do.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{ProducerEpoch, ProducerId, Timestamp};

use super::state::{Partitions, TransactionState};
use crate::coordinator::shard::{AppendFailure, ReplyTo};

/// Which producer speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Its transactional id.
    pub transactional_id: Arc<str>,
    /// The producer id it was given.
    pub id: ProducerId,
    /// The epoch it was given.
    pub epoch: ProducerEpoch,
}

/// One request to a shard. Where a new producer id turns out to be needed the answer is
/// [`TransactionResponse::NeedsProducerId`], and the request is to come again with one in `new_id`.
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionRequest {
    /// A producer begins.
    InitProducerId {
        /// Its transactional id.
        transactional_id: Arc<str>,
        /// How long its transactions may be open, ms.
        timeout_ms: i32,
        /// Producer id and epoch that it says it had.
        expected: Option<(ProducerId, ProducerEpoch)>,
        /// An id that nobody has.
        new_id: Option<ProducerId>,
    },
    /// The producer is about to write to partitions.
    AddPartitions {
        /// Who.
        producer: Producer,
        /// Where.
        partitions: Partitions,
        /// See [`super::records::TransactionLogValue::client_transaction_version`].
        client_version: i16,
    },
    /// Are these partitions part of its open transaction?
    VerifyPartitions {
        /// Who.
        producer: Producer,
        /// Where.
        partitions: Partitions,
    },
    /// The transaction is to end.
    EndTxn {
        /// Who.
        producer: Producer,
        /// Commit, or else abort.
        committed: bool,
        /// See [`super::records::TransactionLogValue::client_transaction_version`].
        client_version: i16,
        /// An id that nobody has.
        new_id: Option<ProducerId>,
    },
    /// The new producer id that a timed-out transaction needs to be aborted; see [`Work::NewProducerId`].
    AbortTimedOut(Producer, ProducerId),
    /// All markers of the transaction are in the logs; see [`Work::WriteMarkers`].
    MarkersWritten(Producer),
    /// Tell about transactional ids.
    Describe(Vec<Arc<str>>),
    /// List the transactional ids of the shard.
    List,
}

/// The answer to a [`TransactionRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum TransactionResponse {
    /// Ask again with a new producer id.
    NeedsProducerId,
    /// To InitProducerId and EndTxn: what the producer goes on with.
    Producer(Result<(ProducerId, ProducerEpoch), ResponseError>),
    /// To AddPartitions, and to requests that want no answer.
    Done(Result<(), ResponseError>),
    /// To VerifyPartitions: the partitions that are not part of the transaction.
    Verified(Result<BTreeSet<(Arc<str>, i32)>, ResponseError>),
    /// To Describe, in its order; and to List.
    Described(Vec<(Arc<str>, Option<Description>)>),
}

/// A transactional id as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where its transaction stands.
    pub state: TransactionState,
    /// Producer id in use.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// How long a transaction may be open, ms.
    pub timeout_ms: i32,
    /// When the transaction began; [`Timestamp::NONE`] for never.
    pub started_at: Timestamp,
    /// Where it has written.
    pub partitions: Partitions,
}

/// What a shard has others do.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Write the markers of a transaction, however long it takes, then say [`TransactionRequest::MarkersWritten`].
    WriteMarkers(Markers),
    /// Get a new producer id, then say [`TransactionRequest::AbortTimedOut`].
    NewProducerId(Producer),
}

/// The markers that end a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Markers {
    /// Whose transaction, with the epoch that the markers carry.
    pub producer: Producer,
    /// Commit, or else abort.
    pub committed: bool,
    /// Where they are to be written.
    pub partitions: Partitions,
}

/// What goes on once records are in the log.
#[derive(Debug)]
pub enum Then {
    /// Answer the producer.
    Initialized(Change, ReplyTo),
    /// Partitions were added.
    Added(Change, ReplyTo),
    /// The transaction is to end: write markers. The answer, if anyone waits for it, is this error or success.
    Prepared(Change, Option<(ReplyTo, Result<(), ResponseError>)>),
    /// The transaction has ended.
    Completed(Change),
    /// Transactional ids have expired.
    Expired,
}

/// Which transactional id has changed, and what of it is not in the log.
#[derive(Debug)]
pub struct Change {
    /// The transactional id.
    pub transactional_id: Arc<str>,
    /// See [`super::state::TransactionMetadata::last_producer_epoch`].
    pub last_producer_epoch: ProducerEpoch,
}

/// The code a client gets when its records could not be appended (`TransactionStateManager.appendTransactionToLog`).
pub(super) fn append_error(failure: AppendFailure) -> ResponseError {
    match failure {
        AppendFailure::NotEnoughReplicas => ResponseError::CoordinatorNotAvailable,
        AppendFailure::NotLeader | AppendFailure::Storage => ResponseError::NotCoordinator,
        _ => ResponseError::UnknownServerError,
    }
}
