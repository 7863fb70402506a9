//! The metadata log `__cluster_metadata-0`: a KRaft quorum of one voter, this node.
//!
//! ```text
//! LogReplay::open -> iterate over the records -> lead -> MetadataLog: append, snapshot
//! ```
//!
//! With one voter nothing is negotiated: at each start the node takes the next epoch (`quorum-state`), appends a
//! LeaderChange control record and leads. A record is committed when it is synced, so the high watermark is the log
//! end, and [`MetadataLog::append`] returns only then. After a failed write or sync nobody knows what is on disk:
//! every later call fails and the broker must stop.
//!
//! The directory is Apache Kafka's, both ways: segments as any partition has them, snapshots
//! ([`super::snapshot`]), `quorum-state` ([`super::quorum_state`]). What the records mean is the image's business.

mod replay;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::record::validate::ValidBatch;
use ottla_storage::{AppendError, AppendOrigin, Fs, Log, OpenError, ReadError, remove_garbage};

pub use super::quorum::Identity;
pub use replay::{LogReplay, Replayed};

use super::publisher::RecordLog;
use super::quorum::{NotSoleVoter, Quorum};
use super::quorum_state::QuorumStateError;
use super::raft_batch::{self, DecodeBatchError, EncodeBatchError, LogState, MAX_BATCH_LEN};
use super::record::control::Voter;
use super::record::{MetadataRecord, MetadataVersion};
use super::snapshot::{ReadSnapshotError, SnapshotId, SnapshotWriter, WriteSnapshotError};

/// Records handed to the snapshot writer at a time.
const SNAPSHOT_CHUNK: usize = 4096;

/// Limits of the metadata log; the defaults are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetadataLogConfig {
    /// Size in bytes at which a segment is rolled (`metadata.log.segment.bytes`).
    pub segment_bytes: u32,
    /// Age in milliseconds at which a segment is rolled (`metadata.log.segment.ms`).
    pub segment_ms: i64,
    /// Bytes of records after which a snapshot is due (`metadata.log.max.record.bytes.between.snapshots`).
    pub snapshot_bytes: u64,
    /// Milliseconds after which a snapshot is due if there is any new record
    /// (`metadata.log.max.snapshot.interval.ms`); 0 switches this off.
    pub snapshot_ms: i64,
    /// Bytes of log and snapshots above which the oldest go, behind a newer snapshot
    /// (`metadata.max.retention.bytes`); negative is no limit.
    pub retention_bytes: i64,
    /// Age in milliseconds above which a snapshot goes, behind a newer one (`metadata.max.retention.ms`); negative is
    /// no limit.
    pub retention_ms: i64,
}

impl Default for MetadataLogConfig {
    fn default() -> Self {
        const WEEK_MS: i64 = 7 * 24 * 60 * 60 * 1000;
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: WEEK_MS,
            snapshot_bytes: 20 * 1024 * 1024,
            snapshot_ms: 60 * 60 * 1000,
            retention_bytes: 100 * 1024 * 1024,
            retention_ms: WEEK_MS,
        }
    }
}

