//! Transactions: one shard for each partition of `__transaction_state`, with the transactional ids that hash to it
//! (`TransactionCoordinator`).
//!
//! This file takes requests to the transactional id they name and writes what was decided; how metadata changes is in
//! `state`, how a producer begins in `initialize`, whether a transaction may end in `end_txn`. Shards write no markers
//! and draw no producer ids: those are [`Work`] for others. A producer that ends its transaction is answered once the
//! markers are written, or after a second; Kafka answers before, and has clients ask again until then.

pub mod coordinator;
pub mod markers;
pub mod message;
pub mod records;
pub mod state;

mod end_txn;
mod initialize;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use ottla_protocol::ResponseError;
use ottla_protocol::ids::ProducerId;

use self::end_txn::Ending;
use self::message::{
    Change, Description, Markers, Producer, Then, TransactionRequest, TransactionResponse, Work,
    append_error,
};
use self::records::{TransactionLogKey, TransactionRecord};
use self::state::{EPOCH_BUMP_LEVEL, Partitions, TransactionMetadata, TransactionState};
use super::shard::{
    AppendFailure, Deadline, Effect, EffectOf, Now, RecordOrigin, ReplyTo, Shard, TimerTable,
};

/// How long the answer to EndTxn waits for the markers, ms.
const ANSWER_MS: i64 = 1_000;
/// How long after a failed write the next attempt is made, ms.
const RETRY_MS: i64 = 500;
/// Tombstones that are written at once.
const EXPIRED_AT_ONCE: usize = 500;

/// The settings of the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub id_expiration_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiration_check_interval_ms: i64,
}

/// Tells the level of the feature `transaction.version`.
pub type VersionLevel = Arc<dyn Fn() -> i16 + Send + Sync>;

/// What a deadline is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum TimerKey {
    /// A transaction has been open for too long.
    Abort(Arc<str>),
    /// A producer has waited long enough for the markers.
    Answer(Arc<str>),
    /// That all markers are written could not be noted.
    Complete(Arc<str>),
    /// Look for transactional ids that have not been used for long.
    Expire,
}

/// One shard of the transaction coordinator.
pub struct TransactionShard {
    config: Arc<TransactionConfig>,
    level: VersionLevel,
    now: Now,
    timers: TimerTable<TimerKey>,
    effects: VecDeque<EffectOf<Self>>,
    transactions: HashMap<Arc<str>, TransactionMetadata>,
    /// Who waits for the end of a transaction, and for which answer.
    waiting: HashMap<Arc<str>, (ReplyTo, Result<(), ResponseError>)>,
}

impl TransactionShard {
    /// A shard that knows nothing yet: replay the log, then call [`Shard::handle_loaded`].
    pub fn new(config: Arc<TransactionConfig>, level: VersionLevel) -> Self {
        Self {
            config,
            level,
            now: Now::default(),
            timers: TimerTable::default(),
            effects: VecDeque::new(),
            transactions: HashMap::new(),
            waiting: HashMap::new(),
        }
    }

    /// What is known of a transactional id.
    pub fn get(&self, transactional_id: &str) -> Option<&TransactionMetadata> {
        self.transactions.get(transactional_id)
    }

    /// All transactional ids, in no order.
    pub fn transactions(&self) -> impl Iterator<Item = (&Arc<str>, &TransactionMetadata)> {
        self.transactions.iter()
    }

    fn reply(&mut self, to: ReplyTo, response: TransactionResponse) {
        self.effects.push_back(Effect::Reply { to, response });
    }

    /// Write what a transactional id becomes.
    fn append(
        &mut self,
        id: &Arc<str>,
        changed: &TransactionMetadata,
        then: impl FnOnce(Change) -> Then,
    ) {
        // From transaction.version 1 on the value is flexible.
        let version = i16::from((self.level)() >= 1);
        let change = Change {
            transactional_id: Arc::clone(id),
            last_producer_epoch: changed.last_producer_epoch,
        };
        self.effects.push_back(Effect::Append {
            records: vec![changed.to_record(id, version)],
            then: then(change),
        });
    }

    fn add_partitions(
        &mut self,
        producer: &Producer,
        partitions: &Partitions,
        client_version: i16,
        reply_to: ReplyTo,
    ) {
        let now = self.now.wall;
        let id = &producer.transactional_id;
        let changed = self.check_producer(producer).map(|known| {
            let is_known = known.state == TransactionState::Ongoing && known.contains(partitions);
            (!is_known).then(|| known.add_partitions(partitions, client_version, now))
        });
        match changed {
            Ok(Some(changed)) => {
                self.append(id, &changed, |change| Then::Added(change, reply_to));
            }
            Ok(None) => self.reply(reply_to, TransactionResponse::Done(Ok(()))),
            Err(error) => self.reply(reply_to, TransactionResponse::Done(Err(error))),
        }
    }

