//! Close all logs.
//!
//! A log has about five files to sync, which takes seconds where there are thousands of logs. Where the file system can
//! be synced as a whole, and tells when a write has failed, that is done once for all logs on it. Else, or when it tells
//! of an error, which may be that of another program, each log is synced by itself.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Dir, LogManager, PartitionLog, lock};

/// With fewer logs to sync in a directory, syncing them one by one is quicker, and leaves others' files alone.
const MANY: usize = 16;

/// What is found out while the logs are closed.
#[derive(Default)]
struct Closing {
    /// Logs that have something to sync.
    dirty: Vec<Arc<PartitionLog>>,
    /// Directories with a log that was not closed cleanly.
    failed: BTreeSet<usize>,
}

impl LogManager {
    /// Close all logs cleanly and mark the directories as such. A directory with a log that fails is not marked, so
    /// that the next start looks at it, nor is one with a log that is not open and was not closed cleanly before. The
    /// first error is returned when everything else is done.
    pub fn close(&self, broker_epoch: i64) -> io::Result<()> {
        self.unopened.stop();
        let closing = Mutex::new(Closing::default());
        self.for_each(&self.list(), |log| log.prepare_close(&closing));
        let mut closing = closing.into_inner().unwrap_or_else(PoisonError::into_inner);
        let together: BTreeSet<usize> = (0..self.dirs.len())
            .filter(|dir| self.sync_together(*dir, &closing.dirty))
            .collect();
        let dirty = std::mem::take(&mut closing.dirty);
        let closing = Mutex::new(closing);
        self.for_each(&dirty, |log| {
            log.close(together.contains(&log.dir), &closing);
        });
        let failed = closing
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .failed;
        let outcomes: Vec<io::Result<()>> = (0..self.dirs.len())
            .map(|dir| self.close_dir(dir, together.contains(&dir), &failed, broker_epoch))
            .collect();
        outcomes.into_iter().collect()
    }

    /// Sync all files of the dirty logs in a directory at once; false when each is to be synced by itself.
    fn sync_together(&self, dir: usize, dirty: &[Arc<PartitionLog>]) -> bool {
        let here: Vec<_> = dirty.iter().filter(|log| log.dir == dir).cloned().collect();
        let Some(whole_fs) = self.dirs[dir]
            .whole_fs
            .as_ref()
            .filter(|_| here.len() >= MANY)
        else {
            return false;
        };
        // A log that fails is offline: it will not be closed, nor the directory marked.
        self.for_each(&here, |log| drop(log.lock().write_epochs_aside()));
        let synced = whole_fs.sync_all();
        if let Err(error) = &synced {
            tracing::warn!(%error, "the file system cannot be synced as a whole: each log is synced by itself");
        }
        synced.is_ok()
    }

    fn close_dir(
        &self,
        dir: usize,
        together: bool,
        failed: &BTreeSet<usize>,
        broker_epoch: i64,
    ) -> io::Result<()> {
        let Dir {
            log_dir,
            failure,
            whole_fs,
            was_clean,
            noted,
        } = &self.dirs[dir];
        if let Some(whole_fs) = whole_fs.as_ref().filter(|_| together) {
            // Names were given after the first sync. Without them the recovery points of before are the right ones.
            whole_fs.sync_all()?;
        }
        if failure.error().is_none() {
            self.write_checkpoints(dir)?;
        }
        if failed.contains(&dir) {
            return Err(io::Error::other("a log was not closed cleanly"));
        }
        match *was_clean || lock(noted).unopened.is_empty() {
            true => log_dir.mark_clean_shutdown(broker_epoch),
            false => Ok(()),
        }
    }
}

impl PartitionLog {
    fn prepare_close(self: &Arc<Self>, closing: &Mutex<Closing>) {
        if self.is_offline() {
            lock(closing).failed.insert(self.dir);
            return;
        }
        let prepared = self.lock().prepare_close();
        match prepared {
            Ok(false) => self.close(false, closing),
            Ok(true) => lock(closing).dirty.push(Arc::clone(self)),
            Err(error) => self.not_closed(&error, closing),
        }
    }

    fn close(&self, synced: bool, closing: &Mutex<Closing>) {
        let mut log = self.lock();
        let closed = if synced {
            log.close_synced()
        } else {
            log.close()
        };
        drop(log);
        if let Err(error) = closed {
            self.not_closed(&error, closing);
        }
    }

    fn not_closed(&self, error: &crate::error::AppendError, closing: &Mutex<Closing>) {
        tracing::error!(partition = %self.topic_partition, %error, "not closed cleanly");
        lock(closing).failed.insert(self.dir);
    }
}
