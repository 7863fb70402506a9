//! Bring back what was known of the producers: the latest snapshot, and the batches behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::ids::{Offset, ProducerId, Timestamp};
use ottla_protocol::record::BatchHeader;

use super::Loading;
use super::files::Files;
use crate::batch_scan::BatchScan;
use crate::error::ReadError;
use crate::fs::{Fs, Source, remove_if_exists};
use crate::log_config::LogConfig;
use crate::producer_state::{ProducerState, snapshot};
use crate::segment::Segment;
use crate::transaction_index::AbortedTxn;

impl Loading<'_> {
    /// The producers as of `end`, and the snapshots that are kept.
    pub(super) fn load_producers(
        &mut self,
        files: &Files,
        end: Offset,
        now: Timestamp,
    ) -> Result<(ProducerState, BTreeSet<Offset>), ReadError> {
        let dir = self.dir.get();
        let mut snapshots = files.snapshots.clone();
        let durable = if self.opening.clean {
            end
        } else {
            self.opening.recovery_point.min(end)
        };
        for stray in strays(&snapshots, &self.segments, end) {
            snapshots.remove(&stray);
            remove_if_exists(&**self.fs, &dir.join(snapshot::file_name(stray)))?;
        }
        if self.opening.clean && snapshots.is_empty() {
            // Kafka of old wrote none when there were no producers.
            return Ok((ProducerState::starting_at(end), snapshots));
        }
        // Entries of the transaction index are durable below the recovery point only; what lies behind is written anew.
        let reindex_from = (!self.opening.clean).then_some(durable);
        // Nor may a snapshot of a later offset be the beginning: entries that come before it would not be written.
        let usable = |at: Offset| at <= durable;
        let rebuild = Rebuild {
            fs: self.fs,
            dir: &dir,
            segments: &self.segments,
            config: self.config,
            reindex_from,
        };
        let (state, batches) = rebuild.run(&mut snapshots, usable, end, now)?;
        self.recovered.producer_batches = batches;
        Ok((state, snapshots))
    }
}

/// Snapshots of no use: beyond the end of the log, or not at the base of a segment and not the latest.
fn strays(snapshots: &BTreeSet<Offset>, segments: &[Arc<Segment>], end: Offset) -> Vec<Offset> {
    let bases: BTreeSet<Offset> = segments.iter().map(|segment| segment.base()).collect();
    let latest = snapshots.range(..=end).next_back();
    let last_base = bases.last();
    let stray = |at: &&Offset| {
        let useful = bases.contains(at) || (Some(*at) == latest && Some(*at) >= last_base);
        **at > end || !useful
    };
    snapshots.iter().filter(stray).copied().collect()
}

/// How producer state is rebuilt from snapshots and batches.
pub(crate) struct Rebuild<'a> {
    pub(crate) fs: &'a Arc<dyn Fs>,
    pub(crate) dir: &'a std::path::Path,
    pub(crate) segments: &'a [Arc<Segment>],
    pub(crate) config: &'a LogConfig,
    /// From this offset on the transaction indexes are written anew.
    pub(crate) reindex_from: Option<Offset>,
}

