//! Opening the metadata log: what it holds is read back, newest snapshot first and then the log behind it, before
//! this node leads it again.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp, TopicId};
use ottla_protocol::record::batch::{BatchHeader, HEADER_LEN};
use ottla_storage::fs::read_up_to;
use ottla_storage::{Fs, Log, LogConfig, LogReader, LogSlice, Opening};

use super::{MetadataLog, MetadataLogConfig, MetadataLogError, SnapshotMeta, remove};
use crate::metadata::quorum::{Identity, Quorum};
use crate::metadata::quorum_state::QuorumState;
use crate::metadata::raft_batch::{self, Content, LogState};
use crate::metadata::record::MetadataRecord;
use crate::metadata::record::control::ControlRecord;
use crate::metadata::snapshot::{SnapshotId, SnapshotReader};

/// Bytes of log read at a time; a larger batch is read whole.
const READ_LEN: u32 = 1024 * 1024;

/// One record of the log or of the newest snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// Its offset; for records of a snapshot the last offset that the snapshot stands for.
    pub offset: Offset,
    /// Epoch in which it was written; for records of a snapshot that of the snapshot.
    pub epoch: LeaderEpoch,
    /// The record.
    pub record: MetadataRecord,
}

/// The metadata log as found at start. Iterate to get its records, oldest first, then [`Self::lead`]. Metadata
/// transactions come as they were written; one that the log ends in was never committed.
pub struct LogReplay {
    identity: Identity,
    log: MetadataLog,
    reader: Arc<LogReader>,
    snapshot: Option<(SnapshotId, SnapshotReader)>,
    next_offset: Offset,
    end_offset: Offset,
    ready: VecDeque<Replayed>,
    failed: bool,
}

