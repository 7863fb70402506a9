//! Nothing from the network reaches the generated decoders before this module has walked over it.
//!
//! The decoders reserve memory for as many elements as a count claims, unchecked: twelve bytes suffice to ask for
//! hundreds of gigabytes, which aborts the process. The guard walks the bytes along the request's shape, a table of
//! its fields, without allocating, and proves that
//!
//! - every length and every count fits the bytes that are left: each element was really there to be walked over;
//! - the decoded message takes no more memory than [`MEMORY_PER_BYTE`] times the frame plus [`MEMORY_BASE`], which
//!   stops frames full of tiny elements that become large structures.
//!
//! It does not prove that the message decodes: what the values say is for the decoder. A request that has no shape
//! is refused. Bytes behind the message are ignored, as Kafka does.

mod shape;
mod shapes;

use shape::{Element, Field, Kind, Shape};
use thiserror::Error;

use crate::varint;

/// Memory that decoding may take for each byte of the message, beyond [`MEMORY_BASE`].
pub const MEMORY_PER_BYTE: usize = 4;
/// Memory that any request may take: enough for some ten thousand elements of a dense request.
pub const MEMORY_BASE: usize = 2 * 1024 * 1024;
/// Largest frame of a request that is not known to carry much.
pub const USUAL_FRAME_MAX: usize = 1024 * 1024;

/// Memory that the tagged fields of a header may take; no client is known to send any.
const HEADER_MEMORY: usize = 4 * 1024;
/// Memory of the map that holds a structure's unknown tagged fields once it has one.
const FIRST_TAG_MEMORY: usize = 424;
/// Memory of each further one: the map's nodes are half full at worst.
const NEXT_TAG_MEMORY: usize = 88;

