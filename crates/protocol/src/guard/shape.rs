//! What a request looks like on the wire, as data: a list of fields with the versions that have them.
//!
//! A shape knows of each field how long it is, not what it means. Runs of fields of fixed length that come and go
//! together are one field. Lengths and counts are i16 or i32 in the versions before [`Shape::flexible`] and
//! unsigned varints, one larger so that 0 is null, from it on; every structure then ends with tagged fields.

use std::mem::size_of;

use kafka_protocol::protocol::Request;

/// For messages that never became flexible.
pub(super) const NEVER_FLEXIBLE: i16 = i16::MAX;

/// A request in all its versions.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) api_key: i16,
    pub(super) oldest: i16,
    pub(super) newest: i16,
    /// First version with compact lengths and tagged fields.
    pub(super) flexible: i16,
    pub(super) fields: &'static [Field],
    /// May honestly be larger than the usual limit of a frame.
    pub(super) large: bool,
}

/// A field, in the versions that have it.
#[derive(Debug)]
pub(super) struct Field {
    /// As in Kafka's schema; a run of fields has them all. For error messages.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) since: i16,
    pub(super) until: i16,
    /// First version that lets it be null, where the decoder lets it be null in all.
    pub(super) nullable_since: i16,
    /// Stands among the tagged fields under this tag.
    pub(super) tag: Option<u32>,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// That many bytes.
    Fixed(usize),
    /// A string: i16 length.
    Text,
    /// Bytes: i32 length.
    Blob,
    /// A structure in place.
    Structure(&'static [Field]),
    /// An i8 that is 1 when the structure follows.
    Optional(&'static [Field]),
    /// i32 count, then elements.
    Array { element: Element, memory: usize },
}

/// Elements of an array.
#[derive(Debug)]
pub(super) enum Element {
    Fixed(usize),
    Text,
    Structure(&'static [Field]),
}

pub(super) const fn shape<R: Request>(flexible: i16, fields: &'static [Field]) -> Shape {
    Shape {
        api_key: R::KEY,
        oldest: R::VERSIONS.min,
        newest: R::VERSIONS.max,
        flexible,
        fields,
        large: false,
    }
}

impl Shape {
    pub(super) const fn large(mut self) -> Self {
        self.large = true;
        self
    }

    /// A version that the generated codec lacks; see [`crate::legacy`].
    pub(super) const fn served_since(mut self, oldest: i16) -> Self {
        self.oldest = oldest;
        self
    }
}

impl Field {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            since: 0,
            until: i16::MAX,
            nullable_since: 0,
            tag: None,
        }
    }

    /// From this version on.
    pub(super) const fn since(mut self, version: i16) -> Self {
        self.since = version;
        self
    }

    /// Up to this version.
    pub(super) const fn until(mut self, version: i16) -> Self {
        self.until = version;
        self
    }

    /// From this version on it may be null.
    pub(super) const fn nullable_since(mut self, version: i16) -> Self {
        self.nullable_since = version;
        self
    }

    pub(super) const fn tag(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    pub(super) const fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }
}

/// Fields of fixed length, together `len` bytes.
pub(super) const fn fixed(names: &'static str, len: usize) -> Field {
    Field::new(names, Kind::Fixed(len))
}

pub(super) const fn text(name: &'static str) -> Field {
    Field::new(name, Kind::Text)
}

pub(super) const fn blob(name: &'static str) -> Field {
    Field::new(name, Kind::Blob)
}

pub(super) const fn structure(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Structure(fields))
}

pub(super) const fn optional(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(name, Kind::Optional(fields))
}

/// Structures, each of which becomes a `T` in memory.
pub(super) const fn array<T>(name: &'static str, fields: &'static [Field]) -> Field {
    Field::new(
        name,
        Kind::Array {
            element: Element::Structure(fields),
            memory: size_of::<T>(),
        },
    )
}

/// Strings.
pub(super) const fn texts(name: &'static str) -> Field {
    Field::new(
        name,
        Kind::Array {
            element: Element::Text,
            memory: size_of::<bytes::Bytes>(),
        },
    )
}

/// Numbers of `len` bytes.
pub(super) const fn fixeds(name: &'static str, len: usize) -> Field {
    Field::new(
        name,
        Kind::Array {
            element: Element::Fixed(len),
            memory: len,
        },
    )
}
