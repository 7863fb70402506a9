//! Open the logs of the data directories, several at a time.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Dir, Doomed, LogManager, Noted, Opening, PartitionLog, Recovered};
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

/// What opening all logs came to.
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
    /// Open the logs in `dirs`, `threads` at a time; as many are checkpointed and closed at a time later. `decide` says how to open each one, by its name and the topic id in
    /// its directory. From here on the directories no longer count as cleanly stopped.
    pub fn open(
        fs: Arc<dyn Fs>,
        dirs: Vec<LogDir>,
        decide: &(dyn Fn(&TopicPartition, Option<TopicId>) -> Disposition + Sync),
        threads: usize,
        now: Timestamp,
    ) -> io::Result<(Self, Loaded)> {
        let failures: Vec<Arc<LogDirFailure>> = dirs.iter().map(|_| Arc::default()).collect();
        let mut found = Found::default();
        let mut notes = Vec::new();
        for (index, dir) in dirs.iter().enumerate() {
            let looked = found.look_into(index, dir, now);
            notes.push(failures[index].or_failed(looked)?.unwrap_or_default());
        }
        let work = Work {
            fs: &fs,
            dirs: &dirs,
            failures: &failures,
            found: found.logs,
            next: AtomicUsize::new(0),
            done: Mutex::new(Done::default()),
        };
        let threads = threads.max(1);
        std::thread::scope(|scope| {
            for _ in 0..threads.min(work.found.len()) {
                scope.spawn(|| work.run(decide, now));
            }
        });
        let done = work
            .done
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = done.error {
            return Err(error);
        }
        for (dir, failure) in dirs.iter().zip(&failures) {
            failure.or_failed(dir.clear_clean_shutdown())?;
        }
        if let Some(error) = failures
            .iter()
            .map(|dir| dir.error().cloned())
            .min_by_key(Option::is_some)
            .flatten()
        {
            return Err(io::Error::new(error.kind(), error));
        }
        let manager = Self {
            fs,
            dirs: with_notes(dirs, notes, &failures, done.unopened),
            logs: RwLock::new(done.logs),
            threads,
            doomed: Mutex::new(found.doomed),
            garbage: Mutex::default(),
        };
        Ok((manager, done.loaded))
    }
}

fn with_notes(
    dirs: Vec<LogDir>,
    notes: Vec<Notes>,
    failures: &[Arc<LogDirFailure>],
    unopened: Vec<(usize, TopicPartition)>,
) -> Vec<Dir> {
    let mut by_dir = vec![BTreeSet::new(); dirs.len()];
    for (dir, partition) in unopened {
        by_dir[dir].insert(partition);
    }
    dirs.into_iter()
        .zip(notes)
        .zip(failures)
        .zip(by_dir)
        .map(|(((log_dir, notes), failure), unopened)| Dir {
            log_dir,
            failure: Arc::clone(failure),
            noted: Mutex::new(Noted {
                recovery_points: notes.recovery_points,
                starts: notes.starts,
                unopened,
            }),
        })
        .collect()
}

/// What lies in the data directories.
#[derive(Default)]
struct Found {
    logs: Vec<(usize, Opening, TopicPartition)>,
    doomed: Vec<Doomed>,
}

impl Found {
    /// Add what lies in `dir`; what it has noted.
    fn look_into(&mut self, index: usize, dir: &LogDir, now: Timestamp) -> io::Result<Notes> {
        let notes = Notes::read(dir)?;
        for name in dir.subdirs()? {
            match DirName::parse(&name) {
                DirName::Log(tp) if tp.topic != METADATA_TOPIC => {
                    self.logs.push((index, notes.opening(&tp), tp));
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

struct Work<'a> {
    fs: &'a Arc<dyn Fs>,
    dirs: &'a [LogDir],
    failures: &'a [Arc<LogDirFailure>],
    found: Vec<(usize, Opening, TopicPartition)>,
    next: AtomicUsize,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    /// By the index of their directory.
    unopened: Vec<(usize, TopicPartition)>,
    logs: HashMap<TopicPartition, Arc<PartitionLog>>,
    loaded: Loaded,
    error: Option<io::Error>,
}

impl Work<'_> {
    fn run(
        &self,
        decide: &(dyn Fn(&TopicPartition, Option<TopicId>) -> Disposition + Sync),
        now: Timestamp,
    ) {
        while let Some((dir, opening, tp)) =
            self.found.get(self.next.fetch_add(1, Ordering::Relaxed))
        {
            let failure = &self.failures[*dir];
            if failure.error().is_some() {
                continue;
            }
            let path = self.dirs[*dir].path().join(tp.to_string());
            let id = partition_metadata::read(&**self.fs, &path);
            let opened = id.and_then(|id| match decide(tp, id) {
                Disposition::Open(config, expected) => {
                    let fs = Arc::clone(self.fs);
                    Log::open(fs, &path, expected, config, *opening, now).map(Some)
                }
                Disposition::Stray => Ok(None),
            });
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            match opened {
                Ok(Some((log, recovered))) => {
                    let log = PartitionLog::new(tp.clone(), *dir, log, failure);
                    done.add(log, recovered);
                }
                Ok(None) => done.set_aside(self, *dir, tp),
                Err(error) => {
                    let error = failure.note_open_error(error);
                    tracing::error!(partition = %tp, %error, "cannot open the log");
                    done.unopened.push((*dir, tp.clone()));
                    done.loaded.failed.push((tp.clone(), error));
                }
            }
        }
    }
}

impl Done {
    fn add(&mut self, log: PartitionLog, recovered: Recovered) {
        let tp = log.topic_partition().clone();
        if recovered != Recovered::default() {
            self.loaded.recovered.push((tp.clone(), recovered));
        }
        self.logs.insert(tp, Arc::new(log));
    }

    fn set_aside(&mut self, work: &Work<'_>, dir: usize, tp: &TopicPartition) {
        let parent = work.dirs[dir].path();
        let name = DirName::with_suffix(tp, Uuid::new_v4(), STRAY_SUFFIX);
        let renamed = work
            .fs
            .rename(&parent.join(tp.to_string()), &parent.join(&name));
        match renamed.and_then(|()| work.fs.sync_dir(parent)) {
            Ok(()) => self.loaded.strays.push(name),
            Err(error) => {
                if let Err(error) = work.failures[dir].or_failed::<()>(Err(error)) {
                    self.error = Some(error);
                }
            }
        }
    }
}
