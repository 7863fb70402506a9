//! Check a data directory: what it says of itself, and every log in it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ottla_protocol::ids::{Offset, TopicPartition};

use super::{Finding, LogReport, MAX_TEXT, Remedy, Severity, verify_log};
use crate::checkpoint::{
    self, CLEANER_FILE, HIGH_WATERMARK_FILE, LOG_START_FILE, Offsets, RECOVERY_POINT_FILE,
};
use crate::fs::{Fs, read_small};
use crate::log_dir::{CLEAN_SHUTDOWN_FILE, DirName};
use crate::meta_properties::{self, MetaProperties};
use crate::recovery::Opening;

/// What a data directory looks like.
#[derive(Clone, Debug, Default)]
pub struct DirReport {
    /// What `meta.properties` says.
    pub meta: Option<MetaProperties>,
    /// The last process that used it stopped cleanly.
    pub clean: bool,
    /// Each log by its partition.
    pub logs: BTreeMap<TopicPartition, LogReport>,
    /// What is wrong with the directory itself.
    pub findings: Vec<Finding>,
}

impl DirReport {
    /// True when nothing worse than a warning was found, here and in every log.
    pub fn is_sound(&self) -> bool {
        let errors = |finding: &Finding| finding.severity == Severity::Error;
        !self.findings.iter().any(errors) && self.logs.values().all(LogReport::is_sound)
    }

    /// Everything that was found.
    pub fn all_findings(&self) -> impl Iterator<Item = &Finding> {
        let of_logs = self.logs.values().flat_map(|log| &log.findings);
        self.findings.iter().chain(of_logs)
    }

    /// Note something more about the directory.
    pub fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

/// Check the data directory at `dir`, `threads` logs at a time.
///
/// # Errors
/// The directory or a file in it cannot be read.
pub fn verify_dir(fs: &dyn Fs, dir: &Path, threads: usize) -> io::Result<DirReport> {
    let mut report = DirReport {
        clean: fs.stat(&dir.join(CLEAN_SHUTDOWN_FILE))?.is_some(),
        ..DirReport::default()
    };
    read_meta(fs, dir, &mut report)?;
    let recovery_points = read_offsets(fs, dir, RECOVERY_POINT_FILE, &mut report)?;
    let starts = read_offsets(fs, dir, LOG_START_FILE, &mut report)?;
    read_offsets(fs, dir, HIGH_WATERMARK_FILE, &mut report)?;
    read_offsets(fs, dir, CLEANER_FILE, &mut report)?;
    let mut logs = Vec::new();
    for entry in fs.list(dir)?.into_iter().filter(|entry| entry.is_dir) {
        match DirName::parse(&entry.name) {
            DirName::Log(partition) => logs.push(partition),
            DirName::Deleted => {
                report.warn(dir.join(&entry.name), "a deleted log, not yet removed");
            }
            DirName::Other => report.warn(dir.join(&entry.name), "belongs to no topic"),
        }
    }
    logs.sort();
    let openings = logs.iter().map(|partition| Opening {
        clean: report.clean,
        recovery_point: noted(&recovery_points, partition),
        log_start_offset: noted(&starts, partition),
    });
    let logs: Vec<(TopicPartition, Opening)> = logs.iter().cloned().zip(openings).collect();
    for partition in recovery_points.keys() {
        if logs
            .binary_search_by_key(&partition, |(log, _)| log)
            .is_err()
        {
            let path = dir.join(partition.to_string());
            report.warn(path, "has noted offsets, but no directory");
        }
    }
    report.logs = verify_logs(fs, dir, &logs, threads)?;
    Ok(report)
}

/// How the log of one partition would be opened, as far as its data directory tells.
pub fn opening_of(fs: &dyn Fs, dir: &Path, partition: &TopicPartition) -> io::Result<Opening> {
    let clean = fs.stat(&dir.join(CLEAN_SHUTDOWN_FILE))?.is_some();
    let mut ignored = DirReport::default();
    let recovery_points = read_offsets(fs, dir, RECOVERY_POINT_FILE, &mut ignored)?;
    let starts = read_offsets(fs, dir, LOG_START_FILE, &mut ignored)?;
    Ok(Opening {
        clean,
        recovery_point: noted(&recovery_points, partition),
        log_start_offset: noted(&starts, partition),
    })
}

fn noted(offsets: &Offsets, partition: &TopicPartition) -> Offset {
    offsets.get(partition).copied().unwrap_or(Offset(0))
}

fn verify_logs(
    fs: &dyn Fs,
    dir: &Path,
    logs: &[(TopicPartition, Opening)],
    threads: usize,
) -> io::Result<BTreeMap<TopicPartition, LogReport>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1).min(logs.len()) {
            scope.spawn(|| {
                while let Some((partition, opening)) =
                    logs.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let path = dir.join(partition.to_string());
                    match verify_log(fs, &path, opening) {
                        Ok(report) => {
                            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                            done.insert(partition.clone(), report);
                        }
                        Err(error) => {
                            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                            failed.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn read_meta(fs: &dyn Fs, dir: &Path, report: &mut DirReport) -> io::Result<()> {
    let path = dir.join(meta_properties::FILE_NAME);
    let what = match read_small(fs, &path, MAX_TEXT)? {
        None => "is missing: this is no formatted data directory".to_owned(),
        Some(bytes) => match MetaProperties::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(meta) => {
                report.meta = Some(meta);
                return Ok(());
            }
            Err(error) => error.to_string(),
        },
    };
    report.add(Finding {
        severity: Severity::Error,
        path,
        position: None,
        what,
        remedy: None,
    });
    Ok(())
}

/// A checkpoint; empty, and noted, when it cannot be understood.
fn read_offsets(
    fs: &dyn Fs,
    dir: &Path,
    file: &str,
    report: &mut DirReport,
) -> io::Result<Offsets> {
    let path: PathBuf = dir.join(file);
    match checkpoint::read_offsets(fs, dir, file) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            // Without recovery points everything is scanned; without the starts no log is opened.
            let needed = file == LOG_START_FILE;
            report.add(Finding {
                severity: if needed {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                path,
                position: None,
                what: error.to_string(),
                remedy: Some(Remedy::SetAside),
            });
            Ok(Offsets::new())
        }
        read => read,
    }
}

impl DirReport {
    fn warn(&mut self, path: PathBuf, what: &str) {
        self.add(Finding {
            severity: Severity::Warning,
            path,
            position: None,
            what: what.to_owned(),
            remedy: None,
        });
    }
}