impl Rebuild<'_> {
    /// The state as of `end`, and how many batches were applied for it. Snapshots that do not hold are removed.
    pub(crate) fn run(
        &self,
        snapshots: &mut BTreeSet<Offset>,
        usable: impl Fn(Offset) -> bool,
        end: Offset,
        now: Timestamp,
    ) -> Result<(ProducerState, u64), ReadError> {
        let mut state = self.restore(snapshots, usable, now)?;
        self.recall_older_batches(&mut state)?;
        let reindex_from = self.reindex_from.map(|from| from.max(state.end()));
        if let Some(from) = reindex_from {
            for segment in self.segments {
                segment.txn_index.truncate(from)?;
            }
        }
        let mut batches = 0;
        if state.end() >= end {
            return Ok((state, batches));
        }
        let above = self.segments.partition_point(|s| s.base() <= state.end());
        for segment in &self.segments[above.saturating_sub(1)..] {
            batches += replay(segment, &mut state, end, reindex_from)?;
        }
        state.set_end(end);
        Ok((state, batches))
    }

    fn restore(
        &self,
        snapshots: &mut BTreeSet<Offset>,
        usable: impl Fn(Offset) -> bool,
        now: Timestamp,
    ) -> Result<ProducerState, ReadError> {
        while let Some(at) = snapshots.iter().rev().copied().find(|at| usable(*at)) {
            match snapshot::load(&**self.fs, self.dir, at) {
                Ok(entries) => {
                    let expiration_ms = self.config.producer_id_expiration_ms;
                    return Ok(ProducerState::restore(at, entries, expiration_ms, now));
                }
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                    tracing::warn!(dir = %self.dir.display(), %at, %error, "a producer snapshot is removed");
                    snapshots.remove(&at);
                    remove_if_exists(&**self.fs, &self.dir.join(snapshot::file_name(at)))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let start = self.segments.first().map_or(Offset(0), |s| s.base());
        Ok(ProducerState::starting_at(start))
    }
}

/// How many index entries before a snapshot the log is searched from for batches that a producer may send again. The
/// walk reads about once per entry, whatever the size of the batches, and there may be ten thousand logs.
const RECALL_ENTRIES: u32 = 64;
/// How many segments that have fewer entries are searched at least, and as many more as it takes for this many batches:
/// segments may be so small that the five batches lie in as many of them.
const RECALL_SEGMENTS: usize = 4;
const RECALL_BATCHES: usize = 64;

impl Rebuild<'_> {
    /// A snapshot names only the last batch of each producer, but a producer may have five under way at a stop and
    /// send them all again. The older ones are read from the log, as far as they lie not far before the snapshot.
    fn recall_older_batches(&self, state: &mut ProducerState) -> Result<(), ReadError> {
        if state.producers().len() == 0 {
            return Ok(());
        }
        let below = self.segments.partition_point(|s| s.base() < state.end());
        let mut seen = 0;
        let newest_first = self.segments[..below].iter().rev().take(RECALL_BATCHES);
        for (count, segment) in newest_first.enumerate() {
            if count >= RECALL_SEGMENTS && seen >= RECALL_BATCHES {
                break;
            }
            let at_end = segment.find(state.end(), segment.size(), Source::Disk)?;
            let end = at_end.map_or(u64::from(segment.size()), |batch| batch.position);
            // Positions in a segment are 31 bits wide.
            let index = &segment.offset_index;
            let from = index.position_before(end as u32, RECALL_ENTRIES)?;
            let batches = producer_batches(segment, from, end)?;
            state.recall(&batches);
            seen += batches.len();
            if from > 0 {
                break;
            }
        }
        Ok(())
    }
}

/// The headers of producers' batches from one position of a segment to another.
fn producer_batches(segment: &Segment, from: u32, end: u64) -> Result<Vec<BatchHeader>, ReadError> {
    let file = segment.log.get()?;
    let mut scan = BatchScan::headers(&*file, from.into(), end);
    let mut headers = Vec::new();
    while let Some(batch) = scan.next()? {
        if batch.header.producer_id() != ProducerId::NONE && !batch.header.is_control() {
            headers.push(batch.header);
        }
    }
    Ok(headers)
}

/// Apply the batches of a segment that the state has not seen, up to `end`.
fn replay(
    segment: &Segment,
    state: &mut ProducerState,
    end: Offset,
    reindex_from: Option<Offset>,
) -> Result<u64, ReadError> {
    let size = segment.size();
    let Some(first) = segment.find(state.end(), size, Source::Disk)? else {
        return Ok(0);
    };
    let file = segment.log.get()?;
    let mut scan = BatchScan::headers(&*file, first.position, size.into());
    let mut batches = 0;
    while let Some(batch) = scan.next()? {
        if batch.header.base_offset() >= end {
            break;
        }
        batches += 1;
        let marker = scan.marker(&batch)?;
        let completed = state.apply(&batch.header, marker);
        let Some(txn) = completed.filter(|txn| txn.aborted) else {
            continue;
        };
        if reindex_from.is_some_and(|from| txn.last_offset >= from) {
            segment.txn_index.append(&AbortedTxn {
                producer_id: txn.producer_id,
                first_offset: txn.first_offset,
                last_offset: txn.last_offset,
                last_stable_offset: txn.last_stable_offset,
            })?;
        }
    }
    Ok(batches)
}
