//! The transaction index: the aborted transactions whose markers lie in a segment (`TransactionIndex.java`).
//!
//! `<base offset>.txnindex` is a series of 34-byte entries, big-endian, ascending by last offset. It exists only
//! when there is an aborted transaction:
//!
//! | type | field |
//! |---|---|
//! | i16 | version (0) |
//! | i64 | producer id |
//! | i64 | offset of the transaction's first record |
//! | i64 | offset of the abort marker |
//! | i64 | last stable offset when the marker was written |

use std::io;
use std::sync::{Mutex, PoisonError, TryLockError};

use ottla_protocol::ids::{Offset, ProducerId};

use crate::fs::{Source, read_up_to_via, write_all_at};
use crate::lazy_file::LazyFile;

/// Bytes of an entry.
pub(crate) const ENTRY_SIZE: usize = 34;
/// Entries read at once.
const BLOCK: usize = 120;

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Offset of its first record.
    pub first_offset: Offset,
    /// Offset of the abort marker.
    pub last_offset: Offset,
    /// Last stable offset when the marker was written: all aborted transactions that begin below it have entries up
    /// to this one.
    pub last_stable_offset: Offset,
}

/// The aborted transactions of one segment.
pub(crate) struct TransactionIndex {
    file: LazyFile,
    /// Bytes of whole entries; `None` until the file was looked at.
    len: Mutex<Option<u64>>,
}

impl TransactionIndex {
    pub(crate) fn new(file: LazyFile) -> Self {
        Self {
            file,
            len: Mutex::new(None),
        }
    }

    /// Append an entry, creating the file at the first one.
    pub(crate) fn append(&self, txn: &AbortedTxn) -> io::Result<()> {
        let at = self.len(Source::Disk)?;
        let file = self.file.get_or_create()?;
        write_all_at(&*file, &[&txn.encode()], at)?;
        self.set_len(at + ENTRY_SIZE as u64);
        Ok(())
    }

    /// Add to `found` the transactions that overlap the offsets from `from` to below `to`. True when later segments
    /// cannot hold any more of them.
    pub(crate) fn collect(
        &self,
        from: Offset,
        to: Offset,
        found: &mut Vec<AbortedTxn>,
        source: Source,
    ) -> io::Result<bool> {
        let mut complete = false;
        self.for_each(source, |txn| {
            if txn.last_offset >= from && txn.first_offset < to {
                found.push(txn);
            }
            complete = txn.last_stable_offset >= to;
            !complete
        })?;
        Ok(complete)
    }

    /// Remove the entries whose marker is at `offset` or behind.
    pub(crate) fn truncate(&self, offset: Offset) -> io::Result<()> {
        let mut kept = 0;
        self.for_each(Source::Disk, |txn| {
            let keep = txn.last_offset < offset;
            kept += u64::from(keep);
            keep
        })?;
        let len = kept * ENTRY_SIZE as u64;
        if len < self.len(Source::Disk)? || self.file.len()? > len {
            self.file.get_or_create()?.set_len(len)?;
            self.set_len(len);
        }
        Ok(())
    }

    /// Visit the entries in order until `visit` says no, or one makes no sense.
    pub(crate) fn for_each(
        &self,
        source: Source,
        mut visit: impl FnMut(AbortedTxn) -> bool,
    ) -> io::Result<()> {
        let len = self.len(source)?;
        if len == 0 {
            return Ok(());
        }
        let file = self.file.get_via(source)?;
        let mut block = [0; BLOCK * ENTRY_SIZE];
        let mut at = 0;
        while at < len {
            let want = block.len().min((len - at) as usize);
            let read = read_up_to_via(source, &*file, &mut block[..want], at)?;
            for bytes in block[..read].chunks_exact(ENTRY_SIZE) {
                match AbortedTxn::decode(bytes) {
                    Some(txn) if visit(txn) => {}
                    _ => return Ok(()),
                }
            }
            if read < want {
                break;
            }
            at += read as u64;
        }
        Ok(())
    }

    /// There are no entries, whatever stands under the file's name.
    pub(crate) fn set_empty(&self) {
        self.set_len(0);
    }

    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len(Source::Disk)? == 0)
    }

    pub(crate) fn file(&self) -> &LazyFile {
        &self.file
    }

    fn len(&self, source: Source) -> io::Result<u64> {
        let mut len = match self.len.try_lock() {
            Err(TryLockError::WouldBlock) => {
                source.needs_disk()?;
                self.len.lock().unwrap_or_else(PoisonError::into_inner)
            }
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Ok(len) => len,
        };
        match *len {
            Some(len) => Ok(len),
            None => {
                source.needs_disk()?;
                let found = self.file.len()?;
                let whole = found - found % ENTRY_SIZE as u64;
                *len = Some(whole);
                Ok(whole)
            }
        }
    }

    fn set_len(&self, len: u64) {
        *self.len.lock().unwrap_or_else(PoisonError::into_inner) = Some(len);
    }
}

impl AbortedTxn {
    /// The bytes of an entry.
    pub(crate) fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        let fields = [
            self.producer_id.0,
            self.first_offset.0,
            self.last_offset.0,
            self.last_stable_offset.0,
        ];
        for (place, field) in bytes[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    /// The entry in `bytes`; `None` for another version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, fields) = bytes.split_first_chunk()?;
        if i16::from_be_bytes(*version) != 0 {
            return None;
        }
        let mut fields = fields
            .chunks_exact(8)
            .filter_map(|field| field.first_chunk())
            .map(|field| i64::from_be_bytes(*field));
        Some(Self {
            producer_id: ProducerId(fields.next()?),
            first_offset: Offset(fields.next()?),
            last_offset: Offset(fields.next()?),
            last_stable_offset: Offset(fields.next()?),
        })
    }
}
