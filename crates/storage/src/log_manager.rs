//! All logs of the node (`LogManager.java`): opened in parallel, created, deleted, checkpointed, closed.
//!
//! It has no thread of its own and reads no clock: the broker calls it, with the time. What it does to all logs, it does
//! to several at a time, and a log that fails does not stop the rest.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ottla_protocol::ids::{Offset, Timestamp, TopicId, TopicPartition};
use uuid::Uuid;

use crate::cleaner::CleanError;
use crate::error::{AppendError, OpenError};
use crate::flush::FlushPlan;
use crate::fs::{Fs, WholeFs};
use crate::log::Log;
use crate::log_config::LogConfig;
use crate::log_dir::{DELETE_SUFFIX, DirName, LogDir};
use crate::log_dir_failure::LogDirFailure;
use crate::read::LogReader;
use crate::recovery::{Opening, Recovered};
use crate::truncate::remove_garbage;

mod checkpoints;
mod close;
mod load;
mod unopened;

use checkpoints::Noted;
pub use load::{Decide, Disposition, Loaded, Outcome};
use unopened::{Deleted, Found, Unopened};

/// The log of a partition, shared.
pub struct PartitionLog {
    topic_partition: TopicPartition,
    dir: usize,
    reader: Arc<LogReader>,
    log: Mutex<Log>,
    /// Held from the plan of a flush to its report: the kernel tells of a failed write only once, so of two syncs at the
    /// same time the second could be told that all is well.
    flushing: Mutex<()>,
    dir_failure: Arc<LogDirFailure>,
    /// Held while compaction gives files their names, most of it without the log's lock, and while the log is cut.
    swapping: Mutex<()>,
}

impl PartitionLog {
    fn new(
        topic_partition: TopicPartition,
        dir: usize,
        mut log: Log,
        dir_failure: &Arc<LogDirFailure>,
    ) -> Self {
        log.dir_failure = Arc::clone(dir_failure);
        Self {
            topic_partition,
            dir,
            reader: log.reader(),
            log: Mutex::new(log),
            flushing: Mutex::new(()),
            dir_failure: Arc::clone(dir_failure),
            swapping: Mutex::new(()),
        }
    }

    /// Whether its data directory has failed: nothing is read from it or written to it any more.
    pub fn is_offline(&self) -> bool {
        self.dir_failure.error().is_some()
    }

    /// The partition.
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// Which of the data directories holds it.
    pub fn dir_index(&self) -> usize {
        self.dir
    }

    /// The view for readers; needs no lock.
    pub fn reader(&self) -> &Arc<LogReader> {
        &self.reader
    }

    /// Keep others from changing the names of the log's files, for as long as the guard lives.
    pub(crate) fn hold_names(&self) -> MutexGuard<'_, ()> {
        lock(&self.swapping)
    }

    /// The log itself, for as long as the guard lives. Do not hold it across a wait.
    pub fn lock(&self) -> MutexGuard<'_, Log> {
        // A panic in the middle of an append leaves the published state as it was before.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Make everything appended so far durable, without keeping appends waiting; the offset below which everything is.
    pub fn flush(&self) -> Result<Offset, AppendError> {
        let _one_at_a_time = lock(&self.flushing);
        let plan = self.lock().flush_plan()?;
        self.carry_out(&plan)
    }

    /// As [`Self::flush`], with all that the next start wants to find; false when nothing has changed since the last
    /// time.
    fn checkpoint(&self) -> Result<bool, AppendError> {
        let _one_at_a_time = lock(&self.flushing);
        let plan = self.lock().checkpoint_plan()?;
        plan.map_or(Ok(false), |plan| self.carry_out(&plan).map(|_| true))
    }

    fn carry_out(&self, plan: &FlushPlan) -> Result<Offset, AppendError> {
        let outcome = plan.run();
        self.lock().flushed(plan, outcome)?;
        Ok(plan.upto())
    }
}

/// All logs of the node.
pub struct LogManager {
    fs: Arc<dyn Fs>,
    dirs: Vec<Dir>,
    logs: RwLock<HashMap<TopicPartition, Arc<PartitionLog>>>,
    unopened: Unopened,
    /// Held while a log is created.
    creating: Mutex<()>,
    /// How many logs are worked on at the same time.
    threads: usize,
    doomed: Mutex<Vec<Doomed>>,
    garbage: Mutex<Vec<Garbage>>,
}

struct Dir {
    log_dir: LogDir,
    failure: Arc<LogDirFailure>,
    /// The file system that it is on, where that can be synced as a whole.
    whole_fs: Option<Box<dyn WholeFs>>,
    /// The last process that used it stopped cleanly.
    was_clean: bool,
    /// What its checkpoint files say; held while they are written.
    noted: Mutex<Noted>,
}

