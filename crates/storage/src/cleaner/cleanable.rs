//! Decide how dirty a log is and up to where it may be cleaned (`LogCleanerManager.cleanableOffsets`, `LogToClean`).

use ottla_protocol::ids::{Offset, Timestamp};

use crate::log_config::LogConfig;

/// A segment, as far as the decision needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentState {
    pub(crate) base: Offset,
    pub(crate) size: u64,
    /// Largest timestamp; only looked at when there is a least lag.
    pub(crate) max_timestamp: Timestamp,
    /// Max timestamp of its first batch; only looked at when there is a greatest lag.
    pub(crate) first_timestamp: Timestamp,
}

/// A log, as far as the decision needs it.
#[derive(Clone, Debug)]
pub(crate) struct LogState {
    /// All segments, the last of which is the active one.
    pub(crate) segments: Vec<SegmentState>,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    /// Below it all is committed and every transaction has ended.
    pub(crate) stable: Offset,
}

/// The part of a log that can be cleaned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleanable {
    /// Where the dirty part begins.
    pub first_dirty: Offset,
    /// Where it ends: the base offset of a segment that may not be cleaned.
    pub first_uncleanable: Offset,
    /// Bytes before the dirty part.
    pub clean_bytes: u64,
    /// Bytes of the dirty part.
    pub dirty_bytes: u64,
    /// It holds records older than `max.compaction.lag.ms`.
    pub overdue: bool,
}

impl Cleanable {
    /// The share of the dirty part in all that a round would go through.
    pub fn ratio(&self) -> f64 {
        match self.clean_bytes + self.dirty_bytes {
            0 => 0.0,
            total => self.dirty_bytes as f64 / total as f64,
        }
    }

    /// True when a round is due.
    pub fn is_due(&self, min_ratio: f64) -> bool {
        self.dirty_bytes > 0 && (self.overdue || self.ratio() > min_ratio)
    }
}

/// Where the dirty part of the log begins, given where the last round ended. A note that lies outside of the log is of
/// no use: all of it is dirty then.
pub(crate) fn first_dirty(noted: Option<Offset>, start: Offset, end: Offset) -> Offset {
    noted
        .filter(|noted| (start..=end).contains(noted))
        .unwrap_or(start)
}

/// What can be cleaned of a log whose last round ended at `noted`.
pub(crate) fn cleanable(
    log: &LogState,
    noted: Option<Offset>,
    config: &LogConfig,
    now: Timestamp,
) -> Cleanable {
    let first_dirty = first_dirty(noted, log.start, log.end);
    let (active, inactive) = log
        .segments
        .split_last()
        .expect("invariant: a log has a segment");
    let dirty_from = holder(inactive, first_dirty);
    let dirty = match first_dirty < active.base {
        true => &inactive[dirty_from..],
        false => &[],
    };
    let too_young = too_young(dirty, config, now);
    let limit = [Some(log.stable), Some(active.base), too_young];
    let limit = limit.into_iter().flatten().min().unwrap_or(active.base);
    // Whole segments only.
    let first_uncleanable = match limit >= active.base {
        true => active.base,
        false => inactive[holder(inactive, limit)].base,
    };
    let below = |segment: &&SegmentState| segment.base < first_uncleanable;
    let dirty_bytes = dirty.iter().filter(below).map(|s| s.size).sum();
    let clean = inactive.iter().filter(|s| s.base < first_dirty);
    Cleanable {
        first_dirty,
        first_uncleanable: first_uncleanable.max(first_dirty),
        clean_bytes: clean.map(|s| s.size).sum(),
        dirty_bytes,
        overdue: overdue(dirty, config, now),
    }
}

/// Index of the segment that covers `offset`; 0 when it lies before all.
fn holder(segments: &[SegmentState], offset: Offset) -> usize {
    segments
        .partition_point(|segment| segment.base <= offset)
        .saturating_sub(1)
}

/// The first segment that has a record younger than `min.compaction.lag.ms`.
fn too_young(dirty: &[SegmentState], config: &LogConfig, now: Timestamp) -> Option<Offset> {
    let lag = config.min_compaction_lag_ms;
    let oldest = now.0.saturating_sub(lag);
    let young = |segment: &&SegmentState| lag > 0 && segment.max_timestamp.0 > oldest;
    dirty.iter().find(young).map(|segment| segment.base)
}