/// Why the metadata log cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataLogError {
    /// A file or directory cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The log cannot be opened.
    #[error("the metadata log cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The log cannot be read.
    #[error("the metadata log cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The log cannot be written.
    #[error("the metadata log cannot be written: {0}")]
    Append(#[from] AppendError),
    /// An earlier write failed, so what is on disk is not known.
    #[error("an earlier write to the metadata log failed; restart to recover")]
    Failed,
    /// The files name the last epoch that there can be. One start takes one epoch, so they are damaged.
    #[error("the metadata log has used up its epochs: {0} is the last one there can be")]
    EpochsUsedUp(LeaderEpoch),
    /// Records cannot be written as they are. Nothing was written.
    #[error(transparent)]
    Encode(#[from] EncodeBatchError),
    /// A batch of the log cannot be understood.
    #[error("the metadata log at offset {offset}: {reason}")]
    Batch {
        /// Base offset of the batch.
        offset: Offset,
        /// What is wrong with it.
        reason: DecodeBatchError,
    },
    /// A snapshot cannot be read.
    #[error(transparent)]
    ReadSnapshot(#[from] ReadSnapshotError),
    /// A snapshot cannot be written.
    #[error(transparent)]
    WriteSnapshot(#[from] WriteSnapshotError),
    /// `quorum-state` cannot be used.
    #[error(transparent)]
    QuorumState(#[from] QuorumStateError),
    /// The log begins behind the newest snapshot, so records are missing.
    #[error(
        "the metadata log begins at offset {log_start}, but the newest snapshot ends at {snapshot_end}"
    )]
    Gap {
        /// First offset of the log.
        log_start: Offset,
        /// End of the newest snapshot, 0 when there is none.
        snapshot_end: Offset,
    },
    /// This node is not the only voter.
    #[error(transparent)]
    NotSoleVoter(#[from] NotSoleVoter),
}

/// What is kept in memory of a snapshot file.
#[derive(Clone, Copy, Debug)]
struct SnapshotMeta {
    len: u64,
    last_contained: Timestamp,
}

/// The metadata log, led by this node.
pub struct MetadataLog {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    config: MetadataLogConfig,
    log: Log,
    snapshots: BTreeMap<SnapshotId, SnapshotMeta>,
    quorum: Quorum,
    state: LogState,
    epoch: LeaderEpoch,
    /// Timestamp of the last record.
    last_timestamp: Timestamp,
    bytes_since_snapshot: u64,
    last_snapshot_at: Timestamp,
    failed: bool,
}

impl MetadataLog {
    /// Epoch in which this node leads.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Offset that the next record gets.
    pub fn end_offset(&self) -> Offset {
        self.log.reader().log_end_offset()
    }

    /// Offset behind the last committed record. With one voter that is the end of the log.
    pub fn high_watermark(&self) -> Offset {
        self.end_offset()
    }

    /// First offset of the log.
    pub fn start_offset(&self) -> Offset {
        self.log.reader().log_start_offset()
    }

    /// The finalized `metadata.version`, which decides in which versions records are written.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.state.level()
    }

    /// A metadata transaction has begun and not ended.
    pub fn in_transaction(&self) -> bool {
        self.state.in_transaction()
    }

    /// The newest snapshot, if any was taken since the directory was formatted.
    pub fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshots
            .keys()
            .next_back()
            .copied()
            .filter(|id| *id != SnapshotId::BOOTSTRAP)
    }

    /// Append `records` and sync them; gives the offset of the last one. They survive together or not at all while
    /// they fit one batch, which is 8 MiB or a segment if that is smaller. More are split over batches, so let a
    /// metadata transaction enclose them.
    ///
    /// # Errors
    /// [`MetadataLogError::Encode`]: a record cannot be written at the finalized `metadata.version`; nothing was
    /// written. After any other, [`Self::is_usable`] tells whether the log goes on; if not, the broker must stop.
    pub fn append(
        &mut self,
        records: &[MetadataRecord],
        now: Timestamp,
    ) -> Result<Offset, MetadataLogError> {
        self.check_usable()?;
        let mut state = self.state;
        let max_len = MAX_BATCH_LEN.min(self.config.segment_bytes as usize);
        let batches = raft_batch::encode(records, &mut state, max_len, now)?;
        self.write(batches, now)?;
        self.state = state;
        Ok(self.end_offset().plus(-1))
    }

    /// True when it is time for a snapshot: enough was written since the last one, or it is old.
    pub fn should_snapshot(&self, now: Timestamp) -> bool {
        let old = self.config.snapshot_ms > 0
            && now.0.saturating_sub(self.last_snapshot_at.0) >= self.config.snapshot_ms;
        let due = self.bytes_since_snapshot >= self.config.snapshot_bytes
            || (old && self.bytes_since_snapshot > 0);
        due && !self.in_transaction()
    }

    /// Write a snapshot of the state at the end of the log, which is what `records` make, and clean up behind it.
    /// The record of the feature `metadata.version` comes first.
    ///
    /// # Errors
    /// The snapshot is not there; the log goes on. Failed clean-up makes the log unusable.
    pub fn snapshot(
        &mut self,
        records: impl IntoIterator<Item = MetadataRecord>,
        now: Timestamp,
    ) -> Result<SnapshotId, MetadataLogError> {
        let written = self.begin_snapshot(now)?.write(records, now)?;
        let id = written.id;
        self.adopt_snapshot(written, now)?;
        Ok(id)
    }

    /// Begin a snapshot of the state at the end of the log, to be written elsewhere while this log goes on.
    pub fn begin_snapshot(&self, now: Timestamp) -> Result<PendingSnapshot, MetadataLogError> {
        self.check_usable()?;
        let id = SnapshotId {
            epoch: self.epoch,
            end_offset: self.end_offset(),
        };
        let path = self.dir.join(id.file_name());
        let head = self.quorum.records();
        let writer = SnapshotWriter::create(
            Arc::clone(&self.fs),
            path,
            id.epoch,
            self.last_timestamp,
            &head,
            now,
        )?;
        Ok(PendingSnapshot {
            id,
            last_contained: self.last_timestamp,
            covered: self.bytes_since_snapshot,
            writer,
        })
    }

    /// Take a written snapshot into use, and remove what lies behind it and is no longer to be kept.
    pub fn adopt_snapshot(
        &mut self,
        written: WrittenSnapshot,
        now: Timestamp,
    ) -> Result<(), MetadataLogError> {
        self.check_usable()?;
        self.snapshots.insert(written.id, written.meta);
        self.bytes_since_snapshot = self.bytes_since_snapshot.saturating_sub(written.covered);
        self.last_snapshot_at = now;
        self.clean(now).inspect_err(|_| self.failed = true)
    }

    /// Close the log, at a clean stop of the broker.
    pub fn close(mut self) -> Result<(), MetadataLogError> {
        self.check_usable()?;
        Ok(self.log.close()?)
    }

    /// False when a write or sync has failed, so that nobody knows what is on disk.
    pub fn is_usable(&self) -> bool {
        !self.failed
    }

    fn check_usable(&self) -> Result<(), MetadataLogError> {
        if self.failed {
            Err(MetadataLogError::Failed)
        } else {
            Ok(())
        }
    }

    /// Append and sync. While nothing of `batches` is written, want of space is no failure.
    fn write(&mut self, batches: Vec<ValidBatch>, now: Timestamp) -> Result<(), MetadataLogError> {
        self.failed = true;
        for (index, batch) in batches.into_iter().enumerate() {
            let len = batch.size() as u64;
            if let Err(error) = self
                .log
                .append(batch, self.epoch, AppendOrigin::RaftLeader, now)
            {
                self.failed = index > 0 || !matches!(error, AppendError::NoSpace(_));
                return Err(error.into());
            }
            self.bytes_since_snapshot += len;
            self.last_timestamp = now;
        }
        self.log.flush()?;
        self.failed = false;
        Ok(())
    }

    /// Remove old snapshots, and the log before the oldest that stays.
    fn clean(&mut self, now: Timestamp) -> Result<(), MetadataLogError> {
        while let Some((expired, next)) = self.expired_snapshot(now) {
            self.log.delete_before(next.end_offset)?;
            let garbage = self.log.take_garbage();
            remove_garbage(&*self.fs, &garbage).map_err(|source| MetadataLogError::Io {
                path: self.dir.clone(),
                source,
            })?;
            remove(&*self.fs, &self.dir.join(expired.file_name()))?;
            self.snapshots.remove(&expired);
        }
        Ok(())
    }

    /// The oldest snapshot, when it is to go, and the one after it.
    fn expired_snapshot(&self, now: Timestamp) -> Option<(SnapshotId, SnapshotId)> {
        let mut oldest_first = self.snapshots.iter();
        let (oldest, meta) = oldest_first.next()?;
        let (next, _) = oldest_first.next()?;
        let len =
            self.log.reader().size() + self.snapshots.values().map(|meta| meta.len).sum::<u64>();
        let MetadataLogConfig {
            retention_bytes,
            retention_ms,
            ..
        } = self.config;
        let too_large = u64::try_from(retention_bytes).is_ok_and(|limit| len > limit);
        let too_old =
            retention_ms >= 0 && now.0.saturating_sub(meta.last_contained.0) > retention_ms;
        (too_large || too_old).then_some((*oldest, *next))
    }
}

impl RecordLog for MetadataLog {
    type Error = MetadataLogError;

    fn epoch(&self) -> LeaderEpoch {
        Self::epoch(self)
    }

    fn end_offset(&self) -> Offset {
        Self::end_offset(self)
    }

    fn voter(&self) -> Option<Voter> {
        let voters = &self.quorum.voters.as_ref()?.voters;
        voters.first().cloned()
    }

    fn append(
        &mut self,
        records: &[MetadataRecord],
        now: Timestamp,
    ) -> Result<(), MetadataLogError> {
        Self::append(self, records, now).map(drop)
    }

    fn is_usable(&self) -> bool {
        Self::is_usable(self)
    }

    fn should_snapshot(&self, now: Timestamp) -> bool {
        Self::should_snapshot(self, now)
    }

    fn snapshot(
        &mut self,
        records: Vec<MetadataRecord>,
        now: Timestamp,
    ) -> Result<(), MetadataLogError> {
        Self::snapshot(self, records, now).map(drop)
    }

    fn close(self) -> Result<(), MetadataLogError> {
        Self::close(self)
    }
}

/// A snapshot that is being written. It holds no part of the log, so any thread may write it.
pub struct PendingSnapshot {
    id: SnapshotId,
    last_contained: Timestamp,
    covered: u64,
    writer: SnapshotWriter,
}

/// A snapshot that is on disk and not yet known to its log.
pub struct WrittenSnapshot {
    id: SnapshotId,
    meta: SnapshotMeta,
    covered: u64,
}

impl PendingSnapshot {
    /// What it stands for.
    pub fn id(&self) -> SnapshotId {
        self.id
    }

    /// Write the records of the state and make the file durable.
    pub fn write(
        mut self,
        records: impl IntoIterator<Item = MetadataRecord>,
        now: Timestamp,
    ) -> Result<WrittenSnapshot, WriteSnapshotError> {
        let mut records = records.into_iter();
        loop {
            let chunk: Vec<_> = records.by_ref().take(SNAPSHOT_CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            self.writer.append(&chunk, now)?;
        }
        let len = self.writer.freeze(now)?;
        let meta = SnapshotMeta {
            len,
            last_contained: self.last_contained,
        };
        Ok(WrittenSnapshot {
            id: self.id,
            meta,
            covered: self.covered,
        })
    }
}

fn remove(fs: &dyn Fs, path: &Path) -> Result<(), MetadataLogError> {
    ottla_storage::fs::remove_if_exists(fs, path).map_err(|source| MetadataLogError::Io {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
