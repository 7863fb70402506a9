//! Retention: how far the start of a log has to move so that nothing that has expired is left, and nothing else goes
//! (`UnifiedLog.deleteOldSegments`, made exact to the batch).
//!
//! **By time** a batch has expired when its largest timestamp is more than `retention.ms` ago. The start moves over
//! expired batches up to the first one that has not expired, so one from the future holds back all behind it, as in
//! Kafka. A batch without timestamps has the age of the next one that has a timestamp; behind the last one of a segment
//! it goes when the whole segment has expired; a segment without any timestamp has the age of its file.
//!
//! **By size** the oldest batches go as long as the rest has at least `retention.bytes`; of what is left the age counts.
//!
//! Files go segment by segment. So that they do not wait long, the active segment is rolled when all of it has expired,
//! and, in a log that has lost records before, as soon as it is a quarter of the log and at least 1 MiB. What lies below
//! the start then takes at most a third of what is kept, or 1 MiB if that is more, and what is appended between two looks.
//!
//! The decision reads the time index or the offset index and a few headers. Of a log that keeps what it has it remembers
//! the first batch, so that the next look reads nothing.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ottla_protocol::ids::{Offset, Timestamp};

use crate::batch_scan::BatchScan;
use crate::error::{AppendError, ReadError};
use crate::fs::{File, Source};
use crate::log::Log;
use crate::read::LogReader;
use crate::segment::Segment;
use crate::segment_set::SegmentSet;

/// A segment is not rolled early before it has this many bytes: the least that `segment.bytes` can be.
const MIN_ROLL: u64 = 1 << 20;
/// It is rolled early when it is this part of the log.
const ROLL_PART: u64 = 4;

/// How long and how much a log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`: older batches go; negative for ever.
    pub ms: i64,
    /// `retention.bytes`: the oldest batches go as long as the rest is at least this large; negative for no limit.
    pub bytes: i64,
}

/// What retention asks of a log; see [`Log::expire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Where the log is to start.
    pub start: Offset,
    /// The active segment is to be rolled, so that its files can go.
    pub roll: bool,
    /// Files were looked into, and may be open since.
    pub looked: bool,
}

impl Retention {
    fn is_expired(&self, timestamp: Timestamp, now: Timestamp) -> bool {
        self.ms >= 0 && timestamp.0 >= 0 && now.0.saturating_sub(timestamp.0) > self.ms
    }

    /// The latest timestamp that has expired.
    fn latest_expired(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_sub(self.ms).saturating_sub(1))
    }

    /// How many of the oldest bytes are too much.
    fn excess(&self, total: u64) -> u64 {
        let limit = u64::try_from(self.bytes).unwrap_or(u64::MAX);
        total.saturating_sub(limit)
    }
}

/// The first batch of a log that retention has found to be kept.
struct FirstBatch {
    start: Offset,
    /// Where it is: another segment in its place is another story.
    segment: Weak<Segment>,
    /// Where it ends in the segment.
    end: u32,
    /// The timestamp by which it is kept; unknown when age did not count.
    timestamp: Option<Timestamp>,
}

/// What retention remembers of a log between two looks.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<Option<FirstBatch>>);

impl Remembered {
    /// Forget all: the log was cut.
    pub(crate) fn clear(&self) {
        *self.lock() = None;
    }

