//! Find the logs of the data directories, and open them, several at a time. Each is there for others as soon as it is
//! open.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::unopened::{Fate, Found, Unopened};
use super::{Dir, Doomed, LogManager, Noted, Opening, PartitionLog, Recovered, lock};
use crate::checkpoint::{LOG_START_FILE, Offsets, RECOVERY_POINT_FILE};
use crate::error::OpenError;
use crate::fs::Fs;
use crate::log::Log;
use crate::log_config::LogConfig;
use crate::log_dir::{DirName, LogDir, STRAY_SUFFIX};
use crate::log_dir_failure::LogDirFailure;
use crate::partition_metadata;
use ottla_protocol::ids::{Offset, Timestamp, TopicId, TopicPartition};
use uuid::Uuid;

/// Log of the metadata quorum: whoever holds the quorum opens it.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// What to do with a log that is found in a data directory.
#[derive(Clone, Debug, PartialEq)]
pub enum Disposition {
    /// Open it with these settings. The topic id is written where the directory has none.
    Open(LogConfig, Option<TopicId>),
    /// No topic owns it: give its directory a name that ends in `-stray` and leave it.
    Stray,
}

/// Says what to do with a log, by its name and the topic id in its directory.
pub type Decide<'a> = dyn Fn(&TopicPartition, Option<TopicId>) -> Disposition + Sync + 'a;

/// What became of a log that was found.
#[derive(Clone)]
pub enum Outcome {
    /// It is open.
    Open(Arc<PartitionLog>),
    /// It could not be opened; its files are left as they are.
    Failed,
    /// It belongs to no topic: its directory has another name now.
    SetAside,
}

/// What opening logs came to.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The logs for which something had to be done, and what.
    pub recovered: Vec<(TopicPartition, Recovered)>,
    /// The logs that could not be opened. They are not served; their files are left as they are.
    pub failed: Vec<(TopicPartition, OpenError)>,
    /// Directories that belong to no topic, under their new names.
    pub strays: Vec<String>,
}

impl LogManager {
    /// Open all logs in `dirs`: [`Self::find`] and [`Self::load`].
    ///
    /// # Errors
    /// When no data directory can be used.
    pub fn open(
        fs: Arc<dyn Fs>,
        dirs: Vec<LogDir>,
        decide: &Decide<'_>,
        threads: usize,
        now: Timestamp,
    ) -> io::Result<(Self, Loaded)> {
        let manager = Self::find(fs, dirs, threads, now)?;
        let loaded = manager.load(&|_| true, decide, &|_, _| {}, now);
        manager.check_dirs()?;
        Ok((manager, loaded))
    }

    /// Find the logs in `dirs`, and open none. `threads` of them will be opened at a time, and as many checkpointed and
    /// closed. From here on the directories no longer count as cleanly stopped.
    ///
    /// # Errors
    /// When no data directory can be used.
    pub fn find(
        fs: Arc<dyn Fs>,
        dirs: Vec<LogDir>,
        threads: usize,
        now: Timestamp,
    ) -> io::Result<Self> {
        let mut found = FoundLogs::default();
        let mut with_notes = Vec::with_capacity(dirs.len());
        for (index, log_dir) in dirs.into_iter().enumerate() {
            let failure = Arc::<LogDirFailure>::default();
            let looked = found.look_into(index, &log_dir, now);
            let notes = failure.or_failed(looked)?.unwrap_or_default();
            failure.or_failed(log_dir.clear_clean_shutdown())?;
            // Without it the files are synced one by one.
            let whole_fs = fs.whole(log_dir.path()).unwrap_or_default();
            with_notes.push(Dir {
                log_dir,
                failure,
                whole_fs,
                was_clean: notes.clean,
                noted: Mutex::new(Noted {
                    recovery_points: notes.recovery_points,
                    starts: notes.starts,
                    unopened: BTreeSet::new(),
                }),
            });
        }
        for (partition, found) in &found.logs {
            let mut noted = lock(&with_notes[found.dir].noted);
            noted.unopened.insert(partition.clone());
        }
        let manager = Self {
            fs,
            dirs: with_notes,
            unopened: Unopened::new(found.logs),
            creating: Mutex::default(),
            logs: RwLock::default(),
            threads: threads.max(1),
            doomed: Mutex::new(found.doomed),
            garbage: Mutex::default(),
        };
        manager.check_dirs()?;
        Ok(manager)
    }

    /// Whether a log was found, or is being opened, and is not open yet.
    pub fn is_waiting(&self, partition: &TopicPartition) -> bool {
        self.unopened.contains(partition)
    }

    /// How many logs were found that nobody has begun to open.
    pub fn waiting(&self) -> usize {
        self.unopened.waiting().len()
    }

