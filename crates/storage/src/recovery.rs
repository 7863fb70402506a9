//! Open a log (`LogLoader.java`).
//!
//! After a clean stop the files are taken as they are. After any other stop everything from the recovery point on is
//! scanned, header and CRC: the log is cut behind the last whole batch, and what would come after a hole is removed;
//! indexes, leader epochs and producer state are brought up to the same point.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ottla_protocol::ids::{Offset, Timestamp, TopicId};

use crate::error::{OpenError, ReadError};
use crate::fs::{Fs, OpenMode};
use crate::lazy_file::LogPath;
use crate::leader_epoch::LeaderEpochs;
use crate::log::{Log, RollState, jitter_ms};
use crate::log_config::LogConfig;
use crate::partition_metadata;
use crate::producer_state::ProducerState;
use crate::read::LogReader;
use crate::segment::{INDEX_SUFFIX, LOG_SUFFIX, Segment, TIME_INDEX_SUFFIX, file_name};
use crate::segment_set::SegmentSet;

pub(crate) mod files;
mod producers;
mod scan;

use files::Files;
pub(crate) use producers::Rebuild;
pub(crate) use scan::Indexer;

/// How a log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The last stop was clean: nothing needs to be looked at.
    pub clean: bool,
    /// Everything below is known to be on disk, with its indexes.
    pub recovery_point: Offset,
    /// First offset that may be read, as far as it was noted.
    pub log_start_offset: Offset,
}

impl Opening {
    /// A log of which nothing is known.
    pub const UNKNOWN: Self = Self {
        clean: false,
        recovery_point: Offset(0),
        log_start_offset: Offset(0),
    };
}

/// What had to be done to open a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that were scanned.
    pub segments_scanned: usize,
    /// Bytes that were scanned.
    pub bytes_scanned: u64,
    /// Bytes that were cut off behind the last whole batch, and in segments behind a hole.
    pub bytes_cut: u64,
    /// The end of the log where something was cut.
    pub cut_at: Option<Offset>,
    /// Headers of batches that were read to rebuild the producer state.
    pub producer_batches: u64,
}

/// What opening a log has gathered so far.
pub(crate) struct Loading<'a> {
    pub(crate) fs: &'a Arc<dyn Fs>,
    pub(crate) dir: Arc<LogPath>,
    pub(crate) config: &'a LogConfig,
    pub(crate) opening: Opening,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) epochs_changed: bool,
    /// A segment was created because there was none that could be used.
    pub(crate) begun: bool,
    pub(crate) recovered: Recovered,
}

impl Log {
    /// Open the log in `dir`, or begin one there.
    ///
    /// `topic_id` is written into the directory when it has none, and must be the one it has otherwise.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        topic_id: Option<TopicId>,
        config: LogConfig,
        opening: Opening,
        now: Timestamp,
    ) -> Result<(Self, Recovered), OpenError> {
        let io = |error| OpenError::Io {
            dir: dir.to_owned(),
            error,
        };
        let new_dir = fs.stat(dir).map_err(io)?.is_none();
        fs.create_dir(dir).map_err(io)?;
        let (topic_id, id_written) = partition_metadata::check(&*fs, dir, topic_id)?;
        let files = files::tidy(&fs, dir).map_err(io)?;
        let mut loading = Loading {
            fs: &fs,
            dir: LogPath::new(dir),
            config: &config,
            opening,
            segments: Vec::new(),
            epochs: LeaderEpochs::default(),
            epochs_changed: false,
            begun: false,
            recovered: Recovered::default(),
        };
        loading.load_epochs().map_err(io)?;
        loading.load_segments(&files)?;
        let end = loading.recover().map_err(|error| read_error(dir, error))?;
        let (start, end) = loading.settle_start(end).map_err(io)?;
        let producers = loading
            .load_producers(&files, end, now)
            .map_err(|error| read_error(dir, error))?;
        let recovered = loading.recovered.clone();
        let mut log = Self::assemble(loading, topic_id, start, end, producers, now);
        log.new_dir = new_dir || id_written;
        Ok((log, recovered))
    }

    fn assemble(
        loading: Loading<'_>,
        topic_id: Option<TopicId>,
        start: Offset,
        end: Offset,
        (producers, snapshots): (ProducerState, BTreeSet<Offset>),
        now: Timestamp,
    ) -> Self {
        let opening = loading.opening;
        let recovery_point = if opening.clean {
            end
        } else {
            opening.recovery_point.min(end)
        };
        let set = SegmentSet::new(loading.segments);
        let active = Arc::clone(set.active());
        let mut unsynced = Vec::new();
        if recovery_point < end {
            unsynced.extend_from_slice(set.from(recovery_point));
            unsynced.pop();
        }
        let dir = loading.dir.get();
        let changed = loading.recovered != Recovered::default() || !opening.clean || loading.begun;
        let log = Self {
            fs: Arc::clone(loading.fs),
            dir: Arc::clone(&loading.dir),
            topic_id,
            roll: RollState {
                created: now,
                first_timestamp: None,
                jitter_ms: jitter_ms(loading.config, &dir, active.base()),
                bytes_since_index_entry: 0,
            },
            config: loading.config.clone(),
            reader: Arc::new(LogReader::new(set, loading.epochs.clone(), start)),
            active,
            reserved: 0,
            epochs: loading.epochs,
            producers,
            snapshots,
            end,
            recovery_point,
            unsynced,
            dir_changes: u64::from(changed),
            dir_synced: 0,
            new_dir: false,
            epochs_version: u64::from(loading.epochs_changed),
            saved_epochs: Arc::new(Mutex::new(0)),
            unflushed_since: None,
            changed: changed || loading.epochs_changed,
            hidden: Vec::new(),
            garbage: Vec::new(),
            failure: None,
            dir_failure: Arc::default(),
        };
        log.publish_first_unstable();
        // With ten thousand logs most stay idle: files are opened again when they are needed.
        let set = log.reader.segments.load();
        set.all().iter().for_each(|segment| segment.close_files());
        drop(set);
        log
    }
}

