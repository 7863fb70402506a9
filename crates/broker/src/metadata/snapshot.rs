//! Snapshots of the metadata log: all records that make the state at an offset, in a file of their own.
//!
//! The file is `<end offset, 20 digits>-<epoch, 10 digits>.checkpoint`; the end offset is exclusive and the epoch is
//! that of the record before it. `0...0-0...0` is no snapshot of the log but names the first voters. The content
//! is a sequence of batches with offsets from 0: a control batch with the header record and, from `kraft.version` 1
//! on, that version and the voters; batches of metadata records; a control batch with the footer record
//! (`RecordsSnapshotWriter`).
//!
//! A snapshot is written as `.part`, synced and renamed, so a `.checkpoint` is always whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::record::validate::ValidBatch;
use ottla_storage::fs::{File, Fs, OpenMode, write_all_at};

use super::batch_file::{BatchFile, BatchFileError};
use super::raft_batch::{
    self, Content, DecodeBatchError, EncodeBatchError, LogState, MAX_BATCH_LEN,
};
use super::record::MetadataRecord;
use super::record::control::{ControlRecord, SnapshotHeaderRecord};

const SUFFIX: &str = ".checkpoint";
const PART_SUFFIX: &str = ".checkpoint.part";
const DELETED_SUFFIX: &str = ".checkpoint.deleted";

/// What a snapshot stands for. Ordered by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// Epoch of the last record it stands for.
    pub epoch: LeaderEpoch,
    /// Offset behind the last record it stands for.
    pub end_offset: Offset,
}

/// Why a snapshot cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteSnapshotError {
    /// The file cannot be written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A record cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeBatchError),
}

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} at byte {position}: {reason}")]
pub struct ReadSnapshotError {
    /// The file.
    pub path: PathBuf,
    /// Where the batch begins that cannot be read.
    pub position: u64,
    /// What is wrong with it.
    pub reason: ReadSnapshotReason,
}