    /// Open the logs that were found and that are `wanted`, several at a time; `done` is told of each, in no order, as
    /// soon as others can have it by [`Self::get`]. One that is deleted meanwhile is not told of. It ends early when
    /// the logs are closed.
    pub fn load(
        &self,
        wanted: &dyn Fn(&TopicPartition) -> bool,
        decide: &Decide<'_>,
        done: &(dyn Fn(&TopicPartition, Outcome) + Sync),
        now: Timestamp,
    ) -> Loaded {
        let mut partitions = self.unopened.waiting();
        partitions.retain(|partition| wanted(partition));
        let (next, loaded) = (AtomicUsize::new(0), Mutex::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(partitions.len()) {
                scope.spawn(|| {
                    while let Some(tp) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some(outcome) = self.load_one(tp, decide, &loaded, now) {
                            done(tp, outcome);
                        }
                    }
                });
            }
        });
        loaded.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` when the log does not wait any more, or was deleted meanwhile.
    fn load_one(
        &self,
        tp: &TopicPartition,
        decide: &Decide<'_>,
        loaded: &Mutex<Loaded>,
        now: Timestamp,
    ) -> Option<Outcome> {
        let Found { dir, opening } = self.unopened.begin(tp)?;
        let outcome = match self.open_found(tp, dir, opening, decide, loaded, now) {
            Ok(outcome) => outcome,
            Err(error) => {
                let error = self.dirs[dir].failure.note_open_error(error);
                tracing::error!(partition = %tp, %error, "cannot open the log");
                lock(loaded).failed.push((tp.clone(), error));
                Outcome::Failed
            }
        };
        match self.unopened.end(tp) {
            Fate::Serve => Some(outcome),
            Fate::Delete => {
                if let Err(error) = self.delete_open(tp, now) {
                    tracing::error!(partition = %tp, %error, "the log of a deleted topic cannot be set aside");
                }
                self.unopened.forget(tp);
                None
            }
        }
    }

    fn open_found(
        &self,
        tp: &TopicPartition,
        dir: usize,
        opening: Opening,
        decide: &Decide<'_>,
        loaded: &Mutex<Loaded>,
        now: Timestamp,
    ) -> Result<Outcome, OpenError> {
        let Dir {
            log_dir, failure, ..
        } = &self.dirs[dir];
        let path = log_dir.path().join(tp.to_string());
        if let Some(error) = failure.error() {
            let error = io::Error::new(error.kind(), Arc::clone(error));
            return Err(OpenError::Io { dir: path, error });
        }
        let id = partition_metadata::read(&*self.fs, &path)?;
        let Disposition::Open(config, expected) = decide(tp, id) else {
            let renamed = self.set_aside(tp, log_dir.path());
            let name = renamed.map_err(|error| OpenError::Io { dir: path, error })?;
            lock(&self.dirs[dir].noted).unopened.remove(tp);
            lock(loaded).strays.push(name);
            return Ok(Outcome::SetAside);
        };
        let fs = Arc::clone(&self.fs);
        let (log, recovered) = Log::open(fs, &path, expected, config, opening, now)?;
        let log = Arc::new(PartitionLog::new(tp.clone(), dir, log, failure));
        self.serve(&log);
        if recovered != Recovered::default() {
            lock(loaded).recovered.push((tp.clone(), recovered));
        }
        Ok(Outcome::Open(log))
    }

    /// From here on the log is one of ours.
    pub(super) fn serve(&self, log: &Arc<PartitionLog>) {
        let tp = log.topic_partition();
        let mut logs = self.logs.write().unwrap_or_else(PoisonError::into_inner);
        logs.insert(tp.clone(), Arc::clone(log));
        drop(logs);
        // Only now: until the log itself can tell, what is noted of it must stay.
        lock(&self.dirs[log.dir].noted).unopened.remove(tp);
    }

    /// The new name of the directory.
    fn set_aside(&self, tp: &TopicPartition, parent: &Path) -> io::Result<String> {
        let name = DirName::with_suffix(tp, Uuid::new_v4(), STRAY_SUFFIX);
        let to = parent.join(&name);
        self.fs.rename(&parent.join(tp.to_string()), &to)?;
        self.fs.sync_dir(parent)?;
        Ok(name)
    }

    /// An error when all data directories have failed.
    fn check_dirs(&self) -> io::Result<()> {
        let errors = self.dirs.iter().map(|dir| dir.failure.error());
        match errors.min_by_key(Option::is_some).flatten() {
            Some(error) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            None => Ok(()),
        }
    }
}

/// What lies in the data directories.
#[derive(Default)]
struct FoundLogs {
    logs: HashMap<TopicPartition, Found>,
    doomed: Vec<Doomed>,
}

impl FoundLogs {
    /// Add what lies in `dir`; what it has noted.
    fn look_into(&mut self, index: usize, dir: &LogDir, now: Timestamp) -> io::Result<Notes> {
        let notes = Notes::read(dir)?;
        for name in dir.subdirs()? {
            match DirName::parse(&name) {
                DirName::Log(tp) if tp.topic != METADATA_TOPIC => {
                    let opening = notes.opening(&tp);
                    self.logs.entry(tp).or_insert(Found {
                        dir: index,
                        opening,
                    });
                }
                DirName::Deleted => self.doomed.push(Doomed {
                    path: dir.path().join(&name),
                    due: now,
                }),
                DirName::Log(_) | DirName::Other => {}
            }
        }
        Ok(notes)
    }
}

/// What a data directory has noted of its logs.
#[derive(Default)]
struct Notes {
    clean: bool,
    recovery_points: Offsets,
    starts: Offsets,
}

impl Notes {
    /// A checkpoint that cannot be read is as good as none: everything is scanned then. Not so the starts, without
    /// which deleted records would come back.
    fn read(dir: &LogDir) -> io::Result<Self> {
        let recovery_points = dir.read_checkpoint(RECOVERY_POINT_FILE);
        let readable = recovery_points.is_ok();
        if let Err(error) = &recovery_points {
            tracing::warn!(%error, "recovery points cannot be read, all logs are scanned");
        }
        Ok(Self {
            clean: dir.clean_shutdown().is_some() && readable,
            recovery_points: recovery_points.unwrap_or_default(),
            starts: dir.read_checkpoint(LOG_START_FILE)?,
        })
    }

    fn opening(&self, tp: &TopicPartition) -> Opening {
        let noted = |offsets: &Offsets| offsets.get(tp).copied().unwrap_or(Offset(0));
        Opening {
            clean: self.clean,
            recovery_point: noted(&self.recovery_points),
            log_start_offset: noted(&self.starts),
        }
    }
}
