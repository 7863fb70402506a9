//! Decide which segments have outlived their time or the log's size (`UnifiedLog.deleteOldSegments`). Carried out by
//! [`crate::Log::delete_before`].

use ottla_protocol::ids::{Offset, Timestamp};

use crate::log::SegmentMeta;

/// How long and how much a log keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`: segments whose last record is older go; negative for ever.
    pub ms: i64,
    /// `retention.bytes`: the oldest segments go as long as the rest is at least this large; negative for no limit.
    pub bytes: i64,
    /// Readers see nothing below it.
    pub log_start_offset: Offset,
    /// Nothing at or above it may go, for it may not be replicated yet.
    pub high_watermark: Offset,
}

/// How many of the leading segments have expired. A segment whose records have no timestamps does not expire by time.
///
/// The last segment is among them when it has expired by time too: roll it before it is deleted.
pub fn expired(segments: &[SegmentMeta], policy: &Retention, now: Timestamp) -> usize {
    let total: u64 = segments.iter().map(|segment| segment.size).sum();
    let mut excess = match u64::try_from(policy.bytes) {
        Ok(limit) => total.saturating_sub(limit),
        Err(_) => 0,
    };
    let last = segments.len().saturating_sub(1);
    let mut count = 0;
    for (index, segment) in segments.iter().enumerate() {
        if segment.end_offset > policy.high_watermark || segment.size == 0 {
            break;
        }
        let too_old = policy.ms >= 0
            && segment.max_timestamp >= Timestamp(0)
            && now.0.saturating_sub(segment.max_timestamp.0) > policy.ms;
        let too_much = index < last && segment.size <= excess;
        let unseen = index < last && segment.end_offset <= policy.log_start_offset;
        if !(too_old || too_much || unseen) {
            break;
        }
        excess = excess.saturating_sub(segment.size);
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOR_EVER: Retention = Retention {
        ms: -1,
        bytes: -1,
        log_start_offset: Offset(0),
        high_watermark: Offset(i64::MAX),
    };

    /// Ten records each; sizes and largest timestamps as given.
    fn segments(list: &[(u64, i64)]) -> Vec<SegmentMeta> {
        let with_base = list.iter().zip(0..);
        with_base
            .map(|((size, timestamp), index)| SegmentMeta {
                base_offset: Offset(index * 10),
                end_offset: Offset(index * 10 + 10),
                size: *size,
                max_timestamp: Timestamp(*timestamp),
            })
            .collect()
    }

    #[test]
    fn by_time() {
        let log = segments(&[(5, 100), (5, 300), (5, 200), (5, 400), (5, -1)]);
        let policy = Retention { ms: 50, ..FOR_EVER };
        for (now, expected) in [
            (150, 0),
            (151, 1),
            (300, 1),
            (351, 3),
            (451, 4),
            (i64::MAX, 4),
        ] {
            assert_eq!(expired(&log, &policy, Timestamp(now)), expected, "at {now}");
        }
        assert_eq!(
            expired(&log[..4], &policy, Timestamp(9999)),
            4,
            "the last one too"
        );
        assert_eq!(expired(&log, &FOR_EVER, Timestamp(i64::MAX)), 0);
        let held = Retention {
            high_watermark: Offset(15),
            ..policy
        };
        assert_eq!(expired(&log, &held, Timestamp(9999)), 1);
    }

    #[test]
    fn by_size() {
        let log = segments(&[(10, 1), (20, 1), (30, 1), (40, 1)]);
        for (bytes, expected) in [
            (100, 0),
            (91, 0),
            (90, 1),
            (71, 1),
            (70, 2),
            (40, 3),
            (0, 3),
            (-1, 0),
        ] {
            let policy = Retention { bytes, ..FOR_EVER };
            assert_eq!(
                expired(&log, &policy, Timestamp(0)),
                expected,
                "{bytes} bytes"
            );
        }
    }

    #[test]
    fn below_the_start() {
        let log = segments(&[(10, 1), (20, 1), (30, 1)]);
        for (start, expected) in [(0, 0), (9, 0), (10, 1), (20, 2), (30, 2)] {
            let policy = Retention {
                log_start_offset: Offset(start),
                ..FOR_EVER
            };
            assert_eq!(
                expired(&log, &policy, Timestamp(0)),
                expected,
                "from {start}"
            );
        }
        assert_eq!(expired(&[], &FOR_EVER, Timestamp(0)), 0);
    }
}
