//! Find records by their timestamps, for ListOffsets (`UnifiedLog.fetchOffsetByTimestamp`).

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ids::{LeaderEpoch, Offset, Timestamp};
use ottla_protocol::record::RecordReader;
use ottla_protocol::record::batch::HEADER_LEN;

use super::LogReader;
use crate::batch_scan::{BatchScan, FoundBatch};
use crate::error::ReadError;
use crate::fs::{File, Source, read_up_to};
use crate::segment::Segment;
use crate::segment_set::SegmentSet;

/// Bytes of records taken from one compressed batch. Batches that unpack to more were not let in; ones that Kafka let
/// in are answered with their first offset.
const MAX_CONTENT: usize = 1 << 30;

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampMatch {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its offset.
    pub offset: Offset,
    /// Epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
}

impl LogReader {
    /// The first record whose timestamp is `at` or later, among those below offset `below`. Exact to the record: the
    /// batch that has it is read and unpacked.
    pub fn offset_for_timestamp(
        &self,
        at: Timestamp,
        below: Offset,
    ) -> Result<Option<TimestampMatch>, ReadError> {
        self.looking_again(|set| self.first_at(set, at, below))
    }

    fn first_at(
        &self,
        set: &SegmentSet,
        at: Timestamp,
        below: Offset,
    ) -> Result<Option<TimestampMatch>, ReadError> {
        let start = self.log_start_offset();
        for segment in set.from(start) {
            if segment.base() >= below {
                break;
            }
            if segment.max_timestamp()?.timestamp < at {
                continue;
            }
            if let Some(found) = first_in_segment(segment, at, start)? {
                return Ok((found.offset < below).then_some(found));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp, the first of them when there are several, among those below `below`. As in
    /// Kafka a segment counts as a whole, also where the log by now starts inside it.
    pub fn max_timestamp_offset(&self, below: Offset) -> Result<Option<TimestampMatch>, ReadError> {
        self.looking_again(|set| self.latest(set, below))
    }

    /// The first timestamp of the batch that holds `offset`, or of the next one where compaction removed it: no record
    /// from `offset` on in that batch is older, as far as its producer's clock did not go back. `None` at the log's end.
    /// Reads no records.
    pub fn timestamp_at(&self, offset: Offset) -> Result<Option<Timestamp>, ReadError> {
        self.looking_again(|set| {
            let Some(start) = self.start(set, offset, Source::Disk)? else {
                return Ok(None);
            };
            let Some(segment) = start.segments.first() else {
                return Ok(None);
            };
            let size = segment.size();
            if start.position >= size {
                return Ok(None);
            }
            let file = segment.log.get()?;
            let header = segment
                .header_at(&*file, start.position, size, Source::Disk)?
                .header;
            Ok(Some(match header.is_log_append_time() {
                true => header.max_timestamp(),
                false => header.base_timestamp(),
            }))
        })
    }

    fn latest(&self, set: &SegmentSet, below: Offset) -> Result<Option<TimestampMatch>, ReadError> {
        let mut latest: Option<(&Arc<Segment>, Timestamp)> = None;
        for segment in set.from(self.log_start_offset()) {
            let max = segment.max_timestamp()?.timestamp;
            if max > latest.map_or(Timestamp::NONE, |(_, max)| max) {
                latest = Some((segment, max));
            }
        }
        let Some((segment, max)) = latest else {
            return Ok(None);
        };
        let found = first_in_segment(segment, max, segment.base())?;
        Ok(found.filter(|found| found.offset < below))
    }
}

/// The first record at or behind offset `start` of a segment whose timestamp is `at` or later.
fn first_in_segment(
    segment: &Segment,
    at: Timestamp,
    start: Offset,
) -> Result<Option<TimestampMatch>, ReadError> {
    let size = segment.size();
    // Records later than the entry's timestamp come behind its batch; equal ones may be in it.
    let entry = segment.time_index.lookup(at)?;
    let Some(first) = segment.find(entry.offset.max(start), size, Source::Disk)? else {
        return Ok(None);
    };
    let file = segment.log.get()?;
    let mut scan = BatchScan::headers(&*file, first.position, size.into());
    while let Some(batch) = scan.next()? {
        if batch.header.max_timestamp() < at {
            continue;
        }
        if let Some(found) = first_in_batch(&*file, &batch, at, start)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn first_in_batch(
    file: &dyn File,
    batch: &FoundBatch,
    at: Timestamp,
    start: Offset,
) -> Result<Option<TimestampMatch>, ReadError> {
    let header = &batch.header;
    let found = |timestamp, offset| TimestampMatch {
        timestamp,
        offset,
        leader_epoch: header.leader_epoch(),
    };
    let body = read_body(file, batch)?;
    let Ok(mut records) = RecordReader::new(header, &body, MAX_CONTENT) else {
        return Ok(Some(found(
            header.max_timestamp(),
            header.base_offset().max(start),
        )));
    };
    loop {
        match records.next() {
            Ok(Some(record)) => {
                let offset = header.base_offset().plus(record.offset_delta.into());
                let timestamp = if header.is_log_append_time() {
                    header.max_timestamp()
                } else {
                    let base = header.base_timestamp().0;
                    Timestamp(base.saturating_add(record.timestamp_delta))
                };
                if timestamp >= at && offset >= start {
                    return Ok(Some(found(timestamp, offset)));
                }
            }
            Ok(None) => return Ok(None),
            // The header promises such a record, the batch cannot be unpacked: its start is as near as one gets.
            Err(_) => {
                return Ok(Some(found(
                    header.max_timestamp(),
                    header.base_offset().max(start),
                )));
            }
        }
    }
}

fn read_body(file: &dyn File, batch: &FoundBatch) -> Result<Bytes, ReadError> {
    let mut body = vec![0; batch.size as usize - HEADER_LEN];
    let read = read_up_to(file, &mut body, batch.position + HEADER_LEN as u64)?;
    body.truncate(read);
    Ok(body.into())
}
