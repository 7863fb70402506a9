//! Cut a log: at its end, to what another leader has; or at its start, for retention and DeleteRecords.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{Offset, Timestamp};

use crate::batch_scan::BatchScan;
use crate::error::{AppendError, ReadError};
use crate::fs::{Fs, Source, remove_if_exists};
use crate::log::Log;
use crate::producer_state::ProducerState;
use crate::recovery::Rebuild;
use crate::recovery::files::{DELETED_SUFFIX, remove_segment};
use crate::segment::{SUFFIXES, Segment, file_name};
use crate::segment_set::SegmentSet;
use crate::time_index::TimestampOffset;

impl Log {
    /// Remove every batch with offset `to` or a later one. The next record gets offset `to`, also when a batch that
    /// straddles it was removed as a whole.
    ///
    /// Only for offsets that no reader was shown: files are cut in place, and a slice that reaches behind the cut would
    /// be sent with zeros or newer bytes. What is left is durable when this returns; the recovery point noted for the
    /// log must be lowered to [`Log::recovery_point`] before anything is appended.
    pub fn truncate_to(&mut self, to: Offset, now: Timestamp) -> Result<(), AppendError> {
        self.check_online()?;
        if to >= self.end {
            return Ok(());
        }
        let first = self.reader.segments.load().first().base();
        let done = if to <= first {
            self.restart_at(to, now)
        } else {
            self.cut_end(to, now)
        };
        done.map_err(|error| match error {
            ReadError::Io(error) => self.fail(error),
            other => self.fail(io::Error::new(
                io::ErrorKind::InvalidData,
                other.to_string(),
            )),
        })
    }

    /// Remove everything, and begin anew at `offset`.
    pub fn truncate_fully(&mut self, offset: Offset, now: Timestamp) -> Result<(), AppendError> {
        self.check_online()?;
        self.restart_at(offset, now).map_err(|error| match error {
            ReadError::Io(error) => self.fail(error),
            other => self.fail(io::Error::other(other.to_string())),
        })
    }

    /// Let readers see nothing below `offset` any more. Segments that lie below it as a whole are taken out of the log;
    /// their files stay until [`Log::discard_below`], for without them and without a durable note of the start the next
    /// start could not tell what is missing.
    pub fn advance_start(&mut self, offset: Offset) -> Result<(), ReadError> {
        let (start, end) = (self.log_start_offset(), self.end);
        if offset > end {
            return Err(ReadError::OffsetOutOfRange { offset, start, end });
        }
        self.start_at(offset);
        Ok(())
    }

    /// Start at `offset`, which is not behind the end, unless the log starts later already; hide what lies below.
    pub(crate) fn start_at(&mut self, offset: Offset) {
        if offset > self.log_start_offset() {
            self.reader.log_start.store(offset.0, Ordering::Release);
            self.changed = true;
            if self.epochs.truncate_from_start(offset) {
                self.publish_epochs();
            }
        }
        self.hide_below(self.log_start_offset());
    }

    fn hide_below(&mut self, start: Offset) {
        let set = self.reader.segments.load_full();
        let above = set.all().partition_point(|s| s.base() <= start);
        let (gone, kept) = set.all().split_at(above.saturating_sub(1));
        if gone.is_empty() {
            return;
        }
        let first = kept[0].base();
        let ends = gone.iter().skip(1).map(|s| s.base()).chain([first]);
        // They stay in `unsynced`: until the start is noted durably the next start reads them, and would take a hole in
        // them for the end of the log.
        self.hidden.extend(gone.iter().cloned().zip(ends));
        let kept = set.without_first(gone.len());
        self.reader.segments.store(Arc::new(kept));
    }

    /// Take the files of segments that end at or below `durable_start` out of the directory: the start of the log is
    /// noted there or higher, durably. They wait in [`Log::take_garbage`]; slices that were read before remain good.
    /// One whose successor may not be in the directory after a power cut stays until a flush has seen to that: else the
    /// log might begin with a hole.
    pub fn discard_below(&mut self, durable_start: Offset) -> io::Result<usize> {
        let names_synced = self.dir_synced == self.dir_changes;
        let due = self.hidden.iter().take_while(|(segment, end)| {
            let follows = names_synced || *end < self.recovery_point;
            // The files of a pinned one are being renamed by compaction: next time.
            *end <= durable_start && follows && !segment.is_pinned()
        });
        let due = due.count();
        let hidden: Vec<_> = self.hidden.drain(..due).collect();
        for (segment, end) in &hidden {
            self.unsynced.retain(|unsynced| unsynced.base() >= *end);
            self.discard(segment)?;
            let old: Vec<Offset> = self.snapshots.range(..*end).copied().collect();
            for at in old {
                self.remove_snapshot(at)?;
            }
            self.dir_changes += 1;
        }
        Ok(hidden.len())
    }

    /// [`Log::advance_start`] and [`Log::discard_below`] at once, for an owner that finds the start of the log again
    /// without a note of it. How many segments went.
    pub fn delete_before(&mut self, offset: Offset) -> Result<usize, ReadError> {
        self.advance_start(offset)?;
        Ok(self.discard_below(self.log_start_offset())?)
    }

