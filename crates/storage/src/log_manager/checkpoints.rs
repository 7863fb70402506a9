//! What a data directory notes of its logs: recovery points and starts. A start is durable before files below it go.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, TopicPartition};

use super::{Dir, Found, LogManager, Opening, PartitionLog, lock};
use crate::checkpoint::{LOG_START_FILE, Offsets, RECOVERY_POINT_FILE};
use crate::error::OpenError;

/// What the checkpoint files of a directory say.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) recovery_points: Offsets,
    pub(super) starts: Offsets,
    /// Logs that are not open, or could not be opened: what was noted of them stays, for this or the next start may open
    /// them.
    pub(super) unopened: BTreeSet<TopicPartition>,
}

impl LogManager {
    /// Note the starts of these logs, durably, and let the files below them go. Logs that have such files are flushed
    /// first, because until then the next start might find a hole behind them.
    pub fn release(&self, logs: &[Arc<PartitionLog>]) -> io::Result<()> {
        self.for_each(logs, |log| {
            let hides = !log.lock().hidden.is_empty();
            if hides {
                // A log that fails goes offline and keeps its files.
                let _offline = log.flush();
            }
        });
        self.note_starts(logs)
    }

    /// Note the starts of these logs, durably. Files below them go now or at the next checkpoint.
    pub fn note_starts(&self, logs: &[Arc<PartitionLog>]) -> io::Result<()> {
        let dirs: BTreeSet<usize> = logs.iter().map(|log| log.dir).collect();
        dirs.into_iter().try_for_each(|dir| {
            let here = logs.iter().filter(|log| log.dir == dir);
            self.note_starts_in(dir, here.cloned().collect())
        })
    }

    fn note_starts_in(&self, dir: usize, logs: Vec<Arc<PartitionLog>>) -> io::Result<()> {
        let noted = self.try_note_starts_in(dir, logs);
        noted.map_err(|error| self.dirs[dir].failure.note_error(error))
    }

    fn try_note_starts_in(&self, dir: usize, logs: Vec<Arc<PartitionLog>>) -> io::Result<()> {
        let mut noted = lock(&self.dirs[dir].noted);
        let mut starts = noted.starts.clone();
        for log in &logs {
            let partition = log.topic_partition();
            // A log that was deleted meanwhile may have a successor of the same name.
            let current = self.get(partition);
            if current.is_some_and(|current| Arc::ptr_eq(&current, log)) {
                starts.insert(partition.clone(), log.reader().log_start_offset());
            }
        }
        // Whoever held the lock before may have noted them all.
        if starts != noted.starts {
            let log_dir = &self.dirs[dir].log_dir;
            log_dir.write_checkpoint(LOG_START_FILE, &starts)?;
            noted.starts = starts;
        }
        discard_below(&logs, &noted.starts)
    }

    /// Note recovery point and start of every log of a directory; then files below the starts go.
    pub(super) fn write_checkpoints(&self, dir: usize) -> io::Result<()> {
        let written = self.try_write_checkpoints(dir);
        written.map_err(|error| self.dirs[dir].failure.note_error(error))
    }

    fn try_write_checkpoints(&self, dir: usize) -> io::Result<()> {
        let mut noted = lock(&self.dirs[dir].noted);
        let logs: Vec<_> = self.list().into_iter().filter(|l| l.dir == dir).collect();
        let unopened = |of: &Offsets| -> Offsets {
            let kept = of.iter().filter(|(tp, _)| noted.unopened.contains(tp));
            kept.map(|(tp, offset)| (tp.clone(), *offset)).collect()
        };
        let mut recovery_points = unopened(&noted.recovery_points);
        let mut starts = unopened(&noted.starts);
        for partition_log in &logs {
            let log = partition_log.lock();
            let partition = partition_log.topic_partition();
            recovery_points.insert(partition.clone(), log.recovery_point());
            if log.log_start_offset() > Offset(0) {
                starts.insert(partition.clone(), log.log_start_offset());
            }
        }
        let log_dir = &self.dirs[dir].log_dir;
        log_dir.write_checkpoint(LOG_START_FILE, &starts)?;
        noted.starts = starts;
        log_dir.write_checkpoint(RECOVERY_POINT_FILE, &recovery_points)?;
        noted.recovery_points = recovery_points;
        discard_below(&logs, &noted.starts)
    }

    /// Before a log is created: strike out, durably, what is noted of an older one of that name, which would hide or
    /// trust records of the new one. What is noted of other deleted logs goes along.
    pub(super) fn forget_deleted(&self, partition: &TopicPartition) -> Result<(), OpenError> {
        for dir in self.dirs.iter().filter(|dir| dir.failure.error().is_none()) {
            self.strike_out(dir, partition)
                .map_err(|error| OpenError::Io {
                    dir: dir.log_dir.path().to_owned(),
                    error,
                })?;
        }
        Ok(())
    }

    fn strike_out(&self, dir: &Dir, partition: &TopicPartition) -> io::Result<()> {
        let mut noted = lock(&dir.noted);
        let noted = &mut *noted;
        let known = |offsets: &Offsets| offsets.contains_key(partition);
        if noted.unopened.contains(partition)
            || !(known(&noted.starts) || known(&noted.recovery_points))
        {
            return Ok(());
        }
        let unopened = &noted.unopened;
        let holds = |tp: &TopicPartition| unopened.contains(tp) || self.get(tp).is_some();
        noted.starts.retain(|tp, _| holds(tp));
        noted.recovery_points.retain(|tp, _| holds(tp));
        dir.log_dir
            .write_checkpoint(LOG_START_FILE, &noted.starts)?;
        dir.log_dir
            .write_checkpoint(RECOVERY_POINT_FILE, &noted.recovery_points)
    }

    /// Where a log lies that is there but could not be opened so far, with the start that is noted of it.
    pub(super) fn given_up(&self, partition: &TopicPartition) -> Option<Found> {
        (0..self.dirs.len()).find_map(|dir| {
            let noted = lock(&self.dirs[dir].noted);
            let opening = Opening {
                log_start_offset: noted.starts.get(partition).copied().unwrap_or(Offset(0)),
                ..Opening::UNKNOWN
            };
            let unopened = noted.unopened.contains(partition);
            unopened.then_some(Found { dir, opening })
        })
    }
}

/// The starts are durable: what lies below them may go.
fn discard_below(logs: &[Arc<PartitionLog>], starts: &Offsets) -> io::Result<()> {
    for log in logs {
        if let Some(start) = starts.get(log.topic_partition()) {
            log.lock().discard_below(*start)?;
        }
    }
    Ok(())
}