    /// Which partitions are not part of the producer's transaction.
    fn verify_partitions(
        &self,
        producer: &Producer,
        partitions: &Partitions,
    ) -> Result<BTreeSet<(Arc<str>, i32)>, ResponseError> {
        let known = self.check_producer(producer)?;
        let missing = partitions.iter().flat_map(|(topic, indexes)| {
            let of_topic = known.partitions.get(topic);
            let is_missing = move |index: &&i32| of_topic.is_none_or(|of| !of.contains(*index));
            let missing = indexes.iter().filter(is_missing);
            missing.map(|index| (Arc::clone(topic), *index))
        });
        Ok(missing.collect())
    }

    /// The metadata of a producer that may write now.
    fn check_producer(&self, producer: &Producer) -> Result<&TransactionMetadata, ResponseError> {
        let known = self.transactions.get(&producer.transactional_id);
        let known = known.ok_or(ResponseError::InvalidProducerIdMapping)?;
        if known.producer_id != producer.id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if known.producer_epoch != producer.epoch {
            return Err(ResponseError::ProducerFenced);
        }
        match known.state.is_prepared() {
            true => Err(ResponseError::ConcurrentTransactions),
            false => Ok(known),
        }
    }

    fn end(
        &mut self,
        producer: &Producer,
        committed: bool,
        client_version: i16,
        new_id: Option<ProducerId>,
        reply_to: ReplyTo,
    ) {
        let id = &producer.transactional_id;
        let known = self.transactions.get(id);
        let ending = match known {
            None => Err(ResponseError::InvalidProducerIdMapping),
            Some(known) => end_txn::decide(
                known,
                producer.id,
                producer.epoch,
                committed,
                client_version,
            ),
        };
        match (ending, known) {
            (Ok(Ending::Prepare), Some(known)) => {
                let needs_id = client_version >= EPOCH_BUMP_LEVEL && known.is_epoch_exhausted();
                if needs_id && new_id.is_none() {
                    return self.reply(reply_to, TransactionResponse::NeedsProducerId);
                }
                let next_id = new_id.filter(|_| needs_id).unwrap_or(ProducerId::NONE);
                let now = self.now.wall;
                let prepared = known.prepare(committed, client_version, next_id, now);
                let answer = Some((reply_to, Ok(())));
                self.append(id, &prepared, |change| Then::Prepared(change, answer));
            }
            (Ok(_), Some(known)) => {
                let current = (known.producer_id, known.producer_epoch);
                self.reply(reply_to, TransactionResponse::Producer(Ok(current)));
            }
            (Err(error), _) => {
                self.reply(reply_to, TransactionResponse::Producer(Err(error)));
            }
            (Ok(_), None) => {
                let error = ResponseError::UnknownServerError;
                self.reply(reply_to, TransactionResponse::Producer(Err(error)));
            }
        }
    }

    /// The deadline of an open transaction has come.
    fn time_out(&mut self, id: &Arc<str>) {
        let Some(known) = self.transactions.get(id).cloned() else {
            return;
        };
        let Some(at) = known.times_out_at() else {
            return;
        };
        if at > self.now.wall {
            // The wall clock has been set back since.
            return self.set_abort_timer(id);
        }
        // Should the write fail, or no producer id be had, it is tried again.
        self.set_timer(TimerKey::Abort(Arc::clone(id)), RETRY_MS);
        if self.fencing_needs_id(&known) {
            let work = Work::NewProducerId(current_producer(id, &known));
            self.effects.push_back(Effect::Start(work));
        } else {
            self.abort_and_fence(id, &known, None, None);
        }
    }

    fn abort_timed_out(&mut self, producer: &Producer, new_id: ProducerId) {
        let id = &producer.transactional_id;
        let known = self.transactions.get(id).filter(|known| {
            known.times_out_at().is_some_and(|at| at <= self.now.wall)
                && current_producer(id, known) == *producer
        });
        if let Some(known) = known.cloned() {
            self.abort_and_fence(id, &known, Some(new_id), None);
        }
    }

    /// All markers are in the logs.
    fn complete(&mut self, producer: &Producer) {
        let id = &producer.transactional_id;
        let known = self
            .transactions
            .get(id)
            .filter(|known| known.state.is_prepared() && current_producer(id, known) == *producer);
        if let Some(known) = known {
            let completed = known.complete(self.now.wall);
            // The outcome does not hang on this record any more, so nobody waits until it is on disk.
            self.answer_waiting(id);
            self.append(id, &completed, Then::Completed);
        }
    }

