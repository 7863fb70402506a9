//! The records of `__consumer_offsets`, byte for byte those of Apache Kafka's group coordinator.
//!
//! | part | bytes |
//! |---|---|
//! | key | type of the record, 16 bits, then the body of the key, classic encoding |
//! | value | version, 16 bits, then the body in that version; no value at all is a tombstone |
//!
//! A type this release does not know is passed over by the reader, as Kafka does it, so that a partition with share
//! or streams groups can be loaded; an unknown version of a known type is an error. Kafka 4.1 and 4.3 write
//! OffsetCommit values in version 4 (1 with an expiry of their own) and GroupMetadata values in version 3, and so
//! does this code.

mod classic;
mod consumer;
mod field;
mod offset;

pub use classic::*;
pub use consumer::*;
pub use field::Blob;
pub use offset::*;

use field::{Encoding, Field};

/// Why a record cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string or a list is longer than its length field can say.
    #[error("a value of {len} bytes or elements is too long")]
    TooLong {
        /// Its length.
        len: usize,
    },
}

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early, or a count promises more than there is.
    #[error("the record ends too early")]
    Truncated,
    /// Bytes are left over.
    #[error("{len} bytes are left over")]
    TrailingBytes {
        /// How many.
        len: usize,
    },
    /// A string or a list is null that must not be.
    #[error("null where a value must be")]
    Null,
    /// A string is longer than Kafka allows.
    #[error("a string of {len} bytes is too long")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A type this release does not know; the record can be passed over.
    #[error("unknown record type {0}")]
    UnknownType(i16),
    /// A version this release does not know.
    #[error("unknown version {version} of record type {record_type}")]
    UnknownVersion {
        /// The type.
        record_type: i16,
        /// The version found.
        version: i16,
    },
}

/// A record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Type and body of the key.
    pub key: Vec<u8>,
    /// Version and body of the value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

