//! How one field of a metadata record lies on the wire, per type.
//!
//! Kafka's flexible encoding (KIP-482): integers big-endian and of fixed size; strings, bytes and arrays behind
//! an unsigned varint of length plus one, zero being null; a nested struct is its fields and a tag buffer.
//!
//! Reading trusts nothing: a count is compared with the bytes that are left before memory is reserved for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ottla_protocol::ids::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use ottla_protocol::varint;
use serde_json::Value;
use uuid::Uuid;

use super::{DecodeError, EncodeError};

/// Longest string in bytes that Kafka's generated readers accept.
pub const MAX_STRING_LEN: usize = 0x7fff;

/// Wire type of a field, in the words of Kafka's schema files.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A scalar by the name the schema files give it: `bool`, `int32`, `uuid`, `string`, `bytes`, ...
    Scalar(&'static str),
    /// `[]T`.
    Array(&'static Kind),
    /// A struct declared inside the record.
    Struct {
        /// Its name.
        name: &'static str,
        /// Its fields.
        fields: &'static [FieldSchema],
    },
    /// `T` with `nullableVersions` equal to `versions`.
    Nullable(&'static Kind),
}

/// One row of a record's schema.
#[derive(Clone, Copy, Debug)]
pub struct FieldSchema {
    /// Name in snake case; Kafka's is the same in camel case.
    pub name: &'static str,
    /// Wire type.
    pub kind: Kind,
    /// First version that has the field; all later ones have it too.
    pub since: i16,
    /// Tag, when it is a tagged field.
    pub tag: Option<u32>,
    /// Gives the value that stands for the field where it is not written.
    pub default: fn() -> Value,
}

/// A type that a field may have.
pub(crate) trait Field: Sized {
    /// Wire type.
    const KIND: Kind;
    /// Fewest bytes a value takes; bounds how many elements an array can have.
    const MIN_LEN: usize;

    /// Append the value in the encoding of record version `version`.
    fn write(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError>;
    /// Take a value off the front of `input`.
    fn read(version: i16, input: &mut &[u8]) -> Result<Self, DecodeError>;
    /// The value as Kafka's `*JsonConverter` classes print it.
    fn to_json(&self, version: i16) -> Value;
}

/// Secret bytes that `Debug` does not show.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Take an unsigned varint of at most 32 bits off the front of `input`.
pub(super) fn read_uvarint(input: &mut &[u8]) -> Result<u32, DecodeError> {
    varint::read_u32(input).ok_or(DecodeError::Varint)
}

/// Take `len` bytes off the front of `input`.
pub(super) fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeError> {
    let (head, rest) = input.split_at_checked(len).ok_or(DecodeError::Truncated)?;
    *input = rest;
    Ok(head)
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (head, rest) = input
        .split_first_chunk::<N>()
        .ok_or(DecodeError::Truncated)?;
    *input = rest;
    Ok(*head)
}

/// Write "length plus one".
fn write_len(len: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let plus_one = i32::try_from(len + 1).map_err(|_| EncodeError::TooLong { len })?;
    varint::put_u32(out, plus_one.cast_unsigned());
    Ok(())
}

/// Read "length plus one"; `None` is null.
fn read_len(input: &mut &[u8]) -> Result<Option<usize>, DecodeError> {
    Ok((read_uvarint(input)? as usize).checked_sub(1))
}

macro_rules! number {
    ($type:ty, $name:literal, $json:expr) => {
        impl Field for $type {
            const KIND: Kind = Kind::Scalar($name);
            const MIN_LEN: usize = size_of::<$type>();

            fn write(&self, _: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }

            fn read(_: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(take_array(input)?))
            }

            fn to_json(&self, _: i16) -> Value {
                let json: fn($type) -> Value = $json;
                json(*self)
            }
        }
    };
}

number!(i8, "int8", Value::from);
number!(i16, "int16", Value::from);
number!(u16, "uint16", Value::from);
number!(i32, "int32", Value::from);
number!(i64, "int64", Value::from);
number!(f64, "float64", Value::from);

macro_rules! transparent {
    ($type:ident as $inner:ty) => {
        impl Field for $type {
            const KIND: Kind = <$inner as Field>::KIND;
            const MIN_LEN: usize = <$inner as Field>::MIN_LEN;

            fn write(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                self.0.write(version, out)
            }

            fn read(version: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
                <$inner as Field>::read(version, input).map(Self)
            }

            fn to_json(&self, version: i16) -> Value {
                self.0.to_json(version)
            }
        }
    };
}

transparent!(BrokerId as i32);
transparent!(LeaderEpoch as i32);
transparent!(PartitionIndex as i32);
transparent!(ProducerId as i64);
transparent!(TopicId as Uuid);

impl Field for bool {
    const KIND: Kind = Kind::Scalar("bool");
    const MIN_LEN: usize = 1;

    fn write(&self, _: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(u8::from(*self));
        Ok(())
    }

    fn read(_: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
        take_array(input).map(|[byte]| byte != 0)
    }

    fn to_json(&self, _: i16) -> Value {
        Value::Bool(*self)
    }
}

impl Field for Uuid {
    const KIND: Kind = Kind::Scalar("uuid");
    const MIN_LEN: usize = 16;

    fn write(&self, _: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }

    fn read(_: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
        take_array(input).map(Self::from_bytes)
    }

    fn to_json(&self, _: i16) -> Value {
        Value::String(TopicId(*self).to_string())
    }
}

impl Field for String {
    const KIND: Kind = Kind::Scalar("string");
    const MIN_LEN: usize = 1;

    fn write(&self, _: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.len() > MAX_STRING_LEN {
            return Err(EncodeError::TooLong { len: self.len() });
        }
        write_len(self.len(), out)?;
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }

    fn read(_: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let len = read_len(input)?.ok_or(DecodeError::Null)?;
        if len > MAX_STRING_LEN {
            return Err(DecodeError::TooLong { len });
        }
        let text = std::str::from_utf8(take(input, len)?).map_err(|_| DecodeError::NotUtf8)?;
        Ok(text.to_owned())
    }

    fn to_json(&self, _: i16) -> Value {
        Value::String(self.clone())
    }
}

impl Field for Secret {
    const KIND: Kind = Kind::Scalar("bytes");
    const MIN_LEN: usize = 1;

    fn write(&self, _: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_len(self.0.len(), out)?;
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn read(_: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let len = read_len(input)?.ok_or(DecodeError::Null)?;
        Ok(Self(take(input, len)?.to_vec()))
    }

    fn to_json(&self, _: i16) -> Value {
        Value::String(STANDARD.encode(&self.0))
    }
}

impl<T: Field> Field for Vec<T> {
    const KIND: Kind = Kind::Array(&T::KIND);
    const MIN_LEN: usize = 1;

    fn write(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_len(self.len(), out)?;
        self.iter().try_for_each(|item| item.write(version, out))
    }

    fn read(version: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let count = read_len(input)?.ok_or(DecodeError::Null)?;
        if count > input.len() / T::MIN_LEN {
            return Err(DecodeError::Truncated);
        }
        (0..count).map(|_| T::read(version, input)).collect()
    }

    fn to_json(&self, version: i16) -> Value {
        self.iter().map(|item| item.to_json(version)).collect()
    }
}

/// Null is a length of zero, so only types that begin with a length can be nullable.
impl<T: Field> Field for Option<T> {
    const KIND: Kind = Kind::Nullable(&T::KIND);
    const MIN_LEN: usize = 1;

    fn write(&self, version: i16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Some(value) => value.write(version, out),
            None => {
                varint::put_u32(out, 0);
                Ok(())
            }
        }
    }

    fn read(version: i16, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if let Some((0, rest)) = input.split_first() {
            *input = rest;
            return Ok(None);
        }
        T::read(version, input).map(Some)
    }

    fn to_json(&self, version: i16) -> Value {
        self.as_ref()
            .map_or(Value::Null, |value| value.to_json(version))
    }
}