    /// A transaction is prepared, now or in a former life: its markers have to be written.
    fn write_markers(&mut self, id: &Arc<str>) {
        let Some(known) = self
            .transactions
            .get(id)
            .filter(|known| known.state.is_prepared())
        else {
            return;
        };
        let producer = current_producer(id, known);
        if known.partitions.is_empty() {
            return self.complete(&producer);
        }
        let markers = Markers {
            producer,
            committed: known.state == TransactionState::PrepareCommit,
            partitions: known.partitions.clone(),
        };
        let work = Work::WriteMarkers(markers);
        self.effects.push_back(Effect::Start(work));
    }

    /// Answer the producer that waits for the end of its transaction, if one does. It goes on with what it has once
    /// the transaction is complete.
    fn answer_waiting(&mut self, id: &Arc<str>) {
        self.timers.cancel(&TimerKey::Answer(Arc::clone(id)));
        let Some((reply_to, outcome)) = self.waiting.remove(id) else {
            return;
        };
        let current = self.transactions.get(id).map(|known| {
            let known = match known.state.is_prepared() {
                true => &known.complete(self.now.wall),
                false => known,
            };
            (known.producer_id, known.producer_epoch)
        });
        let current = current.ok_or(ResponseError::UnknownServerError);
        let response = TransactionResponse::Producer(outcome.and(current));
        self.reply(reply_to, response);
    }

    fn set_abort_timer(&mut self, id: &Arc<str>) {
        let known = self.transactions.get(id);
        let Some(at) = known.and_then(TransactionMetadata::times_out_at) else {
            return;
        };
        let left_ms = at.0.saturating_sub(self.now.wall.0);
        self.set_timer(TimerKey::Abort(Arc::clone(id)), left_ms);
    }

    fn set_timer(&mut self, key: TimerKey, delay_ms: i64) {
        self.timers.set(key, self.now.steady.after_ms(delay_ms));
    }

    /// Forget the transactional ids that have not been used for long, some at a time.
    fn expire(&mut self) {
        let limit = self.now.wall.0.saturating_sub(self.config.id_expiration_ms);
        let expired = self.transactions.iter().filter(|(_, known)| {
            let may_expire = known.state != TransactionState::Ongoing && !known.state.is_prepared();
            may_expire && known.updated_at.0 <= limit
        });
        let records: Vec<_> = expired
            .take(EXPIRED_AT_ONCE)
            .map(|(id, _)| TransactionRecord {
                key: TransactionLogKey {
                    transactional_id: id.to_string(),
                },
                value: None,
                version: 0,
            })
            .collect();
        let interval_ms = match records.len() < EXPIRED_AT_ONCE {
            true => self.config.expiration_check_interval_ms,
            false => RETRY_MS,
        };
        self.set_timer(TimerKey::Expire, interval_ms);
        if !records.is_empty() {
            let then = Then::Expired;
            self.effects.push_back(Effect::Append { records, then });
        }
    }

    fn describe(&self, id: &str) -> Option<Description> {
        self.transactions.get(id).map(|known| Description {
            state: known.state,
            producer_id: known.producer_id,
            producer_epoch: known.producer_epoch,
            timeout_ms: known.timeout_ms,
            started_at: known.started_at,
            partitions: known.partitions.clone(),
        })
    }

    /// Note what is not in the log of a change that is.
    fn changed(&mut self, change: &Change) {
        if let Some(known) = self.transactions.get_mut(&change.transactional_id) {
            known.last_producer_epoch = change.last_producer_epoch;
        }
    }
}

fn current_producer(id: &Arc<str>, known: &TransactionMetadata) -> Producer {
    Producer {
        transactional_id: Arc::clone(id),
        id: known.producer_id,
        epoch: known.producer_epoch,
    }
}

impl Shard for TransactionShard {
    type Request = TransactionRequest;
    type Response = TransactionResponse;
    type Record = TransactionRecord;
    type Then = Then;
    type Work = Work;
    const KIND: &'static str = "transactions";

