//! Scan what may not have reached the disk, and bring indexes and epochs up to what is found.

use std::io;
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, Offset};

use super::{Loading, files};
use crate::batch_scan::{BatchScan, FoundBatch};
use crate::error::ReadError;
use crate::fs::Source;
use crate::segment::Segment;
use crate::time_index::TimestampOffset;

impl Loading<'_> {
    /// Bring the segments into a state that can be trusted; the end of the log, or `None` when there is no segment.
    pub(super) fn recover(&mut self) -> Result<Option<Offset>, ReadError> {
        if !self.opening.clean {
            self.recover_from(self.opening.recovery_point)?;
        }
        match self.segments.last() {
            None => Ok(None),
            Some(active) => Ok(Some(active.end(Source::Disk)?.1)),
        }
    }

    /// Scan the segments from the one with the recovery point on, up to the first thing that is wrong.
    fn recover_from(&mut self, recovery_point: Offset) -> Result<(), ReadError> {
        let above = self
            .segments
            .partition_point(|segment| segment.base() <= recovery_point);
        let mut expected: Option<Offset> = None;
        for index in above.saturating_sub(1)..self.segments.len() {
            let segment = Arc::clone(&self.segments[index]);
            let base = segment.base();
            // Compaction may take the last records of a segment away. Where it does not run, and the end of the
            // segment before was not known to be on disk, a gap is a loss.
            let may_gap = |end| self.config.compact || end < recovery_point;
            let follows = expected.is_none_or(|end| end == base || (end < base && may_gap(end)));
            if !follows {
                self.cut_from(index, expected.unwrap_or(base))?;
                return Ok(());
            }
            let whole = self.recover_segment(&segment, recovery_point)?;
            let (_, end) = segment.end(Source::Disk)?;
            if !whole {
                self.cut_from(index + 1, end)?;
                return Ok(());
            }
            expected = Some(end);
        }
        Ok(())
    }

    /// Scan one segment, from its last batch that can be trusted on. False when something had to be cut off.
    fn recover_segment(
        &mut self,
        segment: &Segment,
        recovery_point: Offset,
    ) -> Result<bool, ReadError> {
        let size = u64::from(segment.size());
        let file = segment.log.get()?;
        let trusted = segment.offset_index.trust_below(recovery_point, size)?;
        let from = match trusted {
            Some(entry) => self.verified(segment, entry.position, entry.offset)?,
            None => 0,
        };
        if from == 0 {
            segment.offset_index.reset()?;
            segment.time_index.reset()?;
        } else if let Some(entry) = trusted {
            segment.time_index.trust_up_to(entry.offset)?;
        }
        segment.set_max_timestamp(None);
        let mut indexer = Indexer::new(self.config.index_interval_bytes, from);
        let mut scan = BatchScan::whole(&*file, from, size).not_below(segment.base());
        let mut end = from;
        let mut next = segment.base();
        while let Some(batch) = scan.next()? {
            if !scan.crc_holds(&batch)? || !segment.can_hold(batch.header.last_offset()) {
                break;
            }
            if batch.position > from || from == 0 {
                indexer.add(segment, &batch)?;
            }
            let header = &batch.header;
            self.epochs_changed |= self.note_epoch(header.leader_epoch(), header.base_offset());
            end = batch.end();
            next = header.next_offset();
        }
        indexer.finish(segment)?;
        segment.offset_index.seal()?;
        segment.time_index.seal()?;
        self.recovered.segments_scanned += 1;
        self.recovered.bytes_scanned += size - from;
        if end < size {
            file.set_len(end)?;
            self.recovered.bytes_cut += size - end;
            self.recovered.cut_at = Some(next);
            tracing::warn!(dir = %self.dir.get().display(), base = %segment.base(), position = end, bytes = size - end, "cut behind the last whole batch");
        }
        // Positions in a segment are 31 bits wide: checked when it was loaded.
        segment.publish(end as u32, next);
        Ok(end == size)
    }

    /// `position` when the batch there ends at `last_offset` as the index says; else 0.
    fn verified(
        &self,
        segment: &Segment,
        position: u32,
        last_offset: Offset,
    ) -> Result<u64, ReadError> {
        let file = segment.log.get()?;
        match segment.header_at(&*file, position, segment.size(), Source::Disk) {
            Ok(batch) if batch.header.last_offset() == last_offset => Ok(position.into()),
            Err(ReadError::Io(error)) => Err(error.into()),
            _ => Ok(0),
        }
    }

    /// Only epochs above the latest known one are news: those below may have been cut away at the start.
    fn note_epoch(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let latest = self.epochs.latest();
        latest.is_none_or(|latest| epoch > latest.epoch) && self.epochs.assign(epoch, start)
    }

    /// Remove the segments from `index` on: they lie behind the end of what is whole.
    fn cut_from(&mut self, index: usize, end: Offset) -> io::Result<()> {
        for segment in self.segments.drain(index..) {
            let (base, size) = (segment.base(), segment.size());
            tracing::warn!(dir = %self.dir.get().display(), %base, size, %end, "a segment behind the end of the log is removed");
            files::remove_segment(&**self.fs, &self.dir.get(), base)?;
            self.recovered.bytes_cut += u64::from(size);
            self.recovered.cut_at = Some(end);
        }
        Ok(())
    }

    /// Build the indexes of a segment that lacks one, without doubting its batches.
    pub(super) fn recreate_indexes(&mut self, segment: &Segment) -> Result<(), ReadError> {
        tracing::warn!(dir = %self.dir.get().display(), base = %segment.base(), "indexes are rebuilt");
        segment.offset_index.reset()?;
        segment.time_index.reset()?;
        let size = u64::from(segment.size());
        let file = segment.log.get()?;
        let mut indexer = Indexer::new(self.config.index_interval_bytes, 0);
        let mut scan = BatchScan::headers(&*file, 0, size).not_below(segment.base());
        while let Some(batch) = scan.next()? {
            if !segment.can_hold(batch.header.last_offset()) {
                break;
            }
            indexer.add(segment, &batch)?;
        }
        indexer.finish(segment)?;
        segment.offset_index.seal()?;
        segment.time_index.seal()?;
        self.recovered.segments_scanned += 1;
        self.recovered.bytes_scanned += size;
        Ok(())
    }
}