macro_rules! records {
    ($( $(#[$doc:meta])* $id:literal $variant:ident($key:ty => $value:ty) [$low:literal - $high:literal, flexible $flexible:literal], write $write:expr; )*) => {
        /// Any record of `__consumer_offsets` that groups of consumers have; without value it is a tombstone.
        #[derive(Clone, Debug, PartialEq)]
        pub enum GroupRecord {
            $( $(#[$doc])* $variant($key, Option<$value>), )*
        }

        impl GroupRecord {
            /// Encode key and value.
            ///
            /// # Errors
            /// A string or a list is too long.
            pub fn encode(&self) -> Result<EncodedRecord, EncodeError> {
                match self {
                    $( Self::$variant(key, value) => {
                        let choose: fn(&$value) -> i16 = $write;
                        Ok(EncodedRecord {
                            key: encode_key($id, key)?,
                            value: value
                                .as_ref()
                                .map(|value| encode_value(choose(value), $flexible, value))
                                .transpose()?,
                        })
                    } )*
                }
            }

            /// Decode key and value.
            ///
            /// # Errors
            /// The bytes are not exactly one record of a known type and version. Memory is reserved only for what
            /// the bytes can hold.
            pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError> {
                let mut input = key;
                let record_type = i16::read(CLASSIC, &mut input)?;
                match record_type {
                    $( $id => Ok(Self::$variant(
                        decode_rest(CLASSIC, input)?,
                        value
                            .map(|value| decode_value($id, $low..=$high, $flexible, value))
                            .transpose()?,
                    )), )*
                    other => Err(DecodeError::UnknownType(other)),
                }
            }
        }
    };
}

records! {
    /// A committed offset as releases before 0.9 wrote it; read, never written.
    0 LegacyOffsetCommit(OffsetCommitKey => LegacyOffsetCommitValue) [0 - 0, flexible 32767], write |_| 0;
    /// A committed offset.
    1 OffsetCommit(OffsetCommitKey => OffsetCommitValue) [0 - 4, flexible 4], write |value| if value.expire_timestamp == -1 { 4 } else { 1 };
    /// A generation of a classic group.
    2 GroupMetadata(GroupMetadataKey => GroupMetadataValue) [0 - 4, flexible 4], write |_| 3;
    /// The epoch of a consumer group.
    3 ConsumerGroupMetadata(ConsumerGroupKey => ConsumerGroupMetadataValue) [0 - 0, flexible 0], write |_| 0;
    /// The topics of a consumer group as 4.0 wrote them.
    4 ConsumerGroupPartitionMetadata(ConsumerGroupKey => ConsumerGroupPartitionMetadataValue) [0 - 0, flexible 0], write |_| 0;
    /// A member of a consumer group.
    5 ConsumerGroupMemberMetadata(ConsumerGroupMemberKey => ConsumerGroupMemberMetadataValue) [0 - 0, flexible 0], write |_| 0;
    /// The epoch of a target assignment.
    6 ConsumerGroupTargetAssignmentMetadata(ConsumerGroupKey => ConsumerGroupTargetAssignmentMetadataValue) [0 - 0, flexible 0], write |_| 0;
    /// The target assignment of a member.
    7 ConsumerGroupTargetAssignmentMember(ConsumerGroupMemberKey => ConsumerGroupTargetAssignmentMemberValue) [0 - 0, flexible 0], write |_| 0;
    /// The current assignment of a member.
    8 ConsumerGroupCurrentMemberAssignment(ConsumerGroupMemberKey => ConsumerGroupCurrentMemberAssignmentValue) [0 - 0, flexible 0], write |_| 0;
    /// The topics that an expression matches.
    16 ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey => ConsumerGroupRegularExpressionValue) [0 - 0, flexible 0], write |_| 0;
}

impl GroupRecord {
    /// The consumer group a record is of, and whether it is a tombstone; `None` for classic groups and offsets.
    pub fn consumer_group(&self) -> Option<(&str, bool)> {
        match self {
            Self::LegacyOffsetCommit(..) | Self::OffsetCommit(..) | Self::GroupMetadata(..) => None,
            Self::ConsumerGroupMetadata(key, value) => Some((&key.group_id, value.is_none())),
            Self::ConsumerGroupPartitionMetadata(key, value) => {
                Some((&key.group_id, value.is_none()))
            }
            Self::ConsumerGroupMemberMetadata(key, value) => Some((&key.group_id, value.is_none())),
            Self::ConsumerGroupTargetAssignmentMetadata(key, value) => {
                Some((&key.group_id, value.is_none()))
            }
            Self::ConsumerGroupTargetAssignmentMember(key, value) => {
                Some((&key.group_id, value.is_none()))
            }
            Self::ConsumerGroupCurrentMemberAssignment(key, value) => {
                Some((&key.group_id, value.is_none()))
            }
            Self::ConsumerGroupRegularExpression(key, value) => {
                Some((&key.group_id, value.is_none()))
            }
        }
    }
}

/// Keys never became flexible.
const CLASSIC: Encoding = Encoding {
    version: 0,
    flexible: false,
};

fn encode_key(record_type: i16, key: &impl Field) -> Result<Vec<u8>, EncodeError> {
    let mut out = record_type.to_be_bytes().to_vec();
    key.write(CLASSIC, &mut out)?;
    Ok(out)
}

fn encode_value(
    version: i16,
    flexible_from: i16,
    value: &impl Field,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = version.to_be_bytes().to_vec();
    let encoding = Encoding {
        version,
        flexible: version >= flexible_from,
    };
    value.write(encoding, &mut out)?;
    Ok(out)
}

fn decode_value<T: Field>(
    record_type: i16,
    known: std::ops::RangeInclusive<i16>,
    flexible_from: i16,
    mut input: &[u8],
) -> Result<T, DecodeError> {
    let version = i16::read(CLASSIC, &mut input)?;
    if !known.contains(&version) {
        return Err(DecodeError::UnknownVersion {
            record_type,
            version,
        });
    }
    let encoding = Encoding {
        version,
        flexible: version >= flexible_from,
    };
    decode_rest(encoding, input)
}

fn decode_rest<T: Field>(encoding: Encoding, mut input: &[u8]) -> Result<T, DecodeError> {
    let value = T::read(encoding, &mut input)?;
    match input.len() {
        0 => Ok(value),
        len => Err(DecodeError::TrailingBytes { len }),
    }
}

#[cfg(test)]
mod tests;
