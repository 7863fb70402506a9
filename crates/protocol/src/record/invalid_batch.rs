//! Why a producer's batch is refused, and the Kafka error that says so.

use kafka_protocol::ResponseError;
use thiserror::Error;

use super::builder::BuildError;
use super::record::RecordError;
use crate::ids::{Offset, ProducerId};

/// Why a batch is refused.
#[derive(Debug, Error)]
pub enum InvalidBatch {
    /// There is no whole batch.
    #[error("the request must hold exactly one record batch, but holds none that is complete")]
    NoBatch,
    /// There is more than the batch.
    #[error("the request must hold exactly one record batch, but {0} bytes follow it")]
    NotOneBatch(usize),
    /// The length field cannot be true.
    #[error("the length {0} in the batch's header is too small")]
    Length(i32),
    /// The batch is in an old format.
    #[error("record batches must have magic version 2, not {0}")]
    Magic(i8),
    /// The batch is in no format.
    #[error("magic {0} in the batch's header is not valid")]
    UnknownMagic(i8),
    /// The checksum in the header is not that of the batch.
    #[error("the batch is corrupt: its stored crc is {stored}, the computed one {computed}")]
    Crc {
        /// What the header says.
        stored: u32,
        /// What the bytes give.
        computed: u32,
    },
    /// A batch is larger than the topic allows.
    #[error("the batch takes {size} bytes, more than the {max} that max.message.bytes allows")]
    TooLarge {
        /// Size as it would be stored.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A compressed batch blows up.
    #[error("the batch takes more than {0} bytes when decompressed")]
    DecompressedTooLarge(usize),
    /// The codec does not exist, or not yet in this version of Produce.
    #[error("compression codec {codec} may not be used with version {produce_version} of Produce")]
    Compression {
        /// Id in the attributes.
        codec: u8,
        /// Version of the request.
        produce_version: i16,
    },
    /// Offsets are the broker's to assign.
    #[error("the base offset must be 0, not {0}")]
    BaseOffset(Offset),
    /// Count of records and range of offsets do not belong together.
    #[error("the batch declares {count} records and a last offset delta of {last_offset_delta}")]
    Count {
        /// Declared count.
        count: i32,
        /// Declared delta.
        last_offset_delta: i32,
    },
    /// Control records are the broker's to write.
    #[error("clients may not write control records")]
    Control,
    /// A producer id without a sequence.
    #[error("sequence {sequence} is not valid for producer id {producer_id}")]
    Sequence {
        /// The producer.
        producer_id: ProducerId,
        /// Its base sequence.
        sequence: i32,
    },
    /// The records cannot be read.
    #[error("{0}")]
    Records(RecordError),
    /// Some records have no key though the topic is compacted.
    #[error(
        "one or more records have been rejected: a compacted topic takes no records without a key"
    )]
    Keys(Vec<(i32, String)>),
    /// Some records have a timestamp out of bounds, and some perhaps no key.
    #[error("One or more records have been rejected due to invalid timestamp")]
    Timestamps(Vec<(i32, String)>),
    /// The batch cannot be written anew.
    #[error("{0}")]
    Rebuild(#[from] BuildError),
}

impl InvalidBatch {
    /// The error that the client is told.
    pub fn error_code(&self) -> ResponseError {
        match self {
            Self::Length(_) | Self::UnknownMagic(_) | Self::Crc { .. } => {
                ResponseError::CorruptMessage
            }
            Self::TooLarge { .. } | Self::DecompressedTooLarge(_) => ResponseError::MessageTooLarge,
            Self::Rebuild(BuildError::TooLarge(_)) => ResponseError::MessageTooLarge,
            Self::Rebuild(_) => ResponseError::UnknownServerError,
            Self::Compression { .. } => ResponseError::UnsupportedCompressionType,
            Self::Timestamps(_) => ResponseError::InvalidTimestamp,
            Self::NoBatch
            | Self::NotOneBatch(_)
            | Self::Magic(_)
            | Self::BaseOffset(_)
            | Self::Count { .. }
            | Self::Control
            | Self::Sequence { .. }
            | Self::Records(_)
            | Self::Keys(_) => ResponseError::InvalidRecord,
        }
    }

    /// Whether this is found before anyone looks into the batch (`ProduceRequest.validateRecords`, and what it throws at).
    pub fn is_of_frame(&self) -> bool {
        matches!(
            self,
            Self::NoBatch
                | Self::NotOneBatch(_)
                | Self::Length(_)
                | Self::Magic(_)
                | Self::UnknownMagic(_)
                | Self::Compression { .. }
        )
    }

    /// What is wrong, for people.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The records at fault, by index within the batch, and what is wrong with each (KIP-467). Empty when the
    /// batch is refused as such.
    pub fn record_errors(&self) -> &[(i32, String)] {
        match self {
            Self::Keys(errors) | Self::Timestamps(errors) => errors,
            _ => &[],
        }
    }
}

impl From<RecordError> for InvalidBatch {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::TooLarge(max) => Self::DecompressedTooLarge(max),
            error => Self::Records(error),
        }
    }
}
