//! A file system that fails at a chosen call, or keeps callers waiting. For tests.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Entry, File, Fs, LockError, LockGuard, OpenMode, Stat, WholeFs};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With an error of this kind, and nothing done.
    Error(io::ErrorKind),
    /// A sync fails with an error of this kind, and nothing gets durable; other calls succeed.
    FailedSync(io::ErrorKind),
    /// A write stores half of its bytes and says so; other calls succeed.
    ShortWrite,
    /// A write stores half of its bytes, and the calls after it fail with an error of this kind.
    TornWrite(io::ErrorKind),
}

/// A file system whose n-th change fails, and all that follow for a while.
#[derive(Clone)]
pub struct FaultFs {
    inner: Arc<dyn Fs>,
    plan: Arc<Plan>,
}

struct Plan {
    fault: Fault,
    /// Counts the changes.
    calls: AtomicU64,
    /// The first call that fails, and the first that succeeds again.
    from: AtomicU64,
    to: AtomicU64,
    /// Only changes below this directory count and fail.
    below: Mutex<PathBuf>,
    /// Below this directory nothing is opened.
    held: Mutex<Option<PathBuf>>,
    released: Condvar,
    /// So many of the next syncs fail.
    failing_syncs: AtomicU64,
    /// So many of the next reads of what is in memory succeed.
    cached: AtomicU64,
    /// Counts what may wait for a disk that only reads.
    waits: AtomicU64,
}

impl FaultFs {
    /// `inner` without faults so far; they will be of this kind.
    pub fn new(inner: Arc<dyn Fs>, fault: Fault) -> Self {
        Self {
            inner,
            plan: Arc::new(Plan {
                fault,
                calls: AtomicU64::new(0),
                from: AtomicU64::new(u64::MAX),
                to: AtomicU64::new(u64::MAX),
                below: Mutex::default(),
                held: Mutex::default(),
                released: Condvar::new(),
                failing_syncs: AtomicU64::new(0),
                cached: AtomicU64::new(u64::MAX),
                waits: AtomicU64::new(0),
            }),
        }
    }

    /// Let `count` changes fail from the `n`-th one from now on, the next one being 0.
    pub fn fail_at(&self, n: u64, count: u64) {
        let from = self.calls() + n;
        self.plan
            .to
            .store(from.saturating_add(count), Ordering::SeqCst);
        self.plan.from.store(from, Ordering::SeqCst);
    }

    /// Count, and let fail, only changes of what lies below `dir`, as when it is on a disk of its own.
    pub fn only_below(&self, dir: &Path) {
        *self.plan.below() = dir.to_owned();
    }

    /// Fail no more.
    pub fn heal(&self) {
        self.plan.from.store(u64::MAX, Ordering::SeqCst);
    }

    /// Let the next `count` syncs fail, whatever else is called in between.
    pub fn fail_syncs(&self, count: u64) {
        self.plan.failing_syncs.store(count, Ordering::SeqCst);
    }

    /// Whoever opens a file below `dir` waits from now on until [`Self::release`].
    pub fn hold(&self, dir: &Path) {
        *self.plan.held() = Some(dir.to_owned());
    }

    /// All but the next `count` reads find nothing in memory.
    pub fn cache(&self, count: u64) {
        self.plan.cached.store(count, Ordering::SeqCst);
    }

    /// Calls so far that may have waited for a disk to read from: files opened or looked at, and bytes read.
    pub fn waits(&self) -> u64 {
        self.plan.waits.load(Ordering::SeqCst)
    }

    /// Nobody waits any more.
    pub fn release(&self) {
        *self.plan.held() = None;
        self.plan.released.notify_all();
    }

    /// Changes so far, failed ones too.
    pub fn calls(&self) -> u64 {
        self.plan.calls.load(Ordering::SeqCst)
    }
}

impl Plan {
    fn below(&self) -> MutexGuard<'_, PathBuf> {
        self.below.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while_held(&self, path: &Path) {
        let is_held =
            |held: &mut Option<PathBuf>| held.as_ref().is_some_and(|dir| path.starts_with(dir));
        drop(self.released.wait_while(self.held(), is_held));
    }

