//! Read a log: which bytes of which files hold the batches from an offset on. The bytes themselves stay where they
//! are; the caller sends them from the files.
//!
//! Any number of readers work beside the writer without waiting for it: the list of segments is an immutable snapshot,
//! and each segment publishes its size and end offset as one number. A slice holds on to its files, so that they may
//! be unlinked meanwhile. Cutting the log ([`crate::Log::truncate_to`]) is for offsets that no reader was shown.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerId};

use crate::boundary::{Boundaries, Boundary};
use crate::error::ReadError;
use crate::fs::{File, Source};
use crate::leader_epoch::LeaderEpochs;
use crate::retention::Remembered;
use crate::segment::Segment;
use crate::segment_set::SegmentSet;

mod cut;
mod timestamp;

pub use timestamp::TimestampMatch;

use cut::Wanted;

/// What was appended within this many bytes is taken to be in the page cache.
const RECENT_BYTES: u64 = 64 << 20;

/// A view of one log for readers, shared and always up to date.
pub struct LogReader {
    pub(crate) segments: ArcSwap<SegmentSet>,
    pub(crate) epochs: ArcSwap<LeaderEpochs>,
    pub(crate) log_start: AtomicI64,
    /// -1 when no transaction is open.
    pub(crate) first_unstable: AtomicI64,
    /// Bytes this process has appended.
    pub(crate) appended: AtomicU64,
    /// Where the newest batches begin.
    pub(crate) newest: Boundaries,
    /// Where reads ended.
    pub(crate) cursors: Boundaries,
    /// What retention knows of the first batch.
    pub(crate) remembered: Remembered,
}

/// A run of whole batches in one file.
#[derive(Clone)]
pub struct FileRange {
    /// The segment file.
    pub file: Arc<dyn File>,
    /// Where the first batch begins.
    pub position: u64,
    /// Bytes of the batches.
    pub len: u32,
    /// This process has appended them not long ago: they are in the page cache.
    pub recently_written: bool,
}

/// Whole batches, as they stand in the segment files.
#[derive(Clone)]
pub struct LogSlice {
    /// Where they are, in order of their offsets. None when there is nothing to read within the limits.
    pub ranges: Vec<FileRange>,
    /// Base offset of the first batch: at or below the offset asked for, unless compaction removed that one. The
    /// offset asked for when there is no batch.
    pub first_batch_base_offset: Offset,
    /// No batch of the slice has this offset or a later one, and every batch behind the slice ends there or later.
    pub next_offset: Offset,
    /// Bytes of all ranges.
    pub len: u32,
    /// The segments as they were when it was read. Compaction may put others in their place that know nothing of a
    /// transaction any more whose records are in the slice.
    segments: Option<Arc<SegmentSet>>,
}

/// A transaction that readers of committed data must leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
}

impl LogReader {
    pub(crate) fn new(segments: SegmentSet, epochs: LeaderEpochs, log_start: Offset) -> Self {
        Self {
            segments: ArcSwap::from_pointee(segments),
            epochs: ArcSwap::from_pointee(epochs),
            log_start: AtomicI64::new(log_start.0),
            first_unstable: AtomicI64::new(-1),
            appended: AtomicU64::new(0),
            newest: Boundaries::new(),
            cursors: Boundaries::new(),
            remembered: Remembered::default(),
        }
    }

