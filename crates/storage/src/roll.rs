//! Roll: close the active segment and begin another one (`LogSegment.shouldRoll`, `UnifiedLog.roll`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{Offset, Timestamp};
use ottla_protocol::record::BatchHeader;

use crate::error::AppendError;
use crate::fs::{OpenMode, Source, remove_if_exists};
use crate::log::{Log, RollState, jitter_ms};
use crate::producer_state::snapshot;
use crate::segment::{INDEX_SUFFIX, LOG_SUFFIX, SUFFIXES, Segment, TIME_INDEX_SUFFIX, file_name};
use crate::segment_set::SegmentSet;

impl Log {
    /// Begin a new segment at the end of the log, unless the active one is empty.
    pub fn roll(&mut self, now: Timestamp) -> Result<(), AppendError> {
        self.check_online()?;
        self.roll_for(self.end, now)
    }

    /// True when a batch of `size` bytes must not go into the active segment: it is full, its first record is
    /// `segment.ms` older, an index is full, or the offset is too far from the base.
    pub(crate) fn should_roll(
        &mut self,
        header: &BatchHeader,
        size: u32,
        now: Timestamp,
    ) -> io::Result<bool> {
        let active = &self.active;
        let config = &self.config;
        if !active.can_hold(header.last_offset()) {
            return Ok(true);
        }
        if active.size() == 0 {
            return Ok(false);
        }
        let full = active.size().saturating_add(size) > config.segment_bytes
            || active.offset_index.is_full(config.segment_index_bytes)?
            || active.time_index.is_full(config.segment_index_bytes)?;
        Ok(full || self.waited_ms(header, now)? > self.config.segment_ms - self.roll.jitter_ms)
    }

    /// How long the first batch of the active segment has waited when this one comes: by their timestamps, or by the
    /// clock when they have none.
    fn waited_ms(&mut self, header: &BatchHeader, now: Timestamp) -> io::Result<i64> {
        let first = match self.roll.first_timestamp {
            Some(first) => first,
            None => *self
                .roll
                .first_timestamp
                .insert(first_timestamp(&self.active)?),
        };
        Ok(if first.0 >= 0 {
            header.max_timestamp().0.saturating_sub(first.0)
        } else {
            now.0.saturating_sub(self.roll.created.0)
        })
    }

    /// Begin a new segment whose first record will have offset `base`. On failure the log goes on in the old one.
    pub(crate) fn roll_for(&mut self, base: Offset, now: Timestamp) -> Result<(), AppendError> {
        if self.active.size() == 0 && self.active.base() == base {
            return Ok(());
        }
        self.seal_active().map_err(|error| self.io_error(error))?;
        let next = match self.create_segment(base) {
            Ok(next) => next,
            Err(error) => {
                self.discard_files(base);
                return Err(self.io_error(error));
            }
        };
        let old = std::mem::replace(&mut self.active, Arc::clone(&next));
        let set = self.reader.segments.load_full();
        let set = if old.size() == 0 {
            self.discard_files(old.base());
            let kept = &set.all()[..set.all().len() - 1];
            SegmentSet::new([kept, &[next]].concat())
        } else {
            self.unsynced.push(old);
            set.with(next)
        };
        self.reader.segments.store(Arc::new(set));
        self.end = base;
        self.changed = true;
        self.dir_changes += 1;
        self.reserved = 0;
        self.roll = self.fresh_roll_state(now);
        self.preallocate();
        Ok(())
    }

    pub(crate) fn fresh_roll_state(&self, now: Timestamp) -> RollState {
        RollState {
            created: now,
            first_timestamp: None,
            jitter_ms: jitter_ms(&self.config, &self.dir.get(), self.active.base()),
            bytes_since_index_entry: 0,
        }
    }

    /// Bring the files of the active segment to their final size and content.
    pub(crate) fn seal_active(&mut self) -> io::Result<()> {
        let active = &self.active;
        active.time_index.maybe_append(active.max_timestamp()?)?;
        active.offset_index.seal()?;
        active.time_index.seal()?;
        self.release_reserved()
    }

    /// Space has become scarce: give back what is reserved behind the end, and reserve no more in this segment.
    pub fn release_reserve(&mut self) -> io::Result<()> {
        if self.failure().is_none() && self.reserved != u64::MAX {
            self.release_reserved()?;
            self.reserved = u64::MAX;
        }
        Ok(())
    }

    /// Give back what is reserved behind the end of the active segment.
    pub(crate) fn release_reserved(&mut self) -> io::Result<()> {
        let size = u64::from(self.active.size());
        if self.reserved > size {
            self.active.log.get()?.set_len(size)?;
            self.reserved = 0;
        }
        Ok(())
    }

    /// Create the files of an empty segment, and the snapshot of the producers as of its base offset.
    pub(crate) fn create_segment(&mut self, base: Offset) -> io::Result<Arc<Segment>> {
        self.producers.set_end(base);
        self.save_snapshot()?;
        let dir = self.dir.get();
        for suffix in [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
            let path = dir.join(file_name(base, suffix));
            self.fs.open(&path, OpenMode::Truncate)?;
        }
        let appended = self.reader.appended.load(Ordering::Relaxed);
        let segment = Segment::new(&self.fs, &self.dir, base, 0, appended);
        Ok(Arc::new(segment))
    }

    /// Write a snapshot of the producers as of the end of what was applied.
    pub(crate) fn save_snapshot(&mut self) -> io::Result<()> {
        snapshot::save(&*self.fs, &self.dir.get(), &self.producers)?;
        self.snapshots.insert(self.producers.end());
        self.dir_changes += 1;
        Ok(())
    }

    fn preallocate(&mut self) {
        let size = u64::from(self.config.segment_bytes);
        if self.config.preallocate
            && let Ok(file) = self.active.log.get()
            && file.reserve(0, size).is_ok()
        {
            self.reserved = size;
        }
    }

    fn discard_files(&self, base: Offset) {
        let dir = self.dir.get();
        for suffix in SUFFIXES {
            let path = dir.join(file_name(base, suffix));
            if let Err(error) = remove_if_exists(&*self.fs, &path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a file that is not used");
            }
        }
    }
}

fn first_timestamp(segment: &Segment) -> io::Result<Timestamp> {
    let file = segment.log.get()?;
    match segment.header_at(&*file, 0, segment.size(), Source::Disk) {
        Ok(batch) => Ok(batch.header.max_timestamp()),
        Err(crate::ReadError::Io(error)) => Err(error),
        Err(_) => Ok(Timestamp::NONE),
    }
}