impl LogReplay {
    /// Open the log in `dir`, which is made when missing. A torn tail is cut off, leftovers of interrupted snapshots
    /// are removed.
    ///
    /// # Errors
    /// The directory cannot be used, or its snapshots and log do not fit each other.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        identity: Identity,
        config: MetadataLogConfig,
        now: Timestamp,
    ) -> Result<Self, MetadataLogError> {
        let io = |source| MetadataLogError::Io {
            path: dir.to_owned(),
            source,
        };
        fs.create_dir(dir).map_err(io)?;
        let names: Vec<_> = fs
            .list(dir)
            .map_err(io)?
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        for leftover in names.iter().filter(|name| SnapshotId::is_leftover(name)) {
            remove(&*fs, &dir.join(leftover))?;
        }
        let ids: Vec<_> = names
            .iter()
            .filter_map(|name| SnapshotId::parse(name))
            .collect();
        let latest = ids.iter().max().copied();
        let snapshot_end = latest.map_or(Offset(0), |id| id.end_offset);

        let log_config = LogConfig {
            segment_bytes: config.segment_bytes,
            segment_ms: config.segment_ms,
            ..LogConfig::default()
        };
        let topic_id = Some(TopicId::METADATA);
        let (mut log, _) = Log::open(
            Arc::clone(&fs),
            dir,
            topic_id,
            log_config,
            Opening::UNKNOWN,
            now,
        )?;
        if log.reader().log_end_offset() < snapshot_end {
            // The directory of a controller that is to catch up from a snapshot, or one made by an export.
            log.truncate_fully(snapshot_end, now)?;
        }
        let reader = log.reader();
        let log_start = reader.log_start_offset();
        if log_start > snapshot_end {
            return Err(MetadataLogError::Gap {
                log_start,
                snapshot_end,
            });
        }

        let mut snapshots = BTreeMap::new();
        let mut quorum = Quorum::default();
        let mut snapshot = None;
        for id in ids {
            let path = dir.join(id.file_name());
            if id.end_offset < log_start {
                remove(&*fs, &path)?;
                continue;
            }
            let (content, head) = SnapshotReader::open(&*fs, &path)?;
            snapshots.insert(
                id,
                SnapshotMeta {
                    len: content.file_len(),
                    last_contained: content.last_contained_timestamp(),
                },
            );
            if latest == Some(id) {
                head.iter().for_each(|record| quorum.observe(record));
                quorum.in_log = id != SnapshotId::BOOTSTRAP;
                snapshot = Some((id, content));
            }
        }
        let last_timestamp = snapshot.as_ref().map_or(Timestamp::NONE, |(_, content)| {
            content.last_contained_timestamp()
        });
        let end_offset = reader.log_end_offset();
        let log = MetadataLog {
            fs,
            dir: dir.to_owned(),
            config,
            log,
            snapshots,
            quorum,
            state: LogState::default(),
            epoch: latest.map_or(LeaderEpoch(0), |id| id.epoch),
            last_timestamp,
            bytes_since_snapshot: 0,
            last_snapshot_at: now,
            failed: false,
        };
        let ready = VecDeque::new();
        Ok(Self {
            identity,
            log,
            reader,
            snapshot,
            next_offset: snapshot_end,
            end_offset,
            ready,
            failed: false,
        })
    }

    /// Take the next epoch and lead. Records not yet iterated over are read first, since an unreadable log must
    /// not be led.
    ///
    /// # Errors
    /// The log cannot be read or written, or names other voters than this node.
    pub fn lead(mut self, now: Timestamp) -> Result<MetadataLog, MetadataLogError> {
        for replayed in self.by_ref() {
            replayed?;
        }
        if self.failed {
            return Err(MetadataLogError::Failed);
        }
        let mut log = self.log;
        let known = QuorumState::read(&*log.fs, &log.dir)?;
        log.quorum
            .check_sole_voter(known.as_ref(), &self.identity)?;
        let last_epoch = self
            .reader
            .latest_epoch()
            .unwrap_or(LeaderEpoch(0))
            .max(log.epoch);
        let last_epoch = known.map_or(last_epoch, |known| known.epoch.max(last_epoch));
        log.epoch = (last_epoch.0.checked_add(1).map(LeaderEpoch))
            .ok_or(MetadataLogError::EpochsUsedUp(last_epoch))?;
        let voters = (log.quorum.kraft_version == 0).then(|| vec![self.identity.node_id]);
        QuorumState {
            leader: Some(self.identity.node_id),
            epoch: log.epoch,
            voters,
        }
        .write(&*log.fs, &log.dir)?;

        let mut control = vec![ControlRecord::sole_leader(self.identity.node_id)];
        control.extend(log.quorum.changes_at_start(&self.identity));
        log.write(vec![raft_batch::encode_control(&control, now)?], now)?;
        Ok(log)
    }

    /// Read on until there is a record to give; `None` at the end.
    fn advance(&mut self) -> Result<Option<Replayed>, MetadataLogError> {
        loop {
            if let Some(replayed) = self.ready.pop_front() {
                return Ok(Some(replayed));
            }
            if let Some((id, content)) = &mut self.snapshot {
                let (offset, epoch) = (id.end_offset.plus(-1), id.epoch);
                match content.next() {
                    Some(content) => self.take(content?, epoch, |_| offset),
                    None => self.snapshot = None,
                }
            } else if self.next_offset < self.end_offset {
                self.read_log()?;
            } else {
                return Ok(None);
            }
        }
    }

    fn read_log(&mut self) -> Result<(), MetadataLogError> {
        let slice = self
            .reader
            .read(self.next_offset, self.end_offset, READ_LEN, true)?;
        let bytes = self.bytes_of(&slice)?;
        let mut rest = &bytes[..];
        while let Some((header, body, after)) = split_batch(rest) {
            rest = after;
            let base = header.base_offset();
            let content =
                raft_batch::decode(&header, body).map_err(|reason| MetadataLogError::Batch {
                    offset: base,
                    reason,
                })?;
            self.log.bytes_since_snapshot += (HEADER_LEN + body.len()) as u64;
            self.log.last_timestamp = header.max_timestamp();
            self.log.quorum.in_log |= matches!(&content, Content::Control(control)
                if control.iter().any(|record| matches!(record, ControlRecord::Voters(_))));
            self.take(content, header.leader_epoch(), |index| {
                base.plus(index as i64)
            });
            self.next_offset = header.next_offset();
        }
        if bytes.is_empty() || !rest.is_empty() {
            let offset = self.next_offset;
            return Err(MetadataLogError::Batch {
                offset,
                reason: raft_batch::DecodeBatchError::Corrupt,
            });
        }
        Ok(())
    }

    fn bytes_of(&self, slice: &LogSlice) -> Result<Vec<u8>, MetadataLogError> {
        let io = |source| MetadataLogError::Io {
            path: self.log.dir.clone(),
            source,
        };
        let mut bytes = Vec::new();
        for range in &slice.ranges {
            let from = bytes.len();
            bytes.resize(from + range.len as usize, 0);
            let read = read_up_to(&*range.file, &mut bytes[from..], range.position).map_err(io)?;
            bytes.truncate(from + read);
        }
        Ok(bytes)
    }

    fn take(&mut self, content: Content, epoch: LeaderEpoch, offset_of: impl Fn(usize) -> Offset) {
        match content {
            Content::Control(control) => control
                .iter()
                .for_each(|record| self.log.quorum.observe(record)),
            Content::Metadata(records) => {
                for (index, record) in records.into_iter().enumerate() {
                    self.log.state.observe(&record);
                    self.ready.push_back(Replayed {
                        offset: offset_of(index),
                        epoch,
                        record,
                    });
                }
            }
        }
    }
}

impl Iterator for LogReplay {
    type Item = Result<Replayed, MetadataLogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        self.advance()
            .inspect_err(|_| self.failed = true)
            .transpose()
    }
}

/// The first batch of `bytes`, in header and body, and what follows.
fn split_batch(bytes: &[u8]) -> Option<(BatchHeader, &[u8], &[u8])> {
    let header = BatchHeader::read(bytes)?;
    let (batch, rest) = bytes.split_at_checked(header.size()?)?;
    Some((header, &batch[HEADER_LEN..], rest))
}
