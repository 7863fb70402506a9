//! The one gate into the log: a batch from a producer becomes a [`ValidBatch`] or is refused.
//!
//! The checks are those of Kafka's `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords` and
//! `LogValidator`, in their order, so that clients see the same error for the same fault. The bytes stay as they
//! came unless a rule demands otherwise:
//!
//! - the max timestamp of the header is set to what the records say, the timestamp type to the topic's;
//! - the batch is written anew when the topic has a codec of its own, or when the offset deltas are not 0, 1, 2, ...
//!   (Kafka does the latter for compressed batches only, and stores plain ones with holes in them).
//!
//! Compared with Kafka 4.3's own log on thousands of damaged batches, four things differ by intent: bytes behind the
//! batch are refused, not cut off; the lengths of records must be right in compressed batches too; the content of
//! compressed batches is limited in size; and what makes Kafka answer UNKNOWN_SERVER_ERROR, an unreadable compressed
//! stream or an unknown codec, gets an error that says so.

use bytes::{Bytes, BytesMut};

use super::batch::{
    BatchHeader, CRC_START, HEADER_LEN, LOG_OVERHEAD, MAGIC_AT, MAGIC_V2, TRANSACTIONAL, crc32c,
};
use super::builder::BatchBuilder;
use super::invalid_batch::InvalidBatch;
use super::record::{Record, RecordError, RecordReader};
use crate::compression::{Codec, Compression};
use crate::ids::{Offset, ProducerId, Timestamp};

/// Where the length field stands.
const LENGTH_AT: usize = 8;
/// First version of Produce that may carry zstd (KIP-110).
const ZSTD_PRODUCE_VERSION: i16 = 7;
/// Smallest value of the length field that Kafka takes for a batch of any magic (`LegacyRecord.RECORD_OVERHEAD_V0`).
const MIN_BATCH_LENGTH: i32 = 14;
/// Faults of records that are told one by one; the rest of a batch's faults would be more of the same.
const MAX_RECORD_ERRORS: usize = 1000;

/// A batch that may enter the log: header and records fit each other and the rules.
///
/// Base offset and leader epoch are the log's to assign, in [`Self::header_mut`]; both stand outside the CRC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidBatch {
    header: BatchHeader,
    body: Bytes,
}

/// What the topic asks of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRules {
    /// Largest size of the batch as stored, compressed and with its header (`max.message.bytes`).
    pub max_message_bytes: usize,
    /// Largest size of the records of one batch when decompressed.
    pub max_decompressed_bytes: usize,
    /// Whose timestamps the topic keeps (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// How far a record's timestamp may lie in the past (`message.timestamp.before.max.ms`).
    pub timestamp_before_max_ms: i64,
    /// How far a record's timestamp may lie in the future (`message.timestamp.after.max.ms`).
    pub timestamp_after_max_ms: i64,
    /// Refuse records without a key: the topic is compacted.
    pub require_keys: bool,
    /// How the topic stores batches (`compression.type`).
    pub codec: TopicCodec,
    /// The time of the append.
    pub now: Timestamp,
    /// Version of the Produce request that carries the batch.
    pub produce_version: i16,
}

/// Whose timestamps a topic keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The time of the append.
    LogAppendTime,
}

/// How a topic stores batches. One that already uses the codec, at whatever level, is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicCodec {
    /// As the producer sent them.
    #[default]
    Producer,
    /// Plain.
    Uncompressed,
    /// See [`Codec::Gzip`].
    Gzip {
        /// `compression.gzip.level`
        level: i32,
    },
    /// See [`Codec::Snappy`].
    Snappy,
    /// See [`Codec::Lz4`].
    Lz4 {
        /// `compression.lz4.level`
        level: i32,
    },
    /// See [`Codec::Zstd`].
    Zstd {
        /// `compression.zstd.level`
        level: i32,
    },
}

impl TopicCodec {
    fn target(self, source: Compression) -> Codec {
        match self {
            Self::Producer => Codec::from(source),
            Self::Uncompressed => Codec::None,
            Self::Gzip { level } => Codec::Gzip { level },
            Self::Snappy => Codec::Snappy,
            Self::Lz4 { level } => Codec::Lz4 { level },
            Self::Zstd { level } => Codec::Zstd { level },
        }
    }
}

