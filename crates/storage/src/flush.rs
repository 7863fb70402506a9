//! Flush: make durable what was appended. Planned under the log's lock, carried out without it, so that appends go on
//! during the sync and ride the next one.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_protocol::ids::{Offset, Timestamp};

use crate::append::is_no_space;
use crate::error::AppendError;
use crate::fs::{File, Fs, OpenMode, Source};
use crate::leader_epoch::LeaderEpochs;
use crate::log::Log;
use crate::partition_metadata;
use crate::producer_state::snapshot;
use crate::segment::Segment;

/// What has to be synced so that everything below an offset is durable.
#[must_use = "nothing is durable until it was run and reported"]
pub struct FlushPlan {
    upto: Offset,
    files: Vec<Arc<dyn File>>,
    fs: Arc<dyn Fs>,
    dir: Arc<PathBuf>,
    /// Names in the directory have changed; this many times.
    dir_changes: Option<u64>,
    /// The directory itself is new.
    new_dir: bool,
    /// The leader epochs as they are to be on disk, with the number of that version.
    epochs: Option<(LeaderEpochs, u64)>,
    saved_epochs: Arc<Mutex<u64>>,
    /// The leader epochs could not be written for want of space: no sync has failed.
    no_space: AtomicBool,
}

impl FlushPlan {
    /// Everything below this offset is durable once the plan was run.
    pub fn upto(&self) -> Offset {
        self.upto
    }

    /// True when there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dir_changes.is_none() && self.epochs.is_none()
    }

    /// Sync the files, and the directory when names in it have changed. May take long; needs no lock.
    pub fn run(&self) -> io::Result<()> {
        for file in &self.files {
            file.sync_data()?;
        }
        self.save_epochs()?;
        if self.dir_changes.is_some() {
            self.fs.sync_dir(&self.dir)?;
        }
        match self.dir.parent().filter(|_| self.new_dir) {
            Some(parent) => self.fs.sync_dir(parent),
            None => Ok(()),
        }
    }

    fn save_epochs(&self) -> io::Result<()> {
        let Some((epochs, version)) = &self.epochs else {
            return Ok(());
        };
        // Of two plans that run at the same time the older must not have the last word.
        let mut saved = lock(&self.saved_epochs);
        if *saved < *version {
            let outcome = epochs.save(&*self.fs, &self.dir);
            if outcome.as_ref().is_err_and(is_no_space) {
                self.no_space.store(true, Ordering::Relaxed);
            }
            outcome?;
            *saved = *version;
        }
        Ok(())
    }
}

impl Log {
    /// What to sync so that everything appended so far is durable. Report the outcome with [`Log::flushed`].
    pub fn flush_plan(&mut self) -> Result<FlushPlan, AppendError> {
        self.check_online()?;
        self.plan_files().map_err(|error| self.io_error(error))
    }

    /// The outcome of a plan. After a failed sync the log refuses appends: the kernel may have dropped what it could not
    /// write, so that no later sync would tell. Want of space for the leader epochs is no such failure: nothing counts
    /// as flushed, and the next plan tries again.
    pub fn flushed(
        &mut self,
        plan: &FlushPlan,
        outcome: io::Result<()>,
    ) -> Result<(), AppendError> {
        outcome.map_err(|error| match plan.no_space.load(Ordering::Relaxed) {
            true => AppendError::NoSpace(Arc::new(error)),
            false => self.fail(error),
        })?;
        self.check_online()?;
        self.dir_synced = self.dir_synced.max(plan.dir_changes.unwrap_or(0));
        self.new_dir &= !plan.new_dir;
        // It may have been cut since.
        let upto = plan.upto.min(self.end);
        self.recovery_point = self.recovery_point.max(upto);
        self.unsynced.retain(|segment| {
            let synced = segment
                .end(Source::Disk)
                .is_ok_and(|(_, end)| end <= plan.upto);
            if synced {
                segment.offset_index.file().close();
                segment.time_index.file().close();
            }
            !synced
        });
        self.unflushed_since = None;
        Ok(())
    }

    /// Make everything appended so far durable, here and now.
    pub fn flush(&mut self) -> Result<(), AppendError> {
        let plan = self.flush_plan()?;
        let outcome = plan.run();
        self.flushed(&plan, outcome)
    }

    /// True when as many records as `flush.messages` allows are not known to be on disk: whoever appends asks this
    /// before it acknowledges (`UnifiedLog.append`).
    pub fn flush_messages_reached(&self) -> bool {
        self.end.0 - self.recovery_point.0 >= self.config.flush_messages
    }

    /// True when `flush.ms` asks for a flush. Time counts from the first call that finds unflushed records.
    pub fn flush_due(&mut self, now: Timestamp) -> bool {
        if self.recovery_point == self.end {
            self.unflushed_since = None;
            return false;
        }
        let since = *self.unflushed_since.get_or_insert(now);
        now.0.saturating_sub(since.0) >= self.config.flush_ms
    }

    /// Bring indexes and producer snapshot in the files up to date and plan a flush, so that after a kill the next
    /// start has to look only at what comes later. `None` when nothing has changed since the last time.
    pub fn checkpoint_plan(&mut self) -> Result<Option<FlushPlan>, AppendError> {
        self.check_online()?;
        if !self.changed {
            return Ok(None);
        }
        let prepared = self.prepare_checkpoint();
        prepared.map_err(|error| self.io_error(error))?;
        let plan = self.flush_plan()?;
        self.changed = false;
        Ok(Some(plan))
    }

