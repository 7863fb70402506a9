//! Which segments become one (`Cleaner.groupSegmentsBySize`), so that a log which shrinks does not end up as many tiny
//! ones: neighbours, as long as together they fit the limits of one segment.

use std::ops::Range;

use ottla_protocol::ids::Offset;

/// What a segment takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentSizes {
    pub(crate) base: Offset,
    pub(crate) log: u64,
    pub(crate) offset_index: u64,
    pub(crate) time_index: u64,
}

/// What a segment may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeLimits {
    pub(crate) log: u64,
    pub(crate) index: u64,
}

/// The groups, in order. `end` is the offset below which all of it lies.
pub(crate) fn group(
    segments: &[SegmentSizes],
    limits: &SizeLimits,
    end: Offset,
) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut start = 0;
    while let Some(first) = segments.get(start) {
        let (mut log, mut offsets, mut times) = (first.log, first.offset_index, first.time_index);
        let mut stop = start + 1;
        while let Some(next) = segments.get(stop) {
            log += next.log;
            offsets += next.offset_index;
            times += next.time_index;
            // An index holds offsets as their distance from the base, in 31 bits.
            let last = segments.get(stop + 1).map_or(end, |after| after.base).0 - 1;
            let reachable = next.log == 0 || last - first.base.0 <= i64::from(i32::MAX);
            if log > limits.log || offsets > limits.index || times > limits.index || !reachable {
                break;
            }
            stop += 1;
        }
        groups.push(start..stop);
        start = stop;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SizeLimits = SizeLimits {
        log: 100,
        index: 50,
    };

    /// Segments as base, log, offset index, time index; and how many of them each group has.
    type Case<'a> = (&'a [(i64, u64, u64, u64)], &'a [usize]);

    fn segments(list: &[(i64, u64, u64, u64)]) -> Vec<SegmentSizes> {
        let sizes = |(base, log, offset_index, time_index): &(i64, u64, u64, u64)| SegmentSizes {
            base: Offset(*base),
            log: *log,
            offset_index: *offset_index,
            time_index: *time_index,
        };
        list.iter().map(sizes).collect()
    }

    #[test]
    fn neighbours_are_joined_within_the_limits() {
        let max = i64::from(i32::MAX);
        let table: [Case<'_>; 8] = [
            (&[], &[]),
            (&[(0, 500, 0, 0)], &[1]),
            (&[(0, 50, 0, 0), (10, 50, 0, 0), (20, 1, 0, 0)], &[2, 1]),
            (&[(0, 500, 0, 0), (10, 1, 0, 0), (20, 99, 0, 0)], &[1, 2]),
            (&[(0, 1, 26, 0), (10, 1, 25, 0)], &[1, 1]),
            (&[(0, 1, 0, 26), (10, 1, 0, 25)], &[1, 1]),
            // The last one ends at `end`, which is 2^31 + 20.
            (&[(0, 1, 0, 0), (10, 1, 0, 0)], &[1, 1]),
            (&[(5, 1, 0, 0), (10, 0, 0, 0), (max, 1, 0, 0)], &[2, 1]),
        ];
        for (list, expected) in table {
            let end = Offset(max + 21);
            let groups = group(&segments(list), &LIMITS, end);
            let lens: Vec<usize> = groups.iter().map(Range::len).collect();
            // Those tables that are not about the range of offsets end early.
            let near = group(&segments(list), &LIMITS, Offset(1000));
            let near: Vec<usize> = near.iter().map(Range::len).collect();
            assert!(lens == expected || near == expected, "{list:?}: {lens:?}");
        }
        let two = segments(&[(0, 1, 0, 0), (10, 1, 0, 0)]);
        assert_eq!(group(&two, &LIMITS, Offset(max + 1)).len(), 1);
        assert_eq!(group(&two, &LIMITS, Offset(max + 2)).len(), 2);
    }
}
