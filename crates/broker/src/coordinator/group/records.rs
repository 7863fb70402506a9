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
mod offset;

pub use classic::*;
pub use consumer::*;
pub use offset::*;

use crate::coordinator::record::field::{self, Field};
pub use crate::coordinator::record::{Blob, DecodeError, EncodeError, EncodedRecord};
use crate::coordinator::record::{
    CLASSIC, CoordinatorRecord, decode_rest, decode_value, encode_key, encode_value,
};

macro_rules! records {
    ($( $(#[$doc:meta])* $id:literal $variant:ident($key:ty => $value:ty) [$low:literal - $high:literal, flexible $flexible:literal], write $write:expr; )*) => {
        /// Any record of `__consumer_offsets` that groups of consumers have; without value it is a tombstone.
        #[derive(Clone, Debug, PartialEq)]
        pub enum GroupRecord {
            $( $(#[$doc])* $variant($key, Option<$value>), )*
        }

        impl CoordinatorRecord for GroupRecord {
            fn encode(&self) -> Result<EncodedRecord, EncodeError> {
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

            fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError> {
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
    /// Whether it deletes its key.
    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::LegacyOffsetCommit(_, value) => value.is_none(),
            Self::OffsetCommit(_, value) => value.is_none(),
            Self::GroupMetadata(_, value) => value.is_none(),
            _ => self
                .consumer_group()
                .is_some_and(|(_, is_tombstone)| is_tombstone),
        }
    }

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

#[cfg(test)]
mod tests;
