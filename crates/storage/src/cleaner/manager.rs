//! Choose the log to clean next, and remember how far each has come (`LogCleanerManager.java`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ottla_protocol::ids::{Offset, Timestamp, TopicPartition};

use super::clean::{Cleaned, CleanerLimits, clean};
use super::cleanable::{Cleanable, LogState, SegmentState, cleanable};
use super::error::CleanError;
use crate::checkpoint::{CLEANER_FILE, Offsets};
use crate::error::ReadError;
use crate::fs::Source;
use crate::log_config::LogConfig;
use crate::log_manager::{LogManager, PartitionLog};
use crate::segment::Segment;

/// The state of compaction over all logs of a node. Any number of threads may call it.
pub struct LogCleaner {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where the last round of each log ended.
    cleaned: HashMap<TopicPartition, Note>,
    /// Logs that are being cleaned.
    in_progress: HashSet<TopicPartition>,
    /// Logs that cannot be cleaned, until they are opened anew.
    uncleanable: HashMap<TopicPartition, Weak<PartitionLog>>,
    last_run: Option<Timestamp>,
}

/// How far a log has come; the log is known by itself, for another of its name begins anew.
struct Note {
    log: Weak<PartitionLog>,
    dir: usize,
    upto: Offset,
}

/// A log whose turn it is.
pub struct LogToClean {
    /// The log.
    pub log: Arc<PartitionLog>,
    /// What can be cleaned of it.
    pub cleanable: Cleanable,
}

impl LogCleaner {
    /// Take up what the data directories have noted. A note that cannot be read counts as none.
    pub fn new(logs: &LogManager) -> Self {
        let mut state = State::default();
        for (dir, log_dir) in logs.dirs().enumerate() {
            let noted = log_dir.read_checkpoint(CLEANER_FILE).unwrap_or_else(|error| {
                tracing::warn!(%error, "how far logs were compacted cannot be read: all of them are dirty");
                Offsets::new()
            });
            for (partition, upto) in noted {
                let Some(log) = logs.get(&partition).filter(|log| log.dir_index() == dir) else {
                    continue;
                };
                let log = Arc::downgrade(&log);
                state.cleaned.insert(partition, Note { log, dir, upto });
            }
        }
        Self {
            state: Mutex::new(state),
        }
    }

    /// The dirtiest of the logs that are due, and of each given log the offset below which it is stable: all is
    /// committed, no transaction is open. It is taken until [`Self::clean`] was called with it. Logs that are not
    /// compacted, or have failed, are passed over.
    pub fn next(
        &self,
        logs: impl Iterator<Item = (Arc<PartitionLog>, Offset)>,
        now: Timestamp,
    ) -> Option<LogToClean> {
        self.state().last_run = Some(now);
        let mut dirtiest: Option<LogToClean> = None;
        for (log, stable) in logs {
            if self.is_barred(&log) {
                continue;
            }
            let Some(found) = self.look_at(&log, stable, now) else {
                continue;
            };
            if dirtiest
                .as_ref()
                .is_none_or(|most| found.ratio() > most.cleanable.ratio())
            {
                let cleanable = found;
                dirtiest = Some(LogToClean { log, cleanable });
            }
        }
        // Another thread may have taken it since it was looked at.
        dirtiest.filter(|found| {
            let partition = found.log.topic_partition().clone();
            self.state().in_progress.insert(partition)
        })
    }

    /// Clean a log that [`Self::next`] gave out: flush it, do a round, note how far it came. `pace` is told of all bytes
    /// read and written; it may wait, and gives up the round by `false`.
    ///
    /// # Errors
    /// When the error is not transient, the log is not looked at again until it was opened anew.
    pub fn clean(
        &self,
        logs: &LogManager,
        target: &LogToClean,
        limits: &CleanerLimits,
        now: Timestamp,
        pace: &dyn Fn(u64) -> bool,
    ) -> Result<Cleaned, CleanError> {
        let pace = |bytes| match pace(bytes) {
            true => Ok(()),
            false => Err(CleanError::GivenUp),
        };
        let log = &target.log;
        let outcome = logs
            .flush_noted(log)
            .and_then(|_| clean(log, target.cleanable, limits, now, &pace))
            .and_then(|cleaned| {
                self.note(logs, log, cleaned.upto)?;
                Ok(cleaned)
            });
        let mut state = self.state();
        let partition = log.topic_partition();
        state.in_progress.remove(partition);
        if outcome.as_ref().is_err_and(|error| !error.is_transient()) {
            let log = Arc::downgrade(log);
            state.uncleanable.insert(partition.clone(), log);
        }
        outcome
    }

