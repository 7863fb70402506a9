//! A file that is opened at its first use and may be closed in between, so that ten thousand idle partitions hold no
//! descriptors.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use ottla_protocol::ids::Timestamp;

use crate::fs::{File, Fs, OpenMode, Source};

/// The directory of one log. It is renamed when the log is deleted, while segments still hold on to it.
pub(crate) struct LogPath(ArcSwap<PathBuf>);

impl LogPath {
    pub(crate) fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self(ArcSwap::from_pointee(dir.to_owned())))
    }

    pub(crate) fn get(&self) -> Arc<PathBuf> {
        self.0.load_full()
    }

    pub(crate) fn set(&self, dir: &Path) {
        self.0.store(Arc::new(dir.to_owned()));
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.load().join(name)
    }
}

/// A file of a log, by name.
pub(crate) struct LazyFile {
    fs: Arc<dyn Fs>,
    dir: Arc<LogPath>,
    name: String,
    open: ArcSwapOption<Arc<dyn File>>,
    /// It stays open: under its name stands another file, or will.
    pinned: AtomicBool,
}

impl LazyFile {
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: Arc<LogPath>, name: String) -> Self {
        Self {
            fs,
            dir,
            name,
            open: ArcSwapOption::empty(),
            pinned: AtomicBool::new(false),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// The file; it must exist. Two threads that come at once may both open it: both can use theirs.
    pub(crate) fn get(&self) -> io::Result<Arc<dyn File>> {
        self.get_or_open(OpenMode::Write)
    }

    /// The file, as [`Self::get`]; from memory only when it is open already.
    pub(crate) fn get_via(&self, source: Source) -> io::Result<Arc<dyn File>> {
        if let Some(file) = &*self.open.load() {
            return Ok(Arc::clone(file));
        }
        source.needs_disk()?;
        self.get()
    }

    /// The file, created when missing.
    pub(crate) fn get_or_create(&self) -> io::Result<Arc<dyn File>> {
        self.get_or_open(OpenMode::Create)
    }

    fn get_or_open(&self, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        if let Some(file) = &*self.open.load() {
            return Ok(Arc::clone(file));
        }
        let file = self.fs.open(&self.path(), mode)?;
        // Whoever pinned it meanwhile has the right one: the name may stand for another file by now.
        if let Some(earlier) = &*self.open.load() {
            return Ok(Arc::clone(earlier));
        }
        self.open.store(Some(Arc::new(Arc::clone(&file))));
        Ok(file)
    }

    /// Use `file`, which stands under another name, until [`Self::unpin`].
    pub(crate) fn install(&self, file: Arc<dyn File>) {
        self.pinned.store(true, Ordering::SeqCst);
        self.open.store(Some(Arc::new(file)));
    }

    /// Hold the file open until [`Self::unpin`], or for good: its name is about to be given to another one. The caller
    /// sees to it that nobody closes it meanwhile.
    pub(crate) fn pin(&self) -> io::Result<()> {
        self.pinned.store(true, Ordering::SeqCst);
        self.get().map(drop)
    }

    /// The file stands under its name again.
    pub(crate) fn unpin(&self) {
        self.pinned.store(false, Ordering::SeqCst);
    }

    /// Length, without opening it; 0 when it is missing.
    pub(crate) fn len(&self) -> io::Result<u64> {
        match &*self.open.load() {
            Some(file) => file.len(),
            None => Ok(self.fs.stat(&self.path())?.map_or(0, |stat| stat.len)),
        }
    }

    /// When its content last changed.
    pub(crate) fn modified(&self) -> io::Result<Timestamp> {
        let stat = self.fs.stat(&self.path())?;
        stat.map(|stat| stat.modified)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Let the descriptor go; the next use opens the file again.
    pub(crate) fn close(&self) {
        if !self.pinned.load(Ordering::SeqCst) {
            self.open.store(None);
        }
    }
}