    /// First offset that may be read.
    pub fn log_start_offset(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire))
    }

    /// The offset that the next record will get.
    pub fn log_end_offset(&self) -> Offset {
        let active = Arc::clone(self.segments.load().active());
        // The end of the active segment is always known; the base offset is what remains to say should it not be.
        active
            .end(Source::PageCache)
            .map_or(active.base(), |(_, end)| end)
    }

    /// Where the first transaction begins whose outcome is open or not yet below the high watermark.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let offset = self.first_unstable.load(Ordering::Acquire);
        (offset >= 0).then_some(Offset(offset))
    }

    /// Bytes of all segment files.
    pub fn size(&self) -> u64 {
        let set = self.segments.load();
        set.all().iter().map(|s| u64::from(s.size())).sum()
    }

    /// Count of segments.
    pub fn segments(&self) -> usize {
        self.segments.load().all().len()
    }

    /// The latest leader epoch that has records.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.load().latest().map(|entry| entry.epoch)
    }

    /// The largest known epoch not above `epoch`, and where it ends; `None` when `epoch` is unknown.
    /// See [`LeaderEpochs::end_offset`].
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.load().end_offset(epoch, self.log_end_offset())
    }

    /// The epoch in which the record at `offset` was appended.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.load().epoch_at(offset)
    }

    /// The batches from the one with offset `from` on (the first one behind it, where compaction removed it): whole
    /// batches, all below offset `below`, no more than `max_bytes` of them. With `whole_first_batch` the first batch
    /// is returned even when it is larger. How far the slice falls short of `max_bytes` is at most an eighth of it,
    /// unless a batch that large comes next.
    ///
    /// `from` may be the end of the log: the slice is empty then.
    pub fn read(
        &self,
        from: Offset,
        below: Offset,
        max_bytes: u32,
        whole_first_batch: bool,
    ) -> Result<LogSlice, ReadError> {
        self.read_via(Source::Disk, from, below, max_bytes, whole_first_batch)
    }

    /// As [`Self::read`], with a look at `source` only: see [`ReadError::needs_disk`].
    pub fn read_via(
        &self,
        source: Source,
        from: Offset,
        below: Offset,
        max_bytes: u32,
        whole_first_batch: bool,
    ) -> Result<LogSlice, ReadError> {
        let wanted = Wanted {
            below,
            room: max_bytes,
            whole_first: whole_first_batch,
            source,
        };
        self.looking_again(|set| self.read_in(set, from, &wanted))
    }

    /// Look into the segments; once more when a file is gone because its segment was taken out of the log meanwhile.
    pub(crate) fn looking_again<T>(
        &self,
        look: impl Fn(&Arc<SegmentSet>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        loop {
            let set = self.segments.load();
            match look(&set) {
                Err(ReadError::Io(error))
                    if error.kind() == io::ErrorKind::NotFound
                        && !Arc::ptr_eq(&set, &self.segments.load()) => {}
                done => return done,
            }
        }
    }

    fn read_in(
        &self,
        set: &Arc<SegmentSet>,
        from: Offset,
        wanted: &Wanted,
    ) -> Result<LogSlice, ReadError> {
        let source = wanted.source;
        let generation = self.cursors.generation();
        let (_, end) = set.active().end(source)?;
        let start = self.log_start_offset();
        if from < start || from > end {
            let offset = from;
            return Err(ReadError::OffsetOutOfRange { offset, start, end });
        }
        let below = wanted.below.min(end);
        let mut slice = LogSlice::empty(from);
        if from >= below || (wanted.room == 0 && !wanted.whole_first) {
            return Ok(slice);
        }
        let Some(mut at) = self.start(set, from, source)? else {
            return Ok(slice);
        };
        slice.first_batch_base_offset = at.base_offset;
        slice.segments = Some(Arc::clone(set));
        for segment in at.segments {
            let wanted = Wanted {
                below,
                room: wanted.room.saturating_sub(slice.len),
                whole_first: wanted.whole_first && slice.ranges.is_empty(),
                source,
            };
            let cut = cut::cut(self, segment, at.position, at.base_offset, &wanted)?;
            if cut.end > at.position {
                let file = segment.log.get_via(source)?;
                slice.push(
                    file,
                    at.position,
                    cut.end,
                    self.recent(segment, at.position),
                );
                slice.next_offset = cut.next_offset;
            }
            if !cut.whole_segment {
                self.cursors.remember(cut.boundary(segment), generation);
                break;
            }
            // The next segment goes on only at exactly the next offset; where compaction left a gap, the next read
            // will find its way across.
            (at.position, at.base_offset) = (0, cut.next_offset);
            let next = set.from(cut.next_offset).first();
            if next
                .is_none_or(|next| next.base() != cut.next_offset || next.base() == segment.base())
            {
                self.cursors.remember(cut.boundary(segment), generation);
                break;
            }
        }
        Ok(slice)
    }

    /// The aborted transactions with records or markers among the offsets of a slice.
    pub fn aborted_transactions(
        &self,
        slice: &LogSlice,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        self.aborted_transactions_via(Source::Disk, slice)
    }

    /// As [`Self::aborted_transactions`], with a look at `source` only: see [`ReadError::needs_disk`].
    pub fn aborted_transactions_via(
        &self,
        source: Source,
        slice: &LogSlice,
    ) -> Result<Vec<AbortedTransaction>, ReadError> {
        let mut found = Vec::new();
        let Some(set) = slice.segments.as_ref().filter(|_| slice.len > 0) else {
            return Ok(Vec::new());
        };
        for segment in set.from(slice.first_batch_base_offset) {
            let index = &segment.txn_index;
            let (from, to) = (slice.first_batch_base_offset, slice.next_offset);
            if index.collect(from, to, &mut found, source)? {
                break;
            }
        }
        let transactions = found.iter().map(|txn| AbortedTransaction {
            producer_id: txn.producer_id,
            first_offset: txn.first_offset,
        });
        Ok(transactions.collect())
    }

    /// The first batch whose last offset is at or above `from`.
    fn start<'a>(
        &self,
        set: &'a SegmentSet,
        from: Offset,
        source: Source,
    ) -> Result<Option<Start<'a>>, ReadError> {
        if let Some(known) = self.newest.find(from).or_else(|| self.cursors.find(from)) {
            let segments = set.from(known.segment);
            let first = &segments[0];
            if first.id() == known.segment_id && known.position < first.size() {
                return Ok(Some(Start {
                    segments,
                    position: known.position,
                    base_offset: from,
                }));
            }
        }
        let mut segments = set.from(from);
        while let Some(segment) = segments.first() {
            if let Some(batch) = segment.find(from, segment.size(), source)? {
                return Ok(Some(Start {
                    segments,
                    position: batch.position as u32,
                    base_offset: batch.header.base_offset(),
                }));
            }
            segments = &segments[1..];
        }
        Ok(None)
    }

    /// True when the byte at `position` was appended by this process not long ago.
    fn recent(&self, segment: &Segment, position: u32) -> bool {
        let appended = self.appended.load(Ordering::Relaxed);
        let at = segment.appended_before + i64::from(position);
        position >= segment.appended_from && at + RECENT_BYTES as i64 >= appended as i64
    }
}

/// Where a read begins.
struct Start<'a> {
    /// The segment with the first batch and those behind it.
    segments: &'a [Arc<Segment>],
    position: u32,
    base_offset: Offset,
}

impl LogSlice {
    fn empty(at: Offset) -> Self {
        Self {
            ranges: Vec::new(),
            first_batch_base_offset: at,
            next_offset: at,
            len: 0,
            segments: None,
        }
    }

    /// True when it holds no batch.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True when it holds no batch although there is one: the first is larger than what was asked for.
    pub fn leaves_out_first_batch(&self) -> bool {
        self.is_empty() && self.segments.is_some()
    }

    fn push(&mut self, file: Arc<dyn File>, from: u32, to: u32, recently_written: bool) {
        self.ranges.push(FileRange {
            file,
            position: from.into(),
            len: to - from,
            recently_written,
        });
        self.len += to - from;
    }
}

impl cut::Cut {
    fn boundary(&self, segment: &Segment) -> Boundary {
        Boundary {
            offset: self.next_offset,
            segment: segment.base(),
            segment_id: segment.id(),
            position: self.end,
        }
    }
}
