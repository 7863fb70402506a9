//! The entries of index files, straight from the file, in its order and without a thought whether they make sense.

use std::io;

use ottla_protocol::ids::Offset;

use crate::fs::{File, read_up_to};
use crate::offset_index::{OffsetIndex, OffsetPosition};
use crate::time_index::{TimeIndex, TimestampOffset};
use crate::transaction_index::{AbortedTxn, ENTRY_SIZE};

/// Entries read at once.
const BLOCK: usize = 1024;

/// What makes an entry of its bytes.
type Decode<'a, E> = Box<dyn Fn(&[u8]) -> E + 'a>;

/// Walks the entries of one index file.
pub struct Entries<'a, E> {
    file: &'a dyn File,
    size: usize,
    decode: Decode<'a, E>,
    /// Where in the file the rest of the block begins.
    at: u64,
    block: Vec<u8>,
    /// Bytes of the block that were walked over.
    used: usize,
}

/// The entries of an offset index with this base offset.
pub fn offset_index(file: &dyn File, base: Offset) -> Entries<'_, OffsetPosition> {
    Entries::new(file, OffsetIndex::ENTRY_SIZE, move |bytes| {
        OffsetIndex::decode(base, bytes)
    })
}

/// The entries of a time index with this base offset.
pub fn time_index(file: &dyn File, base: Offset) -> Entries<'_, TimestampOffset> {
    Entries::new(file, TimeIndex::ENTRY_SIZE, move |bytes| {
        TimeIndex::decode(base, bytes)
    })
}

/// The entries of a transaction index; `None` for one of an unknown version.
pub fn transaction_index(file: &dyn File) -> Entries<'_, Option<AbortedTxn>> {
    Entries::new(file, ENTRY_SIZE, AbortedTxn::decode)
}

impl<'a, E> Entries<'a, E> {
    fn new(file: &'a dyn File, size: usize, decode: impl Fn(&[u8]) -> E + 'a) -> Self {
        Self {
            file,
            size,
            decode: Box::new(decode),
            at: 0,
            block: Vec::new(),
            used: 0,
        }
    }

    /// The next entry; `None` where less than one is left, or nothing but zeros: space that Kafka reserves for entries
    /// to come.
    pub fn next_entry(&mut self) -> io::Result<Option<E>> {
        if self.used + self.size > self.block.len() {
            self.at += self.used as u64;
            self.used = 0;
            self.block.resize(BLOCK * self.size, 0);
            let read = read_up_to(self.file, &mut self.block, self.at)?;
            self.block.truncate(read - read % self.size);
        }
        let Some(bytes) = self.block.get(self.used..self.used + self.size) else {
            return Ok(None);
        };
        if bytes.iter().all(|byte| *byte == 0) && self.only_zeros_left()? {
            return Ok(None);
        }
        let entry = (self.decode)(&self.block[self.used..self.used + self.size]);
        self.used += self.size;
        Ok(Some(entry))
    }

    /// Bytes behind the last whole entry.
    pub fn surplus(&self) -> io::Result<u64> {
        Ok(self.file.len()? % self.size as u64)
    }

    fn only_zeros_left(&self) -> io::Result<bool> {
        let mut at = self.at + self.used as u64;
        let mut block = vec![0; 64 << 10];
        loop {
            let read = read_up_to(self.file, &mut block, at)?;
            if block[..read].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            if read < block.len() {
                return Ok(true);
            }
            at += read as u64;
        }
    }
}
