//! What can be done about what [`super::verify`] finds: first a plan, which says of every step what it does; then the
//! steps, none of which destroys anything. What is taken out of a file or out of service is kept beside it, in a file
//! whose name ends in `.removed`.
//!
//! Nobody else may use the directory meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::Offset;

use super::verify::{Finding, Remedy};
use super::{BatchWalk, FileKind};
use crate::fs::{File, Fs, OpenMode, read_up_to, write_all_at};
use crate::leader_epoch::LeaderEpochs;
use crate::log_dir::CLEAN_SHUTDOWN_FILE;
use crate::producer_state::ProducerState;
use crate::segment::{INDEX_SUFFIX, LOG_SUFFIX, TIME_INDEX_SUFFIX, file_name, parse_offset};
use crate::transaction_index::AbortedTxn;

/// End of the name of what was removed.
pub const REMOVED_SUFFIX: &str = ".removed";
/// Bytes copied at once.
const CHUNK: usize = 1 << 20;

/// One step of a repair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Give the file a name that ends in `.removed`.
    SetAside(PathBuf),
    /// Cut a segment at the position, and keep what stood behind.
    Cut {
        /// The `.log` file.
        path: PathBuf,
        /// Where it will end.
        position: u64,
        /// Bytes behind.
        len: u64,
    },
    /// Write a segment anew without some of its batches, and keep those.
    TakeOut {
        /// The `.log` file.
        path: PathBuf,
        /// Position and size of each batch, ascending.
        batches: Vec<(u64, u64)>,
    },
    /// Write a transaction index anew from the batches.
    RebuildTransactionIndex(PathBuf),
    /// Write the leader epochs anew from the batches.
    RebuildLeaderEpochs(PathBuf),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetAside(path) => {
                write!(f, "{}: set aside{}", path.display(), consequence(path))
            }
            Self::Cut {
                path,
                position,
                len,
            } => write!(
                f,
                "{}: cut at byte {position}; the {len} bytes behind are kept in a side file",
                path.display()
            ),
            Self::TakeOut { path, batches } => write!(
                f,
                "{}: written anew without the damaged batches at {}; they are kept in side files",
                path.display(),
                batches
                    .iter()
                    .map(|(position, _)| position.to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            Self::RebuildTransactionIndex(path) | Self::RebuildLeaderEpochs(path) => write!(
                f,
                "{}: written anew from the batches; the old file is kept",
                path.display()
            ),
        }
    }
}

/// What the next start does without the file.
fn consequence(path: &Path) -> &'static str {
    match FileKind::of(path) {
        FileKind::OffsetIndex(_) | FileKind::TimeIndex(_) => {
            "; the next start makes it anew from the batches"
        }
        FileKind::ProducerSnapshot(_) => {
            "; the next start reads the producers from an older one and the batches behind it"
        }
        FileKind::Offsets if path.ends_with(crate::checkpoint::LOG_START_FILE) => {
            "; records that were deleted, but whose segments are still there, will be back"
        }
        FileKind::Offsets => "; the next start does without, and looks at every log",
        FileKind::PartitionMetadata => "; the next start takes the id from the metadata",
        FileKind::CleanShutdown => "; the next start looks at what it might have to mend",
        _ => "",
    }
}

