//! The log of one partition (`UnifiedLog.java`): the one public face, owner of segments and offsets.
//!
//! One writer at a time holds it mutably; readers share its [`LogReader`]. It does no more than it is told: it reads
//! no clock, starts no thread, and flushes only when asked.
//!
//! What survives what. A killed process loses nothing that was appended. A power cut may take anything behind
//! [`Log::recovery_point`]; what is left is a prefix of what was appended, cut behind a whole batch.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp, TopicId};

use crate::error::AppendError;
use crate::fs::Fs;
use crate::lazy_file::LogPath;
use crate::leader_epoch::LeaderEpochs;
use crate::log_config::LogConfig;
use crate::log_dir_failure::LogDirFailure;
use crate::producer_state::ProducerState;
use crate::read::LogReader;
use crate::segment::Segment;

/// The log of one partition.
pub struct Log {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) dir: Arc<LogPath>,
    pub(crate) topic_id: Option<TopicId>,
    pub(crate) config: LogConfig,
    pub(crate) reader: Arc<LogReader>,
    /// The last of the reader's segments.
    pub(crate) active: Arc<Segment>,
    pub(crate) roll: RollState,
    /// Position up to which space is reserved in the active segment.
    pub(crate) reserved: u64,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) producers: ProducerState,
    /// Offsets of the producer snapshots in the directory.
    pub(crate) snapshots: BTreeSet<Offset>,
    /// The offset that the next record gets.
    pub(crate) end: Offset,
    /// Everything below it is on disk.
    pub(crate) recovery_point: Offset,
    /// Segments that were rolled and are not known to be on disk.
    pub(crate) unsynced: Vec<Arc<Segment>>,
    /// Counts the changes of names in the directory, and how many of them are on disk.
    pub(crate) dir_changes: u64,
    pub(crate) dir_synced: u64,
    /// The directory or the topic id in it was created and is not known to be on disk.
    pub(crate) new_dir: bool,
    /// Counts the changes of the leader epochs, and which of them is on disk. A flush writes them; what it has not
    /// written is in batches that recovery will scan.
    pub(crate) epochs_version: u64,
    pub(crate) saved_epochs: Arc<Mutex<u64>>,
    /// When [`Log::flush_due`] first saw records that are not flushed.
    pub(crate) unflushed_since: Option<Timestamp>,
    /// Something was appended or cut since it was opened or last checkpointed.
    pub(crate) changed: bool,
    /// Segments below the start that are out of sight but still have their files, oldest first, each with the offset
    /// where it ends.
    pub(crate) hidden: Vec<(Arc<Segment>, Offset)>,
    /// Files that were taken out of the directory and wait to be removed.
    pub(crate) garbage: Vec<PathBuf>,
    pub(crate) failure: Option<Arc<io::Error>>,
    /// Of the data directory that it is in.
    pub(crate) dir_failure: Arc<LogDirFailure>,
}

/// What decides when the active segment is rolled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RollState {
    /// When it was created or opened.
    pub(crate) created: Timestamp,
    /// Max timestamp of its first batch; `None` while it is empty or was not looked at.
    pub(crate) first_timestamp: Option<Timestamp>,
    /// What is taken off `segment.ms`.
    pub(crate) jitter_ms: i64,
    pub(crate) bytes_since_index_entry: u32,
}

/// A segment as seen from outside, for decisions on retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// Its base offset.
    pub base_offset: Offset,
    /// Base offset of the next one, or the end of the log.
    pub end_offset: Offset,
    /// Bytes of its batches.
    pub size: u64,
    /// Its largest timestamp; [`Timestamp::NONE`] when its records have none.
    pub max_timestamp: Timestamp,
}

impl Log {
    /// The view for readers.
    pub fn reader(&self) -> Arc<LogReader> {
        Arc::clone(&self.reader)
    }

    /// The directory.
    pub fn dir(&self) -> Arc<PathBuf> {
        self.dir.get()
    }

    /// The topic it belongs to, where that is known.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// The settings in force.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Use other settings from now on.
    pub fn set_config(&mut self, config: LogConfig) {
        self.roll.jitter_ms = jitter_ms(&config, &self.dir.get(), self.active.base());
        self.config = config;
    }

    /// First offset that may be read.
    pub fn log_start_offset(&self) -> Offset {
        self.reader.log_start_offset()
    }

    /// The offset that the next record gets.
    pub fn log_end_offset(&self) -> Offset {
        self.end
    }

    /// Everything below it is on disk.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// The leader epochs and where they began.
    pub fn epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// What is known of the producers.
    pub fn producers(&self) -> &ProducerState {
        &self.producers
    }

