//! A file system in memory that loses power.
//!
//! Every file has bytes that are live and bytes that are durable, made so by `sync_data`; every directory has a list of
//! changes of names that are not yet durable, made so by `sync_dir`. At the chosen call (a change, counted from 1)
//! that call is done in part and fails, and so does everything after it. [`PowerCutFs::after_cut`] is what a disk
//! may hold then: of unsynced bytes any 512-byte blocks, of unsynced names any first part of the changes.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use ottla_protocol::ids::Timestamp;
use ottla_storage::fs::{Entry, File, Fs, LockError, LockGuard, OpenMode, Stat};

const BLOCK: usize = 512;

#[derive(Clone)]
pub(super) struct PowerCutFs(Arc<Mutex<Disk>>);

#[derive(Default)]
struct Disk {
    files: Vec<Content>,
    live: Names,
    durable: Names,
    /// Changes of names that are not durable, by directory.
    pending: HashMap<PathBuf, Vec<Change>>,
    calls: u64,
    cut_at: Option<u64>,
    full: bool,
}

#[derive(Clone, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone, Copy, PartialEq)]
enum Node {
    Dir,
    File(usize),
}

#[derive(Clone)]
enum Change {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Remove(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

/// A small generator of random numbers (xorshift), so that a seed reproduces a failure.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

impl PowerCutFs {
    /// An empty disk that never loses power.
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Lose power at the `call`-th change from now on.
    pub(super) fn cut_at(&self, call: u64) {
        let mut disk = self.disk();
        (disk.calls, disk.cut_at) = (0, Some(call));
    }

    /// Let no byte more be written, or let it again.
    pub(super) fn set_full(&self, full: bool) {
        self.disk().full = full;
    }

    /// True when power was lost.
    pub(super) fn is_cut(&self) -> bool {
        let disk = self.disk();
        disk.cut_at.is_some_and(|at| disk.calls >= at)
    }

    /// The disk as found when power is back.
    pub(super) fn after_cut(&self, random: &mut Random) -> Self {
        let disk = self.disk();
        let mut names = disk.durable.clone();
        let mut pending: Vec<_> = disk.pending.iter().collect();
        pending.sort_by_key(|(dir, _)| dir.to_owned());
        for (_, changes) in pending {
            let kept = random.below(changes.len() + 1);
            changes[..kept]
                .iter()
                .for_each(|change| change.apply(&mut names));
        }
        let is_reachable = |path: &Path| {
            path.ancestors()
                .skip(1)
                .all(|dir| dir == Path::new("/") || names.contains_key(dir))
        };
        let reachable: Names = names
            .iter()
            .filter(|(path, _)| is_reachable(path))
            .map(|(path, node)| (path.clone(), *node))
            .collect();
        let files = disk
            .files
            .iter()
            .map(|content| content.after_cut(random))
            .collect();
        Self(Arc::new(Mutex::new(Disk {
            files,
            live: reachable.clone(),
            durable: reachable,
            ..Disk::default()
        })))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    fn change(&self, changes: &[Change]) -> io::Result<()> {
        let mut disk = self.disk();
        // A change of a name is done or not, so one that is cut off is not done.
        disk.call()?;
        for change in changes {
            change.apply(&mut disk.live);
            let path = match change {
                Change::Add(path, _) | Change::Remove(path) | Change::Rename(path, _) => path,
            };
            let dir = path.parent().unwrap().to_owned();
            disk.pending.entry(dir).or_default().push(change.clone());
        }
        Ok(())
    }
}

impl Content {
    fn after_cut(&self, random: &mut Random) -> Self {
        let mut bytes = self.durable.clone();
        if self.live != self.durable {
            let len = [self.live.len(), self.durable.len()][random.below(2)];
            bytes.resize(len, 0);
            for (block, live) in bytes.chunks_mut(BLOCK).zip(self.live.chunks(BLOCK)) {
                if random.below(2) == 0 {
                    let len = block.len().min(live.len());
                    block[..len].copy_from_slice(&live[..len]);
                }
            }
        }
        Self {
            live: bytes.clone(),
            durable: bytes,
        }
    }
}

impl Disk {
    /// Count a change; an error when power is lost.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.cut_at.is_some_and(|at| self.calls >= at) {
            Err(io::Error::other("no power"))
        } else {
            Ok(())
        }
    }

    fn is_first_without_power(&self) -> bool {
        self.cut_at == Some(self.calls)
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.live.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Fs for PowerCutFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let found = self.disk().file(path);
        let file = match (mode, found) {
            (OpenMode::Create | OpenMode::Truncate, Err(error))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                let file = {
                    let mut disk = self.disk();
                    disk.files.push(Content::default());
                    disk.files.len() - 1
                };
                self.change(&[Change::Add(path.to_owned(), Node::File(file))])?;
                file
            }
            (_, found) => found?,
        };
        let open = MemoryFile {
            fs: self.clone(),
            file,
        };
        if mode == OpenMode::Truncate && open.len()? > 0 {
            open.set_len(0)?;
        }
        Ok(Arc::new(open))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let disk = self.disk();
        let len = |file: usize| disk.files[file].live.len() as u64;
        Ok(disk.live.get(path).map(|node| match node {
            Node::Dir => Stat {
                is_dir: true,
                len: 0,
                modified: Timestamp(0),
            },
            Node::File(file) => Stat {
                is_dir: false,
                len: len(*file),
                modified: Timestamp(0),
            },
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let disk = self.disk();
        let within = disk
            .live
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir));
        Ok(within
            .map(|(path, node)| Entry {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                is_dir: *node == Node::Dir,
            })
            .collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk().file(from)?;
        self.change(&[Change::Rename(from.to_owned(), to.to_owned())])
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk().file(path)?;
        self.change(&[Change::Remove(path.to_owned())])
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        for dir in dir
            .ancestors()
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .skip(1)
        {
            if self.stat(dir)?.is_none() {
                self.change(&[Change::Add(dir.to_owned(), Node::Dir)])?;
            }
        }
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.disk();
        disk.call()?;
        let changes = disk.pending.remove(dir).unwrap_or_default();
        let durable = &mut disk.durable;
        changes.iter().for_each(|change| change.apply(durable));
        Ok(())
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        Err(LockError::Held(None))
    }

    fn available(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct MemoryFile {
    fs: PowerCutFs,
    file: usize,
}

impl MemoryFile {
    /// Change the live bytes. When power is lost here, `partly` says what is done of it.
    fn edit<T>(
        &self,
        whole: impl FnOnce(&mut Vec<u8>) -> T,
        partly: impl FnOnce(&mut Vec<u8>),
    ) -> io::Result<T> {
        let mut disk = self.fs.disk();
        let power = disk.call();
        let first = disk.is_first_without_power();
        let bytes = &mut disk.files[self.file].live;
        match power {
            Ok(()) => Ok(whole(bytes)),
            Err(error) => {
                if first {
                    partly(bytes);
                }
                Err(error)
            }
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    let end = at + new.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(new);
}

impl File for MemoryFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let disk = self.fs.disk();
        let rest = disk.files[self.file]
            .live
            .get(at as usize..)
            .unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        if self.fs.disk().full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let new: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        // Cut at a block: a disk writes one as a whole or not at all.
        let half = (at as usize + new.len() / 2) / BLOCK * BLOCK;
        let half = &new[..half.saturating_sub(at as usize)];
        self.edit(
            |bytes| put(bytes, at as usize, &new),
            |bytes| put(bytes, at as usize, half),
        )?;
        Ok(new.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.fs.disk();
        disk.call()?;
        let content = &mut disk.files[self.file];
        content.durable = content.live.clone();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.edit(|bytes| bytes.resize(len as usize, 0), |_| {})
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.fs.disk().files[self.file].live.len() as u64)
    }

    fn reserve(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
