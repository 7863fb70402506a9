//! The offset index: where in the segment an offset is found (`OffsetIndex.java`).
//!
//! `<base offset>.index` is a series of 8-byte entries, big-endian, ascending in both fields:
//!
//! | type | field |
//! |---|---|
//! | i32 | offset of the last record of a batch, less the base offset of the segment |
//! | i32 | position of that batch in the `.log` file |
//!
//! It is sparse: an entry is written for a batch when more than `index.interval.bytes` have been appended since the
//! last one. Every position is the start of a batch. There is no checksum; after a crash the index is rebuilt.

use std::io;

use ottla_protocol::ids::Offset;

use crate::fs::Source;
use crate::lazy_file::LazyFile;
use crate::sparse_index::{IndexEntry, SparseIndex};

/// An index entry with its absolute offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetPosition {
    /// Offset of the last record of the batch.
    pub offset: Offset,
    /// Where the batch starts in the segment file, in bytes.
    pub position: u32,
}

/// Index of one segment from offsets to positions.
pub(crate) struct OffsetIndex {
    base: Offset,
    index: SparseIndex<Entry>,
}

impl OffsetIndex {
    /// Bytes of an entry.
    pub(crate) const ENTRY_SIZE: usize = 8;

    pub(crate) fn new(base: Offset, file: LazyFile) -> Self {
        Self {
            base,
            index: SparseIndex::new(file),
        }
    }

    /// The last batch in the index whose last offset is not above `target`: the batch with `target` starts there or
    /// behind. Without one, the start of the segment.
    pub(crate) fn lookup(&self, target: Offset, source: Source) -> io::Result<OffsetPosition> {
        let relative = self.relative(target);
        // Entries lie about equally far apart, so the answer is near the same fraction of the way.
        let last = self.index.last(source)?.map_or(0, |last| last.relative);
        let guess = self.fraction(relative, last.into(), source)?;
        let found =
            self.index
                .search(|entry| i64::from(entry.relative) <= relative, guess, source)?;
        Ok(self.absolute(found.map(|(_, entry)| entry)))
    }

    /// The last batch in the index that starts at or before `position`.
    pub(crate) fn lookup_position(
        &self,
        position: u32,
        size: u32,
        source: Source,
    ) -> io::Result<OffsetPosition> {
        let guess = self.fraction(position.into(), size.into(), source)?;
        let found = self
            .index
            .search(|entry| entry.position <= position, guess, source)?;
        Ok(self.absolute(found.map(|(_, entry)| entry)))
    }

    /// Where the batch starts that is `entries` entries before the last one at or before `position`.
    pub(crate) fn position_before(&self, position: u32, entries: u32) -> io::Result<u32> {
        let found = self
            .index
            .search(|entry| entry.position <= position, None, Source::Disk)?;
        let earlier = found.and_then(|(slot, _)| slot.checked_sub(entries));
        let entry = earlier.map(|slot| self.index.get(slot)).transpose()?;
        Ok(entry.flatten().map_or(0, |entry| entry.position))
    }

    /// The slot that is as far into the index as `part` is into `whole`.
    fn fraction(&self, part: i64, whole: i64, source: Source) -> io::Result<Option<u32>> {
        let count = i64::from(self.index.len(source)?);
        // An index of garbage may even end below its base offset.
        let whole = whole.max(0);
        let slot = part
            .clamp(0, whole)
            .saturating_mul(count)
            .checked_div(whole);
        Ok(slot.and_then(|slot| u32::try_from(slot).ok()))
    }

    /// The last entry.
    pub(crate) fn last(&self) -> io::Result<Option<OffsetPosition>> {
        let last = self.index.last(Source::Disk)?;
        Ok(last.map(|entry| self.absolute(Some(entry))))
    }

    /// Append an entry. Offsets below the base or too far above it are the caller's to exclude.
    pub(crate) fn append(&self, offset: Offset, position: u32) -> io::Result<()> {
        let relative = (offset.0 - self.base.0) as i32;
        self.index.append(Entry { relative, position })
    }

    /// True when no more entries fit a file of `max_bytes`.
    pub(crate) fn is_full(&self, max_bytes: u32) -> io::Result<bool> {
        Ok(self.index.len(Source::Disk)? >= max_bytes / Self::ENTRY_SIZE as u32)
    }

    /// Remove the entries of batches that start at `position` or behind.
    pub(crate) fn truncate_position(&self, position: u32) -> io::Result<()> {
        self.index.truncate(|entry| entry.position < position)
    }

    /// The last entry up to which the file can be believed, and only below `offset`: ascending, and within the
    /// `size` bytes of the segment. Entries behind it are removed.
    pub(crate) fn trust_below(
        &self,
        offset: Offset,
        size: u64,
    ) -> io::Result<Option<OffsetPosition>> {
        let mut last: Option<Entry> = None;
        let mut count = 0;
        self.index.for_each(|entry| {
            let ascending = last.is_none_or(|last| {
                entry.relative > last.relative && entry.position > last.position
            });
            let fits = entry.relative >= 0
                && u64::from(entry.position) < size
                && self.base.plus(entry.relative.into()) < offset;
            if ascending && fits {
                last = Some(entry);
                count += 1;
            }
            ascending && fits
        })?;
        self.index.truncate_to(count)?;
        Ok(last.map(|entry| self.absolute(Some(entry))))
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
    pub(crate) fn decode(base: Offset, bytes: &[u8]) -> OffsetPosition {
        let entry = Entry::decode(bytes);
        OffsetPosition {
            offset: base.plus(entry.relative.into()),
            position: entry.position,
        }
    }

    /// A client may ask for any offset, so one that is far below the base is no cause for an overflow.
    fn relative(&self, target: Offset) -> i64 {
        target.0.saturating_sub(self.base.0)
    }

    fn absolute(&self, entry: Option<Entry>) -> OffsetPosition {
        let entry = entry.unwrap_or(Entry {
            relative: 0,
            position: 0,
        });
        OffsetPosition {
            offset: self.base.plus(entry.relative.into()),
            position: entry.position,
        }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    relative: i32,
    position: u32,
}

impl IndexEntry for Entry {
    const SIZE: usize = OffsetIndex::ENTRY_SIZE;

    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.relative.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        let field = |at: usize| bytes[at..].first_chunk().copied().unwrap_or_default();
        Self {
            relative: i32::from_be_bytes(field(0)),
            position: u32::from_be_bytes(field(4)),
        }
    }
}