    fn handle_request(&mut self, now: Now, request: TransactionRequest, reply_to: ReplyTo) {
        self.now = now;
        match request {
            TransactionRequest::InitProducerId {
                transactional_id,
                timeout_ms,
                expected,
                new_id,
            } => self.initialize(&transactional_id, timeout_ms, expected, new_id, reply_to),
            TransactionRequest::AddPartitions {
                producer,
                partitions,
                client_version,
            } => self.add_partitions(&producer, &partitions, client_version, reply_to),
            TransactionRequest::VerifyPartitions {
                producer,
                partitions,
            } => {
                let missing = self.verify_partitions(&producer, &partitions);
                self.reply(reply_to, TransactionResponse::Verified(missing));
            }
            TransactionRequest::EndTxn {
                producer,
                committed,
                client_version,
                new_id,
            } => self.end(&producer, committed, client_version, new_id, reply_to),
            TransactionRequest::AbortTimedOut(producer, new_id) => {
                self.abort_timed_out(&producer, new_id);
                self.reply(reply_to, TransactionResponse::Done(Ok(())));
            }
            TransactionRequest::MarkersWritten(producer) => {
                self.complete(&producer);
                self.reply(reply_to, TransactionResponse::Done(Ok(())));
            }
            TransactionRequest::Describe(ids) => {
                let described = ids.into_iter().map(|id| {
                    let description = self.describe(&id);
                    (id, description)
                });
                let response = TransactionResponse::Described(described.collect());
                self.reply(reply_to, response);
            }
            TransactionRequest::List => {
                let ids = self.transactions.keys().cloned();
                let described = ids.map(|id| {
                    let description = self.describe(&id);
                    (id, description)
                });
                let response = TransactionResponse::Described(described.collect());
                self.reply(reply_to, response);
            }
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        match self.timers.pop(now.steady) {
            None => {}
            Some(TimerKey::Abort(id)) => self.time_out(&id),
            Some(TimerKey::Answer(id)) => self.answer_waiting(&id),
            Some(TimerKey::Complete(id)) => {
                let known = self.transactions.get(&id);
                if let Some(producer) = known.map(|known| current_producer(&id, known)) {
                    self.complete(&producer);
                }
            }
            Some(TimerKey::Expire) => self.expire(),
        }
    }

    fn handle_append(&mut self, now: Now, then: Then, outcome: Result<(), AppendFailure>) {
        self.now = now;
        let outcome = outcome.map_err(append_error);
        match then {
            Then::Initialized(change, reply_to) => {
                let outcome = outcome.and_then(|()| {
                    self.changed(&change);
                    let known = self.transactions.get(&change.transactional_id);
                    let known = known.ok_or(ResponseError::UnknownServerError)?;
                    Ok((known.producer_id, known.producer_epoch))
                });
                self.reply(reply_to, TransactionResponse::Producer(outcome));
            }
            Then::Added(change, reply_to) => {
                if outcome.is_ok() {
                    self.changed(&change);
                    self.set_abort_timer(&change.transactional_id);
                }
                self.reply(reply_to, TransactionResponse::Done(outcome));
            }
            Then::Prepared(change, answer) => match outcome {
                Ok(()) => {
                    self.changed(&change);
                    let id = change.transactional_id;
                    self.timers.cancel(&TimerKey::Abort(Arc::clone(&id)));
                    if let Some(answer) = answer {
                        self.waiting.insert(Arc::clone(&id), answer);
                        self.set_timer(TimerKey::Answer(Arc::clone(&id)), ANSWER_MS);
                    }
                    self.write_markers(&id);
                }
                Err(error) => {
                    if let Some((reply_to, _)) = answer {
                        self.reply(reply_to, TransactionResponse::Producer(Err(error)));
                    }
                }
            },
            Then::Completed(change) => match outcome {
                Ok(()) => self.changed(&change),
                Err(_) => self.set_timer(TimerKey::Complete(change.transactional_id), RETRY_MS),
            },
            Then::Expired => {}
        }
    }

    fn handle_loaded(&mut self, now: Now) {
        self.now = now;
        self.set_timer(TimerKey::Expire, self.config.expiration_check_interval_ms);
        let ids: Vec<_> = self.transactions.keys().cloned().collect();
        for id in ids {
            self.set_abort_timer(&id);
            self.write_markers(&id);
        }
    }

    fn replay(&mut self, _: RecordOrigin, record: TransactionRecord) {
        let id = record.key.transactional_id;
        let metadata = record
            .value
            .as_ref()
            .and_then(TransactionMetadata::of_record);
        let Some(metadata) = metadata else {
            self.transactions.remove(&*id);
            return;
        };
        match self.transactions.get_mut(&*id) {
            Some(known) => *known = metadata,
            None => {
                self.transactions.insert(id.into(), metadata);
            }
        }
    }

    fn replay_end_transaction(&mut self, _: ProducerId, _: bool) {
        // Nothing in this topic is written within transactions.
    }

    fn entry_count(&self) -> usize {
        self.transactions.len()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        self.timers.next()
    }

    fn poll_effect(&mut self) -> Option<EffectOf<Self>> {
        self.effects.pop_front()
    }
}

impl fmt::Debug for TransactionShard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionShard")
            .field("config", &self.config)
            .field("transactions", &self.transactions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
