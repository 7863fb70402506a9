//! Put a segment that compaction has written in the place of those it was made from (`LocalLog.replaceSegments`).
//!
//! | step | log's lock | on disk afterwards |
//! |---|---|---|
//! | hold the old files open | yes | as before |
//! | `.cleaned` becomes `.swap`, synced | no | from here on the next start finishes the rest |
//! | show the new segment to readers | yes | |
//! | the old files get names that end in `.deleted`, synced | no | |
//! | `.swap` goes, synced | no | done |
//! | the new files may be closed again, the old ones removed | yes | |
//!
//! Readers that have the old segments go on with them: their files are open. Nothing else changes names meanwhile: cuts
//! wait, and retention leaves segments alone whose files are held.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_protocol::ids::Offset;

use super::error::CleanError;
use super::output::{cleaned_path, remove_leftovers};
use crate::fs::Fs;
use crate::lazy_file::LogPath;
use crate::log::Log;
use crate::log_manager::PartitionLog;
use crate::recovery::files::{DELETED_SUFFIX, SWAP_SUFFIX};
use crate::segment::{SUFFIXES, Segment, file_name};
use crate::segment_set::SegmentSet;

/// The segments to be replaced, and the state of the log that they were read in.
pub(crate) struct Old {
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Of the reader's boundaries; changes when the log is cut.
    pub(crate) generation: u64,
}

/// Put `new`, which is durable but for its names, in the place of `old`. When the log was cut meanwhile or has failed,
/// nothing is changed; when names cannot be changed any more, the log goes offline.
pub(crate) fn put_in_place(
    log: &PartitionLog,
    fs: &Arc<dyn Fs>,
    dir: &LogPath,
    new: Segment,
    old: &Old,
) -> Result<(), CleanError> {
    let _names = log.hold_names();
    let base = new.base();
    let held = log.lock().hold(old);
    let new = Arc::new(new);
    let prepared = held.and_then(|()| Ok(to_swap(&**fs, &dir.get(), &new)?));
    if let Err(error) = prepared {
        undo(&**fs, &dir.get(), base, old);
        return Err(error);
    }
    // Whether the names are on disk is not known when this fails, so nobody may append any more.
    fs.sync_dir(&dir.get()).map_err(|e| fail(log, e))?;
    log.lock().replace(&new, old);
    let garbage = to_final(&**fs, &dir.get(), &new, old).map_err(|e| fail(log, e))?;
    log.lock()
        .release(&new, old, garbage)
        .map_err(|e| fail(log, e))?;
    Ok(())
}

/// Give back what was held, and remove what was written. One name that ends in `.cleaned` tells the next start that all of
/// it is worthless, so those go last.
fn undo(fs: &dyn Fs, dir: &Path, base: Offset, old: &Old) {
    let removed = SUFFIXES
        .iter()
        .try_for_each(|suffix| crate::fs::remove_if_exists(fs, &swap_path(dir, base, suffix)))
        .and_then(|()| fs.sync_dir(dir))
        .and_then(|()| remove_leftovers(fs, dir, base));
    if let Err(error) = removed {
        tracing::warn!(dir = %dir.display(), %base, %error, "what compaction has written stays until the next start");
    }
    old.segments.iter().for_each(|segment| segment.unpin());
}

fn to_swap(fs: &dyn Fs, dir: &Path, new: &Segment) -> io::Result<()> {
    for suffix in SUFFIXES {
        let from = cleaned_path(dir, new.base(), suffix);
        rename_if_exists(fs, &from, &swap_path(dir, new.base(), suffix))?;
    }
    Ok(())
}

/// Take the names from the old files and give them to the new ones; the names that the old ones have now.
fn to_final(fs: &dyn Fs, dir: &Path, new: &Segment, old: &Old) -> io::Result<Vec<PathBuf>> {
    let mut garbage = Vec::new();
    for segment in &old.segments {
        for suffix in SUFFIXES {
            let from = dir.join(file_name(segment.base(), suffix));
            let to = dir.join(format!(
                "{}{DELETED_SUFFIX}",
                file_name(segment.base(), suffix)
            ));
            if rename_if_exists(fs, &from, &to)? {
                garbage.push(to);
            }
        }
    }
    fs.sync_dir(dir)?;
    for suffix in SUFFIXES {
        let to = dir.join(file_name(new.base(), suffix));
        rename_if_exists(fs, &swap_path(dir, new.base(), suffix), &to)?;
    }
    fs.sync_dir(dir)?;
    Ok(garbage)
}

fn swap_path(dir: &Path, base: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{}{SWAP_SUFFIX}", file_name(base, suffix)))
}

/// False when there is nothing by that name.
fn rename_if_exists(fs: &dyn Fs, from: &Path, to: &Path) -> io::Result<bool> {
    match fs.rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The names on disk are not those that memory believes in: the next start will sort that out.
fn fail(log: &PartitionLog, error: io::Error) -> CleanError {
    log.lock().fail(error).into()
}

impl Log {
    /// Hold the files of segments open that are to be replaced, unless the log has changed since they were read.
    fn hold(&self, old: &Old) -> Result<(), CleanError> {
        self.check_online()?;
        let set = self.reader.segments.load();
        let inactive = &set.all()[..set.all().len() - 1];
        let is_there = |segment| inactive.iter().any(|there| Arc::ptr_eq(there, segment));
        if self.reader.cursors.generation() != old.generation || !old.segments.iter().all(is_there)
        {
            return Err(CleanError::GivenUp);
        }
        Ok(old.segments.iter().try_for_each(|segment| segment.pin())?)
    }

    /// Show readers the new segment in the place of the old ones. Retention may have taken some of those out of sight:
    /// the new one is out of sight only when all of them are.
    fn replace(&mut self, new: &Arc<Segment>, old: &Old) {
        let is_old = |segment: &Arc<Segment>| old.segments.iter().any(|o| Arc::ptr_eq(o, segment));
        self.unsynced.retain(|segment| !is_old(segment));
        let set = self.reader.segments.load_full();
        let mut segments = set.all().to_vec();
        if let Some(place) = segments.iter().position(is_old) {
            segments[place] = Arc::clone(new);
            segments.retain(|segment| !is_old(segment));
            self.reader
                .segments
                .store(Arc::new(SegmentSet::new(segments)));
            self.hidden.retain(|(segment, _)| !is_old(segment));
            return;
        }
        let ends = self.hidden.iter().filter(|(segment, _)| is_old(segment));
        if let Some(end) = ends.map(|(_, end)| *end).max()
            && let Some(place) = self.hidden.iter().position(|(segment, _)| is_old(segment))
        {
            self.hidden[place] = (Arc::clone(new), end);
            self.hidden.retain(|(segment, _)| !is_old(segment));
        }
    }

    /// All names are as they should be. The snapshots of segments that are no more go too.
    fn release(&mut self, new: &Segment, old: &Old, garbage: Vec<PathBuf>) -> io::Result<()> {
        new.unpin();
        self.garbage.extend(garbage);
        for segment in &old.segments[1..] {
            self.remove_snapshot(segment.base())?;
        }
        Ok(())
    }
}
