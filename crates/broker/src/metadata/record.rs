//! The records of the metadata log: everything the cluster knows is a sequence of these.
//!
//! A record is the value of a Kafka record without key. Its bytes (`AbstractApiMessageSerde`):
//!
//! | type | field |
//! |---|---|
//! | uvarint | frame version, 1 |
//! | uvarint | type of the record (`apiKey` of its schema) |
//! | uvarint | version of the record |
//! | | body, flexible encoding (KIP-482), see `field.rs` |
//!
//! An unknown type, an unknown version or bytes left over is an error: who passes over a record no longer knows
//! the state of the cluster. Unknown tagged fields are passed over, as later releases may add them.
//! What a record does to the state is the image's business.

mod broker;
mod cluster;
pub mod control;
mod field;
pub mod json;
mod message;
mod security;
mod topic;
mod version;

pub use broker::*;
pub use cluster::*;
pub use field::{FieldSchema, Kind, MAX_STRING_LEN, Secret};
pub use security::*;
pub use topic::*;
pub use version::{METADATA_VERSION_FEATURE, MetadataVersion};

use field::{Field, read_uvarint};
use message::Message;
use ottla_protocol::varint;

/// The one frame version there is.
const FRAME_VERSION: u32 = 1;

macro_rules! records {
    ($( $key:literal $variant:ident($record:ident) [$low:literal - $high:literal], )*) => {
        /// Any record of the metadata log.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {
            $( #[doc = concat!("Type ", stringify!($key), ", versions ", stringify!($low), " to ", stringify!($high), ".")]
               $variant($record), )*
        }

        $( impl From<$record> for MetadataRecord {
            fn from(record: $record) -> Self {
                Self::$variant(record)
            }
        } )*

        /// All record types, by type number.
        pub static SCHEMAS: &[RecordSchema] = &[
            $( RecordSchema { api_key: $key, name: <$record>::NAME, low: $low, high: $high, fields: <$record>::FIELDS }, )*
        ];

        impl MetadataRecord {
            /// Type number of the record.
            pub fn api_key(&self) -> u32 {
                match self {
                    $( Self::$variant(_) => $key, )*
                }
            }

            /// Name of the record in Kafka's schema files.
            pub fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => <$record>::NAME, )*
                }
            }

            fn write_body(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                match self {
                    $( Self::$variant(record) => record.write(version, out), )*
                }
            }

            fn read_body(api_key: u32, version: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
                match api_key {
                    $( $key => <$record>::read(version, input).map(Self::$variant), )*
                    _ => Err(DecodeError::UnknownType { api_key }),
                }
            }

            fn body_to_json(&self, version: i16) -> serde_json::Value {
                match self {
                    $( Self::$variant(record) => record.to_json(version), )*
                }
            }
        }
    };
}

records! {
    0 RegisterBroker(RegisterBrokerRecord) [0-4],
    1 UnregisterBroker(UnregisterBrokerRecord) [0-0],
    2 Topic(TopicRecord) [0-0],
    3 Partition(PartitionRecord) [0-2],
    4 Config(ConfigRecord) [0-0],
    5 PartitionChange(PartitionChangeRecord) [0-2],
    7 FenceBroker(FenceBrokerRecord) [0-0],
    8 UnfenceBroker(UnfenceBrokerRecord) [0-0],
    9 RemoveTopic(RemoveTopicRecord) [0-0],
    10 DelegationToken(DelegationTokenRecord) [0-0],
    11 UserScramCredential(UserScramCredentialRecord) [0-0],
    12 FeatureLevel(FeatureLevelRecord) [0-0],
    14 ClientQuota(ClientQuotaRecord) [0-0],
    15 ProducerIds(ProducerIdsRecord) [0-0],
    17 BrokerRegistrationChange(BrokerRegistrationChangeRecord) [0-3],
    18 AccessControlEntry(AccessControlEntryRecord) [0-0],
    19 RemoveAccessControlEntry(RemoveAccessControlEntryRecord) [0-0],
    20 NoOp(NoOpRecord) [0-0],
    21 ZkMigrationState(ZkMigrationStateRecord) [0-0],
    22 RemoveUserScramCredential(RemoveUserScramCredentialRecord) [0-0],
    23 BeginTransaction(BeginTransactionRecord) [0-0],
    24 EndTransaction(EndTransactionRecord) [0-0],
    25 AbortTransaction(AbortTransactionRecord) [0-0],
    26 RemoveDelegationToken(RemoveDelegationTokenRecord) [0-0],
    27 RegisterController(RegisterControllerRecord) [0-0],
    28 ClearElr(ClearElrRecord) [0-0],
}

