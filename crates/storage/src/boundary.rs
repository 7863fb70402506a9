//! Where batches begin, remembered for the next read: a consumer goes on where its last read ended, and the newest
//! batches are what most of them want. A hit saves the index lookup and every read of a header.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ottla_protocol::ids::Offset;

/// Boundaries remembered.
const SLOTS: usize = 32;

/// A batch with base offset `offset`, or the end of the log, stands at `position` of the segment with base `segment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Boundary {
    pub(crate) offset: Offset,
    pub(crate) segment: Offset,
    pub(crate) position: u32,
}

/// The latest boundaries seen.
pub(crate) struct Boundaries(Mutex<Ring>);

struct Ring {
    slots: [Option<Boundary>; SLOTS],
    next: usize,
    generation: u64,
}

impl Boundaries {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Ring {
            slots: [None; SLOTS],
            next: 0,
            generation: 0,
        }))
    }

    /// The boundary at `offset`, if it is remembered.
    pub(crate) fn find(&self, offset: Offset) -> Option<Boundary> {
        let ring = self.lock();
        let newest_first = (1..=SLOTS).map(|back| (ring.next + SLOTS - back) % SLOTS);
        newest_first
            .filter_map(|slot| ring.slots[slot])
            .find(|boundary| boundary.offset == offset)
    }

    /// A number that changes when boundaries become void: take it before reading what [`Self::remember`] is to keep.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Keep a boundary, unless all became void since `generation`.
    pub(crate) fn remember(&self, boundary: Boundary, generation: u64) {
        let mut ring = self.lock();
        let last = (ring.next + SLOTS - 1) % SLOTS;
        if ring.generation == generation && ring.slots[last] != Some(boundary) {
            let next = ring.next;
            ring.slots[next] = Some(boundary);
            ring.next = (next + 1) % SLOTS;
        }
    }

    /// Forget all: the log was cut or its segments were replaced.
    pub(crate) fn clear(&self) {
        let mut ring = self.lock();
        ring.slots = [None; SLOTS];
        ring.generation += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