/// A directory that waits to be removed.
struct Doomed {
    path: PathBuf,
    due: Timestamp,
}

/// Files of a log that wait to be removed.
struct Garbage {
    files: Vec<PathBuf>,
    due: Timestamp,
}

impl LogManager {
    /// The data directories.
    pub fn dirs(&self) -> impl ExactSizeIterator<Item = &LogDir> {
        self.dirs.iter().map(|dir| &dir.log_dir)
    }

    /// Whether the data directories have failed, in the order of [`Self::dirs`].
    pub fn dir_failures(&self) -> impl ExactSizeIterator<Item = &Arc<LogDirFailure>> {
        self.dirs.iter().map(|dir| &dir.failure)
    }

    /// Give back the space that the logs of a data directory have reserved ahead.
    pub fn release_reserves(&self, dir: usize) {
        for log in self.list().into_iter().filter(|log| log.dir == dir) {
            if let Err(error) = log.lock().release_reserve() {
                tracing::warn!(partition = %log.topic_partition, %error, "cannot give back reserved space");
            }
        }
    }

    /// The log of a partition.
    pub fn get(&self, partition: &TopicPartition) -> Option<Arc<PartitionLog>> {
        self.read().get(partition).cloned()
    }

    /// All logs, in no order.
    pub fn list(&self) -> Vec<Arc<PartitionLog>> {
        self.read().values().cloned().collect()
    }

    /// The log of a partition, created in the directory with the fewest logs when there is none, and opened when there is
    /// one that is not open. Nothing that was noted of an earlier log of that name holds for it.
    pub fn create(
        &self,
        partition: &TopicPartition,
        topic_id: Option<TopicId>,
        config: LogConfig,
        now: Timestamp,
    ) -> Result<Arc<PartitionLog>, OpenError> {
        let _one_at_a_time = lock(&self.creating);
        let found = self.unopened.take(partition);
        if let Some(log) = self.get(partition) {
            return check_topic_id(&log, topic_id);
        }
        self.forget_deleted(partition)?;
        let found = found.or_else(|| self.given_up(partition));
        let Some((dir, opening)) = self.place_for(found) else {
            return Err(OpenError::Io {
                dir: partition.to_string().into(),
                error: io::Error::other("the data directory has failed"),
            });
        };
        let Dir {
            log_dir, failure, ..
        } = &self.dirs[dir];
        let path = log_dir.path().join(partition.to_string());
        let fs = Arc::clone(&self.fs);
        let opened = Log::open(fs, &path, topic_id, config, opening, now);
        let (log, _) = opened.map_err(|error| failure.note_open_error(error))?;
        let log = Arc::new(PartitionLog::new(partition.clone(), dir, log, failure));
        self.serve(&log);
        Ok(log)
    }

    /// The directory for a log, and how it is opened there: where it was found, else where the fewest are. `None` when
    /// that directory has failed.
    fn place_for(&self, found: Option<Found>) -> Option<(usize, Opening)> {
        let online = |dir: &usize| self.dirs[*dir].failure.error().is_none();
        if let Some(Found { dir, opening }) = found {
            return online(&dir).then_some((dir, opening));
        }
        let mut counts = vec![0; self.dirs.len()];
        self.read().values().for_each(|log| counts[log.dir] += 1);
        let emptiest = (0..counts.len())
            .filter(online)
            .min_by_key(|dir| counts[*dir]);
        emptiest.map(|dir| (dir, Opening::UNKNOWN))
    }

    /// Take a log out of service: its directory gets a name that ends in `-delete` and is removed by
    /// [`LogManager::housekeeping`] after `file.delete.delay.ms`. Readers at work may finish. One that is being opened
    /// goes when that is done. False when there is none.
    pub fn delete(&self, partition: &TopicPartition, now: Timestamp) -> io::Result<bool> {
        match self.unopened.delete(partition) {
            Deleted::Waiting(Found { dir, .. }) => {
                lock(&self.dirs[dir].noted).unopened.remove(partition);
                self.doom(partition, dir, now)?;
                self.fs.sync_dir(self.dirs[dir].log_dir.path())?;
                Ok(true)
            }
            Deleted::Later => Ok(true),
            Deleted::Unknown => self.delete_open(partition, now),
        }
    }

    fn delete_open(&self, partition: &TopicPartition, now: Timestamp) -> io::Result<bool> {
        let removed = {
            let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
            logs.remove(partition)
        };
        let Some(removed) = removed else {
            return Ok(false);
        };
        let _names = removed.hold_names();
        let mut log = removed.lock();
        let due = now.0.saturating_add(log.config().file_delete_delay_ms);
        let to = self.doom(partition, removed.dir, Timestamp(due))?;
        log.dir.set(&to);
        log.retire();
        self.fs.sync_dir(self.dirs[removed.dir].log_dir.path())?;
        Ok(true)
    }

