//! The records inside a batch, one after the other.
//!
//! Layout of a record (`DefaultRecord.java`); every integer is a zig-zag varint but the attributes:
//!
//! | type | field |
//! |---|---|
//! | varint | length of what follows |
//! | i8 | attributes, unused |
//! | varlong | timestamp minus the batch's base timestamp |
//! | varint | offset minus the batch's base offset |
//! | varint, bytes | key; length -1 is null |
//! | varint, bytes | value; length -1 is null |
//! | varint | count of headers |
//! | (varint, bytes, varint, bytes) ... | headers: key, which cannot be null, and value |
//!
//! [`RecordReader`] walks a batch without an allocation per record. Plain batches are read in place; compressed
//! ones pass through a window that is as large as the largest record needs, and the total that comes out is limited.
//! The reader checks the structure and that the batch holds as many records as its header says; what the fields
//! mean is for [`super::validate`].

use std::cell::Cell;
use std::io::{self, Read};

use thiserror::Error;

use super::batch::BatchHeader;
use crate::compression::{Compression, Decompressor};
use crate::varint;

thread_local! {
    /// A window that is not in use, so that small batches need not clear a new one.
    static SPARE_WINDOW: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Size of the window when reading a compressed batch; grows for records that do not fit.
const WINDOW_LEN: usize = 32 * 1024;

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// No bit is assigned.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// The key; records without one are spread over the partitions.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone in compacted topics.
    pub value: Option<&'a [u8]>,
    /// In the order they were written, duplicates and all (KIP-82).
    pub headers: Headers<'a>,
}

/// The headers of a record; iterate to get them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    count: u32,
    bytes: &'a [u8],
}

/// Why the records of a batch cannot be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The attributes name a codec that does not exist.
    #[error("unknown compression codec {0}")]
    UnknownCodec(u8),
    /// The header's count is negative.
    #[error("record count {0} is negative")]
    NegativeCount(i32),
    /// The batch ends before the last of its records.
    #[error("the batch ends inside record {0}")]
    Truncated(i32),
    /// A record contradicts itself.
    #[error("record {index}: {reason}")]
    Malformed {
        /// Which one, counted from 0.
        index: i32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Bytes are left behind the last record.
    #[error("bytes are left behind the last record")]
    Trailing,
    /// The compressed stream is damaged.
    #[error("the records cannot be decompressed: {0}")]
    Decompress(#[from] io::Error),
    /// More comes out of the compressed stream than is allowed.
    #[error("the records take more than {0} bytes when decompressed")]
    TooLarge(usize),
}

impl<'a> Record<'a> {
    /// Read the record that `body` holds, the bytes behind the length.
    #[inline(always)]
    fn parse(mut body: &'a [u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "its fields are longer than the record";
        let rest = &mut body;
        let (&[attributes], after) = rest.split_first_chunk().ok_or(SHORT)?;
        *rest = after;
        let timestamp_delta = varint::read_i64(rest).ok_or(SHORT)?;
        let offset_delta = varint::read_i32(rest).ok_or(SHORT)?;
        let key = read_nullable(rest).ok_or(SHORT)?;
        let value = read_nullable(rest).ok_or(SHORT)?;
        let count = varint::read_i32(rest).ok_or(SHORT)?;
        let count = u32::try_from(count).map_err(|_| "its count of headers is negative")?;
        let headers = Headers::check(count, rest)?;
        Ok(Self {
            attributes: attributes as i8,
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers,
        })
    }
}

impl<'a> Headers<'a> {
    /// Prove that `bytes` hold exactly `count` headers.
    #[inline]
    fn check(count: u32, bytes: &'a [u8]) -> Result<Self, &'static str> {
        let mut left = bytes;
        for _ in 0..count {
            read_header(&mut left).ok_or("its headers are longer than the record")?;
        }
        if !left.is_empty() {
            return Err("bytes are left behind its headers");
        }
        Ok(Self { count, bytes })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Count and headers as they stand in the record, for copying a record unchanged.
    pub(super) fn encoded(&self) -> (u32, &'a [u8]) {
        (self.count, self.bytes)
    }
}

impl<'a> Iterator for Headers<'a> {
    /// Key and value.
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        read_header(&mut self.bytes)
    }
}

/// Walks the records of a batch: `while let Some(record) = reader.next()? { .. }`.
pub struct RecordReader<'a> {
    count: i32,
    read: i32,
    source: Source<'a>,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Compressed(Window<'a>),
}

impl<'a> RecordReader<'a> {
    /// The records of the batch with this header; `body` is all that stands behind the header. No more than
    /// `max_content` bytes are taken from a compressed body.
    pub fn new(
        header: &BatchHeader,
        body: &'a [u8],
        max_content: usize,
    ) -> Result<Self, RecordError> {
        let codec = header.codec_id();
        let source = match Compression::from_id(codec).ok_or(RecordError::UnknownCodec(codec))? {
            Compression::None => Source::Plain(body),
            compression => Source::Compressed(Window::new(compression, body, max_content)?),
        };
        let count = header.records_count();
        if count < 0 {
            return Err(RecordError::NegativeCount(count));
        }
        Ok(Self {
            count,
            read: 0,
            source,
        })
    }

