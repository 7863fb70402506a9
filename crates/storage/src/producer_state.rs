//! What the log remembers of its idempotent and transactional producers (`ProducerStateManager.java`): of each its
//! epoch and last five batches, so that a retry is recognised and a gap refused, and which transactions are open, so
//! that readers stop before the first of them.
//!
//! It is a function of the batches in the log. A snapshot of it is written at every roll and clean close; after a
//! crash the latest snapshot is loaded and the batches behind it are applied again.

use std::collections::{BTreeMap, HashMap};

use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use ottla_protocol::record::{BatchHeader, EndTxnMarker};

pub mod snapshot;

/// Batches remembered of each producer (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const BATCHES_RETAINED: usize = 5;

/// A batch that a producer has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMetadata {
    /// Sequence of its last record.
    pub last_sequence: Sequence,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// Last offset less first offset.
    pub offset_delta: i32,
    /// Its max timestamp.
    pub timestamp: Timestamp,
}

impl BatchMetadata {
    fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta(),
            timestamp: header.max_timestamp(),
        }
    }

    /// Offset of its first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }

    /// Sequence of its first record.
    pub fn first_sequence(&self) -> Sequence {
        let Sequence(last) = self.last_sequence;
        match last.checked_sub(self.offset_delta) {
            Some(first) if first >= 0 => Sequence(first),
            // The batch wrapped from i32::MAX to 0.
            _ => Sequence((i64::from(last) - i64::from(self.offset_delta) + (1 << 31)) as i32),
        }
    }
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Its latest epoch; [`ProducerEpoch::NONE`] when only its id is known.
    pub epoch: ProducerEpoch,
    /// Epoch of the transaction coordinator that wrote the last marker; -1 when there was none.
    pub coordinator_epoch: i32,
    /// When it last wrote, by the timestamps of its batches.
    pub last_timestamp: Timestamp,
    /// First offset of its open transaction.
    pub txn_first_offset: Option<Offset>,
    /// Its last batches in this epoch, oldest first.
    pub batches: Vec<BatchMetadata>,
}

impl ProducerEntry {
    /// A producer that is not known.
    pub(crate) fn unknown() -> Self {
        Self {
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            txn_first_offset: None,
            batches: Vec::new(),
        }
    }

    /// Sequence of its last record in this epoch.
    pub fn last_sequence(&self) -> Sequence {
        let last = self.batches.last();
        last.map_or(Sequence::NONE, |batch| batch.last_sequence)
    }

    /// The remembered batch that this one repeats.
    pub(crate) fn duplicate_of(&self, header: &BatchHeader) -> Option<&BatchMetadata> {
        let same = |batch: &&BatchMetadata| {
            batch.last_sequence == header.last_sequence()
                && batch.first_sequence() == header.base_sequence()
        };
        (header.producer_epoch() == self.epoch)
            .then(|| self.batches.iter().find(same))
            .flatten()
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if epoch != self.epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn add_batch(&mut self, batch: BatchMetadata) {
        if self.batches.len() == BATCHES_RETAINED {
            self.batches.remove(0);
        }
        self.batches.push(batch);
    }
}

/// A transaction that has just been ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the marker.
    pub last_offset: Offset,
    /// Aborted, or else committed.
    pub aborted: bool,
    /// Where the first open transaction of any other producer began, or the offset behind the marker.
    pub last_stable_offset: Offset,
}

/// The producers of one log.
#[derive(Clone, Debug, Default)]
pub struct ProducerState {
    producers: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Transactions whose marker is not yet below the high watermark: first offset to the marker's.
    unreplicated: BTreeMap<Offset, Offset>,
    /// The offset up to which batches have been applied.
    end: Offset,
}

impl ProducerState {
    /// No producers, as of `offset`.
    pub(crate) fn starting_at(offset: Offset) -> Self {
        Self {
            end: offset,
            ..Self::default()
        }
    }

    /// The state that a snapshot holds, without the producers that have expired.
    pub(crate) fn restore(
        at: Offset,
        entries: Vec<(ProducerId, ProducerEntry)>,
        expiration_ms: i64,
        now: Timestamp,
    ) -> Self {
        let mut state = Self::starting_at(at);
        for (id, entry) in entries {
            if let Some(first) = entry.txn_first_offset {
                state.ongoing.insert(first, id);
            } else if has_expired(&entry, expiration_ms, now) {
                continue;
            }
            state.producers.insert(id, entry);
        }
        state
    }

