//! `ottla log verify`: is everything in a directory as it should be?

use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use ottla_protocol::ids::TopicPartition;
use ottla_storage::Opening;
use ottla_storage::fs::OsFs;
use ottla_storage::inspect::verify::dir::{DirReport, opening_of, verify_dir};
use ottla_storage::inspect::verify::{Finding, LogReport, Severity, verify_log};
use ottla_storage::log_dir::DirName;
use serde_json::{Value, json};

use super::super::exit::Exit;
use super::{Target, warn_in_use};
use crate::metadata::offline;

/// Checks one directory after the other.
pub(super) fn run(dirs: &[PathBuf], threads: usize, json: bool) -> io::Result<Exit> {
    let mut sound = true;
    for dir in dirs {
        let target = Target::of(dir)?;
        warn_in_use(target.data_dir());
        let report = check(&target, threads)?;
        sound &= report.is_sound();
        let text = match json {
            true => format!("{}\n", report_json(dir, &report)),
            false => report_text(dir, &report),
        };
        stdout().lock().write_all(text.as_bytes())?;
    }
    Ok(if sound { Exit::Success } else { Exit::Failure })
}

/// Check what the target names; a single log is a report of one.
pub(super) fn check(target: &Target, threads: usize) -> io::Result<DirReport> {
    match target {
        Target::Data(dir) => {
            let mut report = verify_dir(&OsFs, dir, threads)?;
            offline::check_topics(&OsFs, dir, &mut report)?;
            Ok(report)
        }
        Target::Log(dir, data) => {
            let name = dir.file_name().and_then(|name| name.to_str());
            let partition = match name.map(DirName::parse) {
                Some(DirName::Log(partition)) => Some(partition),
                _ => None,
            };
            let opening = match (data, &partition) {
                (Some(data), Some(partition)) => opening_of(&OsFs, data, partition)?,
                _ => Opening {
                    clean: true,
                    ..Opening::UNKNOWN
                },
            };
            let mut report = DirReport {
                clean: opening.clean,
                ..DirReport::default()
            };
            let log = verify_log(&OsFs, dir, &opening)?;
            report.logs.insert(partition.unwrap_or_else(unnamed), log);
            Ok(report)
        }
    }
}

/// The name of a log whose directory has none.
fn unnamed() -> TopicPartition {
    TopicPartition {
        topic: "log".to_owned(),
        partition: Default::default(),
    }
}

fn report_text(dir: &Path, report: &DirReport) -> String {
    let mut text = format!("{}: {}\n", dir.display(), headline(report));
    for finding in report.all_findings() {
        text += &format!("{}\n", finding_text(finding));
    }
    let more: u64 = report.logs.values().map(|log| log.more_findings).sum();
    if more > 0 {
        text += &format!("... and {more} more\n");
    }
    let sum = Sum::of(report);
    text += &format!(
        "{} logs, {} segments, {} batches, {} records, {} bytes: {} errors, {} warnings\n",
        report.logs.len(),
        sum.segments,
        sum.batches,
        sum.records,
        sum.bytes,
        sum.errors,
        sum.warnings
    );
    text
}

fn headline(report: &DirReport) -> String {
    let stop = match report.clean {
        true => "stopped cleanly",
        false => "not stopped cleanly",
    };
    match &report.meta {
        Some(meta) => format!("node {}, cluster {}, {stop}", meta.node_id, meta.cluster_id),
        None => stop.to_owned(),
    }
}

/// One finding for people.
pub(super) fn finding_text(finding: &Finding) -> String {
    let place = match finding.position {
        Some(position) => format!("{} at byte {position}", finding.path.display()),
        None => finding.path.display().to_string(),
    };
    format!("{}: {place}: {}", severity(finding), finding.what)
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

#[derive(Default)]
struct Sum {
    segments: usize,
    batches: u64,
    records: u64,
    bytes: u64,
    errors: u64,
    warnings: u64,
}

impl Sum {
    fn of(report: &DirReport) -> Self {
        let mut sum = Self::default();
        for log in report.logs.values() {
            sum.segments += log.segments;
            sum.batches += log.batches;
            sum.records += log.records;
            sum.bytes += log.bytes;
            // What was not kept is counted with the worse ones.
            sum.errors += log.more_findings;
        }
        for finding in report.all_findings() {
            match finding.severity {
                Severity::Warning => sum.warnings += 1,
                Severity::Error => sum.errors += 1,
            }
        }
        sum
    }
}

/// One finding for programs.
pub(super) fn finding_json(finding: &Finding) -> Value {
    json!({
        "severity": severity(finding),
        "file": finding.path.display().to_string(),
        "position": finding.position,
        "what": finding.what,
    })
}

fn report_json(dir: &Path, report: &DirReport) -> Value {
    let logs = report.logs.iter().map(|(partition, log)| {
        let mut value = log_json(log);
        value["log"] = partition.to_string().into();
        value
    });
    let findings = report.all_findings().map(finding_json);
    json!({
        "dir": dir.display().to_string(),
        "sound": report.is_sound(),
        "clean": report.clean,
        "clusterId": report.meta.as_ref().map(|meta| &meta.cluster_id),
        "nodeId": report.meta.as_ref().map(|meta| meta.node_id.0),
        "logs": logs.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn log_json(log: &LogReport) -> Value {
    json!({
        "segments": log.segments,
        "batches": log.batches,
        "records": log.records,
        "bytes": log.bytes,
        "start": log.start.0,
        "end": log.end.0,
        "topicId": log.topic_id.map(|id| id.to_string()),
        "moreFindings": log.more_findings,
    })
}