    fn is_kept(&self, view: &View, policy: &Retention, now: Timestamp) -> bool {
        self.lock().as_ref().is_some_and(|first| {
            first.start == view.start
                && first.segment.as_ptr() == Arc::as_ptr(view.set.first())
                && (policy.ms < 0
                    || first
                        .timestamp
                        .is_some_and(|at| !policy.is_expired(at, now)))
                && policy.excess(view.total) < first.end.into()
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<FirstBatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log at one moment.
struct View {
    set: Arc<SegmentSet>,
    start: Offset,
    end: Offset,
    /// Bytes of all segments.
    total: u64,
}

impl LogReader {
    /// What has to go at `now`. Nothing at or above `below`, the high watermark, is among it: it may not be replicated
    /// yet. May read from disk; takes no lock of the log.
    pub fn expired(
        &self,
        policy: &Retention,
        below: Offset,
        now: Timestamp,
    ) -> Result<Expiry, ReadError> {
        let view = self.view()?;
        let limited = policy.ms >= 0 || policy.bytes >= 0;
        let nothing = !limited || view.start >= view.end;
        let kept = nothing || self.remembered.is_kept(&view, policy, now);
        let start = match kept {
            true => view.start,
            false => self.look(&view, policy, now)?.min(below).max(view.start),
        };
        Ok(Expiry {
            start,
            roll: view.is_roll_due(start),
            looked: !kept,
        })
    }

    fn view(&self) -> Result<View, ReadError> {
        let set = self.segments.load_full();
        // What is appended after this does not count.
        let (active, end) = set.active().end(Source::Disk)?;
        let (_, older) = set
            .all()
            .split_last()
            .expect("invariant: a log has a segment");
        let older: u64 = older.iter().map(|segment| u64::from(segment.size())).sum();
        Ok(View {
            start: self.log_start_offset(),
            end,
            total: older + u64::from(active),
            set,
        })
    }

    fn look(&self, view: &View, policy: &Retention, now: Timestamp) -> Result<Offset, ReadError> {
        let from = match policy.bytes {
            0.. => view.too_much_until(policy)?.max(view.start),
            _ => view.start,
        };
        let (start, timestamp) = match policy.ms {
            0.. => {
                let (start, timestamp) = view.expired_until(from, policy, now)?;
                (start, Some(timestamp))
            }
            _ => (from, None),
        };
        if start <= view.start {
            self.remember(view, timestamp)?;
        }
        Ok(start)
    }

    fn remember(&self, view: &View, timestamp: Option<Timestamp>) -> Result<(), ReadError> {
        let segment = view.set.first();
        let Some(first) = segment.find(view.start, segment.size(), Source::Disk)? else {
            return Ok(());
        };
        *self.remembered.lock() = Some(FirstBatch {
            start: view.start,
            segment: Arc::downgrade(segment),
            end: first.end() as u32,
            timestamp,
        });
        Ok(())
    }
}

impl View {
    /// True when the active segment ought to be closed, if the log starts at `start`.
    fn is_roll_due(&self, start: Offset) -> bool {
        let size = u64::from(self.set.active().size());
        let large = size >= MIN_ROLL && size * ROLL_PART >= self.total;
        size > 0 && (start >= self.end || (large && start > Offset(0)))
    }

    /// The offset up to which everything from `from` on has expired by time, and the timestamp that keeps what comes
    /// next.
    fn expired_until(
        &self,
        mut from: Offset,
        policy: &Retention,
        now: Timestamp,
    ) -> Result<(Offset, Timestamp), ReadError> {
        let ends = self.set.all().iter().skip(1).map(|next| next.base());
        for (segment, end) in self.set.all().iter().zip(ends.chain([self.end])) {
            if segment.size() == 0 || end <= from {
                continue;
            }
            let newest = age_of(segment)?;
            if !policy.is_expired(newest, now) {
                let (until, timestamp) = expired_in(segment, from, newest, policy, now)?;
                // The newest batch may lie below the start.
                if until < end {
                    return Ok((until, timestamp));
                }
            }
            from = end;
        }
        Ok((from, Timestamp::NONE))
    }

    /// The first batch without which less than the limit would be left.
    fn too_much_until(&self, policy: &Retention) -> Result<Offset, ReadError> {
        let mut excess = policy.excess(self.total);
        for segment in self.set.all() {
            let size = u64::from(segment.size());
            if excess < size {
                return first_ending_behind(segment, excess as u32);
            }
            excess -= size;
        }
        Ok(self.end)
    }
}

/// The timestamp by which a whole segment is judged: its largest, or that of its file when its records have none.
fn age_of(segment: &Segment) -> io::Result<Timestamp> {
    let largest = segment.max_timestamp()?.timestamp;
    match largest.0 {
        0.. => Ok(largest),
        _ => segment.log.modified(),
    }
}

/// The offset up to which everything from `from` on has expired in a segment that has not expired as a whole, and the
/// timestamp that keeps what comes next.
fn expired_in(
    segment: &Segment,
    from: Offset,
    newest: Timestamp,
    policy: &Retention,
    now: Timestamp,
) -> Result<(Offset, Timestamp), ReadError> {
    let mut until = from.max(expired_by_index(segment, policy, now)?);
    let size = segment.size();
    let Some(first) = segment.find(until, size, Source::Disk)? else {
        return Ok((until, newest));
    };
    let file = segment.log.get()?;
    let mut scan = BatchScan::headers(&*file, first.position, size.into());
    while let Some(batch) = scan.next()? {
        let timestamp = batch.header.max_timestamp();
        if policy.is_expired(timestamp, now) {
            until = batch.header.next_offset();
        } else if timestamp.0 >= 0 {
            return Ok((until, timestamp));
        }
    }
    Ok((until, newest))
}

/// The offset up to which everything has expired according to the time index. An index has no checksum: the batch that
/// an entry is about must be there.
fn expired_by_index(
    segment: &Segment,
    policy: &Retention,
    now: Timestamp,
) -> Result<Offset, ReadError> {
    let entry = segment.time_index.lookup(policy.latest_expired(now))?;
    let base = segment.base();
    if entry.timestamp.0 < 0 {
        return Ok(base);
    }
    let about = segment.find(entry.offset, segment.size(), Source::Disk)?;
    let holds = about.is_some_and(|batch| {
        batch.header.last_offset() == entry.offset
            && batch.header.max_timestamp() == entry.timestamp
    });
    Ok(if holds { entry.offset.plus(1) } else { base })
}

/// Base offset of the first batch that ends behind `position`, which lies within the segment.
fn first_ending_behind(segment: &Segment, position: u32) -> Result<Offset, ReadError> {
    let size = segment.size();
    let file = segment.log.get()?;
    let mut scan = BatchScan::headers(
        &*file,
        batch_before(segment, &*file, position)?,
        size.into(),
    );
    while let Some(batch) = scan.next()? {
        if batch.end() > position.into() {
            return Ok(batch.header.base_offset());
        }
    }
    Err(segment.corrupt(scan.position(), "no batch where one must be"))
}

/// Where a batch starts at or before `position`: by the index, if the batch is there; else the start.
fn batch_before(segment: &Segment, file: &dyn File, position: u32) -> Result<u64, ReadError> {
    let size = segment.size();
    let entry = segment
        .offset_index
        .lookup_position(position, size, Source::Disk)?;
    match segment.header_at(file, entry.position, size, Source::Disk) {
        Ok(batch) if batch.header.last_offset() == entry.offset => Ok(entry.position.into()),
        Err(ReadError::Io(error)) => Err(error.into()),
        _ => Ok(0),
    }
}

impl Log {
    /// Do what [`LogReader::expired`] asked for. Files stay until the start is noted durably; see
    /// [`Log::discard_below`].
    pub fn expire(&mut self, expiry: &Expiry, now: Timestamp) -> Result<(), AppendError> {
        self.check_online()?;
        if expiry.roll {
            self.roll(now)?;
        }
        self.start_at(expiry.start.min(self.end));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_time() {
        let policy = Retention { ms: 50, bytes: -1 };
        for (timestamp, now, expected) in [
            (100, 150, false),
            (100, 151, true),
            (100, i64::MAX, true),
            (0, 51, true),
            (-1, 9999, false),
            (200, 100, false),
            (i64::MAX, i64::MIN, false),
        ] {
            let expired = policy.is_expired(Timestamp(timestamp), Timestamp(now));
            assert_eq!(expired, expected, "{timestamp} at {now}");
            let by_index = timestamp <= policy.latest_expired(Timestamp(now)).0;
            assert!(
                timestamp < 0 || by_index == expected,
                "{timestamp} at {now}"
            );
        }
        let zero = Retention { ms: 0, bytes: -1 };
        assert!(!zero.is_expired(Timestamp(5), Timestamp(5)));
        assert!(zero.is_expired(Timestamp(5), Timestamp(6)));
        let for_ever = Retention { ms: -1, bytes: -1 };
        assert!(!for_ever.is_expired(Timestamp(0), Timestamp(i64::MAX)));
    }

    #[test]
    fn by_size() {
        for (bytes, expected) in [
            (100, 0),
            (101, 0),
            (99, 1),
            (0, 100),
            (-1, 0),
            (i64::MAX, 0),
        ] {
            assert_eq!(Retention { ms: -1, bytes }.excess(100), expected, "{bytes}");
        }
    }
}