    /// How many logs of each data directory cannot be cleaned.
    pub fn uncleanable(&self, logs: &LogManager) -> Vec<(PathBuf, usize)> {
        let state = self.state();
        let dirs: Vec<usize> = (state.uncleanable.values().filter_map(Weak::upgrade))
            .filter(|log| is_current(logs, log))
            .map(|log| log.dir_index())
            .collect();
        let count = |dir| dirs.iter().filter(|d| **d == dir).count();
        let counted = logs.dirs().enumerate();
        counted
            .map(|(dir, log_dir)| (log_dir.path().to_owned(), count(dir)))
            .collect()
    }

    /// When a log was last looked for.
    pub fn last_run(&self) -> Option<Timestamp> {
        self.state().last_run
    }

    /// Where the last round of a log ended.
    pub fn cleaned_up_to(&self, log: &Arc<PartitionLog>) -> Option<Offset> {
        let state = self.state();
        let note = state.cleaned.get(log.topic_partition())?;
        let same = std::ptr::eq(note.log.as_ptr(), Arc::as_ptr(log));
        same.then_some(note.upto)
    }

    fn is_barred(&self, log: &Arc<PartitionLog>) -> bool {
        let state = self.state();
        let partition = log.topic_partition();
        let given_up = state.uncleanable.get(partition);
        state.in_progress.contains(partition)
            || given_up.is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(log)))
    }

    /// What can be cleaned of a log, when that is due.
    fn look_at(
        &self,
        log: &Arc<PartitionLog>,
        stable: Offset,
        now: Timestamp,
    ) -> Option<Cleanable> {
        let config = {
            let locked = log.lock();
            let takes_changes = locked.config().compact && locked.failure().is_none();
            takes_changes.then(|| locked.config().clone())?
        };
        let noted = self.cleaned_up_to(log);
        match state_of(log, &config, stable) {
            Ok(state) => {
                let found = cleanable(&state, noted, &config, now);
                found
                    .is_due(config.min_cleanable_dirty_ratio)
                    .then_some(found)
            }
            Err(error) => {
                tracing::warn!(partition = %log.topic_partition(), %error, "cannot tell how dirty the log is");
                None
            }
        }
    }

    /// Note how far a log has come, in the file of its directory too.
    fn note(&self, logs: &LogManager, log: &Arc<PartitionLog>, upto: Offset) -> io::Result<()> {
        let mut state = self.state();
        let dir = log.dir_index();
        let note = Note {
            log: Arc::downgrade(log),
            dir,
            upto,
        };
        state.cleaned.insert(log.topic_partition().clone(), note);
        let mut gone = BTreeSet::new();
        state.cleaned.retain(|_, note| {
            let current = note.log.upgrade().is_some_and(|log| is_current(logs, &log));
            if !current {
                gone.insert(note.dir);
            }
            current
        });
        gone.insert(dir);
        gone.into_iter().try_for_each(|dir| state.write(logs, dir))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write(&self, logs: &LogManager, dir: usize) -> io::Result<()> {
        let here = self.cleaned.iter().filter(|(_, note)| note.dir == dir);
        let offsets: Offsets = here.map(|(tp, note)| (tp.clone(), note.upto)).collect();
        let log_dir = logs.dirs().nth(dir);
        log_dir.map_or(Ok(()), |log_dir| {
            log_dir.write_checkpoint(CLEANER_FILE, &offsets)
        })
    }
}

/// True when the log is the one that now has its name.
fn is_current(logs: &LogManager, log: &Arc<PartitionLog>) -> bool {
    let current = logs.get(log.topic_partition());
    current.is_some_and(|current| Arc::ptr_eq(&current, log))
}

/// What the decision needs to know of a log; timestamps only where a lag is set, for they cost reads.
fn state_of(log: &PartitionLog, config: &LogConfig, stable: Offset) -> Result<LogState, ReadError> {
    let reader = log.reader();
    let set = reader.segments.load_full();
    let mut segments = Vec::with_capacity(set.all().len());
    for segment in set.all() {
        let max_timestamp = match config.min_compaction_lag_ms > 0 {
            true => segment.max_timestamp()?.timestamp,
            false => Timestamp::NONE,
        };
        let first_timestamp = match config.max_compaction_lag_ms < i64::MAX {
            true => first_timestamp(segment)?,
            false => Timestamp::NONE,
        };
        segments.push(SegmentState {
            base: segment.base(),
            size: segment.size().into(),
            max_timestamp,
            first_timestamp,
        });
    }
    Ok(LogState {
        segments,
        start: reader.log_start_offset(),
        end: reader.log_end_offset(),
        stable,
    })
}

fn first_timestamp(segment: &Segment) -> Result<Timestamp, ReadError> {
    if segment.size() == 0 {
        return Ok(Timestamp::NONE);
    }
    let file = segment.log.get()?;
    let first = segment.header_at(&*file, 0, segment.size(), Source::Disk)?;
    Ok(first.header.max_timestamp())
}
