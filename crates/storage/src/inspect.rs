//! Look at the files of logs from outside: nothing is opened for writing, created, repaired or locked, so that a
//! directory can be examined whatever state it is in.
//!
//! [`BatchWalk`] reads the batches of a segment, [`entries`] the indexes, [`verify`] says what is wrong with a log,
//! and [`repair`] what can be done about it.

use std::io;
use std::path::Path;

use ottla_protocol::ids::Offset;
use ottla_protocol::record::batch::{HEADER_LEN, MAGIC_V2};
use ottla_protocol::record::{BatchHeader, EndTxnMarker};

use crate::batch_scan::{BatchScan, FoundBatch};
use crate::fs::{File, read_up_to};
use crate::producer_state::snapshot;
use crate::segment::{INDEX_SUFFIX, LOG_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, parse_offset};
use crate::{checkpoint, leader_epoch, log_dir, meta_properties, partition_metadata};

pub mod entries;
pub mod repair;
pub mod verify;

/// What a file of a data directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `<base offset>.log`: batches.
    Log(Offset),
    /// `<base offset>.index`: offset index.
    OffsetIndex(Offset),
    /// `<base offset>.timeindex`: time index.
    TimeIndex(Offset),
    /// `<base offset>.txnindex`: aborted transactions.
    TransactionIndex(Offset),
    /// `<offset>.snapshot`: producers as of the offset.
    ProducerSnapshot(Offset),
    /// `leader-epoch-checkpoint`.
    LeaderEpochs,
    /// One of the checkpoints that hold an offset per partition.
    Offsets,
    /// `partition.metadata`: the topic id.
    PartitionMetadata,
    /// `meta.properties`.
    MetaProperties,
    /// `.kafka_cleanshutdown`.
    CleanShutdown,
    /// `<end offset>-<epoch>.checkpoint` or `bootstrap.checkpoint`: batches of metadata records.
    MetadataSnapshot,
    /// None of these.
    Unknown,
}

impl FileKind {
    /// The kind of the file at `path`.
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name else {
            return Self::Unknown;
        };
        match name {
            leader_epoch::FILE_NAME => return Self::LeaderEpochs,
            partition_metadata::FILE_NAME => return Self::PartitionMetadata,
            meta_properties::FILE_NAME => return Self::MetaProperties,
            log_dir::CLEAN_SHUTDOWN_FILE => return Self::CleanShutdown,
            checkpoint::RECOVERY_POINT_FILE
            | checkpoint::LOG_START_FILE
            | checkpoint::HIGH_WATERMARK_FILE
            | checkpoint::CLEANER_FILE => return Self::Offsets,
            _ => {}
        }
        let base = |suffix| name.strip_suffix(suffix).and_then(parse_offset);
        if name.ends_with(".checkpoint") {
            Self::MetadataSnapshot
        } else if let Some(at) = snapshot::parse_file_name(name) {
            Self::ProducerSnapshot(at)
        } else if let Some(base) = base(LOG_SUFFIX) {
            Self::Log(base)
        } else if let Some(base) = base(TIME_INDEX_SUFFIX) {
            Self::TimeIndex(base)
        } else if let Some(base) = base(TXN_INDEX_SUFFIX) {
            Self::TransactionIndex(base)
        } else if let Some(base) = base(INDEX_SUFFIX) {
            Self::OffsetIndex(base)
        } else {
            Self::Unknown
        }
    }
}

/// A batch as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Where it begins, in bytes.
    pub position: u64,
    /// Bytes of the whole batch.
    pub size: u64,
    /// Its header.
    pub header: BatchHeader,
}

/// Walks the batches of a file, from front to back, as far as whole ones follow each other.
pub struct BatchWalk<'a> {
    file: &'a dyn File,
    scan: BatchScan<'a>,
    end: u64,
    next_offset: Offset,
}

impl<'a> BatchWalk<'a> {
    /// Walk through the whole of `file`. Offsets below `base` are no batches of it.
    pub fn new(file: &'a dyn File, base: Offset) -> io::Result<Self> {
        Self::from(file, base, 0)
    }

    /// Walk on from `position`.
    pub fn from(file: &'a dyn File, base: Offset, position: u64) -> io::Result<Self> {
        let end = file.len()?;
        Ok(Self {
            file,
            scan: BatchScan::whole(file, position, end).not_below(base),
            end,
            next_offset: base,
        })
    }

    /// The next batch; `None` at the end of the file and where no whole batch follows.
    pub fn next_batch(&mut self) -> io::Result<Option<Batch>> {
        let found = self.scan.next()?;
        Ok(found.map(|found| {
            self.next_offset = found.header.next_offset();
            Batch {
                position: found.position,
                size: found.size,
                header: found.header,
            }
        }))
    }

    /// True when the checksum in the header of `batch` is that of its bytes.
    pub fn crc_holds(&mut self, batch: &Batch) -> io::Result<bool> {
        self.scan.crc_holds(&batch.found())
    }

    /// What the control record of `batch` says, when it is a transaction marker.
    pub fn marker(&mut self, batch: &Batch) -> io::Result<Option<EndTxnMarker>> {
        self.scan.marker(&batch.found())
    }

    /// All that stands behind the header of `batch`. The file bounds how much that is.
    pub fn body(&self, batch: &Batch) -> io::Result<Vec<u8>> {
        let mut body = vec![0; batch.size as usize - HEADER_LEN];
        let read = read_up_to(self.file, &mut body, batch.position + HEADER_LEN as u64)?;
        body.truncate(read);
        Ok(body)
    }

    /// Where the next batch would begin.
    pub fn position(&self) -> u64 {
        self.scan.position()
    }

    /// Length of the file.
    pub fn file_len(&self) -> u64 {
        self.end
    }

    /// What is wrong with the bytes at which the walk has ended; `None` when it has come to the end of the file.
    pub fn fault(&self) -> io::Result<Option<String>> {
        let left = self.end - self.position();
        if left == 0 {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_LEN];
        let read = read_up_to(self.file, &mut bytes, self.position())?;
        let Some(header) = BatchHeader::read(&bytes[..read]) else {
            return Ok(Some(format!("{left} bytes are too few for a batch")));
        };
        let what = match header.size() {
            _ if bytes.iter().all(|byte| *byte == 0) => "zeros where a batch must be".to_owned(),
            None => format!("a batch cannot have a length of {}", header.batch_length()),
            Some(_) if header.magic() != MAGIC_V2 => format!("magic {}", header.magic()),
            Some(size) if size as u64 > left => {
                format!("a batch of {size} bytes, of which {left} are there")
            }
            Some(_) if header.base_offset() < self.next_offset => format!(
                "a batch with base offset {} where {} or more must be",
                header.base_offset(),
                self.next_offset
            ),
            Some(_) => format!("a last offset delta of {}", header.last_offset_delta()),
        };
        Ok(Some(what))
    }
}

impl Batch {
    /// Where the next batch begins.
    pub fn end(&self) -> u64 {
        self.position + self.size
    }

    fn found(&self) -> FoundBatch {
        FoundBatch {
            position: self.position,
            header: self.header,
            size: self.size,
        }
    }
}
