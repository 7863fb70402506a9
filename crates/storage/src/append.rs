//! The append path: judge the producer, assign offset and epoch in the header, roll when the segment is full, write
//! header and body with one call, publish.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerId, Timestamp};
use ottla_protocol::record::{BatchHeader, EndTxnMarker, ValidBatch};

use crate::batch_scan::parse_marker;
use crate::boundary::Boundary;
use crate::error::AppendError;
use crate::fs::{File, write_all_at};
use crate::log::Log;
use crate::producer_append::{Verdict, judge};
use crate::producer_state::BatchMetadata;
use crate::time_index::TimestampOffset;
use crate::transaction_index::AbortedTxn;

/// Space reserved at once ahead of the write position.
const RESERVE_STEP: u64 = 8 << 20;
/// A segment must have grown by this much before space is reserved, so that idle partitions take none.
const RESERVE_AFTER: u64 = 1 << 20;

/// Who appends, and so which checks apply (`AppendOrigin.java`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A producer: everything is checked.
    Client,
    /// A coordinator of this broker: its batches carry no sequences, so only the producer's epoch is checked.
    Coordinator,
    /// The leader of the metadata quorum: offsets are assigned here.
    RaftLeader,
    /// The leader of the partition has checked and numbered the batch; offsets and epoch are kept as they are.
    Replication,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendInfo {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record.
    pub last_offset: Offset,
    /// The broker's time in its records; [`Timestamp::NONE`] when the producer's times stand.
    pub log_append_time: Timestamp,
    /// First offset of the log.
    pub log_start_offset: Offset,
    /// It was in the log already; the offsets are those it got then.
    pub duplicate: bool,
}

impl Log {
    /// Append a batch behind the end of the log.
    ///
    /// `epoch` is the leader's, and is written into the batch (not for [`AppendOrigin::Replication`]). `now` decides on
    /// rolls when batches have no timestamps. When an error is returned, the log is as it was before.
    pub fn append(
        &mut self,
        mut batch: ValidBatch,
        epoch: LeaderEpoch,
        origin: AppendOrigin,
        now: Timestamp,
    ) -> Result<AppendInfo, AppendError> {
        self.check_online()?;
        let marker = parse_marker_of(&batch);
        if let Verdict::Duplicate(known) =
            judge(&self.producers, batch.header(), marker.as_ref(), origin)?
        {
            return Ok(self.duplicate(&batch, &known));
        }
        self.number(&mut batch, epoch, origin)?;
        let (header, size) = (*batch.header(), batch.size());
        if size > self.config.segment_bytes as usize {
            let limit = self.config.segment_bytes;
            return Err(AppendError::BatchTooLarge { size, limit });
        }
        if self
            .should_roll(&header, size as u32, now)
            .map_err(|e| self.io_error(e))?
        {
            self.roll_for(header.base_offset(), now)?;
        }
        let position = self.write(&batch)?;
        self.after_write(&header, marker, position, size as u32)
            .map_err(|error| self.fail(error))?;
        Ok(AppendInfo {
            base_offset: header.base_offset(),
            last_offset: header.last_offset(),
            log_append_time: append_time(&header),
            log_start_offset: self.reader.log_start_offset(),
            duplicate: false,
        })
    }

    fn duplicate(&self, batch: &ValidBatch, known: &BatchMetadata) -> AppendInfo {
        let by_broker = batch.header().is_log_append_time();
        AppendInfo {
            base_offset: known.first_offset(),
            last_offset: known.last_offset,
            log_append_time: if by_broker {
                known.timestamp
            } else {
                Timestamp::NONE
            },
            log_start_offset: self.reader.log_start_offset(),
            duplicate: true,
        }
    }

    /// Give the batch its offsets and epoch, or check the ones it has.
    fn number(
        &self,
        batch: &mut ValidBatch,
        epoch: LeaderEpoch,
        origin: AppendOrigin,
    ) -> Result<(), AppendError> {
        let end = self.end;
        if origin == AppendOrigin::Replication {
            let found = batch.header().base_offset();
            if found < end {
                return Err(AppendError::OffsetsOutOfOrder { found, end });
            }
        } else {
            batch.header_mut().set_base_offset(end);
            batch.header_mut().set_leader_epoch(epoch);
        }
        Ok(())
    }

