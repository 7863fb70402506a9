//! What lies in a log's directory, and what an interrupted cleaning, split or deletion has left there.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::Offset;

use crate::fs::{Fs, remove_if_exists};
use crate::lazy_file::LogPath;
use crate::producer_state::snapshot;
use crate::segment::{LOG_SUFFIX, SUFFIXES, Segment, file_name, parse_offset};

/// A file that was taken out of the log and waits to be removed.
pub(crate) const DELETED_SUFFIX: &str = ".deleted";
/// A segment that compaction is writing.
pub(crate) const CLEANED_SUFFIX: &str = ".cleaned";
/// A segment that compaction has written and that takes the place of others.
pub(crate) const SWAP_SUFFIX: &str = ".swap";
/// Snapshots of the metadata log go through this name; they are its own to remove.
const CHECKPOINT_DELETED_SUFFIX: &str = ".checkpoint.deleted";

/// The files of a log, tidied up.
pub(crate) struct Files {
    /// All names.
    pub(crate) names: HashSet<String>,
    /// Base offsets of the `.log` files, ascending.
    pub(crate) logs: BTreeSet<Offset>,
    /// Offsets of the producer snapshots, ascending.
    pub(crate) snapshots: BTreeSet<Offset>,
}

/// Finish or undo what was interrupted, as Kafka's `LogLoader` does, and list what is there.
pub(crate) fn tidy(fs: &Arc<dyn Fs>, dir: &Path) -> io::Result<Files> {
    let mut names = list(&**fs, dir)?;
    if remove_temporary(&**fs, dir, &names)? | finish_swap(fs, dir, &names)? {
        fs.sync_dir(dir)?;
        names = list(&**fs, dir)?;
    }
    let logs = names
        .iter()
        .filter_map(|name| parse_offset(name.strip_suffix(LOG_SUFFIX)?))
        .collect::<BTreeSet<Offset>>();
    for name in &names {
        let base = segment_of(name);
        if base.is_some_and(|base| !logs.contains(&base)) {
            tracing::warn!(dir = %dir.display(), name, "an index without its segment is removed");
            remove_if_exists(&**fs, &dir.join(name))?;
        }
    }
    let snapshots = names
        .iter()
        .filter_map(|name| snapshot::parse_file_name(name))
        .collect();
    Ok(Files {
        names,
        logs,
        snapshots,
    })
}

/// Remove the files of a segment.
pub(crate) fn remove_segment(fs: &dyn Fs, dir: &Path, base: Offset) -> io::Result<()> {
    SUFFIXES
        .iter()
        .try_for_each(|suffix| remove_if_exists(fs, &dir.join(file_name(base, suffix))))
}

fn list(fs: &dyn Fs, dir: &Path) -> io::Result<HashSet<String>> {
    let entries = fs.list(dir)?.into_iter();
    Ok(entries
        .filter(|entry| !entry.is_dir)
        .map(|entry| entry.name)
        .collect())
}

/// The base offset in the name of a segment's file, with any of its suffixes.
fn segment_of(name: &str) -> Option<Offset> {
    SUFFIXES
        .iter()
        .find_map(|suffix| parse_offset(name.strip_suffix(suffix)?))
}

/// Remove what was being deleted, what compaction had not finished writing, and swapped files which belong to that.
fn remove_temporary(fs: &dyn Fs, dir: &Path, names: &HashSet<String>) -> io::Result<bool> {
    let cleaned = |name: &str| segment_of(name.strip_suffix(CLEANED_SUFFIX)?);
    let first_cleaned = names.iter().filter_map(|name| cleaned(name)).min();
    let mut removed = false;
    for name in names {
        let deleted = name.ends_with(DELETED_SUFFIX) && !name.ends_with(CHECKPOINT_DELETED_SUFFIX);
        let half_done = name.ends_with(CLEANED_SUFFIX) || name.ends_with(".tmp");
        let unfinished = first_cleaned
            .zip(name.strip_suffix(SWAP_SUFFIX).and_then(segment_of))
            .is_some_and(|(first, base)| base >= first);
        if deleted || half_done || unfinished {
            remove_if_exists(fs, &dir.join(name))?;
            removed = true;
        }
    }
    Ok(removed)
}

/// Put the segments that compaction had finished in the place of those they were made from.
fn finish_swap(fs: &Arc<dyn Fs>, dir: &Path, names: &HashSet<String>) -> io::Result<bool> {
    // What remove_temporary took away is not there any more.
    let swapped: Vec<&str> = names
        .iter()
        .filter_map(|name| name.strip_suffix(SWAP_SUFFIX))
        .filter(|name| segment_of(name).is_some())
        .collect();
    let mut present = Vec::new();
    for name in swapped {
        if fs
            .stat(&dir.join(format!("{name}{SWAP_SUFFIX}")))?
            .is_some()
        {
            present.push(name);
        }
    }
    let Some((low, high)) = swapped_range(fs, dir, &present)? else {
        return Ok(false);
    };
    for name in names {
        if segment_of(name).is_some_and(|base| base >= low && base < high) {
            remove_if_exists(&**fs, &dir.join(name))?;
        }
    }
    // Else a power cut might leave both the segment and some of those in it.
    fs.sync_dir(dir)?;
    for name in &present {
        fs.rename(&dir.join(format!("{name}{SWAP_SUFFIX}")), &dir.join(name))?;
    }
    Ok(true)
}

/// The offsets that the swapped segments cover, from the first to below the second.
fn swapped_range(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    present: &[&str],
) -> io::Result<Option<(Offset, Offset)>> {
    if present.is_empty() {
        return Ok(None);
    }
    let mut low = Offset(i64::MAX);
    let mut high = Offset(0);
    for name in present.iter().filter(|name| name.ends_with(LOG_SUFFIX)) {
        let base = segment_of(name).unwrap_or(low);
        let path = LogPath::new(dir);
        let file =
            crate::lazy_file::LazyFile::new(Arc::clone(fs), path, format!("{name}{SWAP_SUFFIX}"));
        low = low.min(base);
        // One that holds nothing takes the place of its namesake all the same.
        let end = Segment::scan_end(&*file.get()?, base)?;
        high = high.max(end).max(base.plus(1));
    }
    Ok(Some((low, high)))
}