/// True when a dirty segment begins with records older than `max.compaction.lag.ms`.
fn overdue(dirty: &[SegmentState], config: &LogConfig, now: Timestamp) -> bool {
    let until = now.0.saturating_sub(config.max_compaction_lag_ms.max(0));
    let old = |segment: &SegmentState| (1..until).contains(&segment.first_timestamp.0);
    dirty.iter().any(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten offsets each; the last segment is the active one.
    fn log(segments: &[(u64, i64)]) -> LogState {
        let state = |(index, (size, timestamp)): (i64, &(u64, i64))| SegmentState {
            base: Offset(index * 10),
            size: *size,
            max_timestamp: Timestamp(*timestamp),
            first_timestamp: Timestamp(*timestamp),
        };
        let end = Offset(10 * segments.len() as i64);
        LogState {
            segments: (0..).zip(segments).map(state).collect(),
            start: Offset(0),
            end,
            stable: end,
        }
    }

    #[test]
    fn dirt_begins_at_the_note_and_ends_before_what_may_not_be_touched() {
        let sizes = [(100, 1), (200, 2), (400, 3), (800, 4)];
        let table = [
            // note, start, stable: first dirty, first uncleanable, clean bytes, dirty bytes
            (None, 0, 40, 0, 30, 0, 700),
            (Some(0), 0, 40, 0, 30, 0, 700),
            (Some(10), 0, 40, 10, 30, 100, 600),
            (Some(15), 0, 40, 15, 30, 300, 600),
            (Some(30), 0, 40, 30, 30, 700, 0),
            (Some(35), 0, 40, 35, 35, 700, 0),
            (Some(41), 0, 40, 0, 30, 0, 700),
            (Some(4), 12, 40, 12, 30, 300, 600),
            (Some(10), 0, 29, 10, 20, 100, 200),
            (Some(10), 0, 20, 10, 20, 100, 200),
            (Some(20), 0, 5, 20, 20, 300, 0),
            (Some(15), 0, 15, 15, 15, 300, 0),
        ];
        for (noted, start, stable, dirty, uncleanable, clean_bytes, dirty_bytes) in table {
            let mut log = log(&sizes);
            log.start = Offset(start);
            log.stable = Offset(stable);
            let config = LogConfig::default();
            let found = cleanable(&log, noted.map(Offset), &config, Timestamp(1000));
            let expected = Cleanable {
                first_dirty: Offset(dirty),
                first_uncleanable: Offset(uncleanable),
                clean_bytes,
                dirty_bytes,
                overdue: false,
            };
            assert_eq!(
                found, expected,
                "note {noted:?}, start {start}, stable {stable}"
            );
        }
    }

    #[test]
    fn young_segments_wait_and_old_ones_do_not() {
        let log = log(&[(100, 10), (100, 30), (100, 20), (100, 40)]);
        for (lag, uncleanable) in [(0, 30), (60, 30), (70, 30), (71, 10), (90, 10), (91, 0)] {
            let config = LogConfig {
                min_compaction_lag_ms: lag,
                ..LogConfig::default()
            };
            let found = cleanable(&log, None, &config, Timestamp(100));
            assert_eq!(found.first_uncleanable, Offset(uncleanable), "lag {lag}");
        }
        for (lag, noted, due) in [
            (89, 0, true),
            (90, 0, false),
            (80, 10, false),
            (79, 10, true),
            (1, 30, false),
        ] {
            let config = LogConfig {
                max_compaction_lag_ms: lag,
                ..LogConfig::default()
            };
            let found = cleanable(&log, Some(Offset(noted)), &config, Timestamp(100));
            assert_eq!((found.overdue, found.is_due(1.0)), (due, due), "lag {lag}");
        }
    }

    #[test]
    fn the_share_of_dirt_decides() {
        let found = cleanable(
            &log(&[(100, 1), (100, 1), (0, 1)]),
            Some(Offset(10)),
            &LogConfig::default(),
            Timestamp(0),
        );
        assert_eq!(found.ratio(), 0.5);
        assert!(found.is_due(0.49) && !found.is_due(0.5));
        let empty = cleanable(&log(&[(0, 1)]), None, &LogConfig::default(), Timestamp(0));
        assert!(!empty.is_due(0.0));
    }
}