/// What is known about one record type.
#[derive(Clone, Copy, Debug)]
pub struct RecordSchema {
    /// Type number; for control records that of the `ControlType`.
    pub api_key: u32,
    /// Name in Kafka's schema files.
    pub name: &'static str,
    /// Lowest version.
    pub low: i16,
    /// Highest version.
    pub high: i16,
    /// Its fields.
    pub fields: &'static [FieldSchema],
}

impl RecordSchema {
    fn of(api_key: u32) -> Option<&'static Self> {
        let at = SCHEMAS
            .binary_search_by_key(&api_key, |schema| schema.api_key)
            .ok()?;
        Some(&SCHEMAS[at])
    }
}

/// Why a record cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The version has no room for a value that is not the default.
    #[error("field {field} is set, but version {version} of the record does not have it")]
    NotInVersion {
        /// The field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string or a list is longer than Kafka's readers accept.
    #[error("a value of {len} bytes or elements is too long")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// The record type has no such version.
    #[error("{name} has no version {version}")]
    UnknownVersion {
        /// The record type.
        name: &'static str,
        /// The version asked for.
        version: i16,
    },
}

/// Why bytes are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early, or a count promises more than there is.
    #[error("the record ends too early")]
    Truncated,
    /// Bytes are left over.
    #[error("{len} bytes follow the record")]
    TrailingBytes {
        /// How many.
        len: usize,
    },
    /// A variable-length integer does not end.
    #[error("a variable-length integer does not end")]
    Varint,
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
    /// The length of a tagged field is not the length of its value.
    #[error("tagged field {tag} has bytes left over")]
    TagLength {
        /// The tag.
        tag: u32,
    },
    /// A tagged field that the version of the record does not have.
    #[error("tagged field {tag} is not part of version {version}")]
    TagNotInVersion {
        /// The tag.
        tag: u32,
        /// The record's version.
        version: i16,
    },
    /// The frame version is not 1.
    #[error("unknown frame version {0}")]
    UnknownFrame(u32),
    /// A type this release does not know.
    #[error("unknown metadata record type {api_key}; it was written by a later release")]
    UnknownType {
        /// The type number.
        api_key: u32,
    },
    /// A version this release does not know.
    #[error("unknown version {version} of {name} (this release knows {low} to {high})")]
    UnknownVersion {
        /// The record type.
        name: &'static str,
        /// The version found.
        version: u32,
        /// Lowest version known.
        low: i16,
        /// Highest version known.
        high: i16,
    },
}

impl MetadataRecord {
    /// Append the framed record in `version` to `out`.
    ///
    /// # Errors
    /// The version is unknown or cannot say what the record says, or a string is too long.
    pub fn encode(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let known = RecordSchema::of(self.api_key())
            .is_some_and(|schema| (schema.low..=schema.high).contains(&version));
        if !known {
            return Err(EncodeError::UnknownVersion {
                name: self.name(),
                version,
            });
        }
        varint::put_u32(out, FRAME_VERSION);
        varint::put_u32(out, self.api_key());
        varint::put_u32(out, u32::from(version.cast_unsigned()));
        self.write_body(version, out)
    }

    /// The record in `bytes`, and its version.
    ///
    /// # Errors
    /// `bytes` is not exactly one record of a known type and version. Memory is reserved only for what the bytes
    /// can hold.
    pub fn decode(mut bytes: &[u8]) -> Result<(Self, i16), DecodeError> {
        let input = &mut bytes;
        let frame = read_uvarint(input)?;
        if frame != FRAME_VERSION {
            return Err(DecodeError::UnknownFrame(frame));
        }
        let api_key = read_uvarint(input)?;
        let version = read_uvarint(input)?;
        let schema = RecordSchema::of(api_key).ok_or(DecodeError::UnknownType { api_key })?;
        let RecordSchema {
            name, low, high, ..
        } = *schema;
        let version = i16::try_from(version)
            .ok()
            .filter(|version| (low..=high).contains(version))
            .ok_or(DecodeError::UnknownVersion {
                name,
                version,
                low,
                high,
            })?;
        let record = Self::read_body(api_key, version, input)?;
        match input.len() {
            0 => Ok((record, version)),
            len => Err(DecodeError::TrailingBytes { len }),
        }
    }
}

#[cfg(test)]
mod tests;
