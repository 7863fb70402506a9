//! Say what is wrong with a log and where, from its files alone: checksums, the order of offsets, indexes against the
//! batches, producer snapshots, leader epochs, topic id, and the offsets that the data directory notes of it.
//!
//! What a kill or a power cut leaves behind and the next start mends by itself is a warning; what makes records
//! unreadable, hides them or would bring deleted ones back is an error.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::{Offset, TopicId};

use crate::fs::{Fs, OpenMode};
use crate::leader_epoch::{self, LeaderEpochs};
use crate::partition_metadata;
use crate::producer_state::snapshot;
use crate::recovery::Opening;
use crate::segment::{
    INDEX_SUFFIX, LOG_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_name, parse_offset,
};

pub mod dir;
mod segment;

/// Findings kept of one log; the rest are counted.
const MAX_FINDINGS: usize = 1000;
/// Larger files of text are not what their name says.
const MAX_TEXT: usize = 64 << 20;
/// Larger producer snapshots are not read.
const MAX_SNAPSHOT: usize = 512 << 20;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The next start mends it, or it does no harm.
    Warning,
    /// Records are damaged, missing or in the way; or the directory is not usable.
    Error,
}

/// What would mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Cut the segment at the position: what lies behind cannot be read.
    Cut,
    /// Take the batch at the position, of that many bytes, out of the segment: those around it are whole.
    TakeOut(u64),
    /// Set the file aside: the next start makes it anew from the batches.
    Rebuild,
    /// Set the file aside: the broker does without.
    SetAside,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, in bytes.
    pub position: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// What would mend it, if anything is known to.
    pub remedy: Option<Remedy>,
}

/// What a log looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Segments.
    pub segments: usize,
    /// Whole batches.
    pub batches: u64,
    /// Records in them, by their headers.
    pub records: u64,
    /// Bytes of the `.log` files.
    pub bytes: u64,
    /// Base offset of the first segment.
    pub start: Offset,
    /// The offset behind the last whole batch.
    pub end: Offset,
    /// The topic id in the directory.
    pub topic_id: Option<TopicId>,
    /// What is wrong, in the order of the files.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are kept.
    pub more_findings: u64,
}

impl LogReport {
    /// True when nothing worse than a warning was found.
    pub fn is_sound(&self) -> bool {
        self.more_findings == 0 && !self.has(Severity::Error)
    }

    fn has(&self, severity: Severity) -> bool {
        self.findings.iter().any(|f| f.severity == severity)
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.more_findings += 1;
        }
    }

    fn note(&mut self, severity: Severity, path: PathBuf, what: String, remedy: Option<Remedy>) {
        self.add(Finding {
            severity,
            path,
            position: None,
            what,
            remedy,
        });
    }
}

/// Check the log in `dir`. `opening` is how it would be opened: whether the last stop was clean, and what the data
/// directory notes of it. A log of which nothing is known is taken to be as after a clean stop.
///
/// # Errors
/// A file or the directory cannot be read.
pub fn verify_log(fs: &dyn Fs, dir: &Path, opening: &Opening) -> io::Result<LogReport> {
    let entries = fs.list(dir)?.into_iter();
    let names: BTreeSet<String> = entries.filter(|e| !e.is_dir).map(|e| e.name).collect();
    let mut check = LogCheck {
        fs,
        dir,
        opening,
        names,
        report: LogReport::default(),
        epochs: None,
    };
    check.read_topic_id()?;
    check.read_epochs()?;
    check.segments()?;
    check.snapshots()?;
    check.noted_offsets();
    check.leftovers();
    Ok(check.report)
}

struct LogCheck<'a> {
    fs: &'a dyn Fs,
    dir: &'a Path,
    opening: &'a Opening,
    names: BTreeSet<String>,
    report: LogReport,
    /// `None` when they cannot be read.
    epochs: Option<LeaderEpochs>,
}