/// Why a request is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GuardError {
    /// There is no shape for this API in this version.
    #[error("version {api_version} of API {api_key} is not known")]
    UnknownApi {
        /// The key.
        api_key: i16,
        /// The version.
        api_version: i16,
    },
    /// The message ends inside a field.
    #[error("the message ends inside {0}")]
    Truncated(&'static str),
    /// A length or a count is negative, but not -1, or is not a varint.
    #[error("the length of {0} is not valid")]
    Length(&'static str),
    /// A field is null in a version where it must not be.
    #[error("{0} is null")]
    Null(&'static str),
    /// A count is larger than what is left of the message.
    #[error("{count} elements of {field} cannot stand in the {left} bytes that are left")]
    Count {
        /// The array.
        field: &'static str,
        /// What it claims.
        count: usize,
        /// Bytes behind the count.
        left: usize,
    },
    /// A tagged field is not as long as it says.
    #[error("the size of the tagged field {0} is wrong")]
    TagSize(&'static str),
    /// The decoded message would take too much memory.
    #[error("the message would take too much memory, most of it for {0}")]
    Memory(&'static str),
}

/// Prove that `body` can be decoded as this request without harm.
pub fn check(api_key: i16, api_version: i16, body: &[u8]) -> Result<(), GuardError> {
    let shape = find(api_key, api_version).ok_or(GuardError::UnknownApi {
        api_key,
        api_version,
    })?;
    let flexible = api_version >= shape.flexible;
    Walk::new(body, api_version, flexible).structure(shape.fields)
}

/// Prove the same of the tagged fields at the end of a request's header; `bytes` start with them.
pub(crate) fn check_header_tags(bytes: &[u8]) -> Result<(), GuardError> {
    let mut walk = Walk::new(bytes, 0, true);
    walk.memory = HEADER_MEMORY;
    walk.tags(&[])
}

/// Most bytes that a frame of this API may have, given the configured maximum (`socket.request.max.bytes`): only
/// those that carry records or long lists may use all of it. Unknown APIs get the usual limit.
pub fn frame_max(api_key: i16, configured: usize) -> usize {
    match shapes::of(api_key) {
        Some(Shape { large: true, .. }) => configured,
        _ => configured.min(USUAL_FRAME_MAX),
    }
}

fn find(api_key: i16, version: i16) -> Option<&'static Shape> {
    shapes::of(api_key).filter(|shape| shape.oldest <= version && version <= shape.newest)
}

/// A walk over one message.
struct Walk<'a> {
    left: &'a [u8],
    version: i16,
    flexible: bool,
    /// Memory that may still be spent.
    memory: usize,
}

impl<'a> Walk<'a> {
    fn new(body: &'a [u8], version: i16, flexible: bool) -> Self {
        let memory = body
            .len()
            .saturating_mul(MEMORY_PER_BYTE)
            .saturating_add(MEMORY_BASE);
        Self {
            left: body,
            version,
            flexible,
            memory,
        }
    }

    fn structure(&mut self, fields: &'static [Field]) -> Result<(), GuardError> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.field(field)?;
            }
        }
        if self.flexible {
            self.tags(fields)
        } else {
            Ok(())
        }
    }

    fn field(&mut self, field: &'static Field) -> Result<(), GuardError> {
        // Null is the length 0 or -1; no other length that is negative passes either.
        let null = if self.flexible { 0 } else { 0xff };
        if self.version < field.nullable_since && self.left.first() == Some(&null) {
            return Err(GuardError::Null(field.name));
        }
        match &field.kind {
            Kind::Fixed(len) => self.skip(*len, field.name),
            Kind::Text => self.text(field.name),
            Kind::Blob => {
                let len = self.long_len(field.name)?;
                self.skip(len, field.name)
            }
            Kind::Structure(fields) => self.structure(fields),
            Kind::Optional(fields) => match self.take(field.name)? {
                [1] => self.structure(fields),
                _ => Ok(()),
            },
            Kind::Array { element, memory } => self.array(field.name, element, *memory),
        }
    }

    fn array(
        &mut self,
        name: &'static str,
        element: &Element,
        memory: usize,
    ) -> Result<(), GuardError> {
        let count = self.long_len(name)?;
        let left = self.left.len();
        // Every element takes a byte at least.
        if count > left {
            return Err(GuardError::Count {
                field: name,
                count,
                left,
            });
        }
        self.spend(count.saturating_mul(memory), name)?;
        match element {
            Element::Fixed(len) => self.skip(count.saturating_mul(*len), name),
            Element::Text => (0..count).try_for_each(|_| self.text(name)),
            Element::Structure(fields) => (0..count).try_for_each(|_| self.structure(fields)),
        }
    }

    fn tags(&mut self, fields: &'static [Field]) -> Result<(), GuardError> {
        const NAME: &str = "tagged fields";
        let count = self.varint(NAME)?;
        let mut unknown = 0;
        for _ in 0..count {
            let (tag, size) = (self.varint(NAME)?, self.varint(NAME)? as usize);
            let known = fields
                .iter()
                .find(|field| field.tag == Some(tag) && field.is_in(self.version));
            if let Some(field) = known {
                // The decoder reads the field's own length, whatever the size says.
                let before = self.left.len();
                self.field(field)?;
                if before - self.left.len() != size {
                    return Err(GuardError::TagSize(field.name));
                }
            } else {
                self.spend(
                    if unknown == 0 {
                        FIRST_TAG_MEMORY
                    } else {
                        NEXT_TAG_MEMORY
                    },
                    NAME,
                )?;
                unknown += 1;
                self.skip(size, NAME)?;
            }
        }
        Ok(())
    }

    fn text(&mut self, name: &'static str) -> Result<(), GuardError> {
        let len = if self.flexible {
            self.compact_len(name)?
        } else {
            let len = i16::from_be_bytes(self.take(name)?);
            nullable(len.into()).ok_or(GuardError::Length(name))?
        };
        self.skip(len, name)
    }

    /// Length of bytes or count of an array; null is 0.
    fn long_len(&mut self, name: &'static str) -> Result<usize, GuardError> {
        if self.flexible {
            return self.compact_len(name);
        }
        let len = i32::from_be_bytes(self.take(name)?);
        nullable(len).ok_or(GuardError::Length(name))
    }

    fn compact_len(&mut self, name: &'static str) -> Result<usize, GuardError> {
        Ok((self.varint(name)? as usize).saturating_sub(1))
    }

    fn varint(&mut self, name: &'static str) -> Result<u32, GuardError> {
        varint::read_u32(&mut self.left).ok_or(GuardError::Length(name))
    }

    fn take<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], GuardError> {
        let (taken, rest) = self
            .left
            .split_first_chunk()
            .ok_or(GuardError::Truncated(name))?;
        self.left = rest;
        Ok(*taken)
    }

    fn skip(&mut self, len: usize, name: &'static str) -> Result<(), GuardError> {
        self.left = self.left.get(len..).ok_or(GuardError::Truncated(name))?;
        Ok(())
    }

    fn spend(&mut self, memory: usize, name: &'static str) -> Result<(), GuardError> {
        self.memory = self
            .memory
            .checked_sub(memory)
            .ok_or(GuardError::Memory(name))?;
        Ok(())
    }
}

fn nullable(len: i32) -> Option<usize> {
    if len == -1 {
        Some(0)
    } else {
        usize::try_from(len).ok()
    }
}

#[cfg(test)]
mod tests;
