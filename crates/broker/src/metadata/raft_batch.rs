//! Between metadata records and the record batches that hold them, in the log and in snapshots.
//!
//! Batches are uncompressed and of format v2; a record has no key and its value is a framed metadata record. Control
//! records stand in batches of their own with the control bit (see [`super::record::control`]). Producer fields are
//! unused.

use ottla_protocol::ids::{Offset, Timestamp};
use ottla_protocol::record::batch::{BatchHeader, MAGIC_V2};
use ottla_protocol::record::builder::{BatchBuilder, BuildError};
use ottla_protocol::record::control::ControlType;
use ottla_protocol::record::record::{RecordError, RecordReader};
use ottla_protocol::record::validate::ValidBatch;

use super::record::control::ControlRecord;
use super::record::{
    DecodeError, EncodeError, METADATA_VERSION_FEATURE, MetadataRecord, MetadataVersion,
};

/// Largest batch that is written, in bytes (`internal.metadata.max.batch.size.in.bytes`).
pub const MAX_BATCH_LEN: usize = 8 * 1024 * 1024;
/// Most bytes that come out of a compressed batch. Kafka compresses none.
const MAX_CONTENT: usize = 64 * 1024 * 1024;
/// Bytes a record takes beside its value, at most.
const MAX_RECORD_OVERHEAD: usize = 36;

/// What the records so far say about those that follow: the finalized `metadata.version`, which decides the
/// record versions to write, and whether a metadata transaction is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    level: MetadataVersion,
    /// The level to return to when the open transaction is aborted.
    transaction: Option<MetadataVersion>,
}

/// What one batch holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Control records.
    Control(Vec<ControlRecord>),
    /// Metadata records.
    Metadata(Vec<MetadataRecord>),
}

/// Why records cannot become batches. Nothing is written then.
#[derive(Debug, thiserror::Error)]
pub enum EncodeBatchError {
    /// A record cannot be written at the finalized level.
    #[error("{name} cannot be written at metadata.version {level}: {reason}")]
    Record {
        /// The record's type.
        name: &'static str,
        /// The finalized level.
        level: MetadataVersion,
        /// What is in the way.
        reason: EncodeError,
    },
    /// A control record cannot be written.
    #[error(transparent)]
    Control(#[from] EncodeError),
    /// One record alone is larger than a batch may be.
    #[error("a {name} of {len} bytes is larger than a batch may be")]
    TooLarge {
        /// The record's type.
        name: &'static str,
        /// Its length.
        len: usize,
    },
    /// The batch cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Why a batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeBatchError {
    /// Header and content do not fit the checksum, or the header is not that of a batch.
    #[error("the batch is corrupt")]
    Corrupt,
    /// The records of the batch cannot be told apart.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// A record has no value.
    #[error("a record has no value")]
    NoValue,
    /// A record cannot be decoded.
    #[error("record at offset {offset}: {reason}")]
    Record {
        /// Its offset.
        offset: Offset,
        /// What is wrong with it.
        reason: DecodeError,
    },
    /// A control record of a kind that has no place here.
    #[error("a control record of an unknown kind")]
    UnknownControl,
}

impl Default for LogState {
    fn default() -> Self {
        Self {
            level: MetadataVersion::MINIMUM,
            transaction: None,
        }
    }
}

impl LogState {
    /// The finalized `metadata.version`.
    pub fn level(&self) -> MetadataVersion {
        self.level
    }

    /// A metadata transaction has begun and not ended.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Take note of one record.
    pub fn observe(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::FeatureLevel(feature) if feature.name == METADATA_VERSION_FEATURE => {
                self.level = MetadataVersion(feature.feature_level);
            }
            MetadataRecord::BeginTransaction(_) => self.transaction = Some(self.level),
            MetadataRecord::EndTransaction(_) => self.transaction = None,
            MetadataRecord::AbortTransaction(_) => {
                self.level = self.transaction.take().unwrap_or(self.level)
            }
            _ => {}
        }
    }
}

