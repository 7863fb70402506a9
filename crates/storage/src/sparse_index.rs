//! What the offset index and the time index have in common: a file of fixed-size entries in ascending order.
//!
//! The newest entries are held in memory and reach the file when the segment is rolled, closed, or has gathered
//! [`SPILL`] of them, so that an append makes no system call for its index entry. After a crash they are taken from
//! the log again. There is no checksum (nor in Kafka): what an index says is a hint that its reader verifies.

use std::io;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::fs::{File, Source, read_up_to_via, write_all_at};
use crate::lazy_file::LazyFile;

/// Entries in memory at which the older half is written to the file.
const SPILL: usize = 4096;
/// Entries read from the file at once by a search.
const BLOCK: u32 = 256;

/// An entry of fixed size.
pub(crate) trait IndexEntry: Copy {
    /// Bytes in the file.
    const SIZE: usize;
    /// Append the bytes of the entry.
    fn encode(self, out: &mut Vec<u8>);
    /// The entry in `bytes`, which are [`Self::SIZE`] long.
    fn decode(bytes: &[u8]) -> Self;
}

/// The entries of one index: the older ones in the file, the newer ones in memory too.
pub(crate) struct SparseIndex<E> {
    file: LazyFile,
    state: RwLock<State<E>>,
}

struct State<E> {
    /// The file has been looked at, so that the other fields hold.
    loaded: bool,
    /// Entries in the file.
    stored: u32,
    /// Slot of the first entry of `tail`; not above `stored`.
    tail_start: u32,
    tail: Vec<E>,
    /// The last entry, wherever it is.
    last: Option<E>,
}

impl<E: IndexEntry> SparseIndex<E> {
    pub(crate) fn new(file: LazyFile) -> Self {
        Self {
            file,
            state: RwLock::new(State {
                loaded: false,
                ..State::empty()
            }),
        }
    }

    /// Count of entries.
    pub(crate) fn len(&self, source: Source) -> io::Result<u32> {
        Ok(self.read(source)?.len())
    }

    /// The last entry.
    pub(crate) fn last(&self, source: Source) -> io::Result<Option<E>> {
        Ok(self.read(source)?.last)
    }

    /// The entry in a slot; `None` behind the last one.
    pub(crate) fn get(&self, slot: u32) -> io::Result<Option<E>> {
        let state = self.read(Source::Disk)?;
        match slot.checked_sub(state.tail_start) {
            Some(in_tail) => Ok(state.tail.get(in_tail as usize).copied()),
            None => Ok(read_block::<E>(Source::Disk, &*self.file.get()?, slot, slot + 1)?.pop()),
        }
    }

    /// Append an entry. The caller keeps the order.
    pub(crate) fn append(&self, entry: E) -> io::Result<()> {
        let mut state = self.write()?;
        state.tail.push(entry);
        state.last = Some(entry);
        if state.tail.len() >= SPILL {
            self.store(&mut state)?;
            let half = SPILL / 2;
            state.tail.drain(..half);
            state.tail_start += half as u32;
        }
        Ok(())
    }

    /// The last entry that satisfies `before`, which is true for the first so many entries and false for the rest.
    /// With its slot; `guess` is a slot near to which the answer is thought to lie.
    pub(crate) fn search(
        &self,
        before: impl Fn(&E) -> bool,
        guess: Option<u32>,
        source: Source,
    ) -> io::Result<Option<(u32, E)>> {
        let state = self.read(source)?;
        if state.tail_start == 0 || state.tail.first().is_some_and(&before) {
            let count = state.tail.partition_point(before);
            let last = count.checked_sub(1);
            return Ok(last.map(|last| (state.tail_start + last as u32, state.tail[last])));
        }
        let stored = state.tail_start;
        drop(state);
        self.search_file(stored, &before, guess, source)
    }

    /// Remove all entries from the first one on that does not satisfy `keep`.
    pub(crate) fn truncate(&self, keep: impl Fn(&E) -> bool) -> io::Result<()> {
        let state = self.read(Source::Disk)?;
        let in_tail = state.tail.partition_point(&keep) as u32;
        let tail_start = state.tail_start;
        drop(state);
        let count = match in_tail {
            0 if tail_start > 0 => self.count_file(tail_start, &keep)?,
            _ => tail_start + in_tail,
        };
        self.truncate_to(count)
    }

    /// Keep the first `count` entries.
    pub(crate) fn truncate_to(&self, count: u32) -> io::Result<()> {
        let mut state = self.write()?;
        if count >= state.len() && count >= state.stored {
            return Ok(());
        }
        state.tail_start = state.tail_start.min(count);
        let in_tail = (count - state.tail_start) as usize;
        state.tail.truncate(in_tail);
        state.stored = state.stored.min(count);
        let stored = u64::from(state.stored);
        self.file.get()?.set_len(stored * E::SIZE as u64)?;
        state.last = match state.tail.last() {
            Some(last) => Some(*last),
            None => self.entry_in_file(&state)?,
        };
        Ok(())
    }