/// What is wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ReadSnapshotReason {
    /// The file cannot be opened.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The next batch cannot be had.
    #[error(transparent)]
    File(#[from] BatchFileError),
    /// A batch cannot be understood.
    #[error(transparent)]
    Batch(#[from] DecodeBatchError),
    /// It does not begin with a header record.
    #[error("the snapshot does not begin with a header")]
    NoHeader,
    /// The file ends without a footer record.
    #[error("the snapshot ends without a footer")]
    NoFooter,
    /// Something follows the footer record.
    #[error("the snapshot goes on behind its footer")]
    BehindFooter,
}

impl SnapshotId {
    /// The one that names the first voters and stands for no record.
    pub const BOOTSTRAP: Self = Self {
        epoch: LeaderEpoch(0),
        end_offset: Offset(0),
    };

    /// Name of the file.
    pub fn file_name(&self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end_offset.0, self.epoch.0)
    }

    /// The snapshot with this file name; `None` when it is not the name of a finished snapshot.
    pub fn parse(name: &str) -> Option<Self> {
        let (offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let digits =
            |text: &str, len| text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(offset, 20) || !digits(epoch, 10) {
            return None;
        }
        Some(Self {
            epoch: LeaderEpoch(epoch.parse().ok()?),
            end_offset: Offset(offset.parse().ok()?),
        })
    }

    /// True for the name of a file that an interrupted write or removal of a snapshot left.
    pub fn is_leftover(name: &str) -> bool {
        name.ends_with(PART_SUFFIX) || name.ends_with(DELETED_SUFFIX)
    }
}

/// Writes one snapshot. Dropped before [`Self::freeze`], it leaves a `.part` file for the next start to remove.
pub struct SnapshotWriter {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    part: PathBuf,
    file: Arc<dyn File>,
    epoch: LeaderEpoch,
    state: LogState,
    next_offset: Offset,
    position: u64,
}

impl SnapshotWriter {
    /// Begin the snapshot that is to have the name `path`. `head` are the control records that follow the header.
    pub fn create(
        fs: Arc<dyn Fs>,
        path: PathBuf,
        epoch: LeaderEpoch,
        last_contained: Timestamp,
        head: &[ControlRecord],
        now: Timestamp,
    ) -> Result<Self, WriteSnapshotError> {
        let mut part = path.clone().into_os_string();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = fs
            .open(&part, OpenMode::Truncate)
            .map_err(|source| WriteSnapshotError::Io {
                path: part.clone(),
                source,
            })?;
        let state = LogState::default();
        let mut writer = Self {
            fs,
            path,
            part,
            file,
            epoch,
            state,
            next_offset: Offset(0),
            position: 0,
        };
        let mut control = vec![ControlRecord::snapshot_header(last_contained)];
        control.extend_from_slice(head);
        writer.write(raft_batch::encode_control(&control, now)?)?;
        Ok(writer)
    }

    /// Append records. The feature level of `metadata.version` must come first, as it decides how the others are
    /// written.
    pub fn append(
        &mut self,
        records: &[MetadataRecord],
        now: Timestamp,
    ) -> Result<(), WriteSnapshotError> {
        let batches = raft_batch::encode(records, &mut self.state, MAX_BATCH_LEN, now)?;
        batches.into_iter().try_for_each(|batch| self.write(batch))
    }

    /// End the snapshot and give it its name; it is durable when this returns. Gives its length in bytes.
    pub fn freeze(mut self, now: Timestamp) -> Result<u64, WriteSnapshotError> {
        self.write(raft_batch::encode_control(
            &[ControlRecord::snapshot_footer()],
            now,
        )?)?;
        self.file
            .sync_data()
            .and_then(|()| self.fs.rename(&self.part, &self.path))
            .and_then(|()| {
                self.fs
                    .sync_dir(self.path.parent().unwrap_or(Path::new("")))
            })
            .map_err(|source| WriteSnapshotError::Io {
                path: self.path,
                source,
            })?;
        Ok(self.position)
    }

    fn write(&mut self, mut batch: ValidBatch) -> Result<(), WriteSnapshotError> {
        let header = batch.header_mut();
        header.set_base_offset(self.next_offset);
        header.set_leader_epoch(self.epoch);
        self.next_offset = header.next_offset();
        write_all_at(
            &*self.file,
            &[batch.header().as_bytes(), batch.body()],
            self.position,
        )
        .map_err(|source| WriteSnapshotError::Io {
            path: self.part.clone(),
            source,
        })?;
        self.position += batch.size() as u64;
        Ok(())
    }
}

/// Reads one snapshot batch by batch, and checks that it is whole. Iterate to get the content; after an error
/// it ends.
pub struct SnapshotReader {
    file: BatchFile,
    header: SnapshotHeaderRecord,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Content,
    Footer,
    Failed,
}

impl SnapshotReader {
    /// Open the snapshot file at `path`, read its header record and the control records beside it.
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<(Self, Vec<ControlRecord>), ReadSnapshotError> {
        let failed = |reason| ReadSnapshotError {
            path: path.to_owned(),
            position: 0,
            reason,
        };
        let file = BatchFile::open(fs, path).map_err(|error| failed(error.into()))?;
        let mut reader = Self {
            file,
            header: SnapshotHeaderRecord::default(),
            stage: Stage::Content,
        };
        let Some(Content::Control(mut control)) = reader.read_batch().map_err(failed)? else {
            return Err(failed(ReadSnapshotReason::NoHeader));
        };
        match control.first() {
            Some(ControlRecord::SnapshotHeader(header)) => reader.header = header.clone(),
            _ => return Err(failed(ReadSnapshotReason::NoHeader)),
        }
        control.remove(0);
        Ok((reader, control))
    }

    /// Length of the file in bytes.
    pub fn file_len(&self) -> u64 {
        self.file.len()
    }

    /// Timestamp of the last record that the snapshot stands for.
    pub fn last_contained_timestamp(&self) -> Timestamp {
        Timestamp(self.header.last_contained_log_timestamp)
    }

    fn next_content(&mut self) -> Result<Option<Content>, ReadSnapshotReason> {
        let content = self.read_batch()?;
        match (self.stage, &content) {
            (Stage::Content, None) => return Err(ReadSnapshotReason::NoFooter),
            (Stage::Footer, Some(_)) => return Err(ReadSnapshotReason::BehindFooter),
            (_, Some(Content::Control(control)))
                if matches!(control.last(), Some(ControlRecord::SnapshotFooter(_))) =>
            {
                self.stage = Stage::Footer;
            }
            _ => {}
        }
        Ok(content)
    }

    fn read_batch(&mut self) -> Result<Option<Content>, ReadSnapshotReason> {
        let batch = self.file.next_batch()?;
        let content = batch.map(|(header, body)| raft_batch::decode(&header, &body));
        Ok(content.transpose()?)
    }
}

impl Iterator for SnapshotReader {
    type Item = Result<Content, ReadSnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stage == Stage::Failed {
            return None;
        }
        let position = self.file.position();
        self.next_content().transpose().map(|content| {
            content.map_err(|reason| {
                self.stage = Stage::Failed;
                ReadSnapshotError {
                    path: self.file.path().to_owned(),
                    position,
                    reason,
                }
            })
        })
    }
}

#[cfg(test)]
mod tests;
