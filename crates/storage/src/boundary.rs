//! Where batches begin, remembered for the next read: a consumer goes on where its last read ended, and the newest
//! batches are what most of them want. A hit saves the index lookup and every read of a header.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ottla_protocol::ids::Offset;

/// Boundaries remembered: more than a partition usually has consumers. A read that finds none is looked up in the
/// index, by a thread of the blocking pool, which costs more than a search of all of these.
const SLOTS: usize = 256;

/// A batch with base offset `offset`, or the end of the log, stands at `position` of the segment with base `segment` and
/// that id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundary {
    pub(crate) offset: Offset,
    pub(crate) segment: Offset,
    pub(crate) segment_id: u64,
    pub(crate) position: u32,
}

/// The latest boundaries seen.
pub(crate) struct Boundaries(Mutex<Ring>);

struct Ring {
    /// Grows to [`SLOTS`], for most logs are idle.
    slots: Vec<Boundary>,
    /// The slot that is used next, once all are.
    next: usize,
    generation: u64,
}

impl Boundaries {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Ring {
            slots: Vec::new(),
            next: 0,
            generation: 0,
        }))
    }

    /// The boundary at `offset`, if it is remembered.
    pub(crate) fn find(&self, offset: Offset) -> Option<Boundary> {
        let ring = self.lock();
        let (newer, older) = ring.slots.split_at(ring.next);
        let newest_first = newer.iter().rev().chain(older.iter().rev());
        let mut at_offset = newest_first.filter(|boundary| boundary.offset == offset);
        at_offset.next().copied()
    }

    /// A number that changes when boundaries become void: take it before reading what [`Self::remember`] is to keep.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Keep a boundary, unless all became void since `generation`.
    pub(crate) fn remember(&self, boundary: Boundary, generation: u64) {
        let mut ring = self.lock();
        let last = (ring.next + SLOTS - 1) % SLOTS;
        if ring.generation != generation || ring.slots.get(last) == Some(&boundary) {
            return;
        }
        let next = ring.next;
        match ring.slots.get_mut(next) {
            Some(slot) => *slot = boundary,
            None => ring.slots.push(boundary),
        }
        ring.next = (next + 1) % SLOTS;
    }

    /// Forget all: the log was cut.
    pub(crate) fn clear(&self) {
        let mut ring = self.lock();
        ring.slots.clear();
        ring.next = 0;
        ring.generation += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64, position: u32) -> Boundary {
        Boundary {
            offset: Offset(offset),
            segment: Offset(0),
            segment_id: 0,
            position,
        }
    }

    #[test]
    fn the_latest_ones_are_remembered_and_the_newest_wins() {
        let ring = Boundaries::new();
        let count = 3 * SLOTS as i64 + 4;
        for offset in 0..count {
            ring.remember(at(offset, offset as u32), ring.generation());
            ring.remember(at(offset, offset as u32), ring.generation());
        }
        for offset in 0..count {
            let found = ring.find(Offset(offset));
            let kept = offset >= count - SLOTS as i64;
            let expected = kept.then_some(at(offset, offset as u32));
            assert_eq!(found, expected, "{offset}");
        }
        ring.remember(at(count - 9, 7), ring.generation());
        assert_eq!(ring.find(Offset(count - 9)), Some(at(count - 9, 7)));
    }

    #[test]
    fn what_was_read_before_a_cut_is_not_remembered_after_it() {
        let ring = Boundaries::new();
        let generation = ring.generation();
        ring.remember(at(1, 1), generation);
        ring.clear();
        assert_eq!(ring.find(Offset(1)), None);
        ring.remember(at(2, 2), generation);
        assert_eq!(ring.find(Offset(2)), None);
        ring.remember(at(3, 3), ring.generation());
        assert_eq!(ring.find(Offset(3)), Some(at(3, 3)));
    }
}
