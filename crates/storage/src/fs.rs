//! What the log needs of a file system and nothing more: two traits, so that tests can put a file system beneath the
//! log that loses power, fills up or fails.
//!
//! Durability is explicit. Bytes written survive a power cut after [`File::sync_data`] of their file; a file that was
//! created, renamed or removed keeps that state after [`Fs::sync_dir`] of its directory. Nothing here buffers.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::Timestamp;

pub mod crash;
pub mod fault;
pub mod os;
mod source;

pub use os::OsFs;
pub use source::Source;

/// Largest piece handed to one write: larger ones cost more, not less (fresh large folios are dear to fault in).
const MAX_WRITE: usize = 256 * 1024;

/// A file system.
pub trait Fs: Send + Sync {
    /// Open a file for reading and writing at given places.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// What stands at `path`, or `None` when nothing does.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;
    /// Names in a directory, in no order. A name that is not UTF-8 is left out: no file of ours has one.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Give a file or directory another name, in one step, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Remove a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Make a directory and those above it that are missing.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Remove a directory and everything in it.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Make the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Take the lock file at `path` for this process. The lock ends when the guard is dropped or the process dies.
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError>;
    /// Bytes that may still be written to the file system that holds `path`.
    fn available(&self, path: &Path) -> io::Result<u64>;
    /// A hold on the whole file system that holds `path`, or `None` where it cannot be synced as a whole, or would not
    /// tell of writes that have failed.
    fn whole(&self, _path: &Path) -> io::Result<Option<Box<dyn WholeFs>>> {
        Ok(None)
    }
    /// Size of the file system that holds `path`, in bytes.
    fn total(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

/// A whole file system.
pub trait WholeFs: Send + Sync {
    /// Make everything durable that was written to it so far, and all names. An error tells that a write has failed since
    /// the hold was taken, whoever has written.
    fn sync_all(&self) -> io::Result<()>;
}

/// An open file. Every method may be called from many threads at once.
pub trait File: Send + Sync {
    /// Read at most `buf.len()` bytes from `at` on; 0 at and behind the end.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;
    /// As [`Self::read_at`], of what is in memory: `WouldBlock` where the thread would have to wait for the disk.
    fn read_cached_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;
    /// Write the start of these slices, one behind the other, from `at` on; how many bytes were written.
    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], at: u64) -> io::Result<usize>;
    /// Make what was written so far, and the length, durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cut the file, or extend it with zeros. Space reserved behind the end is given back.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// True when the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reserve space for `len` bytes from `at` on, without changing the length.
    fn reserve(&self, at: u64, len: u64) -> io::Result<()>;
    /// The descriptor, for `sendfile`. `None` when the file is not a file of the operating system.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// A held lock.
pub trait LockGuard: Send + Sync {}

/// Why a lock was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it; its id when it is known.
    #[error("locked by another process")]
    Held(Option<u32>),
    /// The lock file cannot be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To read; it must exist.
    Read,
    /// To read and write; it must exist.
    Write,
    /// To read and write; it is created when missing.
    Create,
    /// To read and write, empty: created, or cut to nothing when it exists.
    Truncate,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// A directory, or else a file.
    pub is_dir: bool,
    /// Length in bytes.
    pub len: u64,
    /// When the content last changed.
    pub modified: Timestamp,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the path.
    pub name: String,
    /// A directory, or else a file.
    pub is_dir: bool,
}

/// Write all of `bufs` at `at`, in as few calls as the limit for one write allows. On failure some of it may have
/// been written.
pub fn write_all_at(file: &dyn File, bufs: &[&[u8]], mut at: u64) -> io::Result<()> {
    let total: usize = bufs.iter().map(|buf| buf.len()).sum();
    let mut done = 0;
    while done < total {
        let written = file.write_vectored_at(&window(bufs, done), at)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        done += written;
        at += written as u64;
    }
    Ok(())
}

/// The slices from byte `skip` on, at most [`MAX_WRITE`] bytes of them.
fn window<'a>(bufs: &[&'a [u8]], mut skip: usize) -> Vec<IoSlice<'a>> {
    let mut room = MAX_WRITE;
    let mut slices = Vec::with_capacity(bufs.len());
    for buf in bufs {
        let rest = buf.get(skip..).unwrap_or_default();
        skip = skip.saturating_sub(buf.len());
        let piece = &rest[..rest.len().min(room)];
        room -= piece.len();
        if !piece.is_empty() {
            slices.push(IoSlice::new(piece));
        }
    }
    slices
}

/// Fill `buf` from `at` on as far as the file reaches; how many bytes that were.
pub fn read_up_to(file: &dyn File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    read_up_to_via(Source::Disk, file, buf, at)
}

/// As [`read_up_to`], with bytes from `source` only.
pub(crate) fn read_up_to_via(
    source: Source,
    file: &dyn File,
    buf: &mut [u8],
    at: u64,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match source.read_at(file, &mut buf[filled..], at + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The whole of a small file, or `None` when it does not exist. Larger than `limit` is an error.
pub fn read_small(fs: &dyn Fs, path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match fs.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if len > limit {
        let what = format!("{} is {len} bytes, more than {limit}", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut bytes = vec![0; len];
    let read = read_up_to(&*file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Replace a small file so that after a crash either the old or the new content is there, whole (as Kafka's
/// `CheckpointFile`: write `<name>.tmp`, sync it, rename it, sync the directory).
pub fn write_atomically(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let file = fs.open(&temporary, OpenMode::Truncate)?;
    write_all_at(&*file, &[bytes], 0)?;
    file.sync_data()?;
    drop(file);
    fs.rename(&temporary, path)?;
    fs.sync_dir(path.parent().unwrap_or(Path::new("")))
}

/// The name under which a small file is written before it takes the place of the one at `path`.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// Remove a file that need not exist.
pub fn remove_if_exists(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    match fs.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_write_is_split_and_arrives_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsFs.open(&dir.path().join("f"), OpenMode::Create).unwrap();
        let head = vec![1; 61];
        let body: Vec<u8> = (0..700_000).map(|i| i as u8).collect();
        assert_eq!(window(&[&head, &body], 0).len(), 2);
        assert_eq!(window(&[&head, &body], 61)[0].len(), MAX_WRITE);
        write_all_at(&*file, &[&head, &body], 5).unwrap();
        let mut read = vec![0; 5 + 61 + body.len() + 10];
        let len = read_up_to(&*file, &mut read, 0).unwrap();
        assert_eq!(&read[..len], [&[0; 5][..], &head, &body].concat());
    }

    #[test]
    fn a_small_file_is_replaced_whole_and_limited() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        assert_eq!(read_small(&OsFs, &path, 10).unwrap(), None);
        write_atomically(&OsFs, &path, b"one").unwrap();
        write_atomically(&OsFs, &path, b"three").unwrap();
        assert_eq!(read_small(&OsFs, &path, 10).unwrap().unwrap(), b"three");
        assert!(read_small(&OsFs, &path, 4).is_err());
        let names = OsFs.list(dir.path()).unwrap();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}
