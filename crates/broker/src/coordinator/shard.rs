//! The shape of a coordinator: what goes in, what comes out, and its table of deadlines.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::hash::Hash;

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
use ottla_protocol::record::EndTxnMarker;

use super::record::CoordinatorRecord;
use crate::partition::verification::VerificationGuard;

/// The state machine of one partition of a coordinator's topic.
///
/// What comes in: `handle_*` and `replay`. What goes out: [`Shard::poll_effect`], to be called until it gives nothing
/// after every `handle_*`. The caller keeps time: [`Shard::poll_timeout`] tells when [`Shard::handle_timeout`] is due,
/// which fires one deadline at a time, so that its effects are carried out before the next one is looked at.
pub trait Shard: Send + 'static {
    /// What clients ask.
    type Request: Send + 'static;
    /// What they are answered.
    type Response: Send + 'static;
    /// What is written to the log.
    type Record: CoordinatorRecord;
    /// What the shard wants to go on with once its records are in the log.
    type Then: Send + 'static;
    /// What the shard has others do.
    type Work: Send + 'static;
    /// What it looks after, for messages to operators: "groups".
    const KIND: &'static str;

    /// Take one request; exactly one [`Effect::Reply`] to `reply_to` follows, now or later.
    fn handle_request(&mut self, now: Now, request: Self::Request, reply_to: ReplyTo);

    /// Fire the earliest deadline that has passed.
    fn handle_timeout(&mut self, now: Now);

    /// The records of an [`Effect::Append`] are in the log and replayed, or cannot be appended.
    fn handle_append(&mut self, now: Now, then: Self::Then, outcome: Result<(), AppendFailure>);

    /// The whole log has been replayed: set the deadlines that follow from the state.
    fn handle_loaded(&mut self, now: Now);

    /// Take one record of the log into the state.
    fn replay(&mut self, origin: RecordOrigin, record: Self::Record);

    /// A transaction marker of the log: the producer's records before it count, or never were.
    fn replay_end_transaction(&mut self, producer_id: ProducerId, committed: bool);

    /// How many entries it looks after.
    fn entry_count(&self) -> usize;

    /// The earliest deadline, on the steady clock.
    fn poll_timeout(&self) -> Option<Deadline>;

    /// What to do next.
    fn poll_effect(&mut self) -> Option<EffectOf<Self>>;
}

/// The effects of a shard.
pub type EffectOf<S> =
    Effect<<S as Shard>::Record, <S as Shard>::Then, <S as Shard>::Response, <S as Shard>::Work>;

/// What a shard wants done.
#[derive(Debug, PartialEq)]
pub enum Effect<Record, Then, Response, Work = Infallible> {
    /// Append the records as one batch, replay them, then say so in [`Shard::handle_append`].
    Append {
        /// The records, at least one.
        records: Vec<Record>,
        /// Handed back to the shard.
        then: Then,
    },
    /// The same, as part of a producer's transaction.
    AppendTransactional {
        /// Whose transaction.
        producer: TransactionalProducer,
        /// The records, at least one.
        records: Vec<Record>,
        /// Handed back to the shard.
        then: Then,
    },
    /// End a producer's transaction in this partition, call [`Shard::replay_end_transaction`], then say so in
    /// [`Shard::handle_append`].
    AppendMarker {
        /// Whose transaction, and the epoch from which the producer goes on.
        producer: TransactionalProducer,
        /// How it ends.
        marker: EndTxnMarker,
        /// Handed back to the shard.
        then: Then,
    },
    /// Answer a request, once everything appended so far is committed.
    Reply {
        /// Which request.
        to: ReplyTo,
        /// The answer.
        response: Response,
    },
    /// Have something done outside of the shard, once everything appended so far is committed. What becomes of it
    /// comes back as a request.
    Start(Work),
}

/// A producer that writes to a coordinator's partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionalProducer {
    /// Its id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Says that the partition has been found to be part of the transaction.
    pub guard: Option<VerificationGuard>,
}

/// Why records could not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendFailure {
    /// The log cannot be written; another broker may take over.
    Storage,
    /// The records are larger than a batch of the topic may be.
    TooLarge,
    /// Too few replicas are in sync.
    NotEnoughReplicas,
    /// This broker no longer leads the partition.
    NotLeader,
    /// A later incarnation of the producer has written.
    ProducerFenced,
    /// A later coordinator has ended the producer's transaction.
    CoordinatorFenced,
    /// The partition is not part of the producer's transaction any more.
    NotInTransaction,
}

/// Stands for the caller of one request. There is one of it, so a request is answered at most once.
#[derive(Debug, PartialEq, Eq)]
pub struct ReplyTo(pub u64);

/// Where a record stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordOrigin {
    /// Its offset.
    pub offset: Offset,
    /// Producer of the transaction it belongs to; [`ProducerId::NONE`] outside of transactions.
    pub producer_id: ProducerId,
    /// Epoch of that producer.
    pub producer_epoch: ProducerEpoch,
}

impl RecordOrigin {
    /// A record of the coordinator itself.
    pub fn at(offset: Offset) -> Self {
        Self {
            offset,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
        }
    }
}

/// The time, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// What is written into records; may jump.
    pub wall: Timestamp,
    /// What deadlines are counted on; never goes back.
    pub steady: Deadline,
}

/// A moment on the steady clock, in milliseconds since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(pub u64);

impl Deadline {
    /// The moment `ms` later; a negative delay is none.
    pub fn after_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(u64::try_from(ms).unwrap_or(0)))
    }
}

/// Deadlines by key, earliest first. Setting one again moves it.
#[derive(Debug)]
pub struct TimerTable<K> {
    by_key: HashMap<K, Deadline>,
    by_time: BTreeSet<(Deadline, K)>,
}

impl<K> Default for TimerTable<K> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            by_time: BTreeSet::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> TimerTable<K> {
    /// Set `key` to fire at `deadline`.
    pub fn set(&mut self, key: K, deadline: Deadline) {
        if let Some(old) = self.by_key.insert(key.clone(), deadline) {
            let entry = (old, key);
            self.by_time.remove(&entry);
            self.by_time.insert((deadline, entry.1));
        } else {
            self.by_time.insert((deadline, key));
        }
    }

    /// Forget `key`.
    pub fn cancel(&mut self, key: &K) {
        if let Some((key, deadline)) = self.by_key.remove_entry(key) {
            self.by_time.remove(&(deadline, key));
        }
    }

    /// When `key` fires.
    pub fn get(&self, key: &K) -> Option<Deadline> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Deadline> {
        self.by_time.first().map(|(deadline, _)| *deadline)
    }

    /// Take the earliest key whose deadline has come.
    pub fn pop(&mut self, now: Deadline) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many deadlines are set.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_once() {
        let mut timers = TimerTable::default();
        timers.set("b", Deadline(20));
        timers.set("a", Deadline(10));
        timers.set("c", Deadline(30));
        timers.set("b", Deadline(5));
        timers.cancel(&"c");
        timers.cancel(&"never set");
        assert_eq!((timers.next(), timers.len()), (Some(Deadline(5)), 2));
        assert_eq!(timers.pop(Deadline(4)), None);
        assert_eq!(timers.pop(Deadline(30)), Some("b"));
        assert_eq!(timers.pop(Deadline(30)), Some("a"));
        assert_eq!(timers.pop(Deadline(30)), None);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_deadline_does_not_overflow() {
        assert_eq!(Deadline(u64::MAX).after_ms(1), Deadline(u64::MAX));
        assert_eq!(Deadline(7).after_ms(-5), Deadline(7));
    }
}
