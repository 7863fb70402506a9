//! The blobs that consumers exchange through a classic group (`ConsumerProtocol`).
//!
//! A subscription is a 16-bit version, an array of topic names and user data; version 1 adds the partitions that the
//! consumer owns, version 2 its generation, version 3 its rack. An assignment is a version, an array of topics with
//! their partitions, and user data. What a still later version adds comes after it and is not read.

use std::collections::BTreeSet;

/// `ConsumerProtocol.PROTOCOL_TYPE`.
pub const PROTOCOL_TYPE: &str = "consumer";

/// Versions above are read and written as this one.
const LATEST_VERSION: i16 = 3;

/// A topic and indexes of partitions.
pub type TopicIndexes = (String, Vec<i32>);

/// What a consumer wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Topics it names.
    pub topics: BTreeSet<String>,
    /// What it owns while it joins; nothing for one that gives everything up before it rebalances.
    pub owned: Vec<TopicIndexes>,
    /// `client.rack`.
    pub rack_id: Option<String>,
}

impl Subscription {
    /// `None` when the bytes are not one.
    pub fn decode(mut metadata: &[u8]) -> Option<Self> {
        let input = &mut metadata;
        let version = version(input)?;
        let topics = array(input, string)?.into_iter().collect();
        bytes(input)?;
        let owned = match version {
            0 => Vec::new(),
            _ => array(input, topic_indexes)?,
        };
        if version >= 2 {
            take::<4>(input)?;
        }
        let rack_id = match version {
            0..3 => None,
            _ => nullable_string(input)?,
        };
        Some(Self {
            topics,
            owned,
            rack_id,
        })
    }
}

/// The topics of a subscription, whatever follows them; `None` when the bytes are not one. Kafka reads no more of it
/// either where it wants no more.
pub fn subscribed_topics(mut metadata: &[u8]) -> Option<BTreeSet<String>> {
    version(&mut metadata)?;
    Some(array(&mut metadata, string)?.into_iter().collect())
}

/// The version of a subscription, which its assignment has too.
pub fn subscription_version(mut metadata: &[u8]) -> Option<i16> {
    version(&mut metadata)
}

/// An assignment, and whether it has user data; `None` when the bytes are not one.
pub fn decode_assignment(mut assignment: &[u8]) -> Option<(Vec<TopicIndexes>, bool)> {
    let input = &mut assignment;
    version(input)?;
    let topics = array(input, topic_indexes)?;
    Some((topics, !bytes(input)?.is_empty()))
}

/// The bytes of an assignment without user data. Names are as long as topic names may be.
pub fn encode_assignment(version: i16, topics: &[TopicIndexes]) -> Vec<u8> {
    let mut out = version.min(LATEST_VERSION).to_be_bytes().to_vec();
    let count = |len: usize| i32::try_from(len).unwrap_or(i32::MAX).to_be_bytes();
    out.extend(count(topics.len()));
    for (name, indexes) in topics {
        out.extend(i16::try_from(name.len()).unwrap_or(i16::MAX).to_be_bytes());
        out.extend(name.as_bytes());
        out.extend(count(indexes.len()));
        out.extend(indexes.iter().flat_map(|index| index.to_be_bytes()));
    }
    out.extend((-1_i32).to_be_bytes());
    out
}

fn version(input: &mut &[u8]) -> Option<i16> {
    Some(i16::from_be_bytes(take(input)?)).filter(|version| *version >= 0)
}

/// The count is not trusted with memory: elements are read one by one.
fn array<T>(input: &mut &[u8], element: fn(&mut &[u8]) -> Option<T>) -> Option<Vec<T>> {
    let count = i32::from_be_bytes(take(input)?);
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(element(input)?);
    }
    Some(elements)
}

fn topic_indexes(input: &mut &[u8]) -> Option<TopicIndexes> {
    let name = string(input)?;
    let indexes = array(input, |input| Some(i32::from_be_bytes(take(input)?)))?;
    Some((name, indexes))
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*head)
}

fn string(input: &mut &[u8]) -> Option<String> {
    nullable_string(input)?
}

/// `Some(None)` is null.
fn nullable_string(input: &mut &[u8]) -> Option<Option<String>> {
    let len = i16::from_be_bytes(take(input)?);
    if len < 0 {
        return Some(None);
    }
    let (head, rest) = input.split_at_checked(usize::try_from(len).ok()?)?;
    *input = rest;
    Some(Some(String::from_utf8(head.to_vec()).ok()?))
}

/// Nullable; null is empty.
fn bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(i32::from_be_bytes(take(input)?)).unwrap_or(0);
    let (head, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_any_version() {
        let metadata = b"\x00\x03\x00\x00\x00\x02\x00\x01b\x00\x01a\xff\xff\xff\xff";
        let topics = subscribed_topics(metadata).unwrap();
        assert_eq!(topics, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
        assert!(subscribed_topics(b"\0\0\0\0\0\0").unwrap().is_empty());
    }

    #[test]
    fn garbage_is_no_subscription() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\xff\xff\0\0\0\0",
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\0\0\0\x01\xff\xff",
            b"\0\0\0\0\0\x01\0\x01\xff",
        ] {
            assert_eq!(subscribed_topics(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_subscription_of_version_3() {
        let mut bytes = b"\x00\x03\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff".to_vec();
        bytes.extend(b"\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00\x05");
        bytes.extend(b"\x00\x00\x00\x07\x00\x01r");
        let expected = Subscription {
            topics: BTreeSet::from(["t".to_owned()]),
            owned: vec![("t".to_owned(), vec![4, 5])],
            rack_id: Some("r".to_owned()),
        };
        assert_eq!(Subscription::decode(&bytes), Some(expected));
        for len in 0..bytes.len() {
            assert_eq!(Subscription::decode(&bytes[..len]), None, "{len}");
        }
    }

    #[test]
    fn assignments_round_trip() {
        let topics = vec![("a".to_owned(), vec![0, 3]), ("b".to_owned(), vec![])];
        let bytes = encode_assignment(1, &topics);
        assert_eq!(decode_assignment(&bytes), Some((topics, false)));
        assert_eq!(&bytes[..2], [0, 1]);
        assert_eq!(encode_assignment(9, &[]), b"\0\x03\0\0\0\0\xff\xff\xff\xff");
        let with_user_data = b"\0\0\0\0\0\0\0\0\0\x01u";
        assert_eq!(decode_assignment(with_user_data), Some((vec![], true)));
        assert_eq!(decode_assignment(b""), None);
    }
}
