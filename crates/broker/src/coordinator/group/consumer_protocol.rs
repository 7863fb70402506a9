//! The blobs that consumers exchange through a classic group (`ConsumerProtocol`), as far as a coordinator reads them.
//!
//! A subscription is a 16-bit version and an array of topic names; what later versions add comes after it. Kafka
//! reads no more of it either, so that it depends on no version.

use std::collections::BTreeSet;

/// `ConsumerProtocol.PROTOCOL_TYPE`.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The topics of a subscription; `None` when the bytes are not one.
pub fn subscribed_topics(mut metadata: &[u8]) -> Option<BTreeSet<String>> {
    let version = i16::from_be_bytes(take(&mut metadata)?);
    if version < 0 {
        return None;
    }
    let count = i32::from_be_bytes(take(&mut metadata)?);
    (0..count).map(|_| string(&mut metadata)).collect()
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*head)
}

fn string(input: &mut &[u8]) -> Option<String> {
    let len = usize::try_from(i16::from_be_bytes(take(input)?)).ok()?;
    let (head, rest) = input.split_at_checked(len)?;
    *input = rest;
    String::from_utf8(head.to_vec()).ok()
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
}