impl Loading<'_> {
    fn load_epochs(&mut self) -> io::Result<()> {
        match LeaderEpochs::load(&**self.fs, &self.dir.get()) {
            Ok(epochs) => self.epochs = epochs,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // A clean stop would have left a whole file: find the epochs in the batches again.
                tracing::warn!(dir = %self.dir.get().display(), %error, "leader epochs are rebuilt");
                self.opening.clean = false;
                self.opening.recovery_point = Offset(0);
                self.epochs_changed = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Make a segment of each `.log` file that is not below the start. One whose index is missing gets it back.
    fn load_segments(&mut self, files: &Files) -> Result<(), OpenError> {
        let dir = self.dir.get();
        let io = |error| OpenError::Io {
            dir: dir.to_path_buf(),
            error,
        };
        let start = self.opening.log_start_offset;
        let first = files.logs.range(..=start).next_back().copied();
        for &base in &files.logs {
            // Those below the start were deleted, whatever a power cut has brought back of them.
            if first.is_some_and(|first| base < first) {
                files::remove_segment(&**self.fs, &dir, base).map_err(io)?;
                continue;
            }
            let name = file_name(base, LOG_SUFFIX);
            let stat = self.fs.stat(&dir.join(&name)).map_err(io)?;
            let len = stat.map_or(0, |stat| stat.len);
            let size = u32::try_from(len)
                .ok()
                .filter(|size| *size <= i32::MAX as u32);
            let size = size.ok_or_else(|| OpenError::Corrupt {
                path: dir.join(&name),
                what: format!("{len} bytes are more than a segment can have"),
            })?;
            let segment = Arc::new(Segment::new(self.fs, &self.dir, base, size, 0));
            let complete = [INDEX_SUFFIX, TIME_INDEX_SUFFIX]
                .iter()
                .all(|suffix| files.names.contains(&file_name(base, suffix)));
            if !complete {
                self.recreate_indexes(&segment)
                    .map_err(|error| read_error(&dir, error))?;
            }
            self.segments.push(segment);
        }
        Ok(())
    }

    /// The offset at which readers may start, and the end of the log, once both fit together: a log that ends below
    /// its start begins anew there.
    fn settle_start(&mut self, end: Option<Offset>) -> io::Result<(Offset, Offset)> {
        let noted = self.opening.log_start_offset;
        let end = match end {
            Some(end) if end >= noted => end,
            _ => {
                self.begin_at(noted)?;
                noted
            }
        };
        let first = self.segments[0].base();
        let start = noted.max(first);
        self.epochs_changed |= self.epochs.truncate_from_end(end);
        self.epochs_changed |= self.epochs.truncate_from_start(start);
        Ok((start, end))
    }

    /// Remove all segments and begin an empty one.
    fn begin_at(&mut self, base: Offset) -> io::Result<()> {
        for segment in std::mem::take(&mut self.segments) {
            if segment.size() > 0 {
                tracing::warn!(dir = %self.dir.get().display(), base = %segment.base(), start = %base, "a segment below the start of the log is removed");
            }
            self.recovered.bytes_cut += u64::from(segment.size());
            files::remove_segment(&**self.fs, &self.dir.get(), segment.base())?;
        }
        let dir = self.dir.get();
        for suffix in [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
            let path = dir.join(file_name(base, suffix));
            self.fs.open(&path, OpenMode::Truncate)?;
        }
        self.begun = true;
        let segment = Segment::new(self.fs, &self.dir, base, 0, 0);
        self.segments.push(Arc::new(segment));
        Ok(())
    }
}

/// Create a directory that outlives a power cut.
pub(crate) fn create_durably(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    if fs.stat(dir)?.is_some_and(|stat| stat.is_dir) {
        return Ok(());
    }
    fs.create_dir(dir)?;
    fs.sync_dir(dir.parent().unwrap_or(Path::new("")))
}

pub(crate) fn read_error(dir: &Path, error: ReadError) -> OpenError {
    match error {
        ReadError::Corrupt {
            path,
            position,
            what,
        } => OpenError::Corrupt {
            path,
            what: format!("{what} at byte {position}"),
        },
        ReadError::Io(error) => OpenError::Io {
            dir: dir.to_owned(),
            error,
        },
        ReadError::OffsetOutOfRange { .. } => OpenError::Corrupt {
            path: dir.to_owned(),
            what: error.to_string(),
        },
    }
}
