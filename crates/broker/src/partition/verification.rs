//! Which transactional writes may begin a transaction in a partition (KIP-890).
//!
//! The first batch of a transaction in a partition is taken only when the transaction coordinator has said that the
//! partition is part of the transaction. Between that word and the append the transaction may end; a late batch would
//! then begin a transaction that nobody ends. So a guard is drawn before the coordinator is asked, the marker that
//! ends a transaction withdraws it, and the append needs it (`VerificationStateEntry`).

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use ottla_protocol::ids::{ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::{BatchHeader, ValidBatch};
use ottla_storage::Log;
use ottla_storage::append::{AppendInfo, AppendOrigin};
use ottla_storage::error::AppendError;
use ottla_storage::producer_state::ProducerState;

use super::{Commit, Partition, Produced};

/// Drawn before the coordinator is asked; a marker withdraws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationGuard(u64);

/// What has to happen before a transactional batch may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// Nothing: the transaction is open in this partition already.
    Open,
    /// The coordinator must be asked.
    Needed(VerificationGuard),
}

impl Partition {
    /// What a transactional batch of this producer needs before it may be appended. A guard that is given has to be
    /// handed back by [`Self::end_verification`].
    /// `bumps_epoch`: each of its transactions has an epoch of its own (transaction version 2).
    pub fn begin_verification(
        &self,
        id: ProducerId,
        epoch: ProducerEpoch,
        bumps_epoch: bool,
    ) -> Verification {
        let log = self.log.lock();
        let mut verifications = self.verifications();
        verifications.begin(log.producers(), id, epoch, bumps_epoch)
    }

    /// The request that drew the guard is over.
    pub fn end_verification(&self, id: ProducerId, guard: VerificationGuard) {
        let _log = self.log.lock();
        self.verifications().end(id, guard);
    }

    /// Append a transactional batch: the transaction is open here, or `guard` is still good.
    ///
    /// # Errors
    /// As of [`Self::append`], and that the partition is not part of the transaction.
    pub fn append_verified(
        &self,
        batch: ValidBatch,
        origin: AppendOrigin,
        guard: Option<VerificationGuard>,
        now: Timestamp,
    ) -> Result<AppendInfo, AppendError> {
        let appended = self.append_if(batch, origin, Commit::AtOnce, now, |header, log| {
            self.check_verified(header, log, guard)
        });
        appended.map(|appended| appended.info)
    }

    /// Append the marker that ends a transaction; it is committed as what is written with acks=all.
    ///
    /// # Errors
    /// The log's reasons to refuse it, with nothing changed.
    pub fn append_marker(
        &self,
        marker: ValidBatch,
        now: Timestamp,
    ) -> Result<Produced, AppendError> {
        let commit = Commit::OnceFlushed {
            acks_all: self.rules().flush_on_acks_all,
        };
        let origin = AppendOrigin::Coordinator;
        self.append_if(marker, origin, commit, now, |_, _| Ok(()))
    }

    /// Whether a transactional batch may be appended; to be called under the log's lock.
    pub(super) fn check_verified(
        &self,
        header: &BatchHeader,
        log: &Log,
        guard: Option<VerificationGuard>,
    ) -> Result<(), AppendError> {
        match self.verifications().allow(log.producers(), header, guard) {
            true => Ok(()),
            false => Err(AppendError::InvalidTxnState(header.producer_id())),
        }
    }

    /// Whether the sequence of a producer's transactional batch is one to begin with: who has an epoch for every transaction
    /// begins each at 0, so that what comes first with another sequence has lost its predecessors
    /// (`ProducerAppendInfo.checkSequence`). To be called under the log's lock.
    pub(super) fn check_first_sequence(
        &self,
        header: &BatchHeader,
        log: &Log,
    ) -> Result<(), AppendError> {
        let id = header.producer_id();
        let begins = (log.producers().get(id))
            .is_none_or(|entry| entry.batches.is_empty() && entry.epoch <= header.producer_epoch());
        let found = header.base_sequence();
        if begins && found != Sequence(0) && self.verifications().bumps_epoch(id) {
            return Err(AppendError::OutOfOrderSequence {
                producer_id: id,
                found,
                last: Sequence::NONE,
            });
        }
        Ok(())
    }

    pub(super) fn withdraw_verification(&self, id: ProducerId) {
        self.verifications().withdraw(id);
    }

    fn verifications(&self) -> MutexGuard<'_, Verifications> {
        self.verifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The guards that are out for one partition; kept under the lock of its log.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    drawn: HashMap<ProducerId, Drawn>,
    next: u64,
}

#[derive(Debug)]
struct Drawn {
    guard: VerificationGuard,
    /// Requests that hold it.
    holders: usize,
    /// Its producer has an epoch for every transaction.
    bumps_epoch: bool,
}

impl Verifications {
    /// What a batch of this producer needs.
    pub(super) fn begin(
        &mut self,
        producers: &ProducerState,
        id: ProducerId,
        epoch: ProducerEpoch,
        bumps_epoch: bool,
    ) -> Verification {
        if is_open(producers, id, epoch) {
            return Verification::Open;
        }
        let next = &mut self.next;
        let drawn = self.drawn.entry(id).or_insert_with(|| {
            *next += 1;
            Drawn {
                guard: VerificationGuard(*next),
                holders: 0,
                bumps_epoch,
            }
        });
        drawn.holders += 1;
        Verification::Needed(drawn.guard)
    }

    /// A request that held `guard` is over.
    pub(super) fn end(&mut self, id: ProducerId, guard: VerificationGuard) {
        let Some(drawn) = self.drawn.get_mut(&id) else {
            return;
        };
        if drawn.guard != guard {
            return;
        }
        drawn.holders -= 1;
        if drawn.holders == 0 {
            self.drawn.remove(&id);
        }
    }

    /// Whether a transactional batch may be appended.
    pub(super) fn allow(
        &self,
        producers: &ProducerState,
        header: &BatchHeader,
        guard: Option<VerificationGuard>,
    ) -> bool {
        let id = header.producer_id();
        is_open(producers, id, header.producer_epoch())
            || guard.is_some() && self.drawn.get(&id).map(|drawn| drawn.guard) == guard
    }

    /// Whether a guard is out for a producer that has an epoch for every transaction.
    pub(super) fn bumps_epoch(&self, id: ProducerId) -> bool {
        self.drawn.get(&id).is_some_and(|drawn| drawn.bumps_epoch)
    }

    /// A marker of the producer has been appended.
    pub(super) fn withdraw(&mut self, id: ProducerId) {
        self.drawn.remove(&id);
    }
}

/// `ProducerStateManager.hasOngoingTransaction`.
fn is_open(producers: &ProducerState, id: ProducerId, epoch: ProducerEpoch) -> bool {
    producers
        .get(id)
        .is_some_and(|entry| entry.txn_first_offset.is_some() && entry.epoch == epoch)
}