impl Segment {
    /// The offset behind the last whole batch of a file, whatever its name.
    pub(super) fn scan_end(file: &dyn crate::fs::File, base: Offset) -> io::Result<Offset> {
        let mut scan = BatchScan::headers(file, 0, file.len()?).not_below(base);
        let mut end = base;
        while let Some(batch) = scan.next()? {
            end = batch.header.next_offset();
        }
        Ok(end)
    }
}

/// Writes index entries for batches as they would have been written when they were appended.
pub(crate) struct Indexer {
    interval: u64,
    last_entry_at: u64,
    max: Option<TimestampOffset>,
}

impl Indexer {
    /// The last entry was for the batch at `last_entry_at`.
    pub(crate) fn new(interval: u32, last_entry_at: u64) -> Self {
        Self {
            interval: interval.into(),
            last_entry_at,
            max: None,
        }
    }

    /// The next batch of the segment.
    pub(crate) fn add(&mut self, segment: &Segment, batch: &FoundBatch) -> io::Result<()> {
        let offset = batch.header.last_offset();
        let seen = TimestampOffset {
            timestamp: batch.header.max_timestamp(),
            offset,
        };
        segment.observe_timestamp(seen)?;
        let max = segment.max_timestamp()?;
        self.max = Some(max);
        // Kafka's rule at recovery: more than the interval lies between the last entry's batch and this one.
        if batch.position - self.last_entry_at > self.interval {
            // Positions in a segment are 31 bits wide.
            segment.offset_index.append(offset, batch.position as u32)?;
            segment.time_index.maybe_append(max)?;
            self.last_entry_at = batch.position;
        }
        Ok(())
    }

    /// The final entry of the time index.
    pub(crate) fn finish(self, segment: &Segment) -> io::Result<()> {
        self.max
            .map_or(Ok(()), |max| segment.time_index.maybe_append(max))
    }
}
