//! Which leader epoch began at which offset (`LeaderEpochFileCache.java`), kept in `leader-epoch-checkpoint`:
//!
//! ```text
//! 0                      version
//! 2                      count of lines that follow
//! 0 0                    epoch, start offset
//! 3 1042
//! ```
//!
//! Epochs and start offsets both ascend.

use std::io;
use std::path::Path;

use ottla_protocol::ids::{LeaderEpoch, Offset};

use crate::checkpoint::{CheckpointError, format_checkpoint, parse_checkpoint};
use crate::fs::{Fs, OpenMode, read_small, temporary, write_all_at, write_atomically};

/// Name of the file in the log's directory.
pub const FILE_NAME: &str = "leader-epoch-checkpoint";
/// Larger files are not ours: 1.6 million changes of leader.
const MAX_FILE: usize = 64 << 20;

/// The first offset of a leader epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Offset of the first record that was appended in it.
    pub start_offset: Offset,
}

/// The epochs of one log, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// Read the checkpoint of the log in `dir`; nothing when there is none. A broken one is an error of kind
    /// `InvalidData`: the caller rebuilds it from the batches.
    pub(crate) fn load(fs: &dyn Fs, dir: &Path) -> io::Result<Self> {
        let Some(bytes) = read_small(fs, &dir.join(FILE_NAME), MAX_FILE)? else {
            return Ok(Self::default());
        };
        Self::parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Write the checkpoint of the log in `dir`, durably.
    pub(crate) fn save(&self, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        write_atomically(fs, &dir.join(FILE_NAME), &self.format())
    }

    /// Write it under another name, without a sync. Once that is on disk, [`Self::put_in_place`] gives it its own.
    pub(crate) fn write_aside(&self, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        let file = fs.open(&temporary(&dir.join(FILE_NAME)), OpenMode::Truncate)?;
        write_all_at(&*file, &[&self.format()], 0)
    }

    /// See [`Self::write_aside`]; durable when the directory is synced.
    pub(crate) fn put_in_place(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        let path = dir.join(FILE_NAME);
        fs.rename(&temporary(&path), &path)
    }

    fn format(&self) -> Vec<u8> {
        let entries = self.entries.iter();
        format_checkpoint(entries.map(|entry| format!("{} {}", entry.epoch, entry.start_offset)))
    }

    /// Read the text of a checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let mut epochs = Self::default();
        for line in parse_checkpoint(bytes)? {
            let (epoch, start) = line.text.split_once(' ').ok_or_else(|| line.broken())?;
            let epoch: i32 = epoch.parse().map_err(|_| line.broken())?;
            let start: i64 = start.trim_end().parse().map_err(|_| line.broken())?;
            if epoch < 0 || start < 0 {
                return Err(line.broken());
            }
            epochs.assign(LeaderEpoch(epoch), Offset(start));
        }
        Ok(epochs)
    }

    /// All of them, ascending.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The latest one.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// Note that `epoch` has a record at `start`. True when that was news. Entries which contradict it go: epochs not
    /// below it, and those that start at `start` or later.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        let known = self
            .latest()
            .is_some_and(|last| last.epoch == epoch && start >= last.start_offset);
        if known || epoch.0 < 0 {
            return false;
        }
        while self
            .latest()
            .is_some_and(|last| last.epoch >= epoch || last.start_offset >= start)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset: start,
        });
        true
    }

    /// Forget the epochs that start at `end` or later. True when there were any.
    pub(crate) fn truncate_from_end(&mut self, end: Offset) -> bool {
        let count = self.entries.partition_point(|e| e.start_offset < end);
        let changed = count < self.entries.len();
        self.entries.truncate(count);
        changed
    }

    /// Forget the epochs that end at or before `start`; the one that covers it starts there from now on. True when
    /// that changed anything.
    pub(crate) fn truncate_from_start(&mut self, start: Offset) -> bool {
        let count = self.entries.partition_point(|e| e.start_offset <= start);
        let Some(last) = count.checked_sub(1) else {
            return false;
        };
        if last == 0 && self.entries[0].start_offset == start {
            return false;
        }
        self.entries.drain(..last);
        self.entries[0].start_offset = start;
        true
    }

    /// The epoch at or below `epoch`, and the offset where it ends: the start of the next one, or `log_end` for the
    /// latest. `None` when `epoch` is unknown: later than all, or none at all. An epoch earlier than all is answered with
    /// itself and the start of the first one, for its records are gone.
    pub fn end_offset(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        if epoch == LeaderEpoch::NONE {
            return None;
        }
        if self.latest()?.epoch == epoch {
            return Some((epoch, log_end));
        }
        let above = self.entries.partition_point(|e| e.epoch <= epoch);
        let end = self.entries.get(above)?.start_offset;
        let floor = above.checked_sub(1).map(|slot| self.entries[slot].epoch);
        Some((floor.unwrap_or(epoch), end))
    }

    /// The epoch in which the record at `offset` was appended.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self.entries.partition_point(|e| e.start_offset <= offset);
        above.checked_sub(1).map(|slot| self.entries[slot].epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for &(epoch, start) in entries {
            assert!(epochs.assign(LeaderEpoch(epoch), Offset(start)));
        }
        epochs
    }

    fn list(epochs: &LeaderEpochs) -> Vec<(i32, i64)> {
        let entries = epochs.entries().iter();
        entries.map(|e| (e.epoch.0, e.start_offset.0)).collect()
    }

    #[test]
    fn an_epoch_is_assigned_once_and_contradictions_go() {
        let mut cache = epochs(&[(1, 0), (2, 10)]);
        assert!(!cache.assign(LeaderEpoch(2), Offset(11)));
        assert!(!cache.assign(LeaderEpoch(-1), Offset(12)));
        assert!(cache.assign(LeaderEpoch(4), Offset(20)));
        assert_eq!(list(&cache), [(1, 0), (2, 10), (4, 20)]);
        assert!(cache.assign(LeaderEpoch(5), Offset(10)));
        assert_eq!(list(&cache), [(1, 0), (5, 10)]);
        assert!(cache.assign(LeaderEpoch(1), Offset(12)));
        assert_eq!(list(&cache), [(1, 12)]);
    }

    #[test]
    fn ends_of_epochs() {
        let cache = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let table = [
            (-1, None),
            (0, Some((0, 10))),
            (2, Some((2, 20))),
            (3, Some((2, 20))),
            (5, Some((4, 30))),
            (7, Some((7, 42))),
            (8, None),
        ];
        for (epoch, expected) in table {
            let found = cache.end_offset(LeaderEpoch(epoch), Offset(42));
            assert_eq!(found.map(|(e, o)| (e.0, o.0)), expected, "epoch {epoch}");
        }
        assert_eq!(
            LeaderEpochs::default().end_offset(LeaderEpoch(0), Offset(9)),
            None
        );
    }

    #[test]
    fn truncation_from_both_ends() {
        let full = epochs(&[(2, 10), (4, 20), (7, 30)]);
        for (end, expected) in [(31, 3), (30, 2), (20, 1), (10, 0)] {
            let mut cache = full.clone();
            assert_eq!(cache.truncate_from_end(Offset(end)), expected < 3);
            assert_eq!(cache.entries().len(), expected);
        }
        type Row<'a> = (i64, &'a [(i32, i64)], bool);
        let table: [Row<'_>; 5] = [
            (5, &[(2, 10), (4, 20), (7, 30)], false),
            (10, &[(2, 10), (4, 20), (7, 30)], false),
            (11, &[(2, 11), (4, 20), (7, 30)], true),
            (20, &[(4, 20), (7, 30)], true),
            (50, &[(7, 50)], true),
        ];
        for (start, expected, changed) in table {
            let mut cache = full.clone();
            assert_eq!(cache.truncate_from_start(Offset(start)), changed, "{start}");
            assert_eq!(list(&cache), expected, "{start}");
        }
    }

    #[test]
    fn the_file_is_kafkas() {
        let dir = tempfile::tempdir().unwrap();
        let fs = crate::fs::OsFs;
        assert_eq!(
            LeaderEpochs::load(&fs, dir.path()).unwrap(),
            LeaderEpochs::default()
        );
        let cache = epochs(&[(0, 0), (3, 1042)]);
        cache.save(&fs, dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap();
        assert_eq!(text, "0\n2\n0 0\n3 1042\n");
        assert_eq!(LeaderEpochs::load(&fs, dir.path()).unwrap(), cache);
        assert_eq!(LeaderEpochs::parse(b""), Ok(LeaderEpochs::default()));
        for broken in [
            "1\n0\n",
            "0\n1\n",
            "0\n1\nx 1\n",
            "0\n1\n1\n",
            "0\n1\n-1 1\n",
        ] {
            assert!(
                LeaderEpochs::parse(broken.as_bytes()).is_err(),
                "{broken:?}"
            );
        }
    }
}
