//! How the records of coordinators lie in their topics, and what every one of them can do.
//!
//! | part | bytes |
//! |---|---|
//! | key | type of the record, 16 bits, then the body of the key, classic encoding |
//! | value | version, 16 bits, then the body in that version; no value at all is a tombstone |
//!
//! Which records there are is in `group::records` and `transaction::records`.

pub(in crate::coordinator) mod field;

pub use field::Blob;
use field::{Encoding, Field};

/// A record of a coordinator's topic.
pub trait CoordinatorRecord: Sized + Send + 'static {
    /// Encode key and value.
    ///
    /// # Errors
    /// A string or a list is too long.
    fn encode(&self) -> Result<EncodedRecord, EncodeError>;

    /// Decode key and value.
    ///
    /// # Errors
    /// The bytes are not exactly one record of a known type and version. Memory is reserved only for what the bytes
    /// can hold.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError>;
}

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
    /// A transaction in a state that is never written.
    #[error("unknown state {0} of a transaction")]
    UnknownState(i8),
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

/// Keys never became flexible.
pub(super) const CLASSIC: Encoding = Encoding {
    version: 0,
    flexible: false,
};

/// A key: its type, then its body.
pub(super) fn encode_key(record_type: i16, key: &impl Field) -> Result<Vec<u8>, EncodeError> {
    let mut out = record_type.to_be_bytes().to_vec();
    key.write(CLASSIC, &mut out)?;
    Ok(out)
}

/// A value: its version, then its body.
pub(super) fn encode_value(
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

/// A value, whose version must be among the `known` ones.
pub(super) fn decode_value<T: Field>(
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

/// A body with nothing behind it.
pub(super) fn decode_rest<T: Field>(
    encoding: Encoding,
    mut input: &[u8],
) -> Result<T, DecodeError> {
    let value = T::read(encoding, &mut input)?;
    match input.len() {
        0 => Ok(value),
        len => Err(DecodeError::TrailingBytes { len }),
    }
}
