//! Where the bytes of a read may come from, so that a thread which must not wait can look for a batch as well.

use std::io;

use super::File;

/// Where a read may take its bytes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the disk when need be: the thread waits for it, and for others that do.
    Disk,
    /// From what is in memory already. Where that is not enough the read fails with `WouldBlock`, at once.
    PageCache,
}

impl Source {
    /// Nothing but the disk has what is wanted.
    ///
    /// # Errors
    /// `WouldBlock` unless the disk may be asked.
    pub(crate) fn needs_disk(self) -> io::Result<()> {
        match self {
            Self::Disk => Ok(()),
            Self::PageCache => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub(super) fn read_at(self, file: &dyn File, buf: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::Disk => file.read_at(buf, at),
            Self::PageCache => file.read_cached_at(buf, at),
        }
    }
}
