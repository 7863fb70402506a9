//! How one field of a coordinator record lies on the wire, and the macro that makes a codec of a field table.
//!
//! Keys and the older values use Kafka's classic encoding: strings behind a 16-bit length, bytes and arrays behind a
//! 32-bit one, -1 being null. Newer values are flexible (KIP-482): lengths are unsigned varints of length plus one,
//! zero being null, and every struct ends in a tag buffer.
//!
//! Reading trusts nothing: a count is compared with the bytes that are left before memory is reserved for it.

use ottla_protocol::ids::TopicId;
use ottla_protocol::varint;
use uuid::Uuid;

use super::{DecodeError, EncodeError};

/// Longest string in bytes that Kafka's generated readers accept.
const MAX_STRING_LEN: usize = 0x7fff;

/// Which of the two encodings, and which version's fields.
#[derive(Clone, Copy, Debug)]
pub(in crate::coordinator) struct Encoding {
    /// Version of the record.
    pub(in crate::coordinator) version: i16,
    /// Varint lengths and tag buffers.
    pub(in crate::coordinator) flexible: bool,
}

impl Encoding {
    /// Whether the version has a field of versions `since` to `until`.
    pub(in crate::coordinator) fn has(self, since: i16, until: i16) -> bool {
        (since..=until).contains(&self.version)
    }
}

/// A type that a field may have.
pub(in crate::coordinator) trait Field: Sized {
    /// Fewest bytes a value takes in either encoding; bounds how many elements an array can have.
    const MIN_LEN: usize;