    /// Begin anew without entries, whatever the file held.
    pub(crate) fn reset(&self) -> io::Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        self.file.get_or_create()?.set_len(0)?;
        *state = State::empty();
        Ok(())
    }

    /// Write what is only in memory to the file.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        self.store(&mut *self.write()?)
    }

    /// Write out and hold nothing in memory: the segment is no longer written to.
    pub(crate) fn seal(&self) -> io::Result<()> {
        let mut state = self.write()?;
        self.store(&mut state)?;
        state.tail = Vec::new();
        state.tail_start = state.stored;
        Ok(())
    }

    /// All entries, in order, straight from file and memory. For checks at recovery.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(E) -> bool) -> io::Result<()> {
        let state = self.read(Source::Disk)?;
        let file = (state.tail_start > 0)
            .then(|| self.file.get())
            .transpose()?;
        let mut slot = 0;
        while let Some(file) = file.as_ref().filter(|_| slot < state.tail_start) {
            let block = read_block::<E>(
                Source::Disk,
                &**file,
                slot,
                state.tail_start.min(slot + 16 * BLOCK),
            )?;
            if block.is_empty() || !block.iter().all(|entry| visit(*entry)) {
                return Ok(());
            }
            slot += block.len() as u32;
        }
        state.tail.iter().all(|entry| visit(*entry));
        Ok(())
    }

    pub(crate) fn file(&self) -> &LazyFile {
        &self.file
    }

    fn store(&self, state: &mut State<E>) -> io::Result<()> {
        let unstored = (state.stored - state.tail_start) as usize;
        if unstored == state.tail.len() {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity((state.tail.len() - unstored) * E::SIZE);
        for entry in &state.tail[unstored..] {
            entry.encode(&mut bytes);
        }
        let file = self.file.get_or_create()?;
        write_all_at(&*file, &[&bytes], u64::from(state.stored) * E::SIZE as u64)?;
        state.stored = state.len();
        Ok(())
    }

    /// Search the first `stored` slots of the file: the block of the guess first, then by halves.
    fn search_file(
        &self,
        stored: u32,
        before: impl Fn(&E) -> bool,
        guess: Option<u32>,
        source: Source,
    ) -> io::Result<Option<(u32, E)>> {
        let file = self.file.get_via(source)?;
        // The answer is in [low, high): slots below low are before, those from high on are not.
        let (mut low, mut high) = (0, stored);
        let mut found = None;
        let mut probe = guess.map(|slot| slot.saturating_sub(BLOCK / 2));
        while low < high {
            let from = probe.take().unwrap_or(low + (high - low) / 2);
            let narrow = high - low <= BLOCK;
            let from = if narrow {
                low
            } else {
                from.clamp(low, high - BLOCK)
            };
            let block = read_block::<E>(source, &*file, from, high.min(from + BLOCK))?;
            if block.is_empty() {
                break; // The file is shorter than it was: nothing more to learn from it.
            }
            let count = block.partition_point(&before);
            if count > 0 {
                low = from + count as u32;
                found = Some((low - 1, block[count - 1]));
            }
            if count < block.len() {
                high = from + count as u32;
            }
        }
        Ok(found)
    }

    fn count_file(&self, stored: u32, keep: impl Fn(&E) -> bool) -> io::Result<u32> {
        let file = self.file.get()?;
        let (mut low, mut high) = (0, stored);
        while low < high {
            let middle = low + (high - low) / 2;
            match read_block::<E>(Source::Disk, &*file, middle, middle + 1)?.first() {
                Some(entry) if keep(entry) => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    fn entry_in_file(&self, state: &State<E>) -> io::Result<Option<E>> {
        let Some(slot) = state.len().checked_sub(1) else {
            return Ok(None);
        };
        let block = read_block::<E>(Source::Disk, &*self.file.get()?, slot, slot + 1)?;
        Ok(block.first().copied())
    }

    fn load(&self, state: &mut State<E>) -> io::Result<()> {
        let entries = self.file.len()? / E::SIZE as u64;
        // Positions in a segment are 31 bits wide, so no index of ours or Kafka's has so many entries.
        let entries = u32::try_from(entries).unwrap_or(u32::MAX / 16);
        state.stored = entries;
        state.tail_start = entries;
        state.last = self.entry_in_file(state)?;
        // Appending needs to know the last entry, but not the file.
        self.file.close();
        state.loaded = true;
        Ok(())
    }

    fn read(&self, source: Source) -> io::Result<RwLockReadGuard<'_, State<E>>> {
        let state = match self.state.try_read() {
            // Whoever writes may be writing to the file.
            Err(TryLockError::WouldBlock) => {
                source.needs_disk()?;
                self.state.read().unwrap_or_else(PoisonError::into_inner)
            }
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Ok(state) => state,
        };
        if state.loaded {
            return Ok(state);
        }
        source.needs_disk()?;
        drop(state);
        drop(self.write()?);
        Ok(self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self) -> io::Result<RwLockWriteGuard<'_, State<E>>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if !state.loaded {
            self.load(&mut state)?;
        }
        Ok(state)
    }
}

impl<E> State<E> {
    fn empty() -> Self {
        Self {
            loaded: true,
            stored: 0,
            tail_start: 0,
            tail: Vec::new(),
            last: None,
        }
    }

    fn len(&self) -> u32 {
        self.tail_start + self.tail.len() as u32
    }
}

/// Entries of the slots `from` to `to`, fewer when the file ends before.
fn read_block<E: IndexEntry>(
    source: Source,
    file: &dyn File,
    from: u32,
    to: u32,
) -> io::Result<Vec<E>> {
    let mut bytes = vec![0; (to - from) as usize * E::SIZE];
    let read = read_up_to_via(source, file, &mut bytes, u64::from(from) * E::SIZE as u64)?;
    Ok(bytes[..read].chunks_exact(E::SIZE).map(E::decode).collect())
}

#[cfg(test)]
mod tests;
