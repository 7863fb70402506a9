//! What is known of one transactional id, and how it changes (`TransactionMetadata`).
//!
//! ```text
//!            AddPartitions          EndTxn, timeout           markers written
//!   Empty ----------------> Ongoing ---------------> Prepare* ---------------> Complete*
//!     ^                        ^                        ^                        |  |
//!     |                        +-------------------------------- AddPartitions --+  |
//!     +-- InitProducerId -------------------------------------- InitProducerId -----+
//! ```
//!
//! With transactions of version 2 (KIP-890), Empty and Complete* may also go to PrepareAbort: the producer cannot know
//! whether any of its writes got as far as to begin a transaction.
//!
//! Every method gives the metadata as it will be once the record is in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{ProducerEpoch, ProducerId, Timestamp};

use super::records::{
    TransactionLogKey, TransactionLogValue, TransactionPartitions, TransactionRecord,
};

/// Partitions by topic.
pub type Partitions = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// From which level of `transaction.version` on the epoch is bumped with every transaction (KIP-890).
pub const EPOCH_BUMP_LEVEL: i16 = 2;

/// Where a transaction stands. Kafka's `Dead` and `PrepareEpochFence` never reach the log, and are not needed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum TransactionState {
    /// No transaction yet.
    Empty = 0,
    /// Open.
    Ongoing = 1,
    /// To be committed: markers are being written.
    PrepareCommit = 2,
    /// To be aborted: markers are being written.
    PrepareAbort = 3,
    /// Committed.
    CompleteCommit = 4,
    /// Aborted.
    CompleteAbort = 5,
}

impl TransactionState {
    /// All states, in the order of their ids.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
    ];

    /// The state with this id in the log.
    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i8 == id)
    }

    /// Its name for clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether markers are being written.
    pub fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    fn prepared(committed: bool) -> Self {
        match committed {
            true => Self::PrepareCommit,
            false => Self::PrepareAbort,
        }
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionMetadata {
    /// Producer id in use.
    pub producer_id: ProducerId,
    /// Producer id before the last change.
    pub previous_producer_id: ProducerId,
    /// Producer id from the end of this transaction on, where the epochs of this one are used up.
    pub next_producer_id: ProducerId,
    /// Its epoch; [`ProducerEpoch::NONE`] until the first one is given out.
    pub producer_epoch: ProducerEpoch,
    /// Epoch before the last bump. Not in the log: after a restart, a repeated InitProducerId is refused.
    pub last_producer_epoch: ProducerEpoch,
    /// How long a transaction may be open, ms.
    pub timeout_ms: i32,
    /// Where the transaction stands.
    pub state: TransactionState,
    /// Where it has written.
    pub partitions: Partitions,
    /// When it began.
    pub started_at: Timestamp,
    /// When the last record was written.
    pub updated_at: Timestamp,
    /// See [`TransactionLogValue::client_transaction_version`].
    pub client_version: i16,
}

/// Whether no transaction can be begun with an epoch after this one: the last is kept for fencing.
pub fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch.0 >= i16::MAX - 1
}

impl TransactionMetadata {
    /// A new transactional id, before its first epoch.
    pub fn new(producer_id: ProducerId, timeout_ms: i32) -> Self {
        Self {
            producer_id,
            previous_producer_id: ProducerId::NONE,
            next_producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            last_producer_epoch: ProducerEpoch::NONE,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: Partitions::new(),
            started_at: Timestamp::NONE,
            updated_at: Timestamp::NONE,
            client_version: 0,
        }
    }

    /// Whether no transaction can be begun with an epoch after the current one.
    pub fn is_epoch_exhausted(&self) -> bool {
        is_exhausted(self.producer_epoch)
    }

    /// Whether every partition is part of the transaction.
    pub fn contains(&self, partitions: &Partitions) -> bool {
        partitions.iter().all(|(topic, indexes)| {
            let known = self.partitions.get(topic);
            known.is_some_and(|known| indexes.is_subset(known))
        })
    }

    /// When an open transaction is to be aborted. One without a limit belongs to an outside coordinator (KIP-939).
    pub fn times_out_at(&self) -> Option<Timestamp> {
        let limited = self.state == TransactionState::Ongoing && self.timeout_ms != i32::MAX;
        limited.then(|| Timestamp(self.started_at.0.saturating_add(self.timeout_ms.into())))
    }

    /// A producer begins, or begins anew: the next epoch. `expected` is the epoch that it says it had.
    ///
    /// # Errors
    /// PRODUCER_FENCED when another one has begun since.
    pub fn initialize(
        &self,
        timeout_ms: i32,
        expected: Option<ProducerEpoch>,
        now: Timestamp,
    ) -> Result<Self, ResponseError> {
        let bumped = ProducerEpoch(self.producer_epoch.0.saturating_add(1));
        let (epoch, last) = match expected {
            None => (bumped, ProducerEpoch::NONE),
            Some(expected)
                if self.producer_epoch == ProducerEpoch::NONE
                    || expected == self.producer_epoch =>
            {
                (bumped, self.producer_epoch)
            }
            // It asks again, because it has not seen the answer.
            Some(expected) if expected == self.last_producer_epoch => {
                (self.producer_epoch, self.last_producer_epoch)
            }
            Some(_) => return Err(ResponseError::ProducerFenced),
        };
        Ok(Self {
            producer_epoch: epoch,
            last_producer_epoch: last,
            ..self.emptied(timeout_ms, now)
        })
    }