impl ValidBatch {
    /// Check what a producer sent for one partition; `records` is that and nothing else.
    pub fn check(records: Bytes, rules: &BatchRules) -> Result<Self, InvalidBatch> {
        let mut header = single_batch(&records)?;
        let source = check_codec(&header, rules)?;
        check_whole(&header, &records, rules)?;
        check_counts(&header)?;
        let body = records.slice(HEADER_LEN..);

        let seen = check_records(&header, &body, rules)?;
        let target = rules.codec.target(source);
        if target.compression() != source || !seen.offsets_in_order {
            return rebuild(&header, &body, target, rules);
        }
        let sealed_right = rules.timestamp_type == TimestampType::CreateTime
            && !header.is_log_append_time()
            && header.max_timestamp() == seen.max_timestamp;
        if !sealed_right {
            match rules.timestamp_type {
                TimestampType::CreateTime => header.set_create_time(seen.max_timestamp),
                TimestampType::LogAppendTime => header.set_log_append_time(rules.now),
            }
            header.seal(&body);
        }
        Ok(Self { header, body })
    }

    /// A batch that needs no check, because it comes from our own builder or log.
    pub fn trusted(header: BatchHeader, body: Bytes) -> Self {
        Self { header, body }
    }

    /// Split the bytes of a batch that needs no check, because they come from our own log; `None` when they are
    /// not exactly the batch that their header tells of.
    pub fn from_trusted_bytes(mut batch: Bytes) -> Option<Self> {
        let header = BatchHeader::read(&batch)?;
        if header.size() != Some(batch.len()) {
            return None;
        }
        Some(Self {
            header,
            body: batch.split_off(HEADER_LEN),
        })
    }

    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The header, to assign base offset and leader epoch.
    pub fn header_mut(&mut self) -> &mut BatchHeader {
        &mut self.header
    }

    /// What follows the header: the records, compressed or not.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Bytes of header and body.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Header and body in one piece; copies.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.size());
        bytes.extend_from_slice(self.header.as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.freeze()
    }

    /// The records; at most `max_content` bytes are decompressed.
    pub fn records(&self, max_content: usize) -> Result<RecordReader<'_>, RecordError> {
        RecordReader::new(&self.header, &self.body, max_content)
    }
}

/// The header of the only batch in `records`.
/// Whether what a producer sent for a partition begins with a whole batch that says that it is part of a transaction
/// (`ByteBufferLogInputStream.nextBatch`). Looks at no more than its first bytes.
///
/// # Errors
/// What begins there cannot be a batch.
pub fn begins_transactional(records: &[u8]) -> Result<bool, InvalidBatch> {
    let Some(length) = records.get(LENGTH_AT..).and_then(<[u8]>::first_chunk) else {
        return Ok(false);
    };
    let length = i32::from_be_bytes(*length);
    if length < MIN_BATCH_LENGTH {
        return Err(InvalidBatch::Length(length));
    }
    match records.get(MAGIC_AT).map(|magic| *magic as i8) {
        None | Some(0 | 1) => Ok(false),
        Some(MAGIC_V2) => {
            let is_whole = records.len() - LOG_OVERHEAD >= length as usize;
            Ok(is_whole && i16::from(records[CRC_START + 1]) & TRANSACTIONAL != 0)
        }
        Some(magic) => Err(InvalidBatch::UnknownMagic(magic)),
    }
}

fn single_batch(records: &[u8]) -> Result<BatchHeader, InvalidBatch> {
    let Some((head, _)) = records.split_first_chunk::<17>() else {
        return Err(InvalidBatch::NoBatch);
    };
    let length = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    if length < MIN_BATCH_LENGTH {
        return Err(InvalidBatch::Length(length));
    }
    match head[16] as i8 {
        MAGIC_V2 => {}
        magic @ (0 | 1) => return Err(InvalidBatch::Magic(magic)),
        magic => return Err(InvalidBatch::UnknownMagic(magic)),
    }
    let size = LOG_OVERHEAD + length as usize;
    let header = BatchHeader::read(records)
        .filter(|_| size <= records.len())
        .ok_or(InvalidBatch::NoBatch)?;
    if header.size().is_none() {
        return Err(InvalidBatch::Length(length));
    }
    match records.len() - size {
        0 => Ok(header),
        more => Err(InvalidBatch::NotOneBatch(more)),
    }
}

fn check_codec(header: &BatchHeader, rules: &BatchRules) -> Result<Compression, InvalidBatch> {
    let codec = header.codec_id();
    match Compression::from_id(codec) {
        Some(Compression::Zstd) if rules.produce_version < ZSTD_PRODUCE_VERSION => None,
        known => known,
    }
    .ok_or(InvalidBatch::Compression {
        codec,
        produce_version: rules.produce_version,
    })
}

/// What `UnifiedLog.analyzeAndValidateRecords` looks at before the records are.
fn check_whole(header: &BatchHeader, batch: &[u8], rules: &BatchRules) -> Result<(), InvalidBatch> {
    if header.base_offset() != Offset(0) {
        return Err(InvalidBatch::BaseOffset(header.base_offset()));
    }
    check_size(batch.len(), rules)?;
    let (stored, computed) = (header.crc(), crc32c(&batch[CRC_START..]));
    if stored != computed {
        return Err(InvalidBatch::Crc { stored, computed });
    }
    Ok(())
}

