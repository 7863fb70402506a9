//! Real files.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ottla_protocol::ids::Timestamp;
use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};

use super::{Entry, File, Fs, LockError, LockGuard, OpenMode, Stat, WholeFs};

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFs;

impl Fs for OsFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(mode != OpenMode::Read)
            .create(matches!(mode, OpenMode::Create | OpenMode::Truncate))
            .truncate(mode == OpenMode::Truncate)
            .open(path)
            .map_err(|error| name(error, path))?;
        Ok(Arc::new(OsFile(file)))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(name(error, path)),
        };
        let modified = metadata.modified()?.duration_since(UNIX_EPOCH);
        Ok(Some(Stat {
            is_dir: metadata.is_dir(),
            len: metadata.len(),
            modified: Timestamp(modified.map_or(0, |since| since.as_millis() as i64)),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir).map_err(|error| name(error, dir))? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                let is_dir = entry.file_type()?.is_dir();
                entries.push(Entry { name, is_dir });
            }
        }
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to).map_err(|error| name(error, from))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path).map_err(|error| name(error, path))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755);
        builder.create(dir).map_err(|error| name(error, dir))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir).map_err(|error| name(error, dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        let opened = fs::File::open(dir).map_err(|error| name(error, dir))?;
        opened.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        let mut file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| name(error, path))?;
        let held = |file: &mut fs::File| LockError::Held(read_pid(file));
        // flock keeps out another of us, in this process too; the POSIX lock keeps out the JVM, which knows no other.
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(held(&mut file)),
            result => result.map_err(io::Error::from)?,
        }
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::ACCESS) => {
                return Err(held(&mut file));
            }
            result => result.map_err(io::Error::from)?,
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Box::new(OsLock { _file: file }))
    }

    fn available(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path).map_err(|error| name(error.into(), path))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn whole(&self, path: &Path) -> io::Result<Option<Box<dyn WholeFs>>> {
        let release = rustix::system::uname();
        if !syncfs_tells_of_errors(&release.release().to_string_lossy()) {
            return Ok(None);
        }
        let dir = fs::File::open(path).map_err(|error| name(error, path))?;
        let kind = rustix::fs::fstatfs(&dir)?.f_type;
        let known = SYNCED_AS_A_WHOLE.contains(&(kind as u64));
        Ok(known.then(|| Box::new(OsWholeFs(dir)) as _))
    }

    fn total(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path).map_err(|error| name(error.into(), path))?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }
}

/// Say which file an error is about; the kind stays.
fn name(error: io::Error, path: &Path) -> io::Error {
    io::Error::new(
        error.kind(),
        PathError {
            path: path.to_owned(),
            error,
        },
    )
}

#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
struct PathError {
    path: PathBuf,
    error: io::Error,
}

/// True when no descriptor was to be had: nothing is wrong with the disk, and it passes.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<PathError>());
    let code = inner.map_or(error, |named| &named.error).raw_os_error();
    let limits = [Errno::MFILE, Errno::NFILE];
    limits
        .iter()
        .any(|limit| code == Some(limit.raw_os_error()))
}

/// Whether another process holds the lock file at `path`, and which, where that can be told. Nothing is created.
pub(crate) fn lock_holder(path: &Path) -> io::Result<Option<Option<u32>>> {
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(name(error, path)),
    };
    let shared = FlockOperation::NonBlockingLockShared;
    let locked =
        rustix::fs::flock(&file, shared).and_then(|()| rustix::fs::fcntl_lock(&file, shared));
    match locked {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK | Errno::ACCESS) => Ok(Some(read_pid(&mut file))),
        Err(error) => Err(name(error.into(), path)),
    }
}

fn read_pid(file: &mut fs::File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

struct OsLock {
    /// Both locks last as long as the description is open.
    _file: fs::File,
}

impl LockGuard for OsLock {}

/// Types of local file systems that write everything at `syncfs`, data and names: ext2 to ext4, XFS, Btrfs, F2FS.
const SYNCED_AS_A_WHOLE: [u64; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];

/// Since Linux 5.8 `syncfs` fails when a write of the file system has failed since the descriptor was opened.
fn syncfs_tells_of_errors(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|text| text.parse::<u32>().ok());
    matches!((next(), next()), (Some(major), Some(minor)) if (major, minor) >= (5, 8))
}

/// Any file of it.
struct OsWholeFs(fs::File);

impl WholeFs for OsWholeFs {
    fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }
}

struct OsFile(fs::File);

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn read_cached_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            let into = &mut [IoSliceMut::new(buf)];
            match rustix::io::preadv2(&self.0, into, at, ReadWriteFlags::NOWAIT) {
                Err(Errno::INTR) => {}
                // This file system cannot tell what it has in memory.
                Err(Errno::OPNOTSUPP) => return self.read_at(buf, at),
                result => return Ok(result?),
            }
        }
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        loop {
            match rustix::io::pwritev(&self.0, bufs, at) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn reserve(&self, at: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(
            &self.0,
            FallocateFlags::KEEP_SIZE,
            at,
            len,
        )?)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_descriptors_is_told_from_other_errors() {
        let error = |errno: rustix::io::Errno| name(errno.into(), Path::new("f"));
        assert!(is_out_of_descriptors(&error(Errno::MFILE)));
        assert!(is_out_of_descriptors(&Errno::NFILE.into()));
        assert!(!is_out_of_descriptors(&error(Errno::IO)));
        assert!(!is_out_of_descriptors(&io::Error::other("x")));
    }

    #[test]
    fn syncfs_is_trusted_from_linux_5_8_on() {
        let table = [
            ("5.7.19", false),
            ("4.18.0-553.el8", false),
            ("5.8.0", true),
            ("5.15.0-1-cloud", true),
            ("6.1", true),
            ("10.0.0", true),
            ("linux", false),
            ("", false),
        ];
        for (release, trusted) in table {
            assert_eq!(syncfs_tells_of_errors(release), trusted, "{release}");
        }
        if let Some(whole) = OsFs.whole(tempfile::tempdir().unwrap().path()).unwrap() {
            whole.sync_all().unwrap();
        }
    }

    #[test]
    fn a_lock_is_held_once_and_names_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let guard = OsFs.lock(&path).unwrap();
        match OsFs.lock(&path) {
            Err(LockError::Held(pid)) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{:?}", other.map(|_| "locked twice")),
        }
        drop(guard);
        OsFs.lock(&path).unwrap();
    }

    #[test]
    fn space_reserved_behind_the_end_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsFs.open(&dir.path().join("f"), OpenMode::Create).unwrap();
        if file.reserve(0, 1 << 20).is_err() {
            return; // The file system knows no reservation; the log does without.
        }
        assert_eq!(file.len().unwrap(), 0);
        file.set_len(0).unwrap();
        use std::os::unix::fs::MetadataExt;
        let blocks = fs::metadata(dir.path().join("f")).unwrap().blocks();
        assert_eq!(blocks, 0);
    }
}