/// The steps that mend what of these findings can be mended. `data_dir` is the data directory of the logs, where it is
/// known: it no longer counts as cleanly stopped, so that the next start takes a closer look.
pub fn plan<'a>(
    findings: impl Iterator<Item = &'a Finding>,
    fs: &dyn Fs,
    data_dir: Option<&Path>,
) -> io::Result<Vec<Step>> {
    let mut aside = BTreeSet::new();
    let mut cuts = Vec::new();
    let mut taken: BTreeMap<PathBuf, Vec<(u64, u64)>> = BTreeMap::new();
    let mut rebuilt = BTreeSet::new();
    for finding in findings {
        let path = finding.path.clone();
        let position = finding.position.unwrap_or(0);
        match (finding.remedy, FileKind::of(&path)) {
            (None, _) => {}
            (Some(Remedy::Cut), _) => {
                let len = fs.stat(&path)?.map_or(0, |stat| stat.len);
                cuts.push(Step::Cut {
                    len: len.saturating_sub(position),
                    path,
                    position,
                });
            }
            (Some(Remedy::TakeOut(size)), _) => {
                taken.entry(path).or_default().push((position, size));
            }
            (Some(Remedy::Rebuild), FileKind::TransactionIndex(_)) => {
                rebuilt.insert(Step::RebuildTransactionIndex(path));
            }
            (Some(Remedy::Rebuild), FileKind::LeaderEpochs) => {
                rebuilt.insert(Step::RebuildLeaderEpochs(path));
            }
            (Some(Remedy::Rebuild | Remedy::SetAside), _) => {
                aside.insert(path);
            }
        }
    }
    // Positions change: the indexes over them go first, so that no crash leaves them with another file.
    let taken: Vec<Step> = taken
        .into_iter()
        .map(|(path, batches)| Step::TakeOut { path, batches })
        .collect();
    for step in cuts.iter().chain(&taken) {
        if let Step::Cut { path, .. } | Step::TakeOut { path, .. } = step {
            aside.extend([INDEX_SUFFIX, TIME_INDEX_SUFFIX].map(|suffix| with_suffix(path, suffix)));
        }
    }
    let mut steps = Vec::new();
    for path in aside {
        if fs.stat(&path)?.is_some() {
            steps.push(Step::SetAside(path));
        }
    }
    let nothing = steps.is_empty() && cuts.is_empty() && taken.is_empty() && rebuilt.is_empty();
    let marker = data_dir.map(|dir| dir.join(CLEAN_SHUTDOWN_FILE));
    if let Some(marker) = marker.filter(|_| !nothing)
        && fs.stat(&marker)?.is_some()
    {
        steps.insert(0, Step::SetAside(marker));
    }
    // Cuts before batches that lie in front of them are taken out: positions still hold then.
    steps.extend(cuts);
    steps.extend(taken);
    steps.extend(rebuilt);
    Ok(steps)
}

impl Step {
    /// Do it. When this returns it is durable.
    pub fn perform(&self, fs: &dyn Fs) -> io::Result<()> {
        match self {
            Self::SetAside(path) => set_aside(fs, path),
            Self::Cut { path, position, .. } => cut(fs, path, *position),
            Self::TakeOut { path, batches } => take_out(fs, path, batches),
            Self::RebuildTransactionIndex(path) => rebuild_transaction_index(fs, path),
            Self::RebuildLeaderEpochs(path) => rebuild_leader_epochs(fs, path),
        }
    }
}

fn set_aside(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    fs.rename(path, &side_file(fs, path, "")?)?;
    fs.sync_dir(parent(path))
}

fn cut(fs: &dyn Fs, path: &Path, position: u64) -> io::Result<()> {
    let file = fs.open(path, OpenMode::Write)?;
    let len = file.len()?;
    keep(fs, &*file, path, position, len.saturating_sub(position))?;
    file.set_len(position)?;
    file.sync_data()
}

fn take_out(fs: &dyn Fs, path: &Path, batches: &[(u64, u64)]) -> io::Result<()> {
    let file = fs.open(path, OpenMode::Read)?;
    for (position, size) in batches {
        keep(fs, &*file, path, *position, *size)?;
    }
    // The next start removes a file of this name, should this one come no further.
    let new = with_suffix(path, ".log.tmp");
    let out = fs.open(&new, OpenMode::Truncate)?;
    let (mut from, mut to) = (0, 0);
    for (position, size) in batches.iter().copied().chain([(file.len()?, 0)]) {
        to += copy(&*file, from, position.saturating_sub(from), &*out, to)?;
        from = position + size;
    }
    out.sync_data()?;
    fs.rename(&new, path)?;
    fs.sync_dir(parent(path))
}

