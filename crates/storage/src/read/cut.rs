//! Where a read ends within one segment: behind a whole batch, below an offset, within a limit of bytes.

use ottla_protocol::ids::Offset;

use super::LogReader;
use crate::batch_scan::BatchScan;
use crate::error::ReadError;
use crate::fs::Source;
use crate::segment::Segment;

/// The end of a read in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The read ends before this position, where a batch begins or the segment ends.
    pub(super) end: u32,
    /// Base offset of the batch that begins there, or the offset behind the last batch.
    pub(super) next_offset: Offset,
    /// The segment ends there, and nothing but the limits may keep the read from going on in the next one.
    pub(super) whole_segment: bool,
}

/// What a read asks of one segment.
pub(super) struct Wanted {
    /// Offset that it may not reach.
    pub(super) below: Offset,
    /// Limit in bytes.
    pub(super) room: u32,
    /// The first batch may exceed the limit.
    pub(super) whole_first: bool,
    /// What may be asked for the batches' headers.
    pub(super) source: Source,
}

/// The end of a read that begins with the batch at `start`, whose base offset is `base_offset`.
pub(super) fn cut(
    reader: &LogReader,
    segment: &Segment,
    start: u32,
    base_offset: Offset,
    wanted: &Wanted,
) -> Result<Cut, ReadError> {
    let &Wanted {
        below,
        room,
        whole_first,
        source,
    } = wanted;
    // The active segment's size first: were it read after the limit, it might cover more than the limit allows.
    let (size, next_offset) = segment.end(source)?;
    let limit = start.saturating_add(room);
    if size <= limit && next_offset <= below {
        return Ok(Cut {
            end: size,
            next_offset,
            whole_segment: true,
        });
    }
    let nothing = Cut {
        end: start,
        next_offset: base_offset,
        whole_segment: false,
    };
    if base_offset >= below || (room == 0 && !whole_first) {
        return Ok(nothing);
    }
    let bounds = Bounds {
        size,
        limit,
        below,
        end: next_offset,
        source,
    };
    let found = if next_offset > below {
        cut_below(reader, segment, start, nothing, &bounds)?
    } else {
        cut_limit(segment, nothing, &bounds)?
    };
    if found.end > start || !whole_first {
        return Ok(found);
    }
    let file = segment.log.get_via(source)?;
    let first = segment.header_at(&*file, start, size, source)?;
    if first.header.last_offset() >= below {
        return Ok(nothing);
    }
    after(
        segment,
        first.end() as u32,
        first.header.next_offset(),
        size,
        next_offset,
    )
}

/// What bounds a read in one segment.
struct Bounds {
    /// Bytes of the segment.
    size: u32,
    /// Position that the read may not pass.
    limit: u32,
    /// Offset that the read may not reach.
    below: Offset,
    /// Offset behind the segment's last batch.
    end: Offset,
    source: Source,
}

/// The batch boundary at or before the limit, near to it.
fn cut_limit(segment: &Segment, start: Cut, bounds: &Bounds) -> Result<Cut, ReadError> {
    let source = bounds.source;
    let room = bounds.limit - start.end;
    let entry = segment
        .offset_index
        .lookup_position(bounds.limit, bounds.size, source)?;
    let near_enough = entry.position > start.end && bounds.limit - entry.position <= room / 8;
    if near_enough {
        let file = segment.log.get_via(source)?;
        match segment.header_at(&*file, entry.position, bounds.size, source) {
            Ok(batch) if batch.header.base_offset() > start.next_offset => {
                return Ok(Cut {
                    end: entry.position,
                    next_offset: batch.header.base_offset(),
                    whole_segment: false,
                });
            }
            Err(ReadError::Io(error)) => return Err(error.into()),
            _ => return scan(segment, start.end, start, bounds),
        }
    }
    scan(segment, entry.position.max(start.end), start, bounds)
}

/// The boundary before the first batch that has offset `below` or a later one, or the limit if that comes first.
fn cut_below(
    reader: &LogReader,
    segment: &Segment,
    start: u32,
    nothing: Cut,
    bounds: &Bounds,
) -> Result<Cut, ReadError> {
    let known = reader.newest.find(bounds.below);
    if let Some(known) = known.filter(|known| known.segment_id == segment.id())
        && (start..=bounds.limit).contains(&known.position)
    {
        return Ok(Cut {
            end: known.position,
            next_offset: bounds.below,
            whole_segment: false,
        });
    }
    // The last entry whose batch ends below the bound, unless the limit cuts before it.
    let last_below = Offset(bounds.below.0 - 1);
    let entry = segment.offset_index.lookup(last_below, bounds.source)?;
    if entry.position > bounds.limit {
        return cut_limit(segment, nothing, bounds);
    }
    scan(segment, entry.position.max(start), nothing, bounds)
}

/// Walk the headers from `from` on to the last boundary within the bounds. An index has no checksum: when it was wrong
/// about `from`, the walk begins at the start.
fn scan(segment: &Segment, from: u32, start: Cut, bounds: &Bounds) -> Result<Cut, ReadError> {
    let file = segment.log.get_via(bounds.source)?;
    let mut walk = BatchScan::headers(&*file, from.into(), bounds.size.into())
        .reading_via(bounds.source)
        .not_below(start.next_offset);
    let mut cut = start;
    while let Some(batch) = walk.next()? {
        let header = &batch.header;
        if batch.position <= u64::from(bounds.limit) && header.base_offset() <= bounds.below {
            cut.end = batch.position as u32;
            cut.next_offset = header.base_offset();
        }
        if batch.end() > u64::from(bounds.limit) || header.last_offset() >= bounds.below {
            return Ok(cut);
        }
        cut = after(
            segment,
            batch.end() as u32,
            header.next_offset(),
            bounds.size,
            bounds.end,
        )?;
    }
    if walk.position() == u64::from(bounds.size) {
        return Ok(cut);
    }
    if walk.position() == u64::from(from) && from > start.end {
        return scan(segment, start.end, start, bounds);
    }
    Err(segment.corrupt(walk.position(), "no batch where one must be"))
}

/// The cut behind a batch that ends at `end`.
fn after(
    segment: &Segment,
    end: u32,
    next_offset: Offset,
    size: u32,
    segment_end: Offset,
) -> Result<Cut, ReadError> {
    let whole_segment = end == size;
    if whole_segment && next_offset != segment_end {
        return Err(segment.corrupt(end.into(), "the last batch does not end with the segment"));
    }
    Ok(Cut {
        end,
        next_offset,
        whole_segment,
    })
}
