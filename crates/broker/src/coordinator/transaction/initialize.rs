//! A producer begins: InitProducerId, and the fencing of the one before it.

use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::{ProducerEpoch, ProducerId};

use super::TransactionShard;
use super::message::{Then, TransactionResponse};
use super::state::{EPOCH_BUMP_LEVEL, TransactionMetadata, TransactionState, is_exhausted};
use crate::coordinator::shard::ReplyTo;

impl TransactionShard {
    pub(super) fn initialize(
        &mut self,
        id: &Arc<str>,
        timeout_ms: i32,
        expected: Option<(ProducerId, ProducerEpoch)>,
        new_id: Option<ProducerId>,
        reply_to: ReplyTo,
    ) {
        if timeout_ms <= 0 || timeout_ms > self.config.max_timeout_ms {
            let error = ResponseError::InvalidTransactionTimeout;
            return self.reply(reply_to, TransactionResponse::Producer(Err(error)));
        }
        let known = match (self.transactions.get(id), new_id) {
            (Some(known), _) => known.clone(),
            (None, Some(new_id)) => TransactionMetadata::new(new_id, timeout_ms),
            (None, None) => return self.reply(reply_to, TransactionResponse::NeedsProducerId),
        };
        if expected.is_some_and(|expected| !may_initialize(&known, expected)) {
            let error = ResponseError::ProducerFenced;
            return self.reply(reply_to, TransactionResponse::Producer(Err(error)));
        }
        match known.state {
            state if state.is_prepared() => {
                let error = ResponseError::ConcurrentTransactions;
                self.reply(reply_to, TransactionResponse::Producer(Err(error)));
            }
            // The producer comes again once the transaction of its predecessor is aborted; then its epoch is bumped
            // a second time.
            TransactionState::Ongoing => {
                if self.fencing_needs_id(&known) && new_id.is_none() {
                    return self.reply(reply_to, TransactionResponse::NeedsProducerId);
                }
                let refusal = Err(ResponseError::ConcurrentTransactions);
                self.abort_and_fence(id, &known, new_id, Some((reply_to, refusal)));
            }
            _ => self.begin(id, &known, timeout_ms, expected, new_id, reply_to),
        }
    }

    fn begin(
        &mut self,
        id: &Arc<str>,
        known: &TransactionMetadata,
        timeout_ms: i32,
        expected: Option<(ProducerId, ProducerEpoch)>,
        new_id: Option<ProducerId>,
        reply_to: ReplyTo,
    ) {
        let now = self.now.wall;
        let expected = expected.map(|(_, epoch)| epoch);
        let is_current = expected.is_none_or(|epoch| epoch == known.producer_epoch);
        let changed = if known.is_epoch_exhausted() && is_current {
            let Some(new_id) = new_id else {
                return self.reply(reply_to, TransactionResponse::NeedsProducerId);
            };
            Ok(known.rotate(new_id, timeout_ms, expected.is_some(), now))
        } else {
            known.initialize(timeout_ms, expected, now)
        };
        match changed {
            Ok(changed) => self.append(id, &changed, |change| Then::Initialized(change, reply_to)),
            Err(error) => self.reply(reply_to, TransactionResponse::Producer(Err(error))),
        }
    }

    /// Whether aborting the transaction of a producer that is not asked uses up its last epoch.
    pub(super) fn fencing_needs_id(&self, known: &TransactionMetadata) -> bool {
        (self.level)() >= EPOCH_BUMP_LEVEL && known.is_epoch_exhausted()
    }

    /// Abort a transaction without its producer, which must not be able to go on with it.
    pub(super) fn abort_and_fence(
        &mut self,
        id: &Arc<str>,
        known: &TransactionMetadata,
        new_id: Option<ProducerId>,
        answer: Option<(ReplyTo, Result<(), ResponseError>)>,
    ) {
        let (level, now) = ((self.level)(), self.now.wall);
        let prepared = match level >= EPOCH_BUMP_LEVEL {
            true => {
                let next_id = new_id.filter(|_| known.is_epoch_exhausted());
                known.prepare(false, level, next_id.unwrap_or(ProducerId::NONE), now)
            }
            false => known.fenced().prepare(false, 0, ProducerId::NONE, now),
        };
        self.append(id, &prepared, |change| Then::Prepared(change, answer));
    }
}

/// Whether a producer that names the id and epoch it had may begin anew. The id may be the one before, if its epochs
/// were used up: then it has not seen the answer that gave it the new one.
fn may_initialize(known: &TransactionMetadata, expected: (ProducerId, ProducerEpoch)) -> bool {
    let (id, epoch) = expected;
    known.producer_epoch == ProducerEpoch::NONE
        || id == known.producer_id
        || (id == known.previous_producer_id && is_exhausted(epoch))
}
