//! One pass over a segment: every batch by its checksum, and beside it the entries of the indexes that speak of it.

use std::io;
use std::path::PathBuf;

use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerId, Timestamp};

use super::{Finding, LogCheck, Remedy, Severity};
use crate::fs::File;
use crate::inspect::entries::{self, Entries};
use crate::inspect::{Batch, BatchWalk};
use crate::offset_index::OffsetPosition;
use crate::segment::{INDEX_SUFFIX, LOG_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, file_name};
use crate::time_index::TimestampOffset;
use crate::transaction_index::AbortedTxn;

/// Check the segment that begins at `base`, and go on from there with the end of the log.
pub(super) fn check(log: &mut LogCheck<'_>, base: Offset, active: bool) -> io::Result<()> {
    let Some(file) = log.open(&file_name(base, LOG_SUFFIX))? else {
        return Ok(());
    };
    let index = log.open(&file_name(base, INDEX_SUFFIX))?;
    let times = log.open(&file_name(base, TIME_INDEX_SUFFIX))?;
    let aborted = log.open(&file_name(base, TXN_INDEX_SUFFIX))?;
    log.report.bytes += file.len()?;
    for (missing, suffix) in [
        (index.is_none(), INDEX_SUFFIX),
        (times.is_none(), TIME_INDEX_SUFFIX),
    ] {
        if missing {
            let path = log.dir.join(file_name(base, suffix));
            let what = "is missing; the next start makes it anew".to_owned();
            log.report.note(Severity::Warning, path, what, None);
        }
    }
    let mut positions = index
        .as_deref()
        .map(|file| IndexCheck::new(log, base, file));
    let mut times = times.as_deref().map(|file| TimeCheck::new(log, base, file));
    let mut aborted = aborted
        .as_deref()
        .map(|file| TxnCheck::new(log, base, file));
    let end = batches(
        log,
        base,
        &*file,
        &mut positions,
        &mut times,
        &mut aborted,
        active,
    )?;
    if let Some(check) = positions {
        check.finish(log)?;
    }
    if let Some(check) = times {
        check.finish(log, end)?;
    }
    aborted.map_or(Ok(()), |check| check.finish(log))
}

/// Walk the batches; the offset where they end.
fn batches(
    log: &mut LogCheck<'_>,
    base: Offset,
    file: &dyn File,
    positions: &mut Option<IndexCheck<'_>>,
    times: &mut Option<TimeCheck<'_>>,
    aborted: &mut Option<TxnCheck<'_>>,
    active: bool,
) -> io::Result<Offset> {
    let path = log.dir.join(file_name(base, LOG_SUFFIX));
    let mut walk = BatchWalk::new(file, base)?;
    let mut end = base;
    let mut epoch_fault = None;
    while let Some(batch) = walk.next_batch()? {
        let header = &batch.header;
        log.report.batches += 1;
        log.report.records += u64::try_from(header.records_count()).unwrap_or(0);
        if !walk.crc_holds(&batch)? {
            log.report.add(Finding {
                severity: log.severity_at(header.base_offset()),
                path: path.clone(),
                position: Some(batch.position),
                what: format!(
                    "the checksum of the batch with offsets {} to {} does not hold",
                    header.base_offset(),
                    header.last_offset()
                ),
                remedy: Some(Remedy::TakeOut(batch.size)),
            });
        }
        epoch_fault = epoch_fault.or_else(|| epoch_of(log, &batch));
        if let Some(check) = positions {
            check.batch(log, &batch)?;
        }
        if let Some(check) = times {
            check.batch(log, &batch)?;
        }
        if let Some(check) = aborted {
            let marker = walk.marker(&batch)?;
            let aborts = marker.is_some_and(|marker| !marker.committed);
            check.batch(log, &batch, aborts)?;
        }
        end = header.next_offset();
    }
    log.report.end = log.report.end.max(end);
    if let Some(what) = walk.fault()? {
        let mends_itself = active && log.severity_at(end) == Severity::Warning;
        log.report.add(Finding {
            severity: if mends_itself {
                Severity::Warning
            } else {
                Severity::Error
            },
            path,
            position: Some(walk.position()),
            what: format!(
                "{what}; {} bytes from there on",
                walk.file_len() - walk.position()
            ),
            remedy: Some(Remedy::Cut),
        });
    }
    log.report.findings.extend(epoch_fault);
    Ok(end)
}

