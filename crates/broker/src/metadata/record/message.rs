//! The macro that turns a table of fields into a struct and its codec.
//!
//! A table reads like Kafka's schema file: `name: type [first version+] tag N = default`, e.g.
//! `leader: BrokerId [0+] tag 1 = NO_LEADER_CHANGE`. A field without a tag stands in every version from its
//! first on; a tagged field is written only when it differs from its default. Tagged fields are listed in
//! the order of their tags, which is the order on the wire.

use ottla_protocol::varint;

use super::field::{FieldSchema, read_uvarint, take};
use super::{DecodeError, EncodeError};

/// A struct with a field table: a record, or a struct nested in one.
pub(crate) trait Message: Default {
    /// The table.
    const FIELDS: &'static [FieldSchema];
    /// Name in Kafka's schema files.
    const NAME: &'static str;
}

/// The tag buffer that ends a struct, as it is being written.
#[derive(Default)]
pub(super) struct TagWriter {
    count: u32,
    fields: Vec<u8>,
}

impl TagWriter {
    /// Add one field; `write` appends its value.
    pub(super) fn add(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut value = Vec::new();
        write(&mut value)?;
        let len =
            u32::try_from(value.len()).map_err(|_| EncodeError::TooLong { len: value.len() })?;
        varint::put_u32(&mut self.fields, tag);
        varint::put_u32(&mut self.fields, len);
        self.fields.extend_from_slice(&value);
        self.count += 1;
        Ok(())
    }

    /// Append the buffer.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        varint::put_u32(out, self.count);
        out.extend_from_slice(&self.fields);
    }
}

/// Read the tag buffer that ends a struct. `known` reads the field if it knows the tag; it must then leave
/// nothing of it. Fields it does not know are passed over: they come from a later release.
pub(super) fn read_tags(
    input: &mut &[u8],
    mut known: impl FnMut(u32, &mut &[u8]) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    for _ in 0..read_uvarint(input)? {
        let tag = read_uvarint(input)?;
        let len = read_uvarint(input)? as usize;
        let mut value = take(input, len)?;
        if known(tag, &mut value)? && !value.is_empty() {
            return Err(DecodeError::TagLength { tag });
        }
    }
    Ok(())
}

/// See the module's documentation.
macro_rules! message {
    ($(
        $(#[$doc:meta])*
        $name:ident {
            $( $(#[$field_doc:meta])* $field:ident : $type:ty [$since:literal +] $(tag $tag:literal)? $(= $default:expr)? ),* $(,)?
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: message!(@default $type $(, $default)?), )* }
            }
        }

        impl super::message::Message for $name {
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [super::field::FieldSchema] = &[
                $( super::field::FieldSchema {
                    name: stringify!($field),
                    kind: <$type as super::field::Field>::KIND,
                    since: $since,
                    tag: message!(@tag $($tag)?),
                    default: || super::field::Field::to_json(&<$name>::default().$field, i16::MAX),
                }, )*
            ];
        }

        #[allow(unused_variables, unused_mut, reason = "a table may have no field")]
        impl super::field::Field for $name {
            const KIND: super::field::Kind = super::field::Kind::Struct {
                name: stringify!($name),
                fields: <$name as super::message::Message>::FIELDS,
            };
            // The tag buffer and the fields of version 0.
            const MIN_LEN: usize = 1 $( + message!(@min_len $type, $since $(, $tag)?) )*;

            fn write(&self, version: i16, out: &mut Vec<u8>) -> Result<(), super::EncodeError> {
                let default = Self::default();
                let mut tags = super::message::TagWriter::default();
                $(
                    if version < $since {
                        if self.$field != default.$field {
                            return Err(super::EncodeError::NotInVersion { field: stringify!($field), version });
                        }
                    } else {
                        message!(@write [$($tag)?] self.$field, default.$field, tags, version, out);
                    }
                )*
                tags.finish(out);
                Ok(())
            }

            fn read(version: i16, input: &mut &[u8]) -> Result<Self, super::DecodeError> {
                let mut value = Self::default();
                $( message!(@read [$($tag)?] value.$field, $type, $since, version, input); )*
                super::message::read_tags(input, |tag, input| {
                    match tag {
                        $( $(
                            $tag if version < $since =>
                                return Err(super::DecodeError::TagNotInVersion { tag, version }),
                            $tag => value.$field = <$type as super::field::Field>::read(version, input)?,
                        )? )*
                        _ => return Ok(false),
                    }
                    #[allow(unreachable_code, reason = "a table may have no tagged field")]
                    Ok(true)
                })?;
                Ok(value)
            }

            fn to_json(&self, version: i16) -> serde_json::Value {
                let default = Self::default();
                let mut object = serde_json::Map::new();
                $(
                    if version >= $since && message!(@is_shown [$($tag)?] self.$field, default.$field) {
                        object.insert(super::json::camel_case(stringify!($field)), super::field::Field::to_json(&self.$field, version));
                    }
                )*
                serde_json::Value::Object(object)
            }
        }
    )*};

    (@default $type:ty) => { <$type>::default() };
    (@default $type:ty, $default:expr) => { $default };
    (@tag) => { None };
    (@tag $tag:literal) => { Some($tag) };
    (@min_len $type:ty, 0) => { <$type as super::field::Field>::MIN_LEN };
    (@min_len $type:ty, $since:literal $(, $tag:literal)?) => { 0 };
    (@is_shown [] $value:expr, $default:expr) => { true };
    (@is_shown [$tag:literal] $value:expr, $default:expr) => { $value != $default };
    (@write [] $value:expr, $default:expr, $tags:ident, $version:ident, $out:ident) => {
        super::field::Field::write(&$value, $version, $out)?
    };
    (@write [$tag:literal] $value:expr, $default:expr, $tags:ident, $version:ident, $out:ident) => {
        if $value != $default {
            $tags.add($tag, |out| super::field::Field::write(&$value, $version, out))?;
        }
    };
    (@read [] $place:expr, $type:ty, $since:literal, $version:ident, $input:ident) => {
        if $version >= $since {
            $place = <$type as super::field::Field>::read($version, $input)?;
        }
    };
    (@read [$tag:literal] $place:expr, $type:ty, $since:literal, $version:ident, $input:ident) => {};
}

pub(super) use message;
