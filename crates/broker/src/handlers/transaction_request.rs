//! What the handlers of the transaction APIs share: who speaks, what old clients are told, and the leave a write needs
//! before it may be part of a transaction.

use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};
use ottla_protocol::messages::{self, TransactionalId};

use crate::broker::Broker;
use crate::coordinator::transaction::message::Producer;
use crate::coordinator::transaction::state::Partitions;
use crate::partition::Partition;
use crate::partition::verification::{Verification, VerificationGuard};

/// The transaction version that clients without epoch bumps use.
pub const TRANSACTIONS_V1: i16 = 0;
/// The transaction version of KIP-890: an epoch for every transaction.
pub const TRANSACTIONS_V2: i16 = 2;

/// The producer that a request names.
pub fn producer(
    transactional_id: &TransactionalId,
    id: messages::ProducerId,
    epoch: i16,
) -> Producer {
    Producer {
        transactional_id: transactional_id.as_str().into(),
        id: ProducerId(id.0),
        epoch: ProducerEpoch(epoch),
    }
}

/// PRODUCER_FENCED is known to clients from version `since` of a request on; older ones know INVALID_PRODUCER_EPOCH.
pub fn fenced_before(error: ResponseError, version: i16, since: i16) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if version < since => ResponseError::InvalidProducerEpoch,
        error => error,
    }
}

/// How a write comes to be part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// The client has said before where it will write (version 1): ask whether it has.
    Said,
    /// The write itself makes the partition part of the transaction (version 2).
    Implicit,
}

/// The leave to write to a partition within a transaction. It is handed back when dropped.
#[derive(Debug)]
pub struct Leave<'a> {
    partition: &'a Partition,
    producer: ProducerId,
    guard: Option<VerificationGuard>,
}

impl Leave<'_> {
    /// What the append has to show.
    pub fn guard(&self) -> Option<VerificationGuard> {
        self.guard
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            self.partition.end_verification(self.producer, guard);
        }
    }
}

/// Ask for leave to write to `partition` within the transaction of `producer`.
///
/// # Errors
/// TRANSACTION_ABORTABLE when the client has not said that it would write there; why the coordinator refuses.
pub async fn leave<'a>(
    broker: &Broker,
    partition: &'a Partition,
    producer: Producer,
    joining: Joining,
) -> Result<Leave<'a>, ResponseError> {
    let mut leave = Leave {
        partition,
        producer: producer.id,
        guard: None,
    };
    let bumps_epoch = joining == Joining::Implicit;
    match partition.begin_verification(producer.id, producer.epoch, bumps_epoch) {
        Verification::Open => return Ok(leave),
        Verification::Needed(guard) => leave.guard = Some(guard),
    }
    let topic: Arc<str> = partition.id.topic.as_str().into();
    let partitions = Partitions::from([(topic, [partition.id.partition.0].into())]);
    let transactions = broker.transactions();
    let outcome = match joining {
        Joining::Implicit => {
            let added = transactions.add_partitions(producer, partitions, TRANSACTIONS_V2);
            added.await
        }
        Joining::Said if !verification_enabled(broker) => Ok(()),
        Joining::Said => match transactions.verify_partitions(producer, partitions).await {
            Ok(missing) if missing.is_empty() => Ok(()),
            Ok(_) => Err(ResponseError::TransactionAbortable),
            Err(error) => Err(error),
        },
    };
    // Those who write data know no PRODUCER_FENCED (`AddPartitionsToTxnManager`).
    outcome.map_err(|error| match error {
        ResponseError::ProducerFenced => ResponseError::InvalidProducerEpoch,
        error => error,
    })?;
    Ok(leave)
}

/// `transaction.partition.verification.enable` as it stands.
fn verification_enabled(broker: &Broker) -> bool {
    const KEY: &str = "transaction.partition.verification.enable";
    let image = broker.metadata().image();
    let layers = broker.metadata().layers(&image, &());
    let dynamic = layers.broker.text(KEY).or_else(|| layers.cluster.text(KEY));
    let settings = &broker.config().transactions;
    dynamic.map_or(settings.transaction_partition_verification_enable, |text| {
        text.trim().eq_ignore_ascii_case("true")
    })
}

/// Whether an error of the coordinator will pass, so that the client need only ask again.
pub fn is_passing(error: ResponseError) -> bool {
    matches!(
        error,
        ResponseError::ConcurrentTransactions
            | ResponseError::CoordinatorLoadInProgress
            | ResponseError::CoordinatorNotAvailable
            | ResponseError::NotCoordinator
            | ResponseError::NetworkException
    )
}