    /// The producers, in no order.
    pub fn producers(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }

    /// What is known of a producer.
    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.producers.get(&id)
    }

    /// The offset up to which batches have been applied.
    pub fn end(&self) -> Offset {
        self.end
    }

    pub(crate) fn set_end(&mut self, end: Offset) {
        self.end = end;
    }

    /// Where the first transaction begins that is open, or whose end may not be replicated yet.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let undecided = self.ongoing.keys().next();
        let unreplicated = self.unreplicated.keys().next();
        undecided.into_iter().chain(unreplicated).min().copied()
    }

    /// The timestamp of the last write of the producer with the oldest open transaction: how long it has hung.
    pub fn oldest_txn_last_timestamp(&self) -> Option<Timestamp> {
        let producer = self.ongoing.values().next()?;
        Some(self.get(*producer)?.last_timestamp)
    }

    /// Markers below `high_watermark` are final: their transactions hold back nobody any more.
    pub(crate) fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.unreplicated
            .retain(|_, marker| *marker >= high_watermark);
    }

    /// Forget the producers that have been idle for `expiration_ms` and have no open transaction.
    pub(crate) fn remove_expired(&mut self, expiration_ms: i64, now: Timestamp) {
        self.producers.retain(|_, entry| {
            entry.txn_first_offset.is_some() || !has_expired(entry, expiration_ms, now)
        });
    }

    /// Apply a batch that is in the log. `marker` is what its control record says, if it has one. The transaction
    /// that it ends, if any, is returned.
    pub(crate) fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
    ) -> Option<CompletedTxn> {
        self.end = header.next_offset();
        let id = header.producer_id();
        if id == ProducerId::NONE {
            return None;
        }
        if !header.is_control() {
            self.apply_data(id, header);
            return None;
        }
        self.apply_marker(id, header, marker?)
    }

    /// Remember batches from before the snapshot that this was restored from, given in the order of the log.
    pub(crate) fn recall(&mut self, older: &[BatchHeader]) {
        for header in older.iter().rev() {
            let Some(entry) = self.producers.get_mut(&header.producer_id()) else {
                continue;
            };
            let follows = entry
                .batches
                .first()
                .is_some_and(|first| header.last_offset() < first.first_offset());
            if follows
                && header.producer_epoch() == entry.epoch
                && entry.batches.len() < BATCHES_RETAINED
            {
                entry.batches.insert(0, BatchMetadata::of(header));
            }
        }
    }

    fn apply_data(&mut self, id: ProducerId, header: &BatchHeader) {
        let entry = self
            .producers
            .entry(id)
            .or_insert_with(ProducerEntry::unknown);
        entry.enter_epoch(header.producer_epoch());
        entry.add_batch(BatchMetadata::of(header));
        entry.last_timestamp = header.max_timestamp();
        if header.is_transactional() && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(header.base_offset());
            self.ongoing.insert(header.base_offset(), id);
        }
    }

    fn apply_marker(
        &mut self,
        id: ProducerId,
        header: &BatchHeader,
        marker: EndTxnMarker,
    ) -> Option<CompletedTxn> {
        let entry = self
            .producers
            .entry(id)
            .or_insert_with(ProducerEntry::unknown);
        entry.enter_epoch(header.producer_epoch());
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = header.max_timestamp();
        let first_offset = entry.txn_first_offset.take()?;
        self.ongoing.remove(&first_offset);
        self.unreplicated.insert(first_offset, header.base_offset());
        let next_open = self.ongoing.keys().next().copied();
        Some(CompletedTxn {
            producer_id: id,
            first_offset,
            last_offset: header.base_offset(),
            aborted: !marker.committed,
            last_stable_offset: next_open.unwrap_or(header.base_offset().plus(1)),
        })
    }
}

fn has_expired(entry: &ProducerEntry, expiration_ms: i64, now: Timestamp) -> bool {
    now.0.saturating_sub(entry.last_timestamp.0) >= expiration_ms
}
