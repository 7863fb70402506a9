//! The data directories as they fare: how much room they have for producers, and which of them have failed.
//!
//! Looked at once a second. A directory whose disk has failed keeps its partitions offline until the next start; the
//! broker goes on with the others, but not without the one that holds the metadata, nor without any.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_protocol::ids::Timestamp;
use ottla_storage::{LogDirFailure, LogManager};

use crate::config::BrokerConfig;
use crate::partition::disk_space::{Change, DiskSpace};
use crate::telemetry::log::Repeats;
use crate::telemetry::{Name, Page};

/// One pair of lines about space in this time, however often it runs short.
const SPACE_LINE_EVERY_MS: i64 = 60_000;

/// All data directories of this broker.
#[derive(Debug)]
pub struct LogDirs {
    /// In the order of the log manager's.
    dirs: Vec<Dir>,
    /// Those that could not even be opened.
    lost: Vec<PathBuf>,
    metadata_dir: PathBuf,
}

#[derive(Debug)]
struct Dir {
    path: PathBuf,
    space: Arc<DiskSpace>,
    space_lines: Repeats,
    failure: Arc<LogDirFailure>,
    /// Its failure has been told.
    told: AtomicBool,
}

/// Why the broker cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fatal {
    /// The metadata is on a disk that has failed.
    #[error("{0} has failed, which holds the cluster's metadata: the broker stops")]
    MetadataDir(PathBuf),
    /// No directory is left.
    #[error("all data directories have failed: the broker stops")]
    NoneLeft,
}

impl LogDirs {
    /// The directories of `logs`, and those in `lost` that could not be opened.
    pub fn new(config: &BrokerConfig, logs: &LogManager, lost: Vec<PathBuf>) -> Self {
        let reserve = u64::try_from(config.ottla.ottla_disk_reserve_bytes).unwrap_or(0);
        let dirs = logs.dirs().zip(logs.dir_failures()).map(|(dir, failure)| {
            let total = dir.total().unwrap_or(u64::MAX);
            Dir {
                path: dir.path().to_owned(),
                space: Arc::new(DiskSpace::new(reserve, total)),
                space_lines: Repeats::new(SPACE_LINE_EVERY_MS),
                failure: Arc::clone(failure),
                told: AtomicBool::new(false),
            }
        });
        Self {
            dirs: dirs.collect(),
            lost,
            metadata_dir: config.metadata_log_dir(),
        }
    }

    /// The room of one directory, by its number in the log manager.
    pub fn space(&self, dir: usize) -> &Arc<DiskSpace> {
        &self.dirs[dir].space
    }

    /// Whether one was lost or has failed, so that a log which is not found may be in it.
    pub fn any_lost(&self) -> bool {
        self.offline() > 0
    }

    /// Look at all directories.
    ///
    /// # Errors
    /// The broker must stop.
    pub fn check(&self, logs: &LogManager, now: Timestamp) -> Result<(), Fatal> {
        let mut online = 0;
        for (index, (dir, log_dir)) in self.dirs.iter().zip(logs.dirs()).enumerate() {
            if let Some(error) = dir.failure.error() {
                dir.tell_failure(error);
                if dir.path == self.metadata_dir {
                    return Err(Fatal::MetadataDir(dir.path.clone()));
                }
                continue;
            }
            online += 1;
            let Ok(mut available) = log_dir.available() else {
                continue;
            };
            if dir.space.is_short(available) && !dir.space.is_full() {
                logs.release_reserves(index);
                available = log_dir.available().unwrap_or(available);
            }
            if let Some(change) = dir.space.observe(available) {
                dir.tell_space(change, available, now);
            }
        }
        match online {
            0 => Err(Fatal::NoneLeft),
            _ => Ok(()),
        }
    }

    /// How many have failed.
    pub fn offline(&self) -> usize {
        let failed = self.dirs.iter().filter(|dir| dir.failure.error().is_some());
        self.lost.len() + failed.count()
    }

    /// Write what is known of the room of each.
    pub fn collect(&self, page: &mut Page) {
        for dir in &self.dirs {
            let path = dir.path.to_string_lossy();
            page.flag(Name::LogDirFull, &[&path], dir.space.is_full());
            page.whole(Name::LogDirRefused, &[&path], dir.space.refused());
        }
    }
}

impl Dir {
    fn tell_failure(&self, error: &std::io::Error) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let dir = display(&self.path);
            tracing::error!(%dir, %error, "the data directory has failed: its partitions are offline until it is mended and the broker started again");
        }
    }

    fn tell_space(&self, change: Change, available: u64, now: Timestamp) {
        let (dir, reserve) = (display(&self.path), self.space.reserve());
        match change {
            Change::Full => {
                if let Some(held_back) = self.space_lines.pass(now) {
                    tracing::warn!(%dir, available, reserve, held_back, "the disk is full up to ottla.disk.reserve.bytes: producers are told to try again, all else goes on");
                }
            }
            Change::Roomy => {
                tracing::info!(%dir, available, reserve, "the disk has space again: producers are served");
            }
        }
    }
}

fn display(path: &Path) -> std::path::Display<'_> {
    path.display()
}