    /// Give the directory of a log a name that tells it is deleted, and remember to remove it when it is due.
    fn doom(&self, of: &TopicPartition, dir: usize, due: Timestamp) -> io::Result<PathBuf> {
        let parent = self.dirs[dir].log_dir.path();
        let path = parent.join(DirName::with_suffix(of, Uuid::new_v4(), DELETE_SUFFIX));
        self.fs.rename(&parent.join(of.to_string()), &path)?;
        lock(&self.doomed).push(Doomed {
            path: path.clone(),
            due,
        });
        Ok(path)
    }

    /// Remove what has waited for `file.delete.delay.ms`: deleted logs, and segments taken out of logs, which wait from
    /// the first call that sees them.
    pub fn housekeeping(&self, now: Timestamp) -> io::Result<()> {
        let due: Vec<Doomed> = {
            let mut doomed = lock(&self.doomed);
            let (due, later) = doomed.drain(..).partition(|doomed| doomed.due <= now);
            *doomed = later;
            due
        };
        for doomed in due {
            match self.fs.remove_dir(&doomed.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.remove_garbage(now)
    }

    fn remove_garbage(&self, now: Timestamp) -> io::Result<()> {
        let mut garbage = lock(&self.garbage);
        for log in self.list() {
            let mut log = log.lock();
            let files = log.take_garbage();
            let delay = log.config().file_delete_delay_ms;
            if !files.is_empty() {
                let due = Timestamp(now.0.saturating_add(delay));
                garbage.push(Garbage { files, due });
            }
        }
        let (due, later) = garbage.drain(..).partition(|garbage| garbage.due <= now);
        *garbage = later;
        let due: Vec<Garbage> = due;
        due.iter()
            .try_for_each(|garbage| remove_garbage(&*self.fs, &garbage.files))
    }

    /// Flush the logs for which `flush.ms` asks for it.
    pub fn flush_due(&self, now: Timestamp) {
        let mut due = self.list();
        due.retain(|log| log.lock().flush_due(now));
        self.for_each(&due, |log| {
            let _offline = log.flush();
        });
    }

    /// Forget idle producers.
    pub fn expire_producers(&self, now: Timestamp) {
        for log in self.list() {
            log.lock().expire_producers(now);
        }
    }

    /// Flush every log that has changed and note its recovery point and start, so that the next start has little to
    /// scan; then segments below the noted starts go. A log that fails goes offline, and its old recovery point stays.
    /// Descriptors are closed; what is in use is soon opened again.
    pub fn checkpoint(&self) -> io::Result<()> {
        let changed = Mutex::new(BTreeSet::new());
        self.for_each(&self.list(), |log| {
            if let Ok(true) = log.checkpoint() {
                lock(&changed).insert(log.dir);
            }
            log.lock().close_idle_files();
        });
        let online = |dir: &usize| self.dirs[*dir].failure.error().is_none();
        let changed = changed.into_inner().unwrap_or_else(PoisonError::into_inner);
        (changed.into_iter().filter(online)).try_for_each(|dir| self.write_checkpoints(dir))
    }

    /// Cut a log at its end, and note the lower recovery point before anything can be appended.
    pub fn truncate_to(
        &self,
        partition: &TopicPartition,
        to: Offset,
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let Some(log) = self.get(partition) else {
            return Ok(());
        };
        let _names = log.hold_names();
        log.lock().truncate_to(to, now)?;
        let noted = self.write_checkpoints(log.dir);
        noted.map_err(|error| log.lock().fail(error))
    }

    /// Do something to each of the logs, several at a time: syncs that wait for the disk together cost little more than
    /// one.
    fn for_each(&self, logs: &[Arc<PartitionLog>], work: impl Fn(&Arc<PartitionLog>) + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(logs.len()) {
                scope.spawn(|| {
                    while let Some(log) = logs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        work(log);
                    }
                });
            }
        });
    }

    /// Flush a log and note so, so that the next start takes no gap below its end for a loss.
    pub(crate) fn flush_noted(&self, log: &PartitionLog) -> Result<Offset, CleanError> {
        let upto = log.flush()?;
        self.write_checkpoints(log.dir)?;
        Ok(upto)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<TopicPartition, Arc<PartitionLog>>> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_topic_id(
    log: &Arc<PartitionLog>,
    expected: Option<TopicId>,
) -> Result<Arc<PartitionLog>, OpenError> {
    let locked = log.lock();
    match (locked.topic_id(), expected) {
        (Some(found), Some(expected)) if found != expected => Err(OpenError::TopicId {
            dir: locked.dir().to_path_buf(),
            found,
            expected,
        }),
        _ => Ok(Arc::clone(log)),
    }
}
