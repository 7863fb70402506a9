//! One round of compaction of one log (`Cleaner.doClean`).

use std::sync::Arc;

use ottla_protocol::ids::{Offset, Timestamp};
use ottla_protocol::record::batch::HEADER_LEN;
use ottla_protocol::record::record::RecordReader;
use ottla_protocol::record::{BatchHeader, RecordError};

use super::batches::Batches;
use super::cleanable::Cleanable;
use super::error::CleanError;
use super::filter::{Filter, FilterError, Kept, last_records, marker};
use super::grouping::{SegmentSizes, SizeLimits, group};
use super::offset_map::OffsetMap;
use super::output::{Output, remove_leftovers};
use super::swap::{Old, put_in_place};
use super::transactions::Transactions;
use crate::batch_scan::FoundBatch;
use crate::fs::{Fs, Source};
use crate::lazy_file::LogPath;
use crate::log_config::LogConfig;
use crate::log_manager::PartitionLog;
use crate::recovery::Indexer;
use crate::segment::Segment;
use crate::segment_set::SegmentSet;
use crate::transaction_index::AbortedTxn;

/// Told of every so many bytes read or written, it may wait, and says when to give up.
pub(crate) type Pace<'a> = &'a dyn Fn(u64) -> Result<(), CleanError>;

/// What a round may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerLimits {
    /// Bytes for the map of keys (`log.cleaner.dedupe.buffer.size`).
    pub map_bytes: usize,
    /// How full the map may become (`log.cleaner.io.buffer.load.factor`).
    pub map_load_factor: f64,
    /// Bytes read and written at once (`log.cleaner.io.buffer.size`); a larger batch takes more.
    pub io_buffer_bytes: usize,
    /// Bytes that may come out of a compressed batch.
    pub max_content: usize,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanStats {
    /// Bytes of the dirty part that were read for their keys.
    pub mapped_bytes: u64,
    /// Keys found there.
    pub keys: u64,
    /// Bytes that the map took.
    pub map_bytes: u64,
    /// Bytes of the segments that were copied.
    pub bytes_before: u64,
    /// Bytes of the segments that took their place.
    pub bytes_after: u64,
    /// Segments before.
    pub segments_before: u64,
    /// Segments after.
    pub segments_after: u64,
    /// Batches that were copied as they were.
    pub batches_copied: u64,
    /// Batches that were built anew, some of them without records.
    pub batches_rebuilt: u64,
    /// Batches of which nothing stayed.
    pub batches_removed: u64,
}

/// The outcome of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// The next dirty part begins here.
    pub upto: Offset,
    /// What was done.
    pub stats: CleanStats,
}

/// A round under way.
struct Round<'a> {
    log: &'a PartitionLog,
    fs: Arc<dyn Fs>,
    dir: Arc<LogPath>,
    /// The segments as they were when the round began.
    set: Arc<SegmentSet>,
    /// Tells whether the log was cut since.
    generation: u64,
    config: LogConfig,
    target: Cleanable,
    limits: &'a CleanerLimits,
    now: Timestamp,
    pace: Pace<'a>,
    stats: CleanStats,
}

/// Clean the part of `log` that `target` names, which has been flushed.
pub(crate) fn clean(
    log: &PartitionLog,
    target: Cleanable,
    limits: &CleanerLimits,
    now: Timestamp,
    pace: Pace<'_>,
) -> Result<Cleaned, CleanError> {
    let mut round = {
        let locked = log.lock();
        locked.check_online()?;
        Round {
            log,
            fs: Arc::clone(&locked.fs),
            dir: Arc::clone(&locked.dir),
            set: locked.reader.segments.load_full(),
            generation: locked.reader.cursors.generation(),
            config: locked.config().clone(),
            target,
            limits,
            now,
            pace,
            stats: CleanStats::default(),
        }
    };
    let map = round.map_keys()?;
    let upto = map.latest().plus(1);
    if upto <= target.first_dirty {
        let stats = round.stats;
        return Ok(Cleaned {
            upto: target.first_dirty,
            stats,
        });
    }
    round.copy(&map, upto)?;
    Ok(Cleaned {
        upto,
        stats: round.stats,
    })
}

