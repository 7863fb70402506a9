//! May a producer end its transaction (`TransactionCoordinator.endTransaction`)?
//!
//! In version 1 the epoch must be the current one, and what is done already is done. In version 2 each end bumps the
//! epoch, so that a repeated request names the epoch before; one with the current epoch is about the next transaction,
//! which may be aborted even if none of its writes has arrived:
//!
//! | state | abort again | abort | commit again | commit |
//! |---|---|---|---|---|
//! | Empty | fenced | bump | fenced | invalid |
//! | CompleteAbort | done | bump | invalid | invalid |
//! | CompleteCommit | invalid | bump | done | invalid |

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};

use super::state::{EPOCH_BUMP_LEVEL, TransactionMetadata, TransactionState};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing more.
    AlreadyDone,
    /// Prepare to commit or to abort.
    Prepare,
}

/// Judge a request. `client_version` is that of the request, not of the cluster.
pub(super) fn decide(
    known: &TransactionMetadata,
    id: ProducerId,
    epoch: ProducerEpoch,
    committed: bool,
    client_version: i16,
) -> Result<Ending, ResponseError> {
    match client_version >= EPOCH_BUMP_LEVEL {
        true => decide_v2(known, id, epoch, committed),
        false => decide_v1(known, id, epoch, committed),
    }
}

fn decide_v1(
    known: &TransactionMetadata,
    id: ProducerId,
    epoch: ProducerEpoch,
    committed: bool,
) -> Result<Ending, ResponseError> {
    if known.producer_id != id {
        return Err(ResponseError::InvalidProducerIdMapping);
    }
    if known.producer_epoch != epoch {
        return Err(ResponseError::ProducerFenced);
    }
    match (known.state, committed) {
        (TransactionState::Ongoing, _) => Ok(Ending::Prepare),
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false) => {
            Ok(Ending::AlreadyDone)
        }
        (TransactionState::PrepareCommit, true) | (TransactionState::PrepareAbort, false) => {
            Err(ResponseError::ConcurrentTransactions)
        }
        _ => Err(ResponseError::InvalidTxnState),
    }
}

fn decide_v2(
    known: &TransactionMetadata,
    id: ProducerId,
    epoch: ProducerEpoch,
    committed: bool,
) -> Result<Ending, ResponseError> {
    // The epochs of the id were used up, and the producer has not seen that it goes on with another.
    let again_with_old_id = known.previous_producer_id == id
        && epoch.0 == i16::MAX - 1
        && known.producer_epoch == ProducerEpoch(0);
    let again = known.producer_epoch.0 == epoch.0.saturating_add(1) || again_with_old_id;
    if known.producer_id != id && !again_with_old_id {
        return Err(ResponseError::InvalidProducerIdMapping);
    }
    let is_current = epoch == known.producer_epoch;
    let is_valid = match known.state {
        TransactionState::Ongoing | TransactionState::Empty => is_current,
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => again,
        TransactionState::CompleteCommit | TransactionState::CompleteAbort => again || is_current,
    };
    if !is_valid {
        return Err(ResponseError::ProducerFenced);
    }
    match (known.state, committed) {
        (TransactionState::Ongoing, _) => Ok(Ending::Prepare),
        (TransactionState::PrepareCommit, true) | (TransactionState::PrepareAbort, false) => {
            Err(ResponseError::ConcurrentTransactions)
        }
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false)
            if again =>
        {
            Ok(Ending::AlreadyDone)
        }
        (TransactionState::CompleteCommit | TransactionState::CompleteAbort, false) if !again => {
            Ok(Ending::Prepare)
        }
        (TransactionState::Empty, false) => Ok(Ending::Prepare),
        _ => Err(ResponseError::InvalidTxnState),
    }
}