    /// The epochs are used up: the producer begins anew with another producer id.
    pub fn rotate(
        &self,
        producer_id: ProducerId,
        timeout_ms: i32,
        names_epoch: bool,
        now: Timestamp,
    ) -> Self {
        let last = match names_epoch {
            true => self.producer_epoch,
            false => ProducerEpoch::NONE,
        };
        Self {
            producer_id,
            producer_epoch: ProducerEpoch(0),
            last_producer_epoch: last,
            ..self.emptied(timeout_ms, now)
        }
    }

    fn emptied(&self, timeout_ms: i32, now: Timestamp) -> Self {
        Self {
            previous_producer_id: self.producer_id,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: Partitions::new(),
            started_at: Timestamp::NONE,
            updated_at: now,
            ..self.clone()
        }
    }

    /// Partitions become part of the transaction, which begins with the first of them.
    pub fn add_partitions(&self, added: &Partitions, client_version: i16, now: Timestamp) -> Self {
        let mut partitions = self.partitions.clone();
        for (topic, indexes) in added {
            let known = partitions.entry(Arc::clone(topic)).or_default();
            known.extend(indexes);
        }
        let began = self.state != TransactionState::Ongoing;
        Self {
            previous_producer_id: self.producer_id,
            state: TransactionState::Ongoing,
            partitions,
            started_at: if began { now } else { self.started_at },
            updated_at: now,
            client_version,
            ..self.clone()
        }
    }

    /// The transaction is to end. In version 2 the markers carry the next epoch, so that nothing the producer sent in
    /// the old one can arrive behind them; `next_id` is for a producer whose epochs are used up.
    pub fn prepare(
        &self,
        committed: bool,
        client_version: i16,
        next_id: ProducerId,
        now: Timestamp,
    ) -> Self {
        let (epoch, last) = match client_version >= EPOCH_BUMP_LEVEL {
            true => {
                let bumped = ProducerEpoch(self.producer_epoch.0.saturating_add(1));
                (bumped, self.producer_epoch)
            }
            false => (self.producer_epoch, self.last_producer_epoch),
        };
        let is_open = self.state == TransactionState::Ongoing;
        Self {
            previous_producer_id: self.producer_id,
            next_producer_id: next_id,
            producer_epoch: epoch,
            last_producer_epoch: last,
            state: TransactionState::prepared(committed),
            started_at: if is_open { self.started_at } else { now },
            updated_at: now,
            client_version,
            ..self.clone()
        }
    }

    /// The producer of version 1 is fenced before its transaction is aborted: the markers carry an epoch it never had.
    pub fn fenced(&self) -> Self {
        Self {
            producer_epoch: ProducerEpoch(self.producer_epoch.0.saturating_add(1)),
            last_producer_epoch: ProducerEpoch::NONE,
            ..self.clone()
        }
    }

    /// All markers are written.
    pub fn complete(&self, now: Timestamp) -> Self {
        let goes_on_with_next =
            self.client_version >= EPOCH_BUMP_LEVEL && self.next_producer_id != ProducerId::NONE;
        let (producer_id, epoch) = match goes_on_with_next {
            true => (self.next_producer_id, ProducerEpoch(0)),
            false => (self.producer_id, self.producer_epoch),
        };
        Self {
            producer_id,
            previous_producer_id: self.producer_id,
            next_producer_id: ProducerId::NONE,
            producer_epoch: epoch,
            state: match self.state {
                TransactionState::PrepareCommit => TransactionState::CompleteCommit,
                _ => TransactionState::CompleteAbort,
            },
            partitions: Partitions::new(),
            updated_at: now,
            ..self.clone()
        }
    }

    /// The record that says so, its value in `version`.
    pub fn to_record(&self, transactional_id: &str, version: i16) -> TransactionRecord {
        let partitions = self.partitions.iter().map(|(topic, indexes)| {
            let topic = topic.to_string();
            let partition_ids = indexes.iter().copied().collect();
            TransactionPartitions {
                topic,
                partition_ids,
            }
        });
        let value = TransactionLogValue {
            producer_id: self.producer_id.0,
            previous_producer_id: self.previous_producer_id.0,
            next_producer_id: self.next_producer_id.0,
            producer_epoch: self.producer_epoch.0,
            transaction_timeout_ms: self.timeout_ms,
            transaction_status: self.state as i8,
            transaction_partitions: (self.state != TransactionState::Empty)
                .then(|| partitions.collect()),
            transaction_last_update_timestamp_ms: self.updated_at.0,
            transaction_start_timestamp_ms: self.started_at.0,
            client_transaction_version: self.client_version,
        };
        TransactionRecord {
            key: TransactionLogKey {
                transactional_id: transactional_id.to_owned(),
            },
            value: Some(value),
            version,
        }
    }

    /// What a record says; `None` for a state that no coordinator writes.
    pub fn of_record(value: &TransactionLogValue) -> Option<Self> {
        let state = TransactionState::from_id(value.transaction_status)?;
        let mut partitions = Partitions::new();
        for topic in value.transaction_partitions.iter().flatten() {
            let indexes = partitions.entry(topic.topic.as_str().into()).or_default();
            indexes.extend(&topic.partition_ids);
        }
        Some(Self {
            producer_id: ProducerId(value.producer_id),
            previous_producer_id: ProducerId(value.previous_producer_id),
            next_producer_id: ProducerId(value.next_producer_id),
            producer_epoch: ProducerEpoch(value.producer_epoch),
            last_producer_epoch: ProducerEpoch::NONE,
            timeout_ms: value.transaction_timeout_ms,
            state,
            partitions,
            started_at: Timestamp(value.transaction_start_timestamp_ms),
            updated_at: Timestamp(value.transaction_last_update_timestamp_ms),
            client_version: value.client_transaction_version,
        })
    }
}