/// The batches that hold `records`, in order, none larger than `max_len`; the state after them goes to `state`.
/// Offsets count from 0, and the epoch is not set.
///
/// # Errors
/// A record cannot be written; `state` is then as it was.
pub fn encode(
    records: &[MetadataRecord],
    state: &mut LogState,
    max_len: usize,
    now: Timestamp,
) -> Result<Vec<ValidBatch>, EncodeBatchError> {
    let mut after = *state;
    let mut batches = Vec::new();
    let mut builder = BatchBuilder::new();
    let mut value = Vec::new();
    for record in records {
        after.observe(record);
        value.clear();
        let (name, level) = (record.name(), after.level);
        record
            .encode(record.version_at(level), &mut value)
            .map_err(|reason| EncodeBatchError::Record {
                name,
                level,
                reason,
            })?;
        let needed = value.len() + MAX_RECORD_OVERHEAD;
        if !builder.is_empty() && builder.plain_size() + needed > max_len {
            batches.push(std::mem::take(&mut builder).build()?);
        }
        if builder.plain_size() + needed > max_len {
            return Err(EncodeBatchError::TooLarge {
                name,
                len: value.len(),
            });
        }
        builder.append(now, None, Some(&value));
    }
    if !builder.is_empty() {
        batches.push(builder.build()?);
    }
    *state = after;
    Ok(batches)
}

/// One control batch that holds `records`.
///
/// # Errors
/// A record cannot be written, or there is none.
pub fn encode_control(
    records: &[ControlRecord],
    now: Timestamp,
) -> Result<ValidBatch, EncodeBatchError> {
    let mut builder = BatchBuilder::new().control();
    for record in records {
        builder.append(
            now,
            Some(&record.control_type().key()),
            Some(&record.value()?),
        );
    }
    Ok(builder.build()?)
}

/// What the batch of this header and body holds. The checksum is verified.
///
/// # Errors
/// The batch is corrupt, or holds something this release does not know.
pub fn decode(header: &BatchHeader, body: &[u8]) -> Result<Content, DecodeBatchError> {
    let (mut control, mut metadata) = (Vec::new(), Vec::new());
    for_each_record(header, body, |record| {
        if header.is_control() {
            control.push(record.decode_control()?);
        } else {
            metadata.push(record.decode_metadata()?.0);
        }
        Ok(())
    })?;
    Ok(if header.is_control() {
        Content::Control(control)
    } else {
        Content::Metadata(metadata)
    })
}

/// Call `visit` for each record of the batch. The checksum is verified first.
///
/// # Errors
/// The batch is corrupt, or what `visit` gives.
pub fn for_each_record(
    header: &BatchHeader,
    body: &[u8],
    mut visit: impl FnMut(RawRecord<'_>) -> Result<(), DecodeBatchError>,
) -> Result<(), DecodeBatchError> {
    if header.magic() != MAGIC_V2 || !is_intact(header, body) {
        return Err(DecodeBatchError::Corrupt);
    }
    let mut reader = RecordReader::new(header, body, MAX_CONTENT)?;
    while let Some(record) = reader.next()? {
        visit(RawRecord {
            offset: header.base_offset().plus(record.offset_delta.into()),
            timestamp: Timestamp(
                header
                    .base_timestamp()
                    .0
                    .wrapping_add(record.timestamp_delta),
            ),
            key: record.key.unwrap_or_default(),
            value: record.value.ok_or(DecodeBatchError::NoValue)?,
        })?;
    }
    Ok(())
}

/// One record of a batch, not yet decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// When it was appended.
    pub timestamp: Timestamp,
    /// Its key, empty when there is none.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
}

impl RawRecord<'_> {
    /// The metadata record it holds, and in which version.
    pub fn decode_metadata(&self) -> Result<(MetadataRecord, i16), DecodeBatchError> {
        MetadataRecord::decode(self.value).map_err(|reason| DecodeBatchError::Record {
            offset: self.offset,
            reason,
        })
    }

    /// The control record it holds.
    pub fn decode_control(&self) -> Result<ControlRecord, DecodeBatchError> {
        let kind = ControlType::parse_key(self.key).ok_or(DecodeBatchError::UnknownControl)?;
        ControlRecord::decode(kind, self.value)
            .map_err(|reason| DecodeBatchError::Record {
                offset: self.offset,
                reason,
            })?
            .ok_or(DecodeBatchError::UnknownControl)
    }
}

fn is_intact(header: &BatchHeader, body: &[u8]) -> bool {
    let mut sealed = *header;
    sealed.seal(body);
    sealed.crc() == header.crc()
}
