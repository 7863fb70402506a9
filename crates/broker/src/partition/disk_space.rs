//! Whether producers may append to a data directory: not while its file system is nearly full.
//!
//! A reserve (`ottla.disk.reserve.bytes`) is kept from them, so that group offsets, transaction markers, metadata,
//! compaction and deletions go on, and so that space can be made. Room beyond it is counted down by each append and
//! counted anew once a second, which also notices what others write. States: *roomy* -> *full* when the room is used up
//! or an append ran out of space; back when a quarter more than the reserve is free, so that it does not flicker.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Least that must be free beyond the reserve before producers are served again, in bytes.
const LEAST_MARGIN: u64 = 1 << 20;
/// A reserve takes no more than this share of its file system.
const LARGEST_SHARE: u64 = 20;

/// The room of one data directory.
#[derive(Debug)]
pub struct DiskSpace {
    reserve: u64,
    /// Bytes that producers may still append before the space is looked at again.
    room: AtomicI64,
    full: AtomicBool,
    /// An append ran out of space since it was looked at.
    ran_out: AtomicBool,
    /// Size of the largest batch that was refused since there was room for all.
    wanted: AtomicU64,
    refused: AtomicU64,
}

/// What a look at the space has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Producers are refused from now on.
    Full,
    /// Producers are served again.
    Roomy,
}

impl DiskSpace {
    /// Room on a file system of `total` bytes, of which `reserve` are kept from producers, but no more than a twentieth.
    pub fn new(reserve: u64, total: u64) -> Self {
        Self {
            reserve: reserve.min(total / LARGEST_SHARE),
            room: AtomicI64::new(i64::MAX),
            full: AtomicBool::new(false),
            ran_out: AtomicBool::new(false),
            wanted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Take room for a batch of a producer; false when there is none.
    pub fn take(&self, bytes: usize) -> bool {
        let size = bytes as u64;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let taken = self.room.load(Ordering::Relaxed) >= bytes
            && self.room.fetch_sub(bytes, Ordering::Relaxed) >= bytes;
        if !taken {
            self.wanted.fetch_max(size, Ordering::Relaxed);
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// An append has found no space: nothing more is taken until the space was looked at.
    pub fn ran_out(&self) {
        self.ran_out.store(true, Ordering::Relaxed);
        self.room.store(0, Ordering::Relaxed);
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether `available` bytes are too few, so that space reserved ahead should be given back before
    /// [`Self::observe`].
    pub fn is_short(&self, available: u64) -> bool {
        let wanted = self.wanted.load(Ordering::Relaxed);
        self.ran_out.load(Ordering::Relaxed) || available <= self.reserve.saturating_add(wanted)
    }

    /// The file system has `available` bytes left.
    pub fn observe(&self, available: u64) -> Option<Change> {
        let was_full = self.full.load(Ordering::Relaxed);
        let wanted = self.wanted.load(Ordering::Relaxed);
        let margin = LEAST_MARGIN.max(self.reserve / 4).max(wanted);
        let full = match was_full {
            true => available < self.reserve.saturating_add(margin),
            false => self.is_short(available),
        };
        self.ran_out.store(false, Ordering::Relaxed);
        if !full {
            self.wanted.store(0, Ordering::Relaxed);
        }
        let room = if full { 0 } else { available - self.reserve };
        self.room
            .store(i64::try_from(room).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.full.store(full, Ordering::Relaxed);
        match (was_full, full) {
            (false, true) => Some(Change::Full),
            (true, false) => Some(Change::Roomy),
            _ => None,
        }
    }

    /// Whether producers are refused.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Batches that were refused for want of space.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Bytes kept from producers.
    pub fn reserve(&self) -> u64 {
        self.reserve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn producers_never_get_at_the_reserve_and_come_back_with_a_margin() {
        let space = DiskSpace::new(40 * MIB, 1000 * MIB);
        assert_eq!(space.observe(100 * MIB), None);
        assert!(space.take(40 << 20) && space.take(20 << 20));
        assert!(!space.take(1), "60 MiB were there beyond the reserve");
        assert_eq!(space.refused(), 1);
        let looks = [
            (41, None),
            (40, Some(Change::Full)),
            (45, None),
            (49, None),
            (50, Some(Change::Roomy)),
            (41, None),
        ];
        for (mib, change) in looks {
            assert_eq!(space.observe(mib * MIB), change, "{mib} MiB");
        }
        assert!(space.take(1 << 20));
        assert!(!space.take(1));
    }

    #[test]
    fn room_that_no_batch_fits_in_is_none() {
        let space = DiskSpace::new(40 * MIB, 1000 * MIB);
        assert_eq!(space.observe(42 * MIB), None);
        assert!(!space.take(3 << 20));
        assert_eq!(space.observe(43 * MIB), Some(Change::Full));
        assert_eq!(space.observe(49 * MIB), None);
        assert_eq!(space.observe(50 * MIB), Some(Change::Roomy));
        // A refusal that a fresh look makes up for is no shortage.
        assert!(!space.take(11 << 20));
        assert_eq!(space.observe(60 * MIB), None);
        assert!(space.take(11 << 20));
    }

    #[test]
    fn an_append_that_runs_out_of_space_closes_it_whatever_the_file_system_says() {
        let space = DiskSpace::new(0, u64::MAX);
        assert_eq!(space.observe(100 * MIB), None);
        space.ran_out();
        assert!(!space.take(1));
        assert_eq!(space.observe(100 * MIB), Some(Change::Full));
        assert!(!space.take(1) && space.is_full());
        assert_eq!(space.observe(100 * MIB), Some(Change::Roomy));
        assert!(space.take(1));
    }

    #[test]
    fn a_small_file_system_has_a_small_reserve() {
        assert_eq!(DiskSpace::new(256 * MIB, 100 * MIB).reserve(), 5 * MIB);
        assert_eq!(DiskSpace::new(256 * MIB, u64::MAX).reserve(), 256 * MIB);
    }
}
