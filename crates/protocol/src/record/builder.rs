//! Builds a batch record by record: for internal topics, for compaction, for recompression, for tests.
//!
//! The records are encoded as they are appended; [`BatchBuilder::build`] compresses them and writes the header.

use bytes::Bytes;
use thiserror::Error;

use super::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD};
use super::record::Record;
use super::validate::ValidBatch;
use crate::compression::Codec;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use crate::varint;

/// Bytes that a record takes beside key, value and headers, at most: lengths, attributes, deltas, counts.
const MAX_RECORD_OVERHEAD: usize = 36;

/// A batch in the making. The setters may be called in any order, before or after records are appended, except
/// [`Self::base_timestamp`].
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Codec,
    log_append_time: Option<Timestamp>,
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
    next_offset_delta: i32,
    last_offset_delta: Option<i32>,
    count: i32,
    records: Vec<u8>,
}

/// Why no batch can be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// No record was appended and no offset range was given, so the batch would cover no offset.
    #[error("a batch without records needs an explicit last offset delta")]
    Empty,
    /// The batch would not fit its own length field.
    #[error("a batch of {0} bytes is too large")]
    TooLarge(usize),
    /// The codec failed.
    #[error("the records cannot be compressed: {0}")]
    Compress(#[from] std::io::Error),
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// A plain batch at offset 0 with no leader epoch, of no idempotent producer, with the producer's timestamps.
    pub fn new() -> Self {
        let mut header = BatchHeader::blank();
        header.set_leader_epoch(LeaderEpoch::NONE);
        header.set_producer(ProducerId::NONE, ProducerEpoch::NONE, Sequence::NONE);
        Self {
            header,
            codec: Codec::None,
            log_append_time: None,
            base_timestamp: None,
            max_timestamp: Timestamp::NONE,
            next_offset_delta: 0,
            last_offset_delta: None,
            count: 0,
            records: Vec::new(),
        }
    }

    /// A batch that keeps what `header` says of offset, epoch, producer and kind, but neither its records,
    /// timestamps nor codec: for writing some of the batch's records anew.
    pub fn like(header: &BatchHeader) -> Self {
        let mut builder = Self::new()
            .base_offset(header.base_offset())
            .leader_epoch(header.leader_epoch())
            .producer(
                header.producer_id(),
                header.producer_epoch(),
                header.base_sequence(),
            );
        builder.header.set_transactional(header.is_transactional());
        builder.header.set_control(header.is_control());
        builder
    }

    /// Offset of delta 0.
    #[must_use]
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.header.set_base_offset(offset);
        self
    }

    /// Epoch of the leader that appends the batch.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.header.set_leader_epoch(epoch);
        self
    }

    /// The idempotent producer, and the sequence of delta 0.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, sequence: Sequence) -> Self {
        self.header.set_producer(id, epoch, sequence);
        self
    }

    /// Part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.set_transactional(true);
        self
    }

    /// Holds control records.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.set_control(true);
        self
    }

    /// How the records are compressed.
    #[must_use]
    pub fn codec(mut self, codec: impl Into<Codec>) -> Self {
        self.codec = codec.into();
        self
    }

    /// The broker's time for all records, of timestamp type `LogAppendTime`.
    #[must_use]
    pub fn log_append_time(mut self, at: Timestamp) -> Self {
        self.log_append_time = Some(at);
        self
    }

    /// Timestamp from which the records' deltas count; by default that of the first record. Call it before the
    /// first record is appended.
    #[must_use]
    pub fn base_timestamp(mut self, at: Timestamp) -> Self {
        self.base_timestamp = Some(at);
        self
    }

    /// When tombstones and markers of the batch may go (KIP-534). It takes the place of the base timestamp, so call
    /// it before the first record is appended.
    #[must_use]
    pub fn delete_horizon(mut self, at: Timestamp) -> Self {
        self.header.set_delete_horizon();
        self.base_timestamp(at)
    }

    /// Let the batch reach up to this delta, whatever records it holds: compaction keeps the range of offsets when
    /// it takes records away, even all of them (`DefaultRecordBatch.writeEmptyHeader`).
    #[must_use]
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.last_offset_delta = Some(delta);
        self
    }

    /// The max timestamp of a batch that may stay without records; records with later ones raise it.
    #[must_use]
    pub fn max_timestamp(mut self, at: Timestamp) -> Self {
        self.max_timestamp = self.max_timestamp.max(at);
        self
    }

    /// Append a record at the next offset.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> &mut Self {
        self.append_with_headers(timestamp, key, value, &[])
    }

    /// Append a record with headers at the next offset.
    pub fn append_with_headers(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> &mut Self {
        let mut encoded = Vec::new();
        for (key, value) in headers {
            put_nullable(&mut encoded, Some(key));
            put_nullable(&mut encoded, *value);
        }
        let delta = self.next_offset_delta;
        self.append_encoded(
            delta,
            timestamp,
            0,
            key,
            value,
            (headers.len() as u32, &encoded),
        )
    }

    /// Append a record of another batch, unchanged but for its offset: `timestamp` is its own, the deltas in
    /// `record` are not looked at.
    pub fn append_record(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        record: &Record<'_>,
    ) -> &mut Self {
        let headers = record.headers.encoded();
        self.append_encoded(
            offset_delta,
            timestamp,
            record.attributes,
            record.key,
            record.value,
            headers,
        )
    }

    /// Offset delta that the next record gets when none is named.
    pub fn next_offset_delta(&self) -> i32 {
        self.next_offset_delta
    }

    /// Count of the records so far.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// True while no record is appended.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch if it were built without compression.
    pub fn plain_size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// The batch, sealed.
    pub fn build(self) -> Result<ValidBatch, BuildError> {
        let last_offset_delta = match self.last_offset_delta {
            Some(delta) => delta.max(self.next_offset_delta.wrapping_sub(1)),
            None if self.count == 0 => return Err(BuildError::Empty),
            None => self.next_offset_delta.wrapping_sub(1),
        };
        // A batch without records is not compressed: there would be nothing to decompress (`writeEmptyHeader`).
        let codec = if self.count == 0 {
            Codec::None
        } else {
            self.codec
        };
        let body = match codec {
            Codec::None => self.records,
            codec => {
                let mut compressed = Vec::with_capacity(self.records.len() / 2);
                codec.compress(&self.records, &mut compressed)?;
                compressed
            }
        };
        let size = HEADER_LEN + body.len();
        let length = i32::try_from(size - LOG_OVERHEAD).map_err(|_| BuildError::TooLarge(size))?;

        let mut header = self.header;
        header.set_batch_length(length);
        header.set_codec(codec.compression());
        header.set_last_offset_delta(last_offset_delta);
        header.set_base_timestamp(self.base_timestamp.unwrap_or(Timestamp::NONE));
        header.set_records_count(self.count);
        match self.log_append_time {
            Some(at) => header.set_log_append_time(at),
            None => header.set_create_time(self.max_timestamp),
        }
        header.seal(&body);
        Ok(ValidBatch::trusted(header, Bytes::from(body)))
    }

    fn append_encoded(
        &mut self,
        offset_delta: i32,
        timestamp: Timestamp,
        attributes: i8,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        (headers_count, headers): (u32, &[u8]),
    ) -> &mut Self {
        let base = self.base_timestamp.get_or_insert(timestamp).0;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(base);
        let body_len = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i32(offset_delta)
            + nullable_len(key)
            + nullable_len(value)
            + varint::len_i32(headers_count as i32)
            + headers.len();

        let out = &mut self.records;
        out.reserve(MAX_RECORD_OVERHEAD + body_len);
        varint::put_i32(out, body_len as i32);
        out.push(attributes as u8);
        varint::put_i64(out, timestamp_delta);
        varint::put_i32(out, offset_delta);
        put_nullable(out, key);
        put_nullable(out, value);
        varint::put_i32(out, headers_count as i32);
        out.extend_from_slice(headers);

        self.next_offset_delta = offset_delta.wrapping_add(1);
        self.count += 1;
        self
    }
}

fn nullable_len(field: Option<&[u8]>) -> usize {
    match field {
        Some(bytes) => varint::len_i32(bytes.len() as i32) + bytes.len(),
        None => 1,
    }
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            varint::put_i32(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
        None => varint::put_i32(out, -1),
    }
}

#[cfg(test)]
mod tests;