    /// Write the batch at the end of the active segment; where it was written. The file ends where it did before when
    /// this fails.
    fn write(&mut self, batch: &ValidBatch) -> Result<u32, AppendError> {
        let position = self.active.size();
        let file = self.active.log.get().map_err(|e| self.io_error(e))?;
        self.reserve(&*file, u64::from(position), batch.size() as u64);
        let bytes: [&[u8]; 2] = [batch.header().as_bytes(), batch.body()];
        match write_all_at(&*file, &bytes, position.into()) {
            Ok(()) => Ok(position),
            Err(error) => Err(self.undo_write(&*file, position, error)),
        }
    }

    fn undo_write(&mut self, file: &dyn File, position: u32, error: io::Error) -> AppendError {
        let undone = file.set_len(position.into());
        self.reserved = position.into();
        if undone.is_ok() && is_no_space(&error) {
            return AppendError::NoSpace(Arc::new(error));
        }
        self.fail(error)
    }

    /// Reserve space ahead, once the segment has seen some volume: it makes writing cheaper. A file system that cannot
    /// or has no room is left alone.
    fn reserve(&mut self, file: &dyn File, position: u64, size: u64) {
        let grown = position.saturating_sub(self.active.appended_from.into());
        if position + size <= self.reserved || grown < RESERVE_AFTER {
            return;
        }
        let limit = u64::from(self.config.segment_bytes);
        let from = self.reserved.max(position);
        let upto = (position + size + RESERVE_STEP).min(limit.max(position + size));
        self.reserved = match file.reserve(from, upto.saturating_sub(from)) {
            Ok(()) => upto,
            Err(_) => u64::MAX,
        };
    }

    /// The batch is in the file: bring everything else up to it, and show it to readers.
    fn after_write(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
        position: u32,
        size: u32,
    ) -> io::Result<()> {
        let last_offset = header.last_offset();
        self.active.observe_timestamp(TimestampOffset {
            timestamp: header.max_timestamp(),
            offset: last_offset,
        })?;
        if self.roll.bytes_since_index_entry > self.config.index_interval_bytes {
            self.active.offset_index.append(last_offset, position)?;
            let max = self.active.max_timestamp()?;
            self.active.time_index.maybe_append(max)?;
            self.roll.bytes_since_index_entry = 0;
        }
        self.roll.bytes_since_index_entry = self.roll.bytes_since_index_entry.saturating_add(size);
        if position == 0 {
            self.roll.first_timestamp = Some(header.max_timestamp());
        }
        self.assign_epoch(header.leader_epoch(), header.base_offset());
        self.update_producers(header, marker)?;
        self.end = header.next_offset();
        self.changed = true;
        let reader = &self.reader;
        reader.appended.fetch_add(size.into(), Ordering::Relaxed);
        let boundary = |offset, position| Boundary {
            offset,
            segment: self.active.base(),
            segment_id: self.active.id(),
            position,
        };
        let generation = reader.newest.generation();
        reader
            .newest
            .remember(boundary(header.base_offset(), position), generation);
        self.active.publish(position + size, self.end);
        Ok(())
    }

    /// Let what is known of producers follow a batch, and note an aborted transaction in the index.
    fn update_producers(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
    ) -> io::Result<()> {
        let completed = self.producers.apply(header, marker);
        if header.producer_id() == ProducerId::NONE {
            return Ok(());
        }
        if let Some(txn) = completed.filter(|txn| txn.aborted) {
            // The first entry creates the file.
            self.dir_changes += u64::from(self.active.txn_index.is_empty()?);
            self.active.txn_index.append(&AbortedTxn {
                producer_id: txn.producer_id,
                first_offset: txn.first_offset,
                last_offset: txn.last_offset,
                last_stable_offset: txn.last_stable_offset,
            })?;
        }
        self.publish_first_unstable();
        Ok(())
    }
}

fn parse_marker_of(batch: &ValidBatch) -> Option<EndTxnMarker> {
    let header = batch.header();
    let transactional = header.is_control() && header.producer_id() != ProducerId::NONE;
    transactional
        .then(|| parse_marker(header, batch.body()))
        .flatten()
}

fn append_time(header: &BatchHeader) -> Timestamp {
    if header.is_log_append_time() {
        header.max_timestamp()
    } else {
        Timestamp::NONE
    }
}

/// True when space may come back, by retention or by an operator.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