    /// Give the files of a segment the names under which they wait to be removed.
    fn discard(&mut self, segment: &Segment) -> io::Result<()> {
        for suffix in SUFFIXES {
            let path = self.dir.join(&file_name(segment.base(), suffix));
            let mut to = path.clone().into_os_string();
            to.push(DELETED_SUFFIX);
            match self.fs.rename(&path, to.as_ref()) {
                Ok(()) => self.garbage.push(to.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn cut_end(&mut self, to: Offset, now: Timestamp) -> Result<(), ReadError> {
        let set = self.reader.segments.load_full();
        let keep = set.all().partition_point(|segment| segment.base() < to);
        let (kept, gone) = set.all().split_at(keep);
        let active = kept
            .last()
            .expect("invariant: the cut is above the first base offset");
        let first_gone = active.find(to, active.size(), Source::Disk)?;
        let position = first_gone.map_or(active.size(), |batch| batch.position as u32);
        self.reader
            .segments
            .store(Arc::new(SegmentSet::new(kept.to_vec())));
        active.publish(position, to);
        self.reader.newest.clear();
        self.reader.cursors.clear();
        self.reader.remembered.clear();
        // Before anything takes the place of what is cut: they tell of it.
        let beyond: Vec<Offset> = self.snapshots.range(Offset(to.0 + 1)..).copied().collect();
        for at in beyond {
            self.remove_snapshot(at)?;
        }
        self.remove_from_the_end(gone)?;
        cut_segment(active, position, to)?;
        self.after_cut(Arc::clone(active), to, now)?;
        self.rebuild_producers(kept, to, now)
    }

    /// Remove the files of segments, the last ones first and each durably, so that a power cut leaves no hole.
    fn remove_from_the_end(&self, segments: &[Arc<Segment>]) -> io::Result<()> {
        let dir = self.dir.get();
        for segment in segments.iter().rev() {
            remove_segment(&*self.fs, &dir, segment.base())?;
            self.fs.sync_dir(&dir)?;
        }
        Ok(())
    }

    fn restart_at(&mut self, offset: Offset, now: Timestamp) -> Result<(), ReadError> {
        let set = self.reader.segments.load_full();
        self.reader.newest.clear();
        self.reader.cursors.clear();
        self.reader.remembered.clear();
        // Those below the new beginning stay until it exists: without them, and without a note of the start, a power cut
        // would leave a log that begins at 0 again.
        let below = self.hidden.partition_point(|(_, end)| *end <= offset);
        let above: Vec<_> = self.hidden.drain(below..).map(|(s, _)| s).collect();
        self.remove_from_the_end(&[&above, set.all()].concat())?;
        for at in std::mem::take(&mut self.snapshots) {
            self.remove_snapshot(at)?;
        }
        self.producers = ProducerState::starting_at(offset);
        self.unsynced.clear();
        let active = self.create_segment(offset)?;
        self.reader.log_start.store(offset.0, Ordering::Release);
        let fresh = SegmentSet::new(vec![Arc::clone(&active)]);
        self.reader.segments.store(Arc::new(fresh));
        self.after_cut(active, offset, now)?;
        self.publish_first_unstable();
        // The first ones first, so that what a power cut leaves of them has no hole.
        let dir = self.dir.get();
        for (segment, _) in std::mem::take(&mut self.hidden) {
            remove_segment(&*self.fs, &dir, segment.base())?;
            self.fs.sync_dir(&dir)?;
        }
        Ok(())
    }

    /// Bring everything but the producers to an end that lies lower than it did.
    fn after_cut(&mut self, active: Arc<Segment>, end: Offset, now: Timestamp) -> io::Result<()> {
        active.log.get()?.sync_data()?;
        self.fs.sync_dir(&self.dir.get())?;
        self.unsynced
            .retain(|segment| segment.base() < active.base());
        self.active = active;
        self.end = end;
        self.recovery_point = self.recovery_point.min(end);
        self.reserved = 0;
        self.roll = self.fresh_roll_state(now);
        self.changed = true;
        self.epochs.truncate_from_end(end);
        self.publish_epochs();
        Ok(())
    }

    fn rebuild_producers(
        &mut self,
        segments: &[Arc<Segment>],
        end: Offset,
        now: Timestamp,
    ) -> Result<(), ReadError> {
        let dir = self.dir.get();
        let rebuild = Rebuild {
            fs: &self.fs,
            dir: &dir,
            segments,
            config: &self.config,
            reindex_from: None,
        };
        let (producers, _) = rebuild.run(&mut self.snapshots, |at| at <= end, end, now)?;
        self.producers = producers;
        self.publish_first_unstable();
        Ok(())
    }
}

/// Cut the files of one segment.
fn cut_segment(segment: &Segment, position: u32, end: Offset) -> Result<(), ReadError> {
    segment.log.get()?.set_len(position.into())?;
    segment.offset_index.truncate_position(position)?;
    segment.time_index.truncate_offset(end)?;
    segment.txn_index.truncate(end)?;
    // The largest timestamp is the last of the time index, or comes behind it.
    let mut max = segment.time_index.last()?;
    let file = segment.log.get()?;
    let from = segment
        .offset_index
        .lookup(max.offset, Source::Disk)?
        .position;
    let mut scan = BatchScan::headers(&*file, from.into(), position.into());
    while let Some(batch) = scan.next()? {
        if batch.header.max_timestamp() > max.timestamp {
            max = TimestampOffset {
                timestamp: batch.header.max_timestamp(),
                offset: batch.header.last_offset(),
            };
        }
    }
    segment.set_max_timestamp(Some(max));
    Ok(())
}

/// Remove files that were taken out of a log.
pub fn remove_garbage(fs: &dyn Fs, garbage: &[PathBuf]) -> io::Result<()> {
    garbage
        .iter()
        .try_for_each(|path| remove_if_exists(fs, path))
}
