//! A file system in memory that can lose power. For tests.
//!
//! Of every file and directory it keeps what a program sees and what is durable. [`CrashFs::crash`] gives the file
//! system that the next start finds: everything synced, and a random part of the rest — of unsynced bytes, 512 at a
//! time; of unsynced changes of names, each as a whole. A file that grew and lost its bytes shows zeros.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_protocol::ids::Timestamp;

use super::{Entry, File, Fs, LockError, LockGuard, OpenMode, Stat, WholeFs};

/// What a disk writes as a whole.
const BLOCK: usize = 512;
const ROOT: usize = 0;

/// Called before each change.
pub type Observer = Box<dyn Fn(&CrashFs) + Send + Sync>;

/// A file system in memory that can lose power.
#[derive(Clone, Default)]
pub struct CrashFs(Arc<Shared>);

#[derive(Default)]
struct Shared {
    disk: Mutex<Disk>,
    observer: Mutex<Option<Arc<Observer>>>,
}

#[derive(Clone)]
struct Disk {
    nodes: Vec<Node>,
    /// Changes of names that are not synced, in order.
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Node {
    File { live: Vec<u8>, durable: Vec<u8> },
    Dir { live: Names, durable: Names },
}

type Names = BTreeMap<String, usize>;

/// Names in directories that change together.
#[derive(Clone)]
struct Change(Vec<(usize, String, Option<usize>)>);

impl Default for Disk {
    fn default() -> Self {
        Self {
            nodes: vec![Node::dir()],
            changes: Vec::new(),
        }
    }
}

impl CrashFs {
    /// Call `observer` before each change, with the file system as it is.
    pub fn observe(&self, observer: Observer) {
        *lock(&self.0.observer) = Some(Arc::new(observer));
    }

    /// What the next start finds when the power goes now. Of what is not synced about `percent` in a hundred is kept,
    /// as `seed` will have it.
    pub fn crash(&self, seed: u64, percent: u64) -> Self {
        let mut disk = self.disk().clone();
        let mut random = Random(seed);
        for change in std::mem::take(&mut disk.changes) {
            if random.keeps(percent) {
                disk.make_durable(&change);
            }
        }
        for node in &mut disk.nodes {
            node.crash(&mut random, percent);
        }
        let crashed = Self::default();
        *crashed.disk() = disk;
        crashed
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.0.disk)
    }

    fn before_change(&self) {
        let observer = lock(&self.0.observer).clone();
        if let Some(observer) = observer {
            observer(self);
        }
    }
}

