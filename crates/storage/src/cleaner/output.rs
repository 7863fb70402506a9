//! The segment that a group becomes, while it is written: its files have names that end in `.cleaned`, which nobody
//! reads, and get their own only when it takes the group's place.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::Offset;
use ottla_protocol::record::BatchHeader;

use super::clean::Pace;
use super::error::CleanError;
use crate::batch_scan::FoundBatch;
use crate::fs::{File, Fs, OpenMode, remove_if_exists, write_all_at};
use crate::lazy_file::{LazyFile, LogPath};
use crate::recovery::files::CLEANED_SUFFIX;
use crate::segment::{
    INDEX_SUFFIX, LOG_SUFFIX, SUFFIXES, Segment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_name,
};
use crate::transaction_index::AbortedTxn;

/// Largest size of a segment: positions are 31 bits wide.
const MAX_SIZE: u64 = i32::MAX as u64;

/// A segment that is being written.
pub(crate) struct Output<'a> {
    fs: &'a Arc<dyn Fs>,
    dir: &'a LogPath,
    segment: Segment,
    log: Arc<dyn File>,
    /// Bytes in the file.
    written: u64,
    buffer: Vec<u8>,
    /// Bytes gathered before they are written.
    chunk: usize,
    next: Offset,
    pace: Pace<'a>,
}

impl<'a> Output<'a> {
    /// A segment with base offset `base` in `dir`, without batches.
    pub(crate) fn create(
        fs: &'a Arc<dyn Fs>,
        dir: &'a Arc<LogPath>,
        base: Offset,
        chunk: usize,
        pace: Pace<'a>,
    ) -> Result<Self, CleanError> {
        remove_leftovers(&**fs, &dir.get(), base)?;
        let mut segment = Segment::new(fs, dir, base, 0, 0);
        // None of it counts as recently appended.
        segment.appended_from = u32::MAX;
        let log = install(fs, dir, base, LOG_SUFFIX, &segment.log)?;
        install(fs, dir, base, INDEX_SUFFIX, segment.offset_index.file())?;
        install(fs, dir, base, TIME_INDEX_SUFFIX, segment.time_index.file())?;
        segment.offset_index.reset()?;
        segment.time_index.reset()?;
        segment.txn_index.set_empty();
        Ok(Self {
            fs,
            dir,
            segment,
            log,
            written: 0,
            buffer: Vec::new(),
            chunk,
            next: base,
            pace,
        })
    }

    /// The segment, for its indexes.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Add a batch; where it stands.
    pub(crate) fn push(
        &mut self,
        header: &BatchHeader,
        bytes: &[&[u8]],
    ) -> Result<FoundBatch, CleanError> {
        let size: usize = bytes.iter().map(|piece| piece.len()).sum();
        let position = self.written + self.buffer.len() as u64;
        if position + size as u64 > MAX_SIZE || !self.segment.can_hold(header.last_offset()) {
            return Err(CleanError::TooLarge(self.segment.base().0));
        }
        bytes
            .iter()
            .for_each(|piece| self.buffer.extend_from_slice(piece));
        self.next = header.next_offset();
        if self.buffer.len() >= self.chunk {
            self.write_out()?;
        }
        Ok(FoundBatch {
            position,
            header: *header,
            size: size as u64,
        })
    }

    /// All batches were added, and the indexes over them; these are the aborted transactions to know of. Everything but
    /// the names is on disk when this returns.
    pub(crate) fn finish(mut self, aborted: &[AbortedTxn]) -> Result<Segment, CleanError> {
        self.write_out()?;
        let segment = self.segment;
        segment.offset_index.seal()?;
        segment.time_index.seal()?;
        // Not above MAX_SIZE.
        segment.publish(self.written as u32, self.next);
        if !aborted.is_empty() {
            let file = segment.txn_index.file();
            install(self.fs, self.dir, segment.base(), TXN_INDEX_SUFFIX, file)?;
            aborted
                .iter()
                .try_for_each(|txn| segment.txn_index.append(txn))?;
            file.get()?.sync_data()?;
        }
        self.log.sync_data()?;
        segment.offset_index.file().get()?.sync_data()?;
        segment.time_index.file().get()?.sync_data()?;
        Ok(segment)
    }

    fn write_out(&mut self) -> Result<(), CleanError> {
        write_all_at(&*self.log, &[&self.buffer], self.written)?;
        let len = self.buffer.len() as u64;
        self.written += len;
        self.buffer.clear();
        (self.pace)(len)
    }
}

/// Remove what an earlier round has left half done of this segment.
pub(crate) fn remove_leftovers(fs: &dyn Fs, dir: &Path, base: Offset) -> io::Result<()> {
    SUFFIXES
        .iter()
        .try_for_each(|suffix| remove_if_exists(fs, &cleaned_path(dir, base, suffix)))
}

/// Where a file of a segment is written.
pub(crate) fn cleaned_path(dir: &Path, base: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{}{CLEANED_SUFFIX}", file_name(base, suffix)))
}

/// Create an empty file for `place`.
fn install(
    fs: &Arc<dyn Fs>,
    dir: &LogPath,
    base: Offset,
    suffix: &str,
    place: &LazyFile,
) -> io::Result<Arc<dyn File>> {
    let path = cleaned_path(&dir.get(), base, suffix);
    let file = fs.open(&path, OpenMode::Truncate)?;
    place.install(Arc::clone(&file));
    Ok(file)
}
