//! `ottla log repair`: says what would mend a directory, and does it when told to. Never while a broker has it.

use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

use ottla_storage::fs::{Fs, LockError, LockGuard, OsFs};
use ottla_storage::inspect::repair::{Step, plan};
use ottla_storage::inspect::verify::dir::DirReport;
use ottla_storage::inspect::verify::{Finding, Severity};
use ottla_storage::log_dir::LOCK_FILE;
use serde_json::{Value, json};

use super::super::exit::{Exit, fail};
use super::verify::{check, finding_json, finding_text};
use super::{Target, warn_in_use};

/// How many logs are read at a time.
const THREADS: usize = 4;

/// Plans and, with `yes`, mends one directory after the other.
pub(super) fn run(dirs: &[PathBuf], yes: bool, json: bool) -> io::Result<Exit> {
    let mut exit = Exit::Success;
    for dir in dirs {
        let target = Target::of(dir)?;
        let _lock = match target.data_dir().filter(|_| yes) {
            Some(data) => match take(data) {
                Ok(lock) => Some(lock),
                Err(reason) => return Ok(fail(Exit::Locked, &reason)),
            },
            None => {
                warn_in_use(target.data_dir());
                None
            }
        };
        let report = check(&target, THREADS)?;
        let steps = plan(report.all_findings(), &OsFs, target.data_dir())?;
        let text = match json {
            true => format!("{}\n", plan_json(dir, &report, &steps, yes)),
            false => plan_text(dir, &report, &steps, yes),
        };
        stdout().lock().write_all(text.as_bytes())?;
        if yes {
            for step in &steps {
                step.perform(&OsFs)?;
            }
        }
        if unmended(&report).next().is_some() || (!yes && !steps.is_empty()) {
            exit = Exit::Failure;
        }
    }
    Ok(exit)
}

fn take(data: &Path) -> Result<Box<dyn LockGuard>, String> {
    OsFs.lock(&data.join(LOCK_FILE))
        .map_err(|error| match error {
            LockError::Held(pid) => {
                let holder =
                    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
                format!("{} is in use by {holder}: stop it first", data.display())
            }
            LockError::Io(error) => format!("{}: {error}", data.display()),
        })
}

/// Errors for which nothing is known.
fn unmended(report: &DirReport) -> impl Iterator<Item = &Finding> {
    let findings = report.all_findings();
    findings.filter(|finding| finding.severity == Severity::Error && finding.remedy.is_none())
}

fn plan_text(dir: &Path, report: &DirReport, steps: &[Step], yes: bool) -> String {
    let mut text = String::new();
    for finding in report.all_findings() {
        text += &format!("{}\n", finding_text(finding));
    }
    let begin = match (steps.is_empty(), yes) {
        (true, _) => format!("{}: nothing to do\n", dir.display()),
        (false, true) => format!("{}: doing\n", dir.display()),
        (false, false) => format!(
            "{}: --yes would do this, and nothing is done without it\n",
            dir.display()
        ),
    };
    text += &begin;
    for step in steps {
        text += &format!("  {step}\n");
    }
    for finding in unmended(report) {
        text += &format!("no remedy is known for: {}\n", finding_text(finding));
    }
    text
}

fn plan_json(dir: &Path, report: &DirReport, steps: &[Step], yes: bool) -> Value {
    json!({
        "dir": dir.display().to_string(),
        "done": yes,
        "steps": steps.iter().map(Step::to_string).collect::<Vec<_>>(),
        "unmended": unmended(report).map(finding_json).collect::<Vec<_>>(),
    })
}