    /// Append the value.
    fn write(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError>;
    /// Take a value off the front of `input`.
    fn read(encoding: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError>;
}

/// How a length is written: strings have 16 bits, everything else 32.
#[derive(Clone, Copy)]
enum Width {
    Short,
    Long,
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeError> {
    let (head, rest) = input.split_at_checked(len).ok_or(DecodeError::Truncated)?;
    *input = rest;
    Ok(head)
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (head, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated)?;
    *input = rest;
    Ok(*head)
}

fn write_len(
    len: Option<usize>,
    width: Width,
    encoding: Encoding,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let too_long = || EncodeError::TooLong {
        len: len.unwrap_or(0),
    };
    if encoding.flexible {
        let plus_one = len.map_or(Ok(0), |len| i32::try_from(len + 1).map_err(|_| too_long()))?;
        varint::put_u32(out, plus_one.cast_unsigned());
        return Ok(());
    }
    match width {
        Width::Short => {
            let len = len.map_or(Ok(-1), |len| i16::try_from(len).map_err(|_| too_long()))?;
            out.extend_from_slice(&len.to_be_bytes());
        }
        Width::Long => {
            let len = len.map_or(Ok(-1), |len| i32::try_from(len).map_err(|_| too_long()))?;
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
    Ok(())
}

/// `None` is null.
fn read_len(
    width: Width,
    encoding: Encoding,
    input: &mut &[u8],
) -> Result<Option<usize>, DecodeError> {
    if encoding.flexible {
        let plus_one = varint::read_u32(input).ok_or(DecodeError::Truncated)? as usize;
        return Ok(plus_one.checked_sub(1));
    }
    let len = match width {
        Width::Short => i16::read(encoding, input)?.into(),
        Width::Long => i32::read(encoding, input)?,
    };
    match len {
        -1 => Ok(None),
        len => usize::try_from(len)
            .map(Some)
            .map_err(|_| DecodeError::Truncated),
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Field for $type {
            const MIN_LEN: usize = size_of::<$type>();

            fn write(&self, _: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }

            fn read(_: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
                take_array(input).map(Self::from_be_bytes)
            }
        }
    )*};
}

number!(i8, i16, i32, i64);

impl Field for TopicId {
    const MIN_LEN: usize = 16;

    fn write(&self, _: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(())
    }

    fn read(_: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
        take_array(input).map(|bytes| Self(Uuid::from_bytes(bytes)))
    }
}

/// A type whose null is a length of -1 (zero in the flexible encoding).
trait Nullable: Sized {
    const WIDTH: Width;
    fn len(&self) -> usize;
    fn write_body(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError>;
    fn read_body(len: usize, encoding: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError>;
}

impl Nullable for String {
    const WIDTH: Width = Width::Short;

    fn len(&self) -> usize {
        self.as_str().len()
    }

    fn write_body(&self, _: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }

    fn read_body(len: usize, _: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if len > MAX_STRING_LEN {
            return Err(DecodeError::TooLong { len });
        }
        let text = std::str::from_utf8(take(input, len)?).map_err(|_| DecodeError::NotUtf8)?;
        Ok(text.to_owned())
    }
}

/// The `bytes` type of Kafka's schemas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob(pub Box<[u8]>);

impl Nullable for Blob {
    const WIDTH: Width = Width::Long;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn write_body(&self, _: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn read_body(len: usize, _: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
        take(input, len).map(|bytes| Self(bytes.into()))
    }
}

impl<T: Field> Nullable for Vec<T> {
    const WIDTH: Width = Width::Long;

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn write_body(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.iter().try_for_each(|item| item.write(encoding, out))
    }

    fn read_body(len: usize, encoding: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
        if len > input.len() / T::MIN_LEN {
            return Err(DecodeError::Truncated);
        }
        (0..len).map(|_| T::read(encoding, input)).collect()
    }
}

impl<T: Nullable> Field for T {
    // One varint byte.
    const MIN_LEN: usize = 1;

    fn write(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_len(Some(self.len()), T::WIDTH, encoding, out)?;
        self.write_body(encoding, out)
    }

    fn read(encoding: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let len = read_len(T::WIDTH, encoding, input)?.ok_or(DecodeError::Null)?;
        T::read_body(len, encoding, input)
    }
}

impl<T: Nullable> Field for Option<T> {
    const MIN_LEN: usize = 1;

    fn write(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        write_len(self.as_ref().map(T::len), T::WIDTH, encoding, out)?;
        self.iter()
            .try_for_each(|value| value.write_body(encoding, out))
    }

    fn read(encoding: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
        read_len(T::WIDTH, encoding, input)?
            .map(|len| T::read_body(len, encoding, input))
            .transpose()
    }
}

/// Append the tag buffer that ends a struct; `tags` holds the encoded values, in the order of their tags.
pub(in crate::coordinator) fn write_tags(
    tags: &[(u32, Vec<u8>)],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    // There are never more tags than fields in a table.
    varint::put_u32(out, tags.len() as u32);
    for (tag, value) in tags {
        let len =
            u32::try_from(value.len()).map_err(|_| EncodeError::TooLong { len: value.len() })?;
        varint::put_u32(out, *tag);
        varint::put_u32(out, len);
        out.extend_from_slice(value);
    }
    Ok(())
}

/// Read the tag buffer that ends a struct. `known` reads the field if it knows the tag; it must then leave nothing
/// of it. Others are passed over: they come from a later release.
pub(in crate::coordinator) fn read_tags(
    input: &mut &[u8],
    mut known: impl FnMut(u32, &mut &[u8]) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    for _ in 0..varint::read_u32(input).ok_or(DecodeError::Truncated)? {
        let tag = varint::read_u32(input).ok_or(DecodeError::Truncated)?;
        let len = varint::read_u32(input).ok_or(DecodeError::Truncated)? as usize;
        let mut value = take(input, len)?;
        if known(tag, &mut value)? && !value.is_empty() {
            return Err(DecodeError::TrailingBytes { len: value.len() });
        }
    }
    Ok(())
}

/// A table reads like Kafka's schema file: `name: type [first - last] tag N = default`. A field without a tag stands
/// in the versions of its range; elsewhere it is ignored, as all such fields of these records are `ignorable`. A
/// tagged field is written only when it differs from its default.
macro_rules! structs {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $( $(#[$field_doc:meta])* $field:ident : $type:ty [$since:tt $(- $until:tt)?] $(tag $tag:literal)? $(= $default:expr)? ),* $(,)?
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: structs!(@default $type $(, $default)?), )* }
            }
        }

        impl Field for $name {
            const MIN_LEN: usize = 0 $( + structs!(@min_len $type, $since $(- $until)? $(, $tag)?) )*;

            #[allow(unused_mut, clippy::vec_init_then_push, reason = "a table may have no tagged field")]
            fn write(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                let mut tags: Vec<(u32, Vec<u8>)> = Vec::new();
                $(
                    if encoding.has($since, structs!(@until $($until)?)) {
                        structs!(@write [$($tag)?] self, $field, tags, encoding, out);
                    }
                )*
                if encoding.flexible {
                    write_tags(&tags, out)?;
                }
                Ok(())
            }

            fn read(encoding: Encoding, input: &mut &[u8]) -> Result<Self, DecodeError> {
                let mut value = Self::default();
                $(
                    if encoding.has($since, structs!(@until $($until)?)) {
                        structs!(@read [$($tag)?] value.$field, $type, encoding, input);
                    }
                )*
                if encoding.flexible {
                    read_tags(input, |tag, input| {
                        match tag {
                            $( $( $tag => value.$field = <$type as Field>::read(encoding, input)?, )? )*
                            _ => {
                                let _ = input;
                                return Ok(false);
                            }
                        }
                        #[allow(unreachable_code, reason = "a table may have no tagged field")]
                        Ok(true)
                    })?;
                }
                Ok(value)
            }
        }
    )*};

    (@until) => { i16::MAX };
    (@until $until:tt) => { $until };
    (@default $type:ty) => { <$type>::default() };
    (@default $type:ty, $default:expr) => { $default };
    (@min_len $type:ty, 0) => { <$type as Field>::MIN_LEN };
    (@min_len $type:ty, $($other:tt)*) => { 0 };
    (@write [] $self:ident, $field:ident, $tags:ident, $encoding:ident, $out:ident) => {
        $self.$field.write($encoding, $out)?
    };
    (@write [$tag:literal] $self:ident, $field:ident, $tags:ident, $encoding:ident, $out:ident) => {
        if $self.$field != Self::default().$field {
            let mut value = Vec::new();
            $self.$field.write($encoding, &mut value)?;
            $tags.push(($tag, value));
        }
    };
    (@read [] $place:expr, $type:ty, $encoding:ident, $input:ident) => {
        $place = <$type as Field>::read($encoding, $input)?
    };
    (@read [$tag:literal] $place:expr, $type:ty, $encoding:ident, $input:ident) => {};
}

pub(in crate::coordinator) use structs;
