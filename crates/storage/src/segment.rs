//! A segment: the batches from one base offset on, and the indexes over them (`LogSegment.java`).
//!
//! Four files carry its base offset, in 20 digits, as their name: `.log` (batches exactly as they go over the wire,
//! one behind the other), `.index`, `.timeindex` and, where transactions were aborted, `.txnindex`.
//!
//! A segment is shared between the one writer and any number of readers. The writer publishes how far it has come as
//! one number, so that readers always see a position and the offset that belongs to it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ottla_protocol::ids::Offset;
use ottla_protocol::record::BatchHeader;
use ottla_protocol::record::batch::HEADER_LEN;

use crate::batch_scan::{BatchScan, FoundBatch, plausible};
use crate::error::ReadError;
use crate::fs::{File, Fs, Source, read_up_to_via};
use crate::lazy_file::{LazyFile, LogPath};
use crate::offset_index::OffsetIndex;
use crate::time_index::{TimeIndex, TimestampOffset};
use crate::transaction_index::TransactionIndex;

/// Suffix of the file with the batches.
pub(crate) const LOG_SUFFIX: &str = ".log";
/// Suffix of the offset index.
pub(crate) const INDEX_SUFFIX: &str = ".index";
/// Suffix of the time index.
pub(crate) const TIME_INDEX_SUFFIX: &str = ".timeindex";
/// Suffix of the transaction index.
pub(crate) const TXN_INDEX_SUFFIX: &str = ".txnindex";
/// All of them.
pub(crate) const SUFFIXES: [&str; 4] = [
    LOG_SUFFIX,
    INDEX_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
];

/// Name of a file of the segment with this base offset.
pub(crate) fn file_name(base: Offset, suffix: &str) -> String {
    format!("{:020}{suffix}", base.0)
}

/// The offset in the 20 digits that segment files are named by.
pub(crate) fn parse_offset(digits: &str) -> Option<Offset> {
    let digits_only = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits_only
        .then(|| digits.parse().ok().map(Offset))
        .flatten()
}

/// The low half of a published end when the offset is not known without reading.
const UNKNOWN: u32 = u32::MAX;

/// The id of the next segment.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// One segment of a log.
pub(crate) struct Segment {
    base: Offset,
    /// Tells it from the one that compaction puts in its place, in this process.
    id: u64,
    /// Its files stay open, for their names are being changed.
    pinned: AtomicBool,
    /// Size in bytes in the high half, next offset less base offset in the low half.
    end: AtomicU64,
    pub(crate) log: LazyFile,
    pub(crate) offset_index: OffsetIndex,
    pub(crate) time_index: TimeIndex,
    pub(crate) txn_index: TransactionIndex,
    /// The largest timestamp and where it was first reached; `None` until the time index was asked.
    max_timestamp: Mutex<Option<TimestampOffset>>,
    /// How many bytes this process had appended to the log when the first byte of this segment would have been
    /// appended, and from which position on it really was.
    pub(crate) appended_before: i64,
    pub(crate) appended_from: u32,
}