/// What the batch's leader epoch says against the checkpoint.
fn epoch_of(log: &LogCheck<'_>, batch: &Batch) -> Option<Finding> {
    let (epoch, base) = (batch.header.leader_epoch(), batch.header.base_offset());
    let noted = log.epochs.as_ref()?.epoch_at(base);
    let visible = base >= log.opening.log_start_offset;
    (epoch != LeaderEpoch::NONE && noted != Some(epoch) && visible).then(|| Finding {
        severity: log.severity_at(base),
        path: log.dir.join(crate::leader_epoch::FILE_NAME),
        position: None,
        what: format!(
            "epoch {} at offset {base}, where the batch has {epoch}",
            noted.map_or("none".to_owned(), |noted| noted.to_string())
        ),
        remedy: Some(Remedy::Rebuild),
    })
}

/// The offset index against the batches. Of its faults the first is told: one is enough to rebuild it.
struct IndexCheck<'a> {
    entries: Entries<'a, OffsetPosition>,
    path: PathBuf,
    next: Option<OffsetPosition>,
    last: Option<OffsetPosition>,
    done: bool,
}

impl<'a> IndexCheck<'a> {
    fn new(log: &LogCheck<'_>, base: Offset, file: &'a dyn File) -> Self {
        Self {
            entries: entries::offset_index(file, base),
            path: log.dir.join(file_name(base, INDEX_SUFFIX)),
            next: None,
            last: None,
            done: false,
        }
    }

    fn batch(&mut self, log: &mut LogCheck<'_>, batch: &Batch) -> io::Result<()> {
        while let Some(entry) = self.peek()? {
            if u64::from(entry.position) > batch.position {
                return Ok(());
            }
            let what = if u64::from(entry.position) < batch.position {
                "where no batch begins".to_owned()
            } else if entry.offset < batch.header.base_offset() {
                format!(
                    "where a batch with base offset {} begins",
                    batch.header.base_offset()
                )
            } else {
                self.next = None;
                self.last = Some(entry);
                continue;
            };
            return self.fault(log, entry, &what);
        }
        Ok(())
    }

    fn finish(mut self, log: &mut LogCheck<'_>) -> io::Result<()> {
        match self.peek()? {
            Some(entry) => self.fault(log, entry, "behind the last batch"),
            None if self.done => Ok(()),
            None => surplus(log, &self.path, self.entries.surplus()?),
        }
    }

    /// The next entry, when there is one that was written.
    fn peek(&mut self) -> io::Result<Option<OffsetPosition>> {
        if self.next.is_none() && !self.done {
            self.next = self.entries.next_entry()?;
        }
        Ok(self.next)
    }

    fn fault(
        &mut self,
        log: &mut LogCheck<'_>,
        entry: OffsetPosition,
        what: &str,
    ) -> io::Result<()> {
        (self.next, self.done) = (None, true);
        let ascending = self
            .last
            .is_none_or(|last| entry.offset > last.offset && entry.position > last.position);
        let order = if ascending { "" } else { ", out of order" };
        let what = format!(
            "offset {} is said to be at byte {}, {what}{order}",
            entry.offset, entry.position
        );
        let severity = log.severity_at(entry.offset);
        log.report
            .note(severity, self.path.clone(), what, Some(Remedy::Rebuild));
        Ok(())
    }
}

/// The time index against the batches: it must never promise that a timestamp comes later than it does.
struct TimeCheck<'a> {
    entries: Entries<'a, TimestampOffset>,
    path: PathBuf,
    next: Option<TimestampOffset>,
    last: Option<TimestampOffset>,
    /// The largest timestamp of the batches so far.
    max: Timestamp,
    done: bool,
}

impl<'a> TimeCheck<'a> {
    fn new(log: &LogCheck<'_>, base: Offset, file: &'a dyn File) -> Self {
        Self {
            entries: entries::time_index(file, base),
            path: log.dir.join(file_name(base, TIME_INDEX_SUFFIX)),
            next: None,
            last: None,
            max: Timestamp::NONE,
            done: false,
        }
    }

    fn batch(&mut self, log: &mut LogCheck<'_>, batch: &Batch) -> io::Result<()> {
        let header = &batch.header;
        let before = self.max;
        self.max = self.max.max(header.max_timestamp());
        while let Some(entry) = self.peek()? {
            if entry.offset > header.last_offset() {
                return Ok(());
            }
            let ascending = self
                .last
                .is_none_or(|last| entry.timestamp > last.timestamp);
            // An entry may name a record in the middle of the batch, and then speak of those before it only.
            let passed = match entry.offset < header.last_offset() {
                true => before,
                false => self.max,
            };
            let what = if !ascending {
                "out of order".to_owned()
            } else if entry.timestamp < passed {
                format!("but {passed} is there before")
            } else if entry.timestamp > self.max {
                format!("but the largest so far is {}", self.max)
            } else {
                self.next = None;
                self.last = Some(entry);
                continue;
            };
            return self.fault(log, entry, &what);
        }
        Ok(())
    }