    /// The fault of this call about `path`, if it has one.
    fn next(&self, path: &Path) -> Option<Fault> {
        if !path.starts_with(&*self.below()) {
            return None;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let faulty = self.from.load(Ordering::SeqCst)..self.to.load(Ordering::SeqCst);
        let fault = match self.fault {
            Fault::TornWrite(kind) if call > faulty.start => Fault::Error(kind),
            fault => fault,
        };
        faulty.contains(&call).then_some(fault)
    }

    fn check_sync(&self, path: &Path) -> io::Result<()> {
        let one_less = |count: u64| count.checked_sub(1);
        let failing = &self.failing_syncs;
        if (failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)).is_ok() {
            return Err(io::ErrorKind::Other.into());
        }
        match self.next(path) {
            None | Some(Fault::ShortWrite) => Ok(()),
            Some(Fault::Error(kind) | Fault::TornWrite(kind) | Fault::FailedSync(kind)) => {
                Err(kind.into())
            }
        }
    }

    /// For calls that write nothing.
    fn check(&self, path: &Path) -> io::Result<()> {
        match self.next(path) {
            None | Some(Fault::ShortWrite | Fault::FailedSync(_)) => Ok(()),
            Some(Fault::Error(kind) | Fault::TornWrite(kind)) => Err(kind.into()),
        }
    }
}

impl Fs for FaultFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.plan.waits.fetch_add(1, Ordering::SeqCst);
        self.plan.wait_while_held(path);
        if matches!(mode, OpenMode::Create | OpenMode::Truncate) {
            self.plan.check(path)?;
        }
        Ok(Arc::new(FaultFile {
            path: path.to_owned(),
            inner: self.inner.open(path, mode)?,
            plan: Arc::clone(&self.plan),
        }))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.plan.waits.fetch_add(1, Ordering::SeqCst);
        self.inner.stat(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.inner.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(from)?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.plan.check(path)?;
        self.inner.remove_file(path)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check(dir)?;
        self.inner.create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check(dir)?;
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.check(dir)?;
        self.inner.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        self.inner.lock(path)
    }

    fn available(&self, path: &Path) -> io::Result<u64> {
        self.inner.available(path)
    }

    fn whole(&self, path: &Path) -> io::Result<Option<Box<dyn WholeFs>>> {
        let whole = self.inner.whole(path)?;
        Ok(whole.map(|inner| {
            Box::new(FaultWholeFs {
                path: path.to_owned(),
                inner,
                plan: Arc::clone(&self.plan),
            }) as _
        }))
    }

    fn total(&self, path: &Path) -> io::Result<u64> {
        self.inner.total(path)
    }
}

struct FaultWholeFs {
    path: PathBuf,
    inner: Box<dyn WholeFs>,
    plan: Arc<Plan>,
}

impl WholeFs for FaultWholeFs {
    fn sync_all(&self) -> io::Result<()> {
        self.plan.check_sync(&self.path)?;
        self.inner.sync_all()
    }
}

struct FaultFile {
    path: PathBuf,
    inner: Arc<dyn File>,
    plan: Arc<Plan>,
}

impl File for FaultFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.plan.waits.fetch_add(1, Ordering::SeqCst);
        self.inner.read_at(buf, at)
    }

    fn read_cached_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let one_less = |count: u64| count.checked_sub(1);
        let cached = &self.plan.cached;
        match cached.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) => self.inner.read_cached_at(buf, at),
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        let fault = self.plan.next(&self.path);
        match fault {
            None | Some(Fault::FailedSync(_)) => self.inner.write_vectored_at(bufs, at),
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::ShortWrite | Fault::TornWrite(_)) => {
                let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
                let half = bytes.len().div_ceil(2);
                self.inner
                    .write_vectored_at(&[IoSlice::new(&bytes[..half])], at)
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.plan.check_sync(&self.path)?;
        self.inner.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.plan.check(&self.path)?;
        self.inner.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.plan.waits.fetch_add(1, Ordering::SeqCst);
        self.inner.len()
    }

    fn reserve(&self, at: u64, len: u64) -> io::Result<()> {
        self.plan.check(&self.path)?;
        self.inner.reserve(at, len)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.fd()
    }
}
