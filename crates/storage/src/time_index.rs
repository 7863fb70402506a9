//! The time index: up to which offset the timestamps of a segment have reached a value (`TimeIndex.java`).
//!
//! `<base offset>.timeindex` is a series of 12-byte entries, big-endian, ascending in both fields:
//!
//! | type | field |
//! |---|---|
//! | i64 | largest timestamp so far, in milliseconds |
//! | i32 | offset of the last record of the batch that first reached it, less the base offset of the segment |
//!
//! Every record with a later timestamp comes behind that batch. An entry is written along with one of the offset
//! index when the largest timestamp has grown since the last entry, and a final one when the segment is rolled or
//! closed: that one tells how old the segment is. There is no checksum; after a crash the index is rebuilt.

use std::io;

use ottla_protocol::ids::{Offset, Timestamp};

use crate::fs::Source;
use crate::lazy_file::LazyFile;
use crate::sparse_index::{IndexEntry, SparseIndex};

/// An index entry with its absolute offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The largest timestamp so far; [`Timestamp::NONE`] before any.
    pub timestamp: Timestamp,
    /// Offset of the last record of the batch that first reached it.
    pub offset: Offset,
}

/// Index of one segment from timestamps to offsets.
pub(crate) struct TimeIndex {
    base: Offset,
    index: SparseIndex<Entry>,
}

impl TimeIndex {
    /// Bytes of an entry.
    pub(crate) const ENTRY_SIZE: usize = 12;

    pub(crate) fn new(base: Offset, file: LazyFile) -> Self {
        Self {
            base,
            index: SparseIndex::new(file),
        }
    }

    /// The last entry whose timestamp is not above `target`. Without one, no timestamp and the base offset.
    pub(crate) fn lookup(&self, target: Timestamp) -> io::Result<TimestampOffset> {
        let found = self
            .index
            .search(|entry| entry.timestamp <= target.0, None, Source::Disk)?;
        Ok(self.absolute(found.map(|(_, entry)| entry)))
    }

    /// The last entry. Without one, no timestamp and the base offset.
    pub(crate) fn last(&self) -> io::Result<TimestampOffset> {
        Ok(self.absolute(self.index.last(Source::Disk)?))
    }

    /// Append an entry, unless the timestamp has not grown since the last one.
    pub(crate) fn maybe_append(&self, entry: TimestampOffset) -> io::Result<()> {
        let last = self.index.last(Source::Disk)?;
        let relative = (entry.offset.0 - self.base.0) as i32;
        let grown =
            last.is_none_or(|last| entry.timestamp.0 > last.timestamp && relative >= last.relative);
        if grown && entry.timestamp > Timestamp::NONE {
            self.index.append(Entry {
                timestamp: entry.timestamp.0,
                relative,
            })?;
        }
        Ok(())
    }

    /// True when no more entries fit a file of `max_bytes`; one slot stays free for the roll.
    pub(crate) fn is_full(&self, max_bytes: u32) -> io::Result<bool> {
        let slots = max_bytes / Self::ENTRY_SIZE as u32;
        Ok(self.index.len(Source::Disk)? >= slots.saturating_sub(1))
    }

    /// Remove the entries for `offset` and later ones.
    pub(crate) fn truncate_offset(&self, offset: Offset) -> io::Result<()> {
        let relative = offset.0 - self.base.0;
        self.index
            .truncate(|entry| i64::from(entry.relative) < relative)
    }

    /// The last entry up to which the file can be believed, and only up to `offset`: ascending. Entries behind it
    /// are removed.
    pub(crate) fn trust_up_to(&self, offset: Offset) -> io::Result<()> {
        let mut last: Option<Entry> = None;
        let mut count = 0;
        self.index.for_each(|entry| {
            let ascending = last.is_none_or(|last| {
                entry.timestamp > last.timestamp && entry.relative >= last.relative
            });
            let fits = entry.relative >= 0
                && entry.timestamp >= 0
                && self.base.plus(entry.relative.into()) <= offset;
            if ascending && fits {
                last = Some(entry);
                count += 1;
            }
            ascending && fits
        })?;
        self.index.truncate_to(count)
    }

    /// Remove all entries.
    pub(crate) fn reset(&self) -> io::Result<()> {
        self.index.reset()
    }

    /// Write what is only in memory to the file.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        self.index.write_out()
    }

    /// Write out and keep nothing in memory: the segment is full.
    pub(crate) fn seal(&self) -> io::Result<()> {
        self.index.seal()
    }

    pub(crate) fn file(&self) -> &LazyFile {
        self.index.file()
    }

    /// The entry in `bytes`, of an index with this base offset.
    pub(crate) fn decode(base: Offset, bytes: &[u8]) -> TimestampOffset {
        let entry = Entry::decode(bytes);
        TimestampOffset {
            timestamp: Timestamp(entry.timestamp),
            offset: base.plus(entry.relative.into()),
        }
    }

    fn absolute(&self, entry: Option<Entry>) -> TimestampOffset {
        entry.map_or(
            TimestampOffset {
                timestamp: Timestamp::NONE,
                offset: self.base,
            },
            |entry| TimestampOffset {
                timestamp: Timestamp(entry.timestamp),
                offset: self.base.plus(entry.relative.into()),
            },
        )
    }
}

#[derive(Clone, Copy)]
struct Entry {
    timestamp: i64,
    relative: i32,
}

impl IndexEntry for Entry {
    const SIZE: usize = TimeIndex::ENTRY_SIZE;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.relative.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        Self {
            timestamp: i64::from_be_bytes(bytes.first_chunk().copied().unwrap_or_default()),
            relative: i32::from_be_bytes(bytes[8..].first_chunk().copied().unwrap_or_default()),
        }
    }
}