fn check_size(size: usize, rules: &BatchRules) -> Result<(), InvalidBatch> {
    let max = rules.max_message_bytes;
    if size > max {
        Err(InvalidBatch::TooLarge { size, max })
    } else {
        Ok(())
    }
}

/// `LogValidator.validateBatch`.
fn check_counts(header: &BatchHeader) -> Result<(), InvalidBatch> {
    let (count, last_offset_delta) = (header.records_count(), header.last_offset_delta());
    if count <= 0 || count - 1 != last_offset_delta {
        return Err(InvalidBatch::Count {
            count,
            last_offset_delta,
        });
    }
    if header.is_control() {
        return Err(InvalidBatch::Control);
    }
    let (producer_id, sequence) = (header.producer_id(), header.base_sequence().0);
    if producer_id > ProducerId::NONE && sequence < 0 {
        return Err(InvalidBatch::Sequence {
            producer_id,
            sequence,
        });
    }
    Ok(())
}

/// What a walk over the records has found.
struct Seen {
    max_timestamp: Timestamp,
    offsets_in_order: bool,
}

fn check_records(
    header: &BatchHeader,
    body: &[u8],
    rules: &BatchRules,
) -> Result<Seen, InvalidBatch> {
    let mut seen = Seen {
        max_timestamp: Timestamp::NONE,
        offsets_in_order: true,
    };
    let mut errors = Vec::new();
    let mut wrong_timestamp = false;
    let mut reader = RecordReader::new(header, body, rules.max_decompressed_bytes)?;
    let mut index = 0;
    while let Some(record) = reader.next()? {
        let timestamp = timestamp_of(&record, header);
        if rules.require_keys && record.key.is_none() {
            errors.push((
                index,
                "Compacted topic cannot accept message without key".to_owned(),
            ));
        } else if let Some(fault) = timestamp_fault(timestamp, header, rules) {
            wrong_timestamp = true;
            errors.push((index, fault));
        }
        if errors.len() == MAX_RECORD_ERRORS {
            break;
        }
        seen.max_timestamp = seen.max_timestamp.max(timestamp);
        seen.offsets_in_order &= record.offset_delta == index;
        index += 1;
    }
    match (errors.is_empty(), wrong_timestamp) {
        (true, _) => Ok(seen),
        (false, true) => Err(InvalidBatch::Timestamps(errors)),
        (false, false) => Err(InvalidBatch::Keys(errors)),
    }
}

fn timestamp_of(record: &Record<'_>, header: &BatchHeader) -> Timestamp {
    if header.is_log_append_time() {
        header.max_timestamp()
    } else {
        Timestamp(
            header
                .base_timestamp()
                .0
                .wrapping_add(record.timestamp_delta),
        )
    }
}

/// `LogValidator.validateTimestamp`.
fn timestamp_fault(at: Timestamp, header: &BatchHeader, rules: &BatchRules) -> Option<String> {
    if rules.timestamp_type == TimestampType::CreateTime && at != Timestamp::NONE {
        let age = rules.now.0.saturating_sub(at.0);
        if age > rules.timestamp_before_max_ms
            || age.saturating_neg() > rules.timestamp_after_max_ms
        {
            let earliest = rules.now.0.saturating_sub(rules.timestamp_before_max_ms);
            let latest = rules.now.0.saturating_add(rules.timestamp_after_max_ms);
            return Some(format!(
                "Timestamp {at} is out of range. The timestamp should be within [{earliest}, {latest}]"
            ));
        }
    } else if header.is_log_append_time() {
        return Some("Producer should not set timestamp type to LogAppendTime".to_owned());
    }
    None
}

/// Write the batch anew with `codec` and offset deltas that count up from 0.
fn rebuild(
    header: &BatchHeader,
    body: &[u8],
    codec: Codec,
    rules: &BatchRules,
) -> Result<ValidBatch, InvalidBatch> {
    let mut builder = BatchBuilder::like(header).codec(codec);
    if rules.timestamp_type == TimestampType::LogAppendTime {
        builder = builder.log_append_time(rules.now);
    }
    let mut reader = RecordReader::new(header, body, rules.max_decompressed_bytes)?;
    while let Some(record) = reader.next()? {
        builder.append_record(
            builder.next_offset_delta(),
            timestamp_of(&record, header),
            &record,
        );
    }
    let batch = builder.build()?;
    check_size(batch.size(), rules)?;
    Ok(batch)
}

#[cfg(test)]
mod tests;