/// Write bytes of a file that is about to lose them to a file beside it.
fn keep(fs: &dyn Fs, file: &dyn File, path: &Path, position: u64, len: u64) -> io::Result<()> {
    let side = side_file(fs, path, &format!(".at-{position}"))?;
    let out = fs.open(&side, OpenMode::Truncate)?;
    copy(file, position, len, &*out, 0)?;
    out.sync_data()?;
    fs.sync_dir(parent(path))
}

fn copy(file: &dyn File, from: u64, len: u64, out: &dyn File, to: u64) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK.min(len as usize)];
    let mut done = 0;
    while done < len {
        let want = buffer.len().min((len - done) as usize);
        let read = read_up_to(file, &mut buffer[..want], from + done)?;
        if read == 0 {
            break;
        }
        write_all_at(out, &[&buffer[..read]], to + done)?;
        done += read as u64;
    }
    Ok(done)
}

/// Write the aborted transactions of one segment anew, from all batches up to its end.
fn rebuild_transaction_index(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let FileKind::TransactionIndex(wanted) = FileKind::of(path) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut bytes = Vec::new();
    let mut state: Option<ProducerState> = None;
    for_each_batch(fs, parent(path), |base, walk, batch| {
        let state = state.get_or_insert_with(|| ProducerState::starting_at(base));
        let marker = walk.marker(batch)?;
        let completed = state.apply(&batch.header, marker);
        if let Some(txn) = completed.filter(|txn| txn.aborted && base == wanted) {
            let entry = AbortedTxn {
                producer_id: txn.producer_id,
                first_offset: txn.first_offset,
                last_offset: txn.last_offset,
                last_stable_offset: txn.last_stable_offset,
            };
            bytes.extend_from_slice(&entry.encode());
        }
        Ok(base <= wanted)
    })?;
    set_aside(fs, path)?;
    if bytes.is_empty() {
        return Ok(());
    }
    crate::fs::write_atomically(fs, path, &bytes)
}

fn rebuild_leader_epochs(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    let mut epochs = LeaderEpochs::default();
    for_each_batch(fs, parent(path), |_, _, batch| {
        let (epoch, start) = (batch.header.leader_epoch(), batch.header.base_offset());
        if epochs.latest().is_none_or(|latest| epoch > latest.epoch) {
            epochs.assign(epoch, start);
        }
        Ok(true)
    })?;
    if fs.stat(path)?.is_some() {
        set_aside(fs, path)?;
    }
    epochs.save(fs, parent(path))
}

/// Visit the batches of all segments in `dir`, with the base offset of the segment, until `visit` says no.
fn for_each_batch(
    fs: &dyn Fs,
    dir: &Path,
    mut visit: impl FnMut(Offset, &mut BatchWalk<'_>, &super::Batch) -> io::Result<bool>,
) -> io::Result<()> {
    let names = fs.list(dir)?.into_iter().map(|entry| entry.name);
    let mut bases: Vec<Offset> = names
        .filter_map(|name| parse_offset(name.strip_suffix(LOG_SUFFIX)?))
        .collect();
    bases.sort();
    for base in bases {
        let file = fs.open(&dir.join(file_name(base, LOG_SUFFIX)), OpenMode::Read)?;
        let mut walk = BatchWalk::new(&*file, base)?;
        while let Some(batch) = walk.next_batch()? {
            if !visit(base, &mut walk, &batch)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A name beside `path` that is free, and that neither Kafka nor this broker takes for one of theirs.
fn side_file(fs: &dyn Fs, path: &Path, what: &str) -> io::Result<PathBuf> {
    for number in 1.. {
        let number = if number == 1 {
            String::new()
        } else {
            format!("-{number}")
        };
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{what}{REMOVED_SUFFIX}{number}"));
        let name = PathBuf::from(name);
        if fs.stat(&name)?.is_none() {
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The file of the same segment with another suffix.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let stem = name.as_deref().and_then(|name| name.split('.').next());
    path.with_file_name(format!("{}{suffix}", stem.unwrap_or_default()))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
