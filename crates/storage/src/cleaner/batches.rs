//! Read the batches of a segment one after the other, whole, with a bounded buffer.

use ottla_protocol::ids::Offset;
use ottla_protocol::record::BatchHeader;
use ottla_protocol::record::batch::{CRC_START, HEADER_LEN, crc32c};

use super::clean::Pace;
use super::error::CleanError;
use crate::batch_scan::{FoundBatch, plausible};
use crate::fs::{File, read_up_to};
use crate::segment::Segment;

/// A walk over the batches of a segment.
pub(crate) struct Batches<'a> {
    segment: &'a Segment,
    file: &'a dyn File,
    /// Where the next batch begins.
    position: u64,
    end: u64,
    next_offset: Offset,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffer_at: u64,
    /// Bytes read at once; more for a larger batch.
    chunk: usize,
    pace: Pace<'a>,
}

impl<'a> Batches<'a> {
    /// The batches from position `from` on, to the end of the segment.
    pub(crate) fn new(
        segment: &'a Segment,
        file: &'a dyn File,
        from: u64,
        chunk: usize,
        pace: Pace<'a>,
    ) -> Self {
        Self {
            segment,
            file,
            position: from,
            end: segment.size().into(),
            next_offset: segment.base(),
            buffer: Vec::new(),
            buffer_at: from,
            chunk,
            pace,
        }
    }

    /// The next batch and its bytes, with a checksum that holds; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(FoundBatch, &[u8])>, CleanError> {
        if self.position == self.end {
            return Ok(None);
        }
        let header = BatchHeader::read(self.bytes(HEADER_LEN)?);
        let found =
            header.and_then(|header| plausible(header, self.position, self.end, self.next_offset));
        let Some(batch) = found else {
            return Err(self.corrupt("no batch where one must be"));
        };
        let holds = {
            let bytes = self.bytes(batch.size as usize)?;
            bytes.len() as u64 == batch.size && crc32c(&bytes[CRC_START..]) == batch.header.crc()
        };
        if !holds {
            return Err(self.corrupt("the checksum does not hold"));
        }
        let start = (batch.position - self.buffer_at) as usize;
        self.position = batch.end();
        self.next_offset = batch.header.next_offset();
        Ok(Some((
            batch,
            &self.buffer[start..start + batch.size as usize],
        )))
    }

    /// `len` bytes at the position, fewer where the file ends.
    fn bytes(&mut self, len: usize) -> Result<&[u8], CleanError> {
        let mut start = (self.position - self.buffer_at) as usize;
        if self.buffer.len() < start + len {
            let want = (self.chunk.max(len) as u64).min(self.end - self.position) as usize;
            self.buffer.drain(..start.min(self.buffer.len()));
            self.buffer_at = self.position;
            let held = self.buffer.len();
            self.buffer.resize(want.max(held), 0);
            let at = self.position + held as u64;
            let read = read_up_to(self.file, &mut self.buffer[held..], at)?;
            self.buffer.truncate(held + read);
            (self.pace)(read as u64)?;
            start = 0;
        }
        let stop = self.buffer.len().min(start + len);
        Ok(&self.buffer[start..stop])
    }

    fn corrupt(&self, what: &'static str) -> CleanError {
        CleanError::Corrupt {
            path: self.segment.log.path(),
            position: self.position,
            what,
        }
    }
}