impl LogCheck<'_> {
    fn read_topic_id(&mut self) -> io::Result<()> {
        match partition_metadata::read(self.fs, self.dir) {
            Ok(id) => self.report.topic_id = id,
            Err(crate::OpenError::Io { error, .. }) => return Err(error),
            Err(_) => self.report.note(
                Severity::Error,
                self.dir.join(partition_metadata::FILE_NAME),
                "no topic id in it: the broker does not open the log".to_owned(),
                Some(Remedy::SetAside),
            ),
        }
        Ok(())
    }

    fn read_epochs(&mut self) -> io::Result<()> {
        let path = self.dir.join(leader_epoch::FILE_NAME);
        let bytes = crate::fs::read_small(self.fs, &path, MAX_TEXT)?.unwrap_or_default();
        match LeaderEpochs::parse(&bytes) {
            Ok(epochs) => self.epochs = Some(epochs),
            Err(error) => self.report.note(
                Severity::Error,
                path,
                error.to_string(),
                Some(Remedy::Rebuild),
            ),
        }
        Ok(())
    }

    fn segments(&mut self) -> io::Result<()> {
        let logs = self.names.iter();
        let logs = logs.filter_map(|name| parse_offset(name.strip_suffix(LOG_SUFFIX)?));
        let bases: Vec<Offset> = logs.collect();
        self.report.segments = bases.len();
        self.report.start = bases.first().copied().unwrap_or(Offset(0));
        self.report.end = self.report.start;
        for (index, base) in bases.iter().enumerate() {
            if index > 0 {
                self.transition(*base);
            }
            let active = index + 1 == bases.len();
            segment::check(self, *base, active)?;
        }
        self.indexes_without_segment(&bases);
        Ok(())
    }

    /// The offsets of two segments must neither overlap nor, unless records were compacted away, leave a gap.
    fn transition(&mut self, base: Offset) {
        let end = self.report.end;
        let path = self.dir.join(file_name(base, LOG_SUFFIX));
        if base < end {
            let what = format!("begins at offset {base}, but the segment before ends at {end}");
            self.report.note(Severity::Error, path, what, None);
        } else if base > end {
            let what =
                format!("no records between offset {end} and {base}: compacted away, or lost");
            self.report.note(Severity::Warning, path, what, None);
        }
    }

    fn indexes_without_segment(&mut self, bases: &[Offset]) {
        for name in &self.names {
            let suffixes = [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX];
            let base = suffixes
                .iter()
                .find_map(|suffix| parse_offset(name.strip_suffix(suffix)?));
            if base.is_some_and(|base| bases.binary_search(&base).is_err()) {
                let path = self.dir.join(name);
                let what = "an index without its segment".to_owned();
                let remedy = Some(Remedy::SetAside);
                self.report.note(Severity::Warning, path, what, remedy);
            }
        }
    }

    fn snapshots(&mut self) -> io::Result<()> {
        let names = self.names.iter();
        let offsets = names.filter_map(|name| snapshot::parse_file_name(name));
        for at in offsets.collect::<Vec<_>>() {
            let path = self.dir.join(snapshot::file_name(at));
            let bytes = crate::fs::read_small(self.fs, &path, MAX_SNAPSHOT)?;
            let what = match snapshot::decode(&bytes.unwrap_or_default()) {
                Err(error) => error.to_string(),
                Ok(_) if at > self.report.end => {
                    format!("as of offset {at}, but the log ends at {}", self.report.end)
                }
                Ok(producers) => {
                    let beyond = |last: &Offset| *last >= at;
                    let offsets = producers.iter().flat_map(|(_, entry)| &entry.batches);
                    match offsets.map(|batch| batch.last_offset).find(beyond) {
                        Some(last) => format!("a batch that ends at {last} in it"),
                        None => continue,
                    }
                }
            };
            // A snapshot is not synced, for an older one serves as well; after a clean stop it is whole.
            let severity = match self.opening.clean {
                true => Severity::Error,
                false => Severity::Warning,
            };
            self.report
                .note(severity, path, what, Some(Remedy::Rebuild));
        }
        Ok(())
    }

    /// What the data directory notes must lie within the log.
    fn noted_offsets(&mut self) {
        let (start, end) = (self.report.start, self.report.end);
        let noted = [
            ("recovery point", self.opening.recovery_point),
            ("log start offset", self.opening.log_start_offset),
        ];
        for (what, offset) in noted {
            if offset > end {
                let what = format!(
                    "the noted {what} is {offset}, but the log ends at {end}: records are missing"
                );
                self.report
                    .note(Severity::Error, self.dir.to_owned(), what, None);
            }
        }
        let noted = self.opening.recovery_point;
        if self.opening.clean && noted > start && noted < end {
            let what = format!("stopped cleanly at offset {noted}, but the log goes on to {end}");
            self.report
                .note(Severity::Warning, self.dir.to_owned(), what, None);
        }
    }

    fn leftovers(&mut self) {
        let known = [
            (".deleted", "waits to be removed"),
            (".cleaned", "compaction had not finished it"),
            (
                ".swap",
                "compaction had finished it; the next start puts it in place",
            ),
            (".tmp", "was being written"),
        ];
        for name in &self.names {
            let found = known.iter().find(|(suffix, _)| name.ends_with(suffix));
            if let Some((_, what)) = found {
                let path = self.dir.join(name);
                self.report
                    .note(Severity::Warning, path, (*what).to_owned(), None);
            }
        }
    }

    /// How bad damage at `offset` is: what recovery will look at and cut anyway is a warning.
    fn severity_at(&self, offset: Offset) -> Severity {
        match self.opening.clean || offset < self.opening.recovery_point {
            true => Severity::Error,
            false => Severity::Warning,
        }
    }

    fn open(&self, name: &str) -> io::Result<Option<std::sync::Arc<dyn crate::fs::File>>> {
        if !self.names.contains(name) {
            return Ok(None);
        }
        match self.fs.open(&self.dir.join(name), OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }
}