    /// Close it so that the next start finds everything as it should be and need not look: indexes complete, space
    /// behind the end given back, producer snapshot at the end, everything durable.
    pub fn close(&mut self) -> Result<(), AppendError> {
        if self.prepare_close()? {
            let plan = self.checkpoint_plan()?;
            if let Some(plan) = plan {
                let outcome = plan.run().and_then(|()| self.sync_active_indexes());
                self.flushed(&plan, outcome)?;
            }
        }
        self.close_files();
        Ok(())
    }

    /// The first half of [`Self::close`], for many logs that are synced together: bring into the files what the next
    /// start wants to find. False when there is nothing to sync. Then comes [`Self::close_synced`], or `close` after all.
    pub(crate) fn prepare_close(&mut self) -> Result<bool, AppendError> {
        self.check_online()?;
        let names_changed = self.dir_synced < self.dir_changes;
        if !self.changed && !names_changed && self.recovery_point == self.end {
            return Ok(false);
        }
        self.changed = true;
        let prepared = self.seal_active().and_then(|()| self.prepare_checkpoint());
        prepared.map_err(|error| self.fail(error))?;
        // The log itself stays open while it is not synced: its descriptor would tell of a failed write.
        self.active.offset_index.file().close();
        self.active.time_index.file().close();
        Ok(true)
    }

    /// Write the leader epochs beside their file, when they have changed.
    pub(crate) fn write_epochs_aside(&mut self) -> Result<(), AppendError> {
        if self.unsaved_epochs() {
            let written = self.epochs.write_aside(&*self.fs, &self.dir.get());
            written.map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// The second half of [`Self::close`]: all that was written is on disk, and all names. Those that are given here are
    /// not, yet.
    pub(crate) fn close_synced(&mut self) -> Result<(), AppendError> {
        self.check_online()?;
        if self.unsaved_epochs() {
            let placed = LeaderEpochs::put_in_place(&*self.fs, &self.dir.get());
            placed.map_err(|error| self.fail(error))?;
            *lock(&self.saved_epochs) = self.epochs_version;
        }
        self.dir_synced = self.dir_changes;
        self.new_dir = false;
        self.recovery_point = self.end;
        self.unsynced.clear();
        self.unflushed_since = None;
        self.changed = false;
        self.close_files();
        Ok(())
    }

    fn unsaved_epochs(&self) -> bool {
        *lock(&self.saved_epochs) < self.epochs_version
    }

    fn close_files(&self) {
        let set = self.reader.segments.load();
        set.all().iter().for_each(|segment| segment.close_files());
    }

    fn plan_files(&mut self) -> io::Result<FlushPlan> {
        let mut files = Vec::new();
        if self.new_dir && self.topic_id.is_some() {
            let path = self.dir.join(partition_metadata::FILE_NAME);
            files.push(self.fs.open(&path, OpenMode::Write)?);
        }
        if self.recovery_point < self.end {
            for segment in &self.unsynced {
                files.push(segment.log.get()?);
                files.push(segment.offset_index.file().get()?);
                files.push(segment.time_index.file().get()?);
                push_txn_index(segment, &mut files)?;
            }
            files.push(self.active.log.get()?);
            push_txn_index(&self.active, &mut files)?;
        }
        let epochs_changed = self.unsaved_epochs();
        Ok(FlushPlan {
            upto: self.end,
            files,
            fs: Arc::clone(&self.fs),
            dir: self.dir.get(),
            dir_changes: (self.dir_synced < self.dir_changes).then_some(self.dir_changes),
            new_dir: self.new_dir,
            epochs: epochs_changed.then(|| (self.epochs.clone(), self.epochs_version)),
            saved_epochs: Arc::clone(&self.saved_epochs),
            no_space: AtomicBool::new(false),
        })
    }

    fn prepare_checkpoint(&mut self) -> io::Result<()> {
        self.active.offset_index.write_out()?;
        self.active.time_index.write_out()?;
        let latest = self.snapshots.last().copied();
        if latest == Some(self.end) {
            return Ok(());
        }
        self.save_snapshot()?;
        // The one before it is of no more use, unless it belongs to a segment.
        let set = self.reader.segments.load();
        if let Some(old) = latest.filter(|old| set.from(*old)[0].base() != *old) {
            self.remove_snapshot(old)?;
        }
        Ok(())
    }

    pub(crate) fn remove_snapshot(&mut self, at: Offset) -> io::Result<()> {
        self.snapshots.remove(&at);
        let path = self.dir.join(&snapshot::file_name(at));
        crate::fs::remove_if_exists(&*self.fs, &path)
    }

    fn sync_active_indexes(&self) -> io::Result<()> {
        self.active.offset_index.file().get()?.sync_data()?;
        self.active.time_index.file().get()?.sync_data()?;
        let path = self.dir.join(&snapshot::file_name(self.producers.end()));
        match self.fs.open(&path, OpenMode::Write) {
            Ok(file) => file.sync_data(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn lock(version: &Mutex<u64>) -> MutexGuard<'_, u64> {
    version.lock().unwrap_or_else(PoisonError::into_inner)
}

fn push_txn_index(segment: &Segment, files: &mut Vec<Arc<dyn File>>) -> io::Result<()> {
    if !segment.txn_index.is_empty()? {
        files.push(segment.txn_index.file().get()?);
    }
    Ok(())
}