impl Round<'_> {
    /// The segments of the dirty part, each with the offset where the next one begins.
    fn segments(&self, from: Offset, below: Offset) -> Vec<(Arc<Segment>, Offset)> {
        let segments = self.set.from(from);
        let ends = segments.iter().skip(1).map(|next| next.base());
        let with_end = segments.iter().cloned().zip(ends);
        with_end
            .take_while(|(segment, _)| segment.base() < below)
            .collect()
    }

    /// The aborted transactions among the offsets of a segment.
    fn aborted(&self, from: Offset, below: Offset) -> Result<Vec<AbortedTxn>, CleanError> {
        let mut found = Vec::new();
        for segment in self.set.from(from) {
            if segment
                .txn_index
                .collect(from, below, &mut found, Source::Disk)?
            {
                break;
            }
        }
        Ok(found)
    }

    /// Read the keys of the dirty part, as far as there is room for them.
    fn map_keys(&mut self) -> Result<OffsetMap, CleanError> {
        let (from, below) = (self.target.first_dirty, self.target.first_uncleanable);
        let most_keys = u64::try_from(below.0 - from.0).unwrap_or(0);
        let mut map = OffsetMap::new(
            self.limits.map_bytes,
            self.limits.map_load_factor,
            most_keys,
        );
        let mut transactions = Transactions::default();
        transactions.expect(self.aborted(from, below)?, from, true);
        for (segment, end) in self.segments(from, below) {
            let whole = self.map_segment(&segment, &mut map, &mut transactions)?;
            if !whole {
                break;
            }
            map.set_latest(end.plus(-1));
        }
        self.stats.keys = map.len() as u64;
        self.stats.map_bytes = map.bytes() as u64;
        Ok(map)
    }

    /// False when the map is full.
    fn map_segment(
        &mut self,
        segment: &Segment,
        map: &mut OffsetMap,
        transactions: &mut Transactions,
    ) -> Result<bool, CleanError> {
        let from = self.target.first_dirty;
        let Some(first) = segment.find(from, segment.size(), Source::Disk)? else {
            return Ok(true);
        };
        let file = segment.log.get()?;
        let chunk = self.limits.io_buffer_bytes;
        let mut batches = Batches::new(segment, &*file, first.position, chunk, self.pace);
        while let Some((batch, bytes)) = batches.next()? {
            self.stats.mapped_bytes += batch.size;
            let whole = map_batch(
                &batch.header,
                &bytes[HEADER_LEN..],
                map,
                transactions,
                &Dirty {
                    from,
                    max_content: self.limits.max_content,
                },
            );
            if !whole.map_err(|error| records_error(segment, &batch, error))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Copy all segments that begin below `upto`, group by group.
    fn copy(&mut self, map: &OffsetMap, upto: Offset) -> Result<(), CleanError> {
        let start = self.set.first().base();
        let segments = self.segments(start, upto);
        let mut sizes = Vec::with_capacity(segments.len());
        for (segment, _) in &segments {
            sizes.push(SegmentSizes {
                base: segment.base(),
                log: segment.size().into(),
                offset_index: segment.offset_index.file().len()?,
                time_index: segment.time_index.file().len()?,
            });
        }
        let limits = SizeLimits {
            log: self.config.segment_bytes.into(),
            index: self.config.segment_index_bytes.into(),
        };
        let mut transactions = Transactions::default();
        for range in group(&sizes, &limits, self.target.first_uncleanable) {
            self.copy_group(&segments[range], map, &mut transactions)?;
        }
        Ok(())
    }

    fn copy_group(
        &mut self,
        group: &[(Arc<Segment>, Offset)],
        map: &OffsetMap,
        transactions: &mut Transactions,
    ) -> Result<(), CleanError> {
        let base = group[0].0.base();
        let written = self.write_group(base, group, map, transactions);
        let new = written.inspect_err(|_| {
            // What cannot be removed now is removed by the next round or the next start.
            let _ = remove_leftovers(&*self.fs, &self.dir.get(), base);
        })?;
        let old = Old {
            segments: group
                .iter()
                .map(|(segment, _)| Arc::clone(segment))
                .collect(),
            generation: self.generation,
        };
        self.stats.segments_before += group.len() as u64;
        self.stats.segments_after += 1;
        self.stats.bytes_before += group.iter().map(|(s, _)| u64::from(s.size())).sum::<u64>();
        self.stats.bytes_after += u64::from(new.size());
        put_in_place(self.log, &self.fs, &self.dir, new, &old)
    }

    /// Write what stays of a group into a segment of its own, durably.
    fn write_group(
        &mut self,
        base: Offset,
        group: &[(Arc<Segment>, Offset)],
        map: &OffsetMap,
        transactions: &mut Transactions,
    ) -> Result<Segment, CleanError> {
        let chunk = self.limits.io_buffer_bytes;
        let mut output = Output::create(&self.fs, &self.dir, base, chunk, self.pace)?;
        let filter = Filter {
            map,
            last_records: last_records(self.log.lock().producers()),
            round_end: self.target.first_uncleanable,
            delete_retention_ms: self.config.delete_retention_ms,
            now: self.now,
            max_content: self.limits.max_content,
        };
        let first = self.set.first().base();
        let mut tally = Tally::new(self.config.index_interval_bytes);
        for (segment, end) in group {
            let from = segment.base();
            transactions.expect(self.aborted(from, *end)?, from, from == first);
            self.filter_segment(segment, &filter, transactions, &mut output, &mut tally)?;
        }
        tally.indexer.finish(output.segment())?;
        self.stats.batches_copied += tally.copied;
        self.stats.batches_rebuilt += tally.rebuilt;
        self.stats.batches_removed += tally.removed;
        output.finish(&transactions.take_kept())
    }

    fn filter_segment(
        &self,
        segment: &Segment,
        filter: &Filter<'_>,
        transactions: &mut Transactions,
        output: &mut Output<'_>,
        tally: &mut Tally,
    ) -> Result<(), CleanError> {
        let file = segment.log.get()?;
        let chunk = self.limits.io_buffer_bytes;
        let mut batches = Batches::new(segment, &*file, 0, chunk, self.pace);
        let mut verdicts = Vec::new();
        while let Some((batch, bytes)) = batches.next()? {
            let body = &bytes[HEADER_LEN..];
            let kept = filter.judge(&batch.header, body, transactions, &mut verdicts);
            let kept = kept.map_err(|error| match error {
                FilterError::Records(error) => records_error(segment, &batch, error),
                FilterError::Build(error) => error.into(),
            })?;
            let written = match &kept {
                Kept::Nothing => {
                    tally.removed += 1;
                    continue;
                }
                Kept::Whole => {
                    tally.copied += 1;
                    output.push(&batch.header, &[bytes])?
                }
                Kept::Part(part) => {
                    tally.rebuilt += 1;
                    let pieces: [&[u8]; 2] = [part.header().as_bytes(), part.body()];
                    output.push(part.header(), &pieces)?
                }
            };
            tally.indexer.add(output.segment(), &written)?;
        }
        Ok(())
    }
}

/// Counts batches and indexes those that stay.
struct Tally {
    indexer: Indexer,
    copied: u64,
    rebuilt: u64,
    removed: u64,
}

impl Tally {
    fn new(index_interval: u32) -> Self {
        Self {
            indexer: Indexer::new(index_interval, 0),
            copied: 0,
            rebuilt: 0,
            removed: 0,
        }
    }
}

/// What is looked at of a batch of the dirty part.
struct Dirty {
    /// The first record that counts.
    from: Offset,
    max_content: usize,
}

/// Note the keys of a batch, unless its records were aborted. False when the map is full.
fn map_batch(
    header: &BatchHeader,
    body: &[u8],
    map: &mut OffsetMap,
    transactions: &mut Transactions,
    dirty: &Dirty,
) -> Result<bool, RecordError> {
    if header.is_control() {
        let marker = marker(header, body, dirty.max_content)?;
        transactions.on_control(header, marker, header.records_count() == 0);
    } else if !transactions.on_data(header) {
        let mut records = RecordReader::new(header, body, dirty.max_content)?;
        while let Some(record) = records.next()? {
            let offset = header.base_offset().plus(record.offset_delta.into());
            let Some(key) = record.key.filter(|_| offset >= dirty.from) else {
                continue;
            };
            if !map.put(key, offset) {
                return Ok(false);
            }
            map.set_latest(offset);
        }
    }
    map.set_latest(header.last_offset());
    Ok(true)
}

fn records_error(segment: &Segment, batch: &FoundBatch, error: RecordError) -> CleanError {
    CleanError::Records {
        path: segment.log.path(),
        position: batch.position,
        error,
    }
}
