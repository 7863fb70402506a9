//! Walk the batches of a segment file from front to back with a bounded buffer: for recovery, which checks every CRC,
//! and for rebuilding what is known of producers, which needs the headers.

use std::io;

use ottla_protocol::ids::Offset;
use ottla_protocol::record::batch::{CRC_START, HEADER_LEN, MAGIC_V2};
use ottla_protocol::record::{BatchHeader, EndTxnMarker, RecordReader};

use crate::fs::{File, Source, read_up_to_via};

/// Bytes read at once when every byte is needed.
const CHUNK: usize = 1 << 20;
/// Bytes read at once when the headers suffice and batches are small: several headers then come with one read.
const HEADER_CHUNK: usize = 4 << 10;
/// Control batches are tiny; larger ones are not decoded.
const MAX_CONTROL: usize = 64 << 10;

/// A batch as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundBatch {
    pub(crate) position: u64,
    pub(crate) header: BatchHeader,
    /// Bytes of the whole batch.
    pub(crate) size: u64,
}

impl FoundBatch {
    pub(crate) fn end(&self) -> u64 {
        self.position + self.size
    }
}

/// A walk over the batches of a file.
pub(crate) struct BatchScan<'a> {
    file: &'a dyn File,
    source: Source,
    next: u64,
    end: u64,
    /// Offsets must not fall below this.
    next_offset: Offset,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffer_at: u64,
    headers_only: bool,
    /// Bytes worth reading for a header and those that follow it.
    read_ahead: usize,
}

impl<'a> BatchScan<'a> {
    /// Walk from `from` to `end`, for the headers only.
    pub(crate) fn headers(file: &'a dyn File, from: u64, end: u64) -> Self {
        Self::new(file, from, end, true)
    }

    /// Walk from `from` to `end`, for all bytes.
    pub(crate) fn whole(file: &'a dyn File, from: u64, end: u64) -> Self {
        Self::new(file, from, end, false)
    }

    fn new(file: &'a dyn File, from: u64, end: u64, headers_only: bool) -> Self {
        Self {
            file,
            source: Source::Disk,
            next: from,
            end,
            next_offset: Offset(0),
            buffer: Vec::new(),
            buffer_at: from,
            headers_only,
            read_ahead: HEADER_LEN,
        }
    }

    /// Take the bytes from `source` only.
    pub(crate) fn reading_via(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Refuse batches that begin below `offset`.
    pub(crate) fn not_below(mut self, offset: Offset) -> Self {
        self.next_offset = offset;
        self
    }

    /// Where the next batch would start.
    pub(crate) fn position(&self) -> u64 {
        self.next
    }

    /// The next batch by its header, or `None` where no whole batch follows: the end, a torn one, or garbage.
    pub(crate) fn next(&mut self) -> io::Result<Option<FoundBatch>> {
        if self.end.saturating_sub(self.next) < HEADER_LEN as u64 {
            return Ok(None);
        }
        let Some(header) = BatchHeader::read(self.bytes(self.next, HEADER_LEN)?) else {
            return Ok(None);
        };
        let Some(batch) = plausible(header, self.next, self.end, self.next_offset) else {
            return Ok(None);
        };
        self.next = batch.end();
        self.next_offset = header.next_offset();
        // One header says how far the next one is: read ahead only when that brings some more with it.
        let many = batch.size < HEADER_CHUNK as u64 / 4;
        self.read_ahead = if many { HEADER_CHUNK } else { HEADER_LEN };
        Ok(Some(batch))
    }

    /// True when the checksum in the header of `batch` is that of its bytes.
    pub(crate) fn crc_holds(&mut self, batch: &FoundBatch) -> io::Result<bool> {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        let mut at = batch.position + CRC_START as u64;
        while at < batch.end() {
            let want = ((batch.end() - at) as usize).min(CHUNK);
            let piece = self.bytes(at, want)?;
            if piece.is_empty() {
                return Ok(false);
            }
            digest.update(piece);
            at += piece.len() as u64;
        }
        Ok(digest.finalize() as u32 == batch.header.crc())
    }

    /// What the control record of a batch says, when it is a transaction marker.
    pub(crate) fn marker(&mut self, batch: &FoundBatch) -> io::Result<Option<EndTxnMarker>> {
        if !batch.header.is_control() || batch.size > MAX_CONTROL as u64 {
            return Ok(None);
        }
        let body_at = batch.position + HEADER_LEN as u64;
        let body = self.bytes(body_at, batch.size as usize - HEADER_LEN)?;
        Ok(parse_marker(&batch.header, body))
    }

    /// `len` bytes at `at`, fewer where the file ends, from the buffer or through it.
    fn bytes(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let held = self.buffer_at + self.buffer.len() as u64;
        if at < self.buffer_at || at + len as u64 > held {
            let ahead = if self.headers_only {
                self.read_ahead
            } else {
                CHUNK
            };
            let want = (ahead.max(len) as u64).min(self.end.saturating_sub(at)) as usize;
            self.buffer.resize(want, 0);
            let read = read_up_to_via(self.source, self.file, &mut self.buffer, at)?;
            self.buffer.truncate(read);
            self.buffer_at = at;
        }
        let start = (at - self.buffer_at) as usize;
        let stop = self.buffer.len().min(start + len);
        Ok(self.buffer.get(start..stop).unwrap_or_default())
    }
}

/// What the control record of a batch with this header and body says, when it is a transaction marker.
pub(crate) fn parse_marker(header: &BatchHeader, body: &[u8]) -> Option<EndTxnMarker> {
    let mut records = RecordReader::new(header, body, MAX_CONTROL).ok()?;
    EndTxnMarker::parse(&records.next().ok()??)
}

/// The batch that this header describes, if it can be one at `position` of a file that ends at `end`.
pub(crate) fn plausible(
    header: BatchHeader,
    position: u64,
    end: u64,
    not_below: Offset,
) -> Option<FoundBatch> {
    let size = header.size()? as u64;
    let sane = header.magic() == MAGIC_V2
        && size <= end.saturating_sub(position)
        && header.base_offset() >= not_below
        && header.last_offset_delta() >= 0
        && header
            .base_offset()
            .0
            .checked_add(header.last_offset_delta().into())
            < Some(i64::MAX);
    sane.then_some(FoundBatch {
        position,
        header,
        size,
    })
}
