//! Reads the record batches of one file, a log segment or a snapshot, one after the other.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::record::batch::{BatchHeader, HEADER_LEN};
use ottla_storage::fs::{File, Fs, OpenMode, read_up_to};

/// Largest batch that is read, in bytes.
const MAX_BATCH_LEN: usize = 256 * 1024 * 1024;

/// An open file of batches and the place that was read up to.
pub struct BatchFile {
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
    position: u64,
}

/// Why the next batch cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BatchFileError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The batch is cut off or claims an impossible length.
    #[error("the batch is cut off or its length is impossible")]
    Truncated,
}

impl BatchFile {
    /// Open the file at `path`.
    pub fn open(fs: &dyn Fs, path: &Path) -> io::Result<Self> {
        let file = fs.open(path, OpenMode::Read)?;
        let len = file.len()?;
        Ok(Self {
            path: path.to_owned(),
            file,
            len,
            position: 0,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes, when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when the file has no byte.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the next batch begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Header and body of the next batch, or `None` at the end of the file. The content is not checked.
    pub fn next_batch(&mut self) -> Result<Option<(BatchHeader, Vec<u8>)>, BatchFileError> {
        if self.position == self.len {
            return Ok(None);
        }
        let mut head = [0; HEADER_LEN];
        let read = read_up_to(&*self.file, &mut head, self.position)?;
        let header = BatchHeader::read(&head[..read]).ok_or(BatchFileError::Truncated)?;
        let size = header
            .size()
            .filter(|size| *size <= MAX_BATCH_LEN)
            .ok_or(BatchFileError::Truncated)?;
        if size as u64 > self.len - self.position {
            return Err(BatchFileError::Truncated);
        }
        let mut body = vec![0; size - HEADER_LEN];
        let read = read_up_to(&*self.file, &mut body, self.position + HEADER_LEN as u64)?;
        if read < body.len() {
            return Err(BatchFileError::Truncated);
        }
        self.position += size as u64;
        Ok(Some((header, body)))
    }
}
