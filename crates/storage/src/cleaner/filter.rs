//! Decide for each batch what stays of it (`Cleaner.cleanInto`, `MemoryRecords.filterTo`).

use std::collections::HashMap;

use ottla_protocol::compression::Compression;
use ottla_protocol::ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
use ottla_protocol::record::builder::{BatchBuilder, BuildError};
use ottla_protocol::record::record::{Record, RecordError, RecordReader};
use ottla_protocol::record::{BatchHeader, EndTxnMarker, ValidBatch};

use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use crate::producer_state::ProducerState;

/// What stays of a batch.
#[derive(Debug)]
pub(crate) enum Kept {
    /// All of it, byte for byte.
    Whole,
    /// Some of it, or only its header.
    Part(ValidBatch),
    /// Nothing.
    Nothing,
}

/// Why a batch cannot be judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// The last word of a producer in a log (`LastRecord.java`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastRecord {
    /// Last offset of its last data batch in this epoch; `None` when it has only written markers.
    data: Option<Offset>,
    epoch: ProducerEpoch,
}

/// The last words of all producers that a log knows.
pub(crate) fn last_records(producers: &ProducerState) -> HashMap<ProducerId, LastRecord> {
    let last = producers.producers().map(|(id, entry)| {
        let data = entry.batches.last().map(|batch| batch.last_offset);
        let epoch = entry.epoch;
        (id, LastRecord { data, epoch })
    });
    last.collect()
}

/// What decides, the same for all batches of a group.
pub(crate) struct Filter<'a> {
    pub(crate) map: &'a OffsetMap,
    pub(crate) last_records: HashMap<ProducerId, LastRecord>,
    /// Where the dirty part ends that this round cleans.
    pub(crate) round_end: Offset,
    pub(crate) delete_retention_ms: i64,
    pub(crate) now: Timestamp,
    /// Bytes that may come out of a compressed batch.
    pub(crate) max_content: usize,
}