    fn finish(mut self, log: &mut LogCheck<'_>, end: Offset) -> io::Result<()> {
        match self.peek()? {
            Some(entry) => self.fault(log, entry, &format!("but the segment ends at {end}")),
            None if self.done => Ok(()),
            None => surplus(log, &self.path, self.entries.surplus()?),
        }
    }

    fn peek(&mut self) -> io::Result<Option<TimestampOffset>> {
        if self.next.is_none() && !self.done {
            self.next = self.entries.next_entry()?;
        }
        Ok(self.next)
    }

    fn fault(
        &mut self,
        log: &mut LogCheck<'_>,
        entry: TimestampOffset,
        what: &str,
    ) -> io::Result<()> {
        (self.next, self.done) = (None, true);
        let what = format!(
            "timestamp {} is said to be reached at offset {}, {what}",
            entry.timestamp, entry.offset
        );
        let severity = log.severity_at(entry.offset);
        log.report
            .note(severity, self.path.clone(), what, Some(Remedy::Rebuild));
        Ok(())
    }
}

/// The transaction index against the markers.
struct TxnCheck<'a> {
    entries: Entries<'a, Option<AbortedTxn>>,
    path: PathBuf,
    next: Option<AbortedTxn>,
    last: Option<Offset>,
    done: bool,
}

impl<'a> TxnCheck<'a> {
    fn new(log: &LogCheck<'_>, base: Offset, file: &'a dyn File) -> Self {
        Self {
            entries: entries::transaction_index(file),
            path: log.dir.join(file_name(base, TXN_INDEX_SUFFIX)),
            next: None,
            last: None,
            done: false,
        }
    }

    fn batch(&mut self, log: &mut LogCheck<'_>, batch: &Batch, aborts: bool) -> io::Result<()> {
        let header = &batch.header;
        while let Some(txn) = self.peek(log)? {
            if txn.last_offset > header.last_offset() {
                return Ok(());
            }
            let ascending = self.last.is_none_or(|last| txn.last_offset > last);
            let is_marker = aborts && txn.last_offset == header.last_offset();
            if !ascending || !is_marker || txn.producer_id != header.producer_id() {
                return self.fault(log, &txn, "where no abort marker of it is");
            }
            self.last = Some(txn.last_offset);
            self.next = None;
        }
        Ok(())
    }

    fn finish(mut self, log: &mut LogCheck<'_>) -> io::Result<()> {
        match self.peek(log)? {
            Some(txn) => self.fault(log, &txn, "behind the end of the segment"),
            None if self.done => Ok(()),
            None => surplus(log, &self.path, self.entries.surplus()?),
        }
    }

    fn peek(&mut self, log: &mut LogCheck<'_>) -> io::Result<Option<AbortedTxn>> {
        if self.next.is_none() && !self.done {
            self.next = match self.entries.next_entry()? {
                Some(None) => {
                    self.done = true;
                    let what = "an entry of an unknown version".to_owned();
                    let remedy = Some(Remedy::Rebuild);
                    log.report
                        .note(Severity::Error, self.path.clone(), what, remedy);
                    None
                }
                entry => entry.flatten(),
            };
        }
        Ok(self.next)
    }

    fn fault(&mut self, log: &mut LogCheck<'_>, txn: &AbortedTxn, what: &str) -> io::Result<()> {
        (self.next, self.done) = (None, true);
        let ProducerId(id) = txn.producer_id;
        let what = format!(
            "a transaction of producer {id} is said to be aborted at offset {}, {what}",
            txn.last_offset
        );
        let severity = log.severity_at(txn.last_offset);
        log.report
            .note(severity, self.path.clone(), what, Some(Remedy::Rebuild));
        Ok(())
    }
}

/// Bytes behind the last whole entry of an index. They do no harm.
fn surplus(log: &mut LogCheck<'_>, path: &std::path::Path, bytes: u64) -> io::Result<()> {
    if bytes > 0 {
        let what = format!("{bytes} bytes behind the last whole entry");
        log.report.note(
            Severity::Warning,
            path.to_owned(),
            what,
            Some(Remedy::Rebuild),
        );
    }
    Ok(())
}