    /// The error that took the log offline, if one did.
    pub fn failure(&self) -> Option<&Arc<io::Error>> {
        self.failure.as_ref().or(self.dir_failure.error())
    }

    /// Transactions that ended below `high_watermark` hold back readers of committed data no longer.
    pub fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.producers.on_high_watermark(high_watermark);
        self.publish_first_unstable();
    }

    /// Forget the idempotent producers that have been idle for `producer.id.expiration.ms`.
    pub fn expire_producers(&mut self, now: Timestamp) {
        let idle_ms = self.config.producer_id_expiration_ms;
        self.producers.remove_expired(idle_ms, now);
    }

    /// Note that `epoch` begins at the end of the log: what a new leader does before it appends.
    pub fn begin_epoch(&mut self, epoch: LeaderEpoch) -> Result<(), AppendError> {
        self.check_online()?;
        self.assign_epoch(epoch, self.end);
        Ok(())
    }

    /// The segments, oldest first.
    pub fn segment_metas(&self) -> io::Result<Vec<SegmentMeta>> {
        let set = self.reader.segments.load();
        let ends = set.all().iter().skip(1).map(|next| next.base());
        let ends = ends.chain([self.end]);
        set.all()
            .iter()
            .zip(ends)
            .map(|(segment, end_offset)| {
                Ok(SegmentMeta {
                    base_offset: segment.base(),
                    end_offset,
                    size: segment.size().into(),
                    max_timestamp: segment.max_timestamp()?.timestamp,
                })
            })
            .collect()
    }

    /// Files that were taken out of the log: remove them, outside of any lock, for that may take long.
    pub fn take_garbage(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.garbage)
    }

    /// Close the descriptors of all files; they are opened again when needed.
    pub fn close_idle_files(&self) {
        let set = self.reader.segments.load();
        let unsynced =
            |segment: &Arc<Segment>| self.unsynced.iter().any(|s| Arc::ptr_eq(s, segment));
        let clean = self.recovery_point == self.end;
        for segment in set.all() {
            // A descriptor with unsynced writes stays: it is the one that would report their failure.
            if !unsynced(segment) && (clean || !Arc::ptr_eq(segment, &self.active)) {
                segment.close_files();
            }
        }
    }

    pub(crate) fn assign_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
        if self.epochs.assign(epoch, start) {
            self.publish_epochs();
        }
    }

    /// Show the epochs to readers; the next flush writes them.
    pub(crate) fn publish_epochs(&mut self) {
        self.epochs_version += 1;
        self.changed = true;
        self.reader.epochs.store(Arc::new(self.epochs.clone()));
    }

    pub(crate) fn publish_first_unstable(&self) {
        let first = self.producers.first_unstable_offset();
        let first = first.map_or(-1, |offset| offset.0);
        self.reader.first_unstable.store(first, Ordering::Release);
    }

    pub(crate) fn check_online(&self) -> Result<(), AppendError> {
        match self.failure() {
            None => Ok(()),
            Some(error) => Err(AppendError::Storage(Arc::clone(error))),
        }
    }

    /// Refuse all appends from now on: what is on disk is not known any more.
    pub(crate) fn fail(&mut self, error: io::Error) -> AppendError {
        let error = Arc::new(error);
        tracing::error!(dir = %self.dir.get().display(), %error, "the log goes offline");
        self.failure.get_or_insert(Arc::clone(&error));
        self.dir_failure.note(&error);
        AppendError::Storage(error)
    }

    /// Refuse all appends from now on, because the log is being deleted.
    pub(crate) fn retire(&mut self) {
        let deleted = || Arc::new(io::Error::other("the partition was deleted"));
        self.failure.get_or_insert_with(deleted);
    }

    /// An error before anything was changed: for want of space or descriptors the log goes on, for anything else it
    /// does not.
    pub(crate) fn io_error(&mut self, error: io::Error) -> AppendError {
        if crate::append::is_no_space(&error) {
            return AppendError::NoSpace(Arc::new(error));
        }
        if crate::fs::os::is_out_of_descriptors(&error) {
            return AppendError::Storage(Arc::new(error));
        }
        self.fail(error)
    }
}

/// What is taken off `segment.ms` for one segment: different for each, the same at each start.
pub(crate) fn jitter_ms(config: &LogConfig, dir: &Path, base: Offset) -> i64 {
    let limit = config.segment_jitter_ms.min(config.segment_ms);
    if limit <= 0 {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    (dir, base.0).hash(&mut hasher);
    (hasher.finish() % limit as u64) as i64
}