impl Filter<'_> {
    /// What stays of a batch. `body` is what follows its header. `verdicts` is scratch space.
    pub(crate) fn judge(
        &self,
        header: &BatchHeader,
        body: &[u8],
        transactions: &mut Transactions,
        verdicts: &mut Vec<bool>,
    ) -> Result<Kept, FilterError> {
        let done_for = self.is_done_for(header, body, transactions)?;
        let last_of_producer = self.is_last_of_producer(header);
        let retain_header = last_of_producer || header.next_offset() == self.round_end;
        let marker_of_nothing = done_for && header.is_control();
        let discard = match header.is_control() {
            // The epoch is in the header, but that it was the producer's last word only the marker tells at recovery.
            true => done_for && self.has_outlived(header) && !last_of_producer,
            false => done_for,
        };
        if discard {
            return match retain_header {
                true => Ok(Kept::Part(empty(header)?)),
                false => Ok(Kept::Nothing),
            };
        }
        let found = self.judge_records(header, body, verdicts)?;
        if found.kept == 0 {
            return match retain_header {
                true if header.records_count() == 0 => Ok(Kept::Whole),
                true => Ok(Kept::Part(empty(header)?)),
                false => Ok(Kept::Nothing),
            };
        }
        let needs_horizon = (found.tombstone || marker_of_nothing) && !header.has_delete_horizon();
        if found.kept == verdicts.len() && !needs_horizon {
            return Ok(Kept::Whole);
        }
        let horizon = match header.has_delete_horizon() {
            true => Some(header.base_timestamp()),
            false if needs_horizon => Some(Timestamp(
                self.now.0.saturating_add(self.delete_retention_ms),
            )),
            false => None,
        };
        Ok(Kept::Part(self.rebuild(header, body, verdicts, horizon)?))
    }

    /// True when nobody needs the batch for what it says of its transaction: its records were aborted, or its marker has
    /// nothing left to mark.
    fn is_done_for(
        &self,
        header: &BatchHeader,
        body: &[u8],
        transactions: &mut Transactions,
    ) -> Result<bool, FilterError> {
        if !header.is_control() {
            return Ok(transactions.on_data(header));
        }
        let marker = marker(header, body, self.max_content)?;
        Ok(transactions.on_control(header, marker, header.records_count() == 0))
    }

    /// True for the batch that tells how far its producer has come.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let known = self.last_records.get(&header.producer_id());
        header.producer_id() != ProducerId::NONE
            && known.is_some_and(|last| match last.data {
                Some(offset) => offset == header.last_offset(),
                None => header.is_control() && header.producer_epoch() == last.epoch,
            })
    }

    /// True when the batch has a delete horizon, and it has come.
    fn has_outlived(&self, header: &BatchHeader) -> bool {
        header.has_delete_horizon() && header.base_timestamp() <= self.now
    }

    /// Judge each record; the verdicts are in the order of the records.
    fn judge_records(
        &self,
        header: &BatchHeader,
        body: &[u8],
        verdicts: &mut Vec<bool>,
    ) -> Result<Found, RecordError> {
        verdicts.clear();
        let mut found = Found::default();
        let keep_tombstones = !self.has_outlived(header);
        let mut records = RecordReader::new(header, body, self.max_content)?;
        while let Some(record) = records.next()? {
            let keep = header.is_control() || self.keeps(header, &record, keep_tombstones);
            verdicts.push(keep);
            found.kept += usize::from(keep);
            found.tombstone |= keep && record.value.is_none();
        }
        Ok(found)
    }

    fn keeps(&self, header: &BatchHeader, record: &Record<'_>, keep_tombstones: bool) -> bool {
        let offset = header.base_offset().plus(record.offset_delta.into());
        if offset > self.map.latest() {
            return true;
        }
        let Some(key) = record.key else {
            return false;
        };
        let is_latest = self.map.get(key).is_none_or(|latest| offset >= latest);
        is_latest && (record.value.is_some() || keep_tombstones)
    }

    fn rebuild(
        &self,
        header: &BatchHeader,
        body: &[u8],
        verdicts: &[bool],
        horizon: Option<Timestamp>,
    ) -> Result<ValidBatch, FilterError> {
        let codec = Compression::from_id(header.codec_id())
            .ok_or(RecordError::UnknownCodec(header.codec_id()))?;
        let mut builder = BatchBuilder::like(header)
            .codec(codec)
            .last_offset_delta(header.last_offset_delta());
        if header.is_log_append_time() {
            builder = builder.log_append_time(header.max_timestamp());
        }
        if let Some(horizon) = horizon {
            builder = builder.delete_horizon(horizon);
        }
        let mut records = RecordReader::new(header, body, self.max_content)?;
        let mut verdicts = verdicts.iter();
        while let Some(record) = records.next()? {
            if verdicts.next() == Some(&true) {
                builder.append_record(record.offset_delta, timestamp(header, &record), &record);
            }
        }
        Ok(builder.build()?)
    }
}

/// What was found in a batch.
#[derive(Default)]
struct Found {
    /// Count of the records that stay.
    kept: usize,
    /// One of them is a tombstone.
    tombstone: bool,
}

/// What the control record of a batch says, when it is a transaction marker.
pub(crate) fn marker(
    header: &BatchHeader,
    body: &[u8],
    max_content: usize,
) -> Result<Option<EndTxnMarker>, RecordError> {
    let mut records = RecordReader::new(header, body, max_content)?;
    Ok(records.next()?.as_ref().and_then(EndTxnMarker::parse))
}

fn timestamp(header: &BatchHeader, record: &Record<'_>) -> Timestamp {
    match header.is_log_append_time() {
        true => header.max_timestamp(),
        false => Timestamp(
            header
                .base_timestamp()
                .0
                .saturating_add(record.timestamp_delta),
        ),
    }
}

/// The header of a batch without its records (`DefaultRecordBatch.writeEmptyHeader`).
fn empty(header: &BatchHeader) -> Result<ValidBatch, BuildError> {
    let builder = BatchBuilder::like(header).last_offset_delta(header.last_offset_delta());
    let max = header.max_timestamp();
    match header.is_log_append_time() {
        true => builder.log_append_time(max).build(),
        false => builder.max_timestamp(max).build(),
    }
}

#[cfg(test)]
mod tests;