impl Fs for CrashFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let (dir, name) = self.disk().parent(path)?;
        let found = self.disk().names(dir)?.get(&name).copied();
        let creates = matches!(mode, OpenMode::Create | OpenMode::Truncate);
        let node = match found {
            Some(node) => node,
            None if creates => {
                self.before_change();
                let mut disk = self.disk();
                disk.nodes.push(Node::file());
                let node = disk.nodes.len() - 1;
                disk.change(vec![(dir, name, Some(node))])?;
                node
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let file = CrashFile {
            fs: self.clone(),
            node,
        };
        if mode == OpenMode::Truncate && found.is_some() {
            file.set_len(0)?;
        }
        Ok(Arc::new(file))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let disk = self.disk();
        let Ok(node) = disk.find(path) else {
            return Ok(None);
        };
        let (is_dir, len) = match &disk.nodes[node] {
            Node::Dir { .. } => (true, 0),
            Node::File { live, .. } => (false, live.len() as u64),
        };
        Ok(Some(Stat {
            is_dir,
            len,
            modified: Timestamp(0),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let disk = self.disk();
        let names = disk.names(disk.find(dir)?)?.iter();
        let entry = |(name, node): (&String, &usize)| Entry {
            name: name.clone(),
            is_dir: matches!(disk.nodes[*node], Node::Dir { .. }),
        };
        Ok(names.map(entry).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before_change();
        let mut disk = self.disk();
        let node = disk.find(from)?;
        let (old_dir, old_name) = disk.parent(from)?;
        let (new_dir, new_name) = disk.parent(to)?;
        disk.change(vec![
            (old_dir, old_name, None),
            (new_dir, new_name, Some(node)),
        ])
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.before_change();
        let mut disk = self.disk();
        disk.find(path)?;
        let (dir, name) = disk.parent(path)?;
        disk.change(vec![(dir, name, None)])
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        for dir in dir.ancestors().collect::<Vec<_>>().into_iter().rev() {
            if self.disk().find(dir).is_ok() {
                continue;
            }
            self.before_change();
            let mut disk = self.disk();
            let (parent, name) = disk.parent(dir)?;
            disk.nodes.push(Node::dir());
            let node = disk.nodes.len() - 1;
            disk.change(vec![(parent, name, Some(node))])?;
        }
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.remove_file(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.before_change();
        let mut disk = self.disk();
        let dir = disk.find(dir)?;
        disk.names(dir)?;
        let touches = |change: &Change| change.0.iter().any(|(changed, _, _)| *changed == dir);
        let changes = std::mem::take(&mut disk.changes);
        let (synced, pending) = changes.into_iter().partition(touches);
        disk.changes = pending;
        let synced: Vec<Change> = synced;
        synced.iter().for_each(|change| disk.make_durable(change));
        Ok(())
    }

    fn whole(&self, _path: &Path) -> io::Result<Option<Box<dyn WholeFs>>> {
        Ok(Some(Box::new(self.clone())))
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn LockGuard>, LockError> {
        Ok(Box::new(Unlocked))
    }

    fn available(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl WholeFs for CrashFs {
    fn sync_all(&self) -> io::Result<()> {
        self.before_change();
        let mut disk = self.disk();
        let changes = std::mem::take(&mut disk.changes);
        changes.iter().for_each(|change| disk.make_durable(change));
        for node in &mut disk.nodes {
            if let Node::File { live, durable } = node {
                durable.clone_from(live);
            }
        }
        Ok(())
    }
}

/// The file system is gone with the process, so nothing needs to be locked.
struct Unlocked;

impl LockGuard for Unlocked {}

impl Disk {
    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut node = ROOT;
        for name in path.components() {
            if let Component::Normal(name) = name {
                let found = self.names(node)?.get(&*name.to_string_lossy());
                node = *found.ok_or(io::ErrorKind::NotFound)?;
            }
        }
        Ok(node)
    }

    /// The directory of a path, and the name in it.
    fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Ok((self.find(dir)?, name.to_string_lossy().into_owned()))
    }

    fn names(&self, node: usize) -> io::Result<&Names> {
        match &self.nodes[node] {
            Node::Dir { live, .. } => Ok(live),
            Node::File { .. } => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn change(&mut self, names: Vec<(usize, String, Option<usize>)>) -> io::Result<()> {
        for (dir, name, node) in &names {
            match &mut self.nodes[*dir] {
                Node::Dir { live, .. } => set(live, name, *node),
                Node::File { .. } => return Err(io::ErrorKind::NotADirectory.into()),
            }
        }
        self.changes.push(Change(names));
        Ok(())
    }

    fn make_durable(&mut self, change: &Change) {
        for (dir, name, node) in &change.0 {
            if let Node::Dir { durable, .. } = &mut self.nodes[*dir] {
                set(durable, name, *node);
            }
        }
    }
}

fn set(names: &mut Names, name: &str, node: Option<usize>) {
    match node {
        Some(node) => names.insert(name.to_owned(), node),
        None => names.remove(name),
    };
}

impl Node {
    fn file() -> Self {
        Self::File {
            live: Vec::new(),
            durable: Vec::new(),
        }
    }

    fn dir() -> Self {
        Self::Dir {
            live: Names::new(),
            durable: Names::new(),
        }
    }

    fn crash(&mut self, random: &mut Random, percent: u64) {
        match self {
            Self::Dir { live, durable } => live.clone_from(durable),
            Self::File { live, durable } => {
                let grown_or_cut = random.keeps(percent);
                let len = if grown_or_cut {
                    live.len()
                } else {
                    durable.len()
                };
                let mut found = durable.clone();
                found.resize(len, 0);
                for (index, block) in found.chunks_mut(BLOCK).enumerate() {
                    let written = live.get(index * BLOCK..).unwrap_or_default();
                    let count = block.len().min(written.len());
                    if block[..count] != written[..count] && random.keeps(percent) {
                        block[..count].copy_from_slice(&written[..count]);
                    }
                }
                live.clone_from(&found);
                *durable = found;
            }
        }
    }
}

struct CrashFile {
    fs: CrashFs,
    node: usize,
}

impl CrashFile {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> T) -> io::Result<T> {
        match &mut self.fs.disk().nodes[self.node] {
            Node::File { live, durable } => Ok(work(live, durable)),
            Node::Dir { .. } => Err(io::ErrorKind::IsADirectory.into()),
        }
    }
}

impl File for CrashFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.with(|live, _| {
            let rest = live.get(at as usize..).unwrap_or_default();
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn read_cached_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.read_at(buf, at)
    }

    fn write_vectored_at(&self, bufs: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        self.fs.before_change();
        let bytes: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.with(|live, _| {
            let (at, end) = (at as usize, at as usize + bytes.len());
            live.resize(live.len().max(end), 0);
            live[at..end].copy_from_slice(&bytes);
            bytes.len()
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.before_change();
        self.with(|live, durable| durable.clone_from(live))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fs.before_change();
        self.with(|live, _| live.resize(len as usize, 0))
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|live, _| live.len() as u64)
    }

    fn reserve(&self, _at: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Splitmix64: the same choices for the same seed.
struct Random(u64);

impl Random {
    fn keeps(&mut self, percent: u64) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 100 < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::{read_small, write_all_at};

    fn content(fs: &CrashFs, path: &str) -> Option<Vec<u8>> {
        read_small(fs, Path::new(path), 10_000).unwrap()
    }

    #[test]
    fn what_is_synced_stays_and_the_rest_may_go() {
        let fs = CrashFs::default();
        fs.create_dir(Path::new("/d")).unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        let file = fs.open(Path::new("/d/f"), OpenMode::Create).unwrap();
        write_all_at(&*file, &[&[1; 1000]], 0).unwrap();
        file.sync_data().unwrap();
        assert_eq!(
            content(&fs.crash(1, 0), "/d/f"),
            None,
            "the name is not synced"
        );
        fs.sync_dir(Path::new("/d")).unwrap();
        write_all_at(&*file, &[&[2; 1000]], 500).unwrap();
        assert_eq!(content(&fs.crash(1, 0), "/d/f").unwrap(), [1; 1000]);
        assert_eq!(content(&fs.crash(1, 100), "/d/f"), content(&fs, "/d/f"));
        let torn: Vec<_> = (0..50)
            .filter_map(|seed| content(&fs.crash(seed, 50), "/d/f"))
            .collect();
        assert!(
            torn.iter()
                .any(|bytes| bytes.len() == 1500 && bytes[1400] == 0),
            "zeros"
        );
        assert!(
            torn.iter()
                .any(|bytes| bytes.len() == 1000 && bytes[900] == 2)
        );
    }

    #[test]
    fn a_rename_is_there_or_not() {
        let fs = CrashFs::default();
        let file = fs.open(Path::new("/a"), OpenMode::Create).unwrap();
        write_all_at(&*file, &[b"x"], 0).unwrap();
        file.sync_data().unwrap();
        fs.sync_dir(Path::new("/")).unwrap();
        fs.rename(Path::new("/a"), Path::new("/b")).unwrap();
        let outcomes: std::collections::BTreeSet<_> = (0..20)
            .map(|seed| fs.crash(seed, 50))
            .map(|fs| (content(&fs, "/a").is_some(), content(&fs, "/b").is_some()))
            .collect();
        assert_eq!(outcomes, [(false, true), (true, false)].into());
    }
}