    /// The next record, or `None` behind the last one, when the batch has ended as it should.
    // The loop over a producer's records hangs on this: inlined, it takes two thirds of the time.
    #[inline(always)]
    #[expect(
        clippy::should_implement_trait,
        reason = "a record borrows from the reader, so it is no Iterator"
    )]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        if self.read == self.count {
            return if self.source.at_end()? {
                Ok(None)
            } else {
                Err(RecordError::Trailing)
            };
        }
        let index = self.read;
        let body = match &mut self.source {
            Source::Plain(left) => take_record(left).map_err(|fault| fault.at(index))?,
            Source::Compressed(window) => window.take_record(index)?,
        };
        self.read += 1;
        Record::parse(body)
            .map(Some)
            .map_err(|reason| RecordError::Malformed { index, reason })
    }
}

impl Source<'_> {
    fn at_end(&mut self) -> Result<bool, RecordError> {
        match self {
            Self::Plain(left) => Ok(left.is_empty()),
            Self::Compressed(window) => window.at_end(),
        }
    }
}

/// Why no record can be taken off the front of some bytes.
enum Fault {
    /// They end inside it; it takes at least this many bytes in all.
    Short {
        needed: usize,
    },
    NegativeLength,
}

impl Fault {
    fn at(self, index: i32) -> RecordError {
        match self {
            Self::Short { .. } => RecordError::Truncated(index),
            Self::NegativeLength => RecordError::Malformed {
                index,
                reason: "its length is not valid",
            },
        }
    }
}

/// Most bytes of a varint that holds a length.
const MAX_LENGTH_LEN: usize = 5;

#[inline]
fn take_record<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Fault> {
    let mut rest = *bytes;
    let Some(len) = varint::read_i32(&mut rest) else {
        let complete = bytes.len() >= MAX_LENGTH_LEN;
        return Err(if complete {
            Fault::NegativeLength
        } else {
            Fault::Short {
                needed: bytes.len() + 1,
            }
        });
    };
    let len = usize::try_from(len).map_err(|_| Fault::NegativeLength)?;
    match rest.split_at_checked(len) {
        Some((record, rest)) => {
            *bytes = rest;
            Ok(record)
        }
        None => Err(Fault::Short {
            needed: bytes.len() - rest.len() + len,
        }),
    }
}

/// A part of the decompressed content that slides on as records are taken from it.
struct Window<'a> {
    stream: Decompressor<'a>,
    buffer: Vec<u8>,
    /// `buffer[start..end]` has been decompressed and not yet taken.
    start: usize,
    end: usize,
    /// Bytes that may still come out of the stream.
    allowance: usize,
    max_content: usize,
}

impl<'a> Window<'a> {
    fn new(
        compression: Compression,
        body: &'a [u8],
        max_content: usize,
    ) -> Result<Self, RecordError> {
        let stream = Decompressor::new(compression, body, max_content)?;
        Ok(Self {
            stream,
            buffer: SPARE_WINDOW.take(),
            start: 0,
            end: 0,
            allowance: max_content,
            max_content,
        })
    }

    fn take_record(&mut self, index: i32) -> Result<&[u8], RecordError> {
        loop {
            let mut bytes = &self.buffer[self.start..self.end];
            let available = bytes.len();
            match take_record(&mut bytes) {
                Ok(record) => {
                    let (taken, record_len) = (available - bytes.len(), record.len());
                    self.start += taken;
                    return Ok(&self.buffer[self.start - record_len..self.start]);
                }
                Err(Fault::Short { needed }) => {
                    if needed - available > self.allowance {
                        return Err(RecordError::TooLarge(self.max_content));
                    }
                    if self.fill()? == 0 {
                        return Err(RecordError::Truncated(index));
                    }
                }
                Err(fault) => return Err(fault.at(index)),
            }
        }
    }

    fn at_end(&mut self) -> Result<bool, RecordError> {
        Ok(self.start == self.end && self.fill()? == 0)
    }

    /// Decompress some more behind what is there.
    fn fill(&mut self) -> Result<usize, RecordError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Doubles with what really came out, so a length that lies does not make it grow.
            self.buffer
                .resize((2 * self.buffer.len()).max(WINDOW_LEN), 0);
        }
        let len = self.stream.read(&mut self.buffer[self.end..])?;
        self.allowance = self
            .allowance
            .checked_sub(len)
            .ok_or(RecordError::TooLarge(self.max_content))?;
        self.end += len;
        Ok(len)
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        if self.buffer.len() == WINDOW_LEN {
            SPARE_WINDOW.set(std::mem::take(&mut self.buffer));
        }
    }
}

/// Bytes behind a length of which any negative value means null, as `Utils.readBytes` has it.
#[inline]
fn read_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(len) = usize::try_from(varint::read_i32(bytes)?) else {
        return Some(None);
    };
    let (field, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(Some(field))
}

fn read_header<'a>(bytes: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let key = read_nullable(bytes)??;
    let value = read_nullable(bytes)?;
    Some((key, value))
}

#[cfg(test)]
mod tests;
