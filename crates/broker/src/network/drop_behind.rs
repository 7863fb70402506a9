//! Gives the page cache back what a cold reader has brought into it, a little behind where it is.
//!
//! A consumer that reads a topic from its beginning passes over every page once. What was not in the page cache, and
//! was read from the disk for it alone, is given up again, so that it drives out nothing that others go on reading. A
//! run begins where a window had to be read from the disk, and goes on as long as the next window follows: the kernel
//! reads ahead, so the windows behind are there when they are asked for, but only because of this reader. What was
//! appended not long ago, and what was in the page cache when a reader came to it, is never given up.

use std::sync::Arc;

use ottla_storage::fs::File;

/// Runs followed at a time: partitions that one connection reads in turn. The one longest without a window gives way.
const RUNS: usize = 64;
/// Bytes of a run that are gathered before any are given up.
const GATHERED: u64 = 8 << 20;
/// Bytes nearest to the reader that stay: those sent last may still be on their way through the socket, whose
/// references keep them in the cache.
const KEPT: u64 = 4 << 20;

/// What one connection has read from the disk.
#[derive(Default)]
pub struct DropBehind {
    /// The one that went on last is the last.
    runs: Vec<Run>,
}

impl std::fmt::Debug for DropBehind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} runs", self.runs.len())
    }
}

/// Bytes of a file, one behind the other, that are there for this reader alone.
struct Run {
    file: Arc<dyn File>,
    from: u64,
    end: u64,
}

/// Pages that may go.
pub struct Stale {
    /// The file.
    pub file: Arc<dyn File>,
    /// First byte.
    pub position: u64,
    /// How many.
    pub len: u64,
}

impl DropBehind {
    /// A window was sent; `missed` says that it had to be read from the disk. What may go now, if anything.
    pub fn sent(
        &mut self,
        file: &Arc<dyn File>,
        position: u64,
        len: u64,
        missed: bool,
    ) -> Option<Stale> {
        let known = self
            .runs
            .iter()
            .position(|run| Arc::ptr_eq(&run.file, file));
        let mut run = match known.map(|index| self.runs.remove(index)) {
            // A response ends within a window, and the next one begins there.
            Some(run) if run.end == position => run,
            stopped if missed => {
                let fresh = Run {
                    file: Arc::clone(file),
                    from: position,
                    end: position,
                };
                let given_up = stopped.map(Run::rest).or_else(|| self.give_way());
                self.runs.push(fresh.with(len));
                return given_up;
            }
            stopped => return stopped.map(Run::rest),
        };
        run.end += len;
        let stale = run.gathered();
        self.runs.push(run);
        stale
    }

    /// The reader is gone: what is left of its runs.
    pub fn finish(&mut self) -> impl Iterator<Item = Stale> + '_ {
        self.runs.drain(..).map(Run::rest)
    }

    fn give_way(&mut self) -> Option<Stale> {
        (self.runs.len() >= RUNS).then(|| self.runs.remove(0).rest())
    }
}

impl Run {
    fn with(mut self, len: u64) -> Self {
        self.end += len;
        self
    }

    /// All but the bytes nearest to the reader, when there are enough of them.
    fn gathered(&mut self) -> Option<Stale> {
        if self.end - self.from < GATHERED {
            return None;
        }
        let upto = self.end - KEPT;
        let stale = Stale {
            file: Arc::clone(&self.file),
            position: self.from,
            len: upto - self.from,
        };
        self.from = upto;
        Some(stale)
    }

    fn rest(self) -> Stale {
        Stale {
            position: self.from,
            len: self.end - self.from,
            file: self.file,
        }
    }
}

impl Stale {
    /// Tell the kernel. It may wait for other CPUs, so this is for a thread that may, too.
    pub fn drop_pages(&self) {
        let (Some(fd), Some(len)) = (self.file.fd(), std::num::NonZeroU64::new(self.len)) else {
            return;
        };
        // Advice only: what the kernel cannot follow costs memory, not correctness.
        let _ = rustix::fs::fadvise(fd, self.position, Some(len), rustix::fs::Advice::DontNeed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_storage::fs::{Fs, OpenMode, OsFs};

    const WINDOW: u64 = 1 << 20;

    fn file(dir: &tempfile::TempDir, name: &str) -> Arc<dyn File> {
        OsFs.open(&dir.path().join(name), OpenMode::Create).unwrap()
    }

    fn range(stale: Option<Stale>) -> Option<(u64, u64)> {
        stale.map(|stale| (stale.position, stale.len))
    }

    #[test]
    fn a_run_begins_with_a_miss_and_drops_what_lies_behind_the_reader() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir, "a");
        let mut behind = DropBehind::default();
        // Found in the page cache: somebody else's.
        for window in 0..20 {
            assert_eq!(
                range(behind.sent(&file, window * WINDOW, WINDOW, false)),
                None
            );
        }
        let mut dropped = Vec::new();
        for window in 20..40 {
            let missed = window == 20;
            dropped.extend(range(behind.sent(&file, window * WINDOW, WINDOW, missed)));
        }
        assert_eq!(dropped[0], (20 * WINDOW, GATHERED - KEPT));
        let end = dropped.iter().fold(20 * WINDOW, |at, (position, len)| {
            assert_eq!(*position, at, "without a gap");
            at + len
        });
        assert!(
            end <= 40 * WINDOW - KEPT && end > 40 * WINDOW - GATHERED,
            "{end}"
        );
        let rest: Vec<_> = behind
            .finish()
            .map(|stale| stale.position + stale.len)
            .collect();
        assert_eq!(rest, [40 * WINDOW]);
    }

    #[test]
    fn a_jump_ends_the_run_and_so_does_the_last_of_too_many_files() {
        let dir = tempfile::tempdir().unwrap();
        let first = file(&dir, "a");
        let mut behind = DropBehind::default();
        assert_eq!(range(behind.sent(&first, 0, 10, true)), None);
        assert_eq!(range(behind.sent(&first, 500, 10, false)), Some((0, 10)));
        assert_eq!(range(behind.sent(&first, 510, 10, false)), None, "not ours");
        assert_eq!(range(behind.sent(&first, 0, 10, true)), None);
        assert_eq!(range(behind.sent(&first, 90, 10, true)), Some((0, 10)));
        let others: Vec<_> = (0..RUNS).map(|at| file(&dir, &format!("f{at}"))).collect();
        let gone: Vec<_> = others
            .iter()
            .filter_map(|file| range(behind.sent(file, 0, 7, true)))
            .collect();
        assert_eq!(gone, [(90, 10)]);
        assert_eq!(behind.finish().count(), RUNS);
    }
}