impl Segment {
    /// The segment with base offset `base` in `dir`, whose `.log` file has `size` bytes.
    pub(crate) fn new(
        fs: &Arc<dyn Fs>,
        dir: &Arc<LogPath>,
        base: Offset,
        size: u32,
        appended: u64,
    ) -> Self {
        let file = |suffix| LazyFile::new(Arc::clone(fs), Arc::clone(dir), file_name(base, suffix));
        Self {
            base,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            pinned: AtomicBool::new(false),
            end: AtomicU64::new(pack(size, if size == 0 { 0 } else { UNKNOWN })),
            log: file(LOG_SUFFIX),
            offset_index: OffsetIndex::new(base, file(INDEX_SUFFIX)),
            time_index: TimeIndex::new(base, file(TIME_INDEX_SUFFIX)),
            txn_index: TransactionIndex::new(file(TXN_INDEX_SUFFIX)),
            max_timestamp: Mutex::new(None),
            appended_before: appended as i64 - i64::from(size),
            appended_from: size,
        }
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    /// A number that no other segment of this process has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Bytes of whole batches.
    pub(crate) fn size(&self) -> u32 {
        (self.end.load(Ordering::Acquire) >> 32) as u32
    }

    /// Size, and the offset behind the last batch. Asking an old segment for the first time reads its last batches.
    pub(crate) fn end(&self, source: Source) -> Result<(u32, Offset), ReadError> {
        let packed = self.end.load(Ordering::Acquire);
        let size = (packed >> 32) as u32;
        let relative = packed as u32;
        if relative != UNKNOWN {
            return Ok((size, self.base.plus(relative.into())));
        }
        source.needs_disk()?;
        let next = self.find_next_offset(size)?;
        let relative = (next.0 - self.base.0) as u32;
        // Only an old segment is unknown, and it does not change; should it have been, the newer value stands.
        let _ = self.end.compare_exchange(
            packed,
            pack(size, relative),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        Ok((size, next))
    }

    /// Show readers the batches up to `size`; the next one will have offset `next`.
    pub(crate) fn publish(&self, size: u32, next: Offset) {
        let relative = (next.0 - self.base.0) as u32;
        self.end.store(pack(size, relative), Ordering::Release);
    }

    /// True when the indexes can hold `offset`.
    pub(crate) fn can_hold(&self, offset: Offset) -> bool {
        (0..=i64::from(i32::MAX)).contains(&(offset.0 - self.base.0))
    }

    /// The first batch whose last offset is at or above `target`, among the first `size` bytes.
    pub(crate) fn find(
        &self,
        target: Offset,
        size: u32,
        source: Source,
    ) -> Result<Option<FoundBatch>, ReadError> {
        if size == 0 {
            return Ok(None);
        }
        let file = self.log.get_via(source)?;
        let hint = self.offset_index.lookup(target, source)?;
        let from = self.checked_hint(&*file, hint.position, size, target, source)?;
        let mut scan = BatchScan::headers(&*file, from.into(), size.into()).reading_via(source);
        loop {
            match scan.next()? {
                Some(batch) if batch.header.last_offset() >= target => return Ok(Some(batch)),
                Some(_) => {}
                None if scan.position() == u64::from(size) => return Ok(None),
                None => return Err(self.corrupt(scan.position(), "no batch where one must be")),
            }
        }
    }

    /// The header of the batch at `position`, among the first `size` bytes.
    pub(crate) fn header_at(
        &self,
        file: &dyn File,
        position: u32,
        size: u32,
        source: Source,
    ) -> Result<FoundBatch, ReadError> {
        let mut bytes = [0; HEADER_LEN];
        let read = read_up_to_via(source, file, &mut bytes, position.into())?;
        BatchHeader::read(&bytes[..read])
            .and_then(|header| plausible(header, position.into(), size.into(), self.base))
            .ok_or_else(|| self.corrupt(position.into(), "no batch where one must be"))
    }

    /// The largest timestamp, and the last offset of the batch that first had it.
    pub(crate) fn max_timestamp(&self) -> io::Result<TimestampOffset> {
        let mut known = self.lock_max();
        match *known {
            Some(max) => Ok(max),
            None => Ok(*known.insert(self.time_index.last()?)),
        }
    }

    /// Note the timestamp of a batch that was appended.
    pub(crate) fn observe_timestamp(&self, seen: TimestampOffset) -> io::Result<()> {
        let max = self.max_timestamp()?;
        if seen.timestamp > max.timestamp {
            *self.lock_max() = Some(seen);
        }
        Ok(())
    }

    /// Replace what is known of the largest timestamp.
    pub(crate) fn set_max_timestamp(&self, max: Option<TimestampOffset>) {
        *self.lock_max() = max;
    }

    /// Close the descriptors; readers at work keep theirs.
    pub(crate) fn close_files(&self) {
        self.log.close();
        self.offset_index.file().close();
        self.time_index.file().close();
        self.txn_index.file().close();
    }

    /// Hold all files open: their names are about to be given to others. Nobody may close them meanwhile.
    pub(crate) fn pin(&self) -> io::Result<()> {
        self.pinned.store(true, Ordering::SeqCst);
        // An index that was never used looks at its file first, and closes it again.
        self.offset_index.last()?;
        self.time_index.last()?;
        self.log.pin()?;
        self.offset_index.file().pin()?;
        self.time_index.file().pin()?;
        match self.txn_index.is_empty()? {
            true => Ok(()),
            false => self.txn_index.file().pin(),
        }
    }

    /// The files stand under their names again.
    pub(crate) fn unpin(&self) {
        self.log.unpin();
        self.offset_index.file().unpin();
        self.time_index.file().unpin();
        self.txn_index.file().unpin();
        self.pinned.store(false, Ordering::SeqCst);
    }

    /// True from [`Self::pin`] to [`Self::unpin`].
    pub(crate) fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::SeqCst)
    }

    pub(crate) fn corrupt(&self, position: u64, what: &'static str) -> ReadError {
        ReadError::Corrupt {
            path: self.log.path(),
            position,
            what,
        }
    }

    /// `position` when a batch at or below `target` starts there; else 0. Indexes have no checksum.
    fn checked_hint(
        &self,
        file: &dyn File,
        position: u32,
        size: u32,
        target: Offset,
        source: Source,
    ) -> Result<u32, ReadError> {
        if position == 0 {
            return Ok(0);
        }
        match self.header_at(file, position, size, source) {
            Ok(batch) if batch.header.base_offset() <= target => Ok(position),
            Err(ReadError::Io(error)) => Err(error.into()),
            _ => Ok(0),
        }
    }

    fn find_next_offset(&self, size: u32) -> Result<Offset, ReadError> {
        let file = self.log.get()?;
        let hint = self.offset_index.last()?.map_or(0, |entry| entry.position);
        let from = self.checked_hint(&*file, hint, size, Offset(i64::MAX), Source::Disk)?;
        let mut scan = BatchScan::headers(&*file, from.into(), size.into());
        let mut next = self.base;
        while let Some(batch) = scan.next()? {
            next = batch.header.next_offset();
        }
        if scan.position() != u64::from(size) {
            return Err(self.corrupt(scan.position(), "no batch where one must be"));
        }
        if next > self.base && !self.can_hold(next.plus(-1)) {
            return Err(self.corrupt(0, "offsets are too far from the base offset"));
        }
        Ok(next)
    }

    fn lock_max(&self) -> std::sync::MutexGuard<'_, Option<TimestampOffset>> {
        self.max_timestamp
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn pack(size: u32, relative: u32) -> u64 {
    u64::from(size) << 32 | u64::from(relative)
}
